// The verb eval, and the evaluations inside a training run. The whole set is one batch:
// micro-batches add to the accumulators, so the loss is exact however it is cut. A rank that cannot
// read its data runs to the end all the same, as others wait for it; then all agree on the failure.
#include "runtime/eval.h"

#include "runtime/agree.h"
#include "runtime/channels.h"
#include "runtime/data_request.h"
#include "runtime/eval_print.h"
#include "runtime/logits.h"
#include "runtime/weights.h"

#include <math.h>
#include <string.h>

// Is a value with samples of several ranks put together? Then each has to have as many.
static bool joins_samples(const nmdrv_program *p, int batch)
{
    for (int64_t i = 0; i < p->n_collectives; i++)
        if (p->collective[i].over >= 0 && p->sym[p->collective[i].over].of_sym == batch)
            return true;
    return false;
}

// Ranks of dp may have fewer samples than others, so all that the model takes can be evaluated.
static int64_t unit_of(const nmrt_setup *s)
{
    int batch = nmrt_sym_find(s->program, s->program->batch);
    if (batch < 0)
        return s->samples;
    int64_t multiple = s->program->sym[batch].multiple > 1 ? s->program->sym[batch].multiple : 1;
    int64_t dp = joins_samples(s->program, batch) ? nmrt_mesh_dp(&s->mesh) : 1;
    return multiple / nmrt_gcd(multiple, dp) * dp;
}

// What this rank will read, so that a bad token is told at once.
static nmrt_status check_tokens(const nmrt_evaluation *v, const nmrt_setup *s, nmrt_error *e)
{
    for (int64_t micro = 0; micro * s->samples < v->samples; micro++) {
        nmrt_syms syms;
        nmrt_setup_bind(s, micro, s->samples, v->samples, &syms);
        NMRT_TRY(nmrt_data_check_part(v->data, &s->plan, syms.at, 0, e));
    }
    return NMRT_OK;
}

// Rank 0 reads all where some may be masked.
static nmrt_status count_tokens(nmrt_evaluation *v, const nmrt_setup *s, const nmrt_output *out,
                                nmrt_error *e)
{
    v->tokens = v->samples * s->seq;
    if (!v->data->documents.masks_end || s->mesh.rank)
        return NMRT_OK;
    NMRT_TRY(nmrt_data_weigh(v->data, &s->plan, v->samples, &v->tokens, e));
    if (!v->tokens)
        fprintf(out->note, "note: all tokens of %s are masked: there is no loss\n",
                v->data->source->q.path);
    return NMRT_OK;
}

bool nmrt_evaluation_has_loss(const nmrt_evaluation *v) { return v->tokens > 0; }

static nmrt_status find_samples(nmrt_evaluation *v, const nmrt_setup *s, int64_t asked,
                                const nmrt_output *out, nmrt_error *e)
{
    nmrt_source *d = v->data->source;
    bool some = asked > 0 && asked < d->samples;
    int64_t all = some ? asked : d->samples, unit = unit_of(s);
    v->samples = all / unit * unit;
    if (!v->samples)
        return nmrt_fail(e, NMRT_USAGE, "%s has %lld samples, fewer than the %lld of a micro-batch",
                         d->q.path, (long long)all, (long long)unit);
    if (v->samples < all)
        fprintf(out->note,
                "note: %lld of the %lld samples of %s are evaluated, a multiple of %lld\n",
                (long long)v->samples, (long long)all, d->q.path, (long long)unit);
    NMRT_TRY(nmrt_source_draw(d, some ? asked : 0, e));
    NMRT_TRY(check_tokens(v, s, e));
    return count_tokens(v, s, out, e);
}

// Is there an evaluation, and does it give what is logged?
static nmrt_status check_loss(const nmdrv_program *p, nmrt_error *e)
{
    bool found = false;
    for (int64_t i = 0; i < p->n_funcs; i++) {
        const nmdrv_func *f = &p->func[i];
        for (int64_t k = 0; k < f->n_results && f->role == NMDRV_EVAL_FINISH; k++) {
            const nmdrv_arg *r = &f->result[k];
            if (r->bind == NMDRV_EMIT && !r->rank && strcmp(r->name, "loss") == 0)
                return NMRT_OK;
        }
        found |= f->role == NMDRV_EVAL_FINISH;
    }
    return found ? nmrt_fail(e, NMRT_USAGE,
                             "the eval entry of %s emits no number called loss: that is what an "
                             "evaluation logs",
                             p->name)
                 : nmrt_fail(e, NMRT_USAGE, "%s was compiled without an evaluation", p->name);
}

nmrt_status nmrt_evaluation_init(nmrt_evaluation *v, const nmrt_setup *s, nmrt_data *d,
                                 int64_t asked, const nmrt_output *out, nmrt_error *e)
{
    *v = (nmrt_evaluation){.data = d};
    NMRT_TRY(check_loss(s->program, e));
    NMRT_TRY(find_samples(v, s, asked, out, e));
    int64_t n_micro = (v->samples + s->samples - 1) / s->samples;
    NMRT_TRY(nmrt_actions_init(&v->actions, &s->stages, n_micro, false, e));
    return nmrt_actions_check(&v->actions, e);
}

void nmrt_evaluation_release(nmrt_evaluation *v) { nmrt_actions_release(&v->actions); }

static nmrt_status run_all(nmrt_pipe *p, const nmrt_evaluation *v, nmrt_late *late, nmrt_error *e)
{
    nmrt_batch batch = {v->data, 0, p->setup->samples, v->samples, late};
    nmrt_engine_fill(p->en, NMDRV_ACC, 0);
    nmrt_engine_fill(p->en, NMDRV_LINK, 0);
    NMRT_TRY(nmrt_pipe_run(p, &v->actions, &batch, e));
    nmrt_pipe_finish(p, NMDRV_EVAL_FINISH);
    return NMRT_OK;
}

nmrt_status nmrt_evaluate(nmrt_pipe *p, const nmrt_evaluation *v, nmrt_evaluated *x, nmrt_error *e)
{
    const nmrt_setup *s = p->setup;
    const nmrt_planned *finish = nmrt_plan_func(p->en->plan, NMDRV_EVAL_FINISH, NMDRV_MIDDLE);
    nmrt_late late = {.status = NMRT_OK};
    NMRT_TRY(run_all(p, v, &late, e));
    bool failed = late.status != NMRT_OK;
    NMRT_TRY(nmrt_comm_any(p->comm, &failed, e));
    *x = (nmrt_evaluated){.status = late.status, .why = late.e};
    if (failed)
        x->status = nmrt_agree(p->comm, late.status, &x->why);
    else if (!nmrt_engine_result(p->en, finish, "loss", &x->loss))
        return nmrt_fail(e, NMRT_WORLD, "the evaluation of %s gave no loss", s->program->name);
    return NMRT_OK;
}

static nmrt_status run_eval(nmrt_pipe *p, const nmrt_evaluation *v, const nmrt_output *out,
                            nmrt_error *e)
{
    const nmrt_options *o = p->setup->options;
    nmrt_engine *en = p->en;
    nmrt_checkpoint c;
    NMRT_TRY(nmrt_weights_load(o, en, out, &c, e));
    nmrt_engine_set(en, "seed", (double)o->seed);
    nmrt_engine_set(en, "step", (double)c.step);
    nmrt_engine_set(en, "steps", (double)c.step);
    if (o->dump_logits) // first: a file that cannot be written is told at once
        NMRT_TRY(nmrt_logits_dump(en, p->setup, v->data, v->samples, o->dump_logits, e));
    nmrt_evaluated x;
    NMRT_TRY(nmrt_evaluate(p, v, &x, e));
    if (x.status != NMRT_OK) {
        *e = x.why; // everyone's
        return x.status;
    }
    fprintf(out->note, "%s, step %lld, on %s\n", c.path, (long long)c.step,
            v->data->source->q.path);
    nmrt_evaluation_print(&(nmrt_eval_report){en, v, &c, x.loss}, o, out);
    if (isfinite(x.loss) || !nmrt_evaluation_has_loss(v))
        return NMRT_OK;
    nmrt_fail(e, NMRT_NUMERIC,
              "the loss of %s on %s is %f: weights that are no numbers, or sums that overflow",
              c.path, v->data->source->q.path, x.loss);
    return nmrt_everyones(NMRT_NUMERIC, e);
}

static nmrt_status dry_run(const nmrt_setup *s, const nmrt_output *out, nmrt_error *e)
{
    nmrt_text text = {0};
    nmrt_status status = nmrt_setup_print(s, &text, e);
    fputs(text.at ? text.at : "", out->text);
    nmrt_text_release(&text);
    return status;
}

typedef struct evaluation {
    nmrt_setup setup;
    nmrt_data data;
    char tokenizer[NMRT_PATH]; // of a text: its path, where it lies beside the checkpoint
    nmrt_evaluation of;
    nmrt_engine en;
    nmrt_pipe pipe;
} evaluation;

static nmrt_status open_all(evaluation *v, const nmrt_data_request *data, nmrt_run *run,
                            nmrt_error *e)
{
    const nmrt_options *o = run->options;
    nmrt_setup *s = &v->setup;
    nmrt_device_request device = {.program = s->program,
                                  .threads = s->threads,
                                  .mesh = &s->mesh,
                                  .comm = &run->comm,
                                  .local_rank = run->ranks ? run->ranks->local_rank : 0,
                                  .tf32 = o->tf32,
                                  .graphs = o->graphs != 0,
                                  .collectives = o->collectives};
    NMRT_TRY(nmrt_setup_check_memory(s, run->ranks ? run->ranks->local_ranks : 1, e));
    nmrt_status status = nmrt_data_open(&v->data, data, e);
    if (status == NMRT_OK)
        status = nmrt_evaluation_init(&v->of, s, &v->data, o->samples, run->out, e);
    NMRT_TRY(nmrt_agree_alike(&run->comm, status, e));
    NMRT_TRY(nmrt_setup_find_shares(s, e));
    NMRT_TRY(nmrt_engine_open(&v->en, &s->plan, s->device, &device, e));
    v->en.check_memory = o->check_memory;
    v->en.shares = nmrt_setup_shares(s, &run->comm);
    NMRT_TRY(nmrt_channels_open(s, &v->en, e));
    return nmrt_pipe_open(&v->pipe, s, &v->en, &run->comm, &s->eval, NULL, e);
}

static nmrt_status evaluate(evaluation *v, nmrt_run *run, nmrt_error *e)
{
    if (!v->setup.eval.n_calls)
        return nmrt_fail(e, NMRT_USAGE, "%s was compiled without an evaluation",
                         run->program->name);
    nmrt_data_request data;
    NMRT_TRY(nmrt_data_ask(&data, &v->setup, NMRT_DATA_EVAL, v->tokenizer, run->out, e));
    NMRT_TRY(nmrt_data_check(&v->setup.plan, &data.documents, e));
    if (run->options->dry_run)
        return dry_run(&v->setup, run->out, e);
    NMRT_TRY(open_all(v, &data, run, e));
    return run_eval(&v->pipe, &v->of, run->out, e);
}

// A model that is not told what the loss is told would give other logits than the loss's.
static nmrt_status check_told(const nmdrv_func *logits, const nmrt_options *o, nmrt_error *e)
{
    const bool given[] = {o->reset_position_ids, o->reset_attention_mask};
    for (int i = 0; i < 2; i++)
        if (given[i] && !nmrt_data_func_reads(logits, nmrt_document_flags[i].field))
            return nmrt_fail(e, NMRT_USAGE,
                             "--dump-logits with --%s: the model's parameter for it is not called "
                             "'%s', as the field is, so its logits would be those without",
                             nmrt_document_flags[i].flag, nmrt_document_flags[i].field);
    return NMRT_OK;
}

static nmrt_status check_dump(const nmrt_run *run, nmrt_error *e)
{
    const nmdrv_program *p = run->program;
    const nmdrv_func *logits = nmrt_logits_func(p);
    if (!run->options->dump_logits)
        return NMRT_OK;
    if (!logits)
        return nmrt_fail(e, NMRT_USAGE,
                         "--dump-logits: %s has no model that takes tokens [batch, seq] alone and "
                         "gives a score for each token at each position",
                         p->name);
    NMRT_TRY(check_told(logits, run->options, e));
    if (run->mesh.world > 1)
        return nmrt_fail(e, NMRT_USAGE,
                         "--dump-logits is for one rank, and the mesh has %lld: leave --tp, --pp, "
                         "--cp, --dp and --nproc out",
                         (long long)run->mesh.world);
    return NMRT_OK;
}

nmrt_status nmrt_eval(nmrt_run *run, nmrt_error *e)
{
    evaluation v = {0};
    fputs(run->options->notes.at ? run->options->notes.at : "", run->out->note);
    NMRT_TRY(check_dump(run, e));
    NMRT_TRY(nmrt_setup_init(&v.setup, run, e));
    nmrt_status status = evaluate(&v, run, e);
    nmrt_pipe_close(&v.pipe);
    nmrt_engine_close(&v.en);
    nmrt_evaluation_release(&v.of);
    nmrt_data_close(&v.data);
    nmrt_setup_release(&v.setup);
    return status;
}
