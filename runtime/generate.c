// The verb generate: the whole prompt through DECODE at once, then a position at a time with the
// caches.
#include "runtime/generate.h"

#include "runtime/cpu.h"
#include "runtime/data.h"
#include "runtime/dtype.h"
#include "runtime/prompt.h"
#include "runtime/setup.h"
#include "runtime/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    const nmdrv_program *program;
    const nmrt_options *o;
    const nmrt_output *out;
    nmrt_mesh mesh; // of one rank
    nmrt_syms syms; // as the plan was made
    nmrt_plan plan;
    nmrt_engine en;
    const nmrt_planned *decode;
    const nmrt_slot *tokens;
    nmrt_prompt prompt;
    int64_t most, context; // tokens to write; positions that the caches have
    int vocab;             // tokens of the model
    int choices;           // those that the tokenizer has, too
    char *raw;             // [vocab] logits as the program gives them
    double *logit;         // [vocab]
    nmrt_next_token *room; // [choices]
} writer;

// How many positions this run needs and the model can hold.
static int64_t find_context(const writer *w)
{
    const char *const name[] = {"context", "context.cache", w->program->seq};
    int64_t fixed = nmrt_dim_fixed(w->program, "context"), n = (int64_t)w->prompt.ids.n + w->most;
    if (fixed && fixed < n)
        n = fixed;
    for (int i = 0; i < 3; i++) {
        int s = nmrt_sym_find(w->program, name[i]);
        if (s >= 0 && w->program->sym[s].max > 0 && w->program->sym[s].max < n)
            n = w->program->sym[s].max;
    }
    return n;
}

static nmrt_status bind_sizes(const writer *w, nmrt_syms *syms, int64_t seq, nmrt_error *e)
{
    NMRT_TRY(nmrt_syms_bind(syms, w->program, &(nmrt_sizes){1, 1, seq, w->context}, e));
    nmrt_mesh_bind(&w->mesh, syms->at);
    return NMRT_OK;
}

static nmrt_status find_shapes(writer *w, nmrt_error *e)
{
    const nmdrv_func *f = w->decode->func;
    const nmdrv_arg *logits = NULL;
    for (int i = 0; i < w->plan.n_slots; i++)
        if (w->plan.slot[i].bind == NMDRV_DATA)
            w->tokens = &w->plan.slot[i];
    for (int64_t i = 0; i < f->n_results; i++)
        if (f->result[i].bind == NMDRV_OUT)
            logits = &f->result[i];
    if (!w->tokens || !logits || !logits->rank)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "the program is inconsistent: %s has no tokens or no logits", f->name);
    int64_t vocab = w->program->dim[logits->dim[logits->rank - 1]].extent;
    if (vocab <= 0 || vocab > INT32_MAX ||
        w->decode->bytes[logits->buf] < vocab * (nmrt_dtype(logits->dtype)->bits / 8))
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: %s gives too few logits",
                         f->name);
    w->vocab = (int)vocab;
    int64_t size = nmrt_tokenizer_size(w->prompt.t);
    w->choices = size < vocab ? (int)size : w->vocab;
    return NMRT_OK;
}

static nmrt_status check_prompt(const writer *w, nmrt_error *e)
{
    const nmrt_ids *ids = &w->prompt.ids;
    if (!ids->n)
        return nmrt_fail(e, NMRT_USAGE, "--prompt is empty; the model needs a token to begin with");
    if ((int64_t)ids->n > w->context)
        return nmrt_fail(e, NMRT_USAGE, "--prompt has %zu tokens, the model's context is %lld",
                         ids->n, (long long)w->context);
    for (size_t i = 0; i < ids->n; i++)
        if (ids->at[i] >= w->vocab)
            return nmrt_fail(e, NMRT_USAGE,
                             "--prompt: token %d, by the tokenizer %s, is not below the model's %d "
                             "tokens",
                             ids->at[i], w->prompt.path, w->vocab);
    return NMRT_OK;
}

static nmrt_status add_decode(writer *w, nmrt_error *e)
{
    for (int64_t i = 0; i < w->program->n_funcs; i++) {
        const nmdrv_func *f = &w->program->func[i];
        if (f->role == NMDRV_DECODE && (f->mode < 0 || f->mode == w->mesh.mode))
            return nmrt_plan_add(&w->plan, f, w->syms.at, NULL, e);
    }
    return NMRT_OK;
}

static nmrt_status plan_decode(writer *w, int threads, nmrt_error *e)
{
    nmrt_mesh_flags alone = {.tp = 1, .pp = 1, .cp = 1, .dp = 1, .vp = 1, .sp = true};
    NMRT_TRY(nmrt_mesh_init(&w->mesh, w->program, &alone, e));
    w->plan = (nmrt_plan){.program = w->program, .apart = w->o->check_memory};
    w->most = w->o->max_tokens;
    w->context = find_context(w);
    int64_t n = (int64_t)w->prompt.ids.n;
    NMRT_TRY(bind_sizes(w, &w->syms, n > 0 && n < w->context ? n : 1, e));
    NMRT_TRY(add_decode(w, e));
    nmrt_plan_finish(&w->plan, threads);
    w->decode = w->plan.n_funcs ? &w->plan.func[0] : NULL;
    if (!w->decode) {
        const char *why = w->program->no_decode;
        return nmrt_fail(e, NMRT_USAGE, "%s cannot generate: %s", w->program->name,
                         why && *why ? why : "no function of it decodes");
    }
    NMRT_TRY(find_shapes(w, e));
    return check_prompt(w, e);
}

static void read_logits(const writer *w)
{
    const nmdrv_func *f = w->decode->func;
    const char *at = nmrt_engine_result_at(&w->en, w->decode, NMDRV_OUT);
    for (int64_t i = 0; i < f->n_results; i++) {
        const nmdrv_arg *r = &f->result[i];
        int64_t size = nmrt_dtype(r->dtype)->bits / 8;
        if (r->bind != NMDRV_OUT)
            continue;
        w->en.ops->copy_out(w->en.device, w->raw, at, w->vocab * size);
        for (int k = 0; k < w->vocab; k++)
            w->logit[k] = nmrt_number_read(r->dtype, w->raw + k * size);
        return;
    }
}

static nmrt_status decode(writer *w, const int64_t *token, int64_t n, int64_t at, nmrt_error *e)
{
    nmrt_syms syms;
    NMRT_TRY(bind_sizes(w, &syms, n, e));
    nmrt_tokens_store(&w->en, w->tokens, token, n);
    nmrt_engine_set(&w->en, "at", (double)at);
    nmrt_engine_call(&w->en, w->decode, syms.at);
    read_logits(w);
    for (int i = 0; i < w->vocab; i++)
        if (isnan(w->logit[i]))
            return nmrt_fail(e, NMRT_NUMERIC, "the model's answer at position %lld is not a number",
                             (long long)at);
    return NMRT_OK;
}

static nmrt_status read_prompt(writer *w, nmrt_error *e)
{
    const nmrt_ids *ids = &w->prompt.ids;
    int64_t *token = malloc(ids->n * sizeof *token);
    if (!token)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the prompt");
    for (size_t i = 0; i < ids->n; i++)
        token[i] = ids->at[i];
    fputs(w->o->prompt, w->out->text);
    nmrt_status status = decode(w, token, (int64_t)ids->n, 0, e);
    free(token);
    return status;
}

// Token by token, to the one that ends a text, which is not written.
static nmrt_status write_tokens(writer *w, nmrt_error *e)
{
    nmrt_sampler sampler = {w->o->temperature, w->o->top_p, (uint64_t)w->o->seed, w->room};
    int64_t at = (int64_t)w->prompt.ids.n;
    for (int64_t i = 0; i < w->most; i++, at++) {
        int64_t token = nmrt_sample(&sampler, w->logit, w->choices, (uint64_t)i);
        if (nmrt_tokenizer_ends(w->prompt.t, token))
            break;
        NMRT_TRY(nmrt_prompt_say(&w->prompt, (int32_t)token, w->out->text, e));
        if (i + 1 == w->most)
            break;
        if (at == w->context) {
            NMRT_TRY(nmrt_prompt_finish(&w->prompt, w->out->text, e));
            fprintf(w->out->note,
                    "\nnote: stopped after %lld tokens, as the model's context of %lld positions "
                    "is full\n",
                    (long long)i + 1, (long long)w->context);
            return NMRT_OK;
        }
        NMRT_TRY(decode(w, &token, 1, at, e));
    }
    NMRT_TRY(nmrt_prompt_finish(&w->prompt, w->out->text, e));
    fputc('\n', w->out->text);
    return NMRT_OK;
}

static nmrt_status write_text(writer *w, nmrt_error *e)
{
    w->raw = malloc((size_t)w->vocab * 8);
    w->logit = malloc((size_t)w->vocab * sizeof *w->logit);
    w->room = malloc((size_t)w->choices * sizeof *w->room);
    nmrt_status status = w->raw && w->logit && w->room
                             ? read_prompt(w, e)
                             : nmrt_fail(e, NMRT_WORLD, "no memory for the logits");
    if (status == NMRT_OK)
        status = write_tokens(w, e);
    free(w->raw);
    free(w->logit);
    free(w->room);
    return status;
}

nmrt_status nmrt_generate(const nmrt_choice *on, const nmrt_options *o, const nmrt_output *out,
                          nmrt_error *e)
{
    const nmdrv_program *program = on->program;
    writer w = {.program = program, .o = o, .out = out};
    int threads = o->threads ? (int)o->threads : nmrt_cpu_threads();
    nmrt_status status = nmrt_prompt_open(&w.prompt, o, e);
    if (status == NMRT_OK)
        status = plan_decode(&w, threads, e);
    if (status == NMRT_OK)
        status = nmrt_memory_check(w.plan.total, on->device, "the run needs",
                                   "try fewer --max-tokens", e);
    nmrt_device_request request = {
        .program = program, .threads = threads, .tf32 = o->tf32, .graphs = o->graphs != 0};
    if (status == NMRT_OK)
        status = nmrt_engine_open(&w.en, &w.plan, on->device, &request, e);
    if (status == NMRT_OK) {
        w.en.shares = (nmrt_shares){.mesh = &w.mesh, .sym = w.syms.at};
        w.en.check_memory = o->check_memory;
        nmrt_checkpoint c;
        status = nmrt_weights_load(o, &w.en, out, &c, e);
        if (status == NMRT_OK)
            status = write_text(&w, e);
        nmrt_engine_close(&w.en);
    }
    nmrt_plan_release(&w.plan);
    nmrt_prompt_close(&w.prompt);
    return status;
}
