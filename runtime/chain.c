// Calls and the values between them: who makes what, who reads it.
#include "runtime/chain.h"

#include <stdlib.h>
#include <string.h>

static nmrt_status no_memory(nmrt_error *e)
{
    return nmrt_fail(e, NMRT_WORLD, "no memory for the pipeline's chain");
}

// --- calls ---------------------------------------------------------------------------------------

static bool is_text_of(const nmdrv_func *f, const nmrt_chunk *chunk)
{
    return (f->recompute < 0 || f->recompute == (int64_t)chunk->variant) &&
           (f->products < 0 || f->products == (int64_t)chunk->products);
}

const nmdrv_func *nmrt_func_find(const nmrt_chain_request *q, nmdrv_phase phase,
                                 const nmrt_chunk *chunk)
{
    const nmdrv_program *p = q->texts.program;
    for (int64_t i = 0; i < p->n_funcs; i++) {
        const nmdrv_func *f = &p->func[i];
        bool whole = f->phase == NMDRV_WHOLE && phase == NMDRV_TURN,
             last = q->texts.several && f->sums == NMDRV_LAST;
        if (f->role == (int64_t)q->role && !last && is_text_of(f, chunk) &&
            nmrt_texts_has(&q->texts, f) &&
            (whole || (f->phase == (int64_t)phase && f->units >> chunk->part.unit & 1)))
            return f;
    }
    return NULL;
}

nmdrv_sym nmrt_turns_sym(const nmdrv_program *program, const nmdrv_func *func, nmrt_run_of run)
{
    return (nmdrv_sym){.size = run.n,
                       .offset = run.from,
                       .total = program->sym[func->turns].extent,
                       .half = run.n};
}

static int *no_values(const nmdrv_func *f)
{
    size_t n = (size_t)f->n_bufs + 1;
    int *value = malloc(n * sizeof *value);
    if (value)
        memset(value, -1, n * sizeof *value);
    return value;
}

static nmrt_status add_call(nmrt_chain *c, const nmrt_chain_request *q, int stage,
                            const nmrt_chunk *chunk, nmdrv_phase phase, nmrt_error *e)
{
    nmrt_call *x = &c->call[c->n_calls];
    *x = (nmrt_call){.part = chunk->part, .stage = stage, .backward = phase == NMDRV_BACKWARD};
    x->func = nmrt_func_find(q, phase, chunk);
    if (!x->func && phase == NMDRV_TURN)
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: it has no turn");
    if (!x->func) // a unit that only passes on, or has nothing to train
        return NMRT_OK;
    c->n_calls++;
    if (x->func->sums == NMDRV_ONCE)
        x->last = nmrt_texts_other(q->texts.program, x->func, NMDRV_LAST);
    x->value = no_values(x->func);
    x->last_value = x->last ? no_values(x->last) : NULL;
    return x->value && (x->last_value || !x->last) ? NMRT_OK : no_memory(e);
}

enum { MAX_CHUNKS = 4 }; // at the end of a block, behind the first layers, before the last ones

// What waits for no backward keeps nothing for one.
static int cut_part(const nmrt_chain *c, const nmrt_chain_request *q, int stage, int part,
                    nmrt_chunk chunk[MAX_CHUNKS])
{
    nmrt_chunk by_variant[2] = {{.part = c->stages->part[part]}};
    int n = 0, n_variants = q->role == NMDRV_MICRO ? nmrt_recompute_chunks(q->recompute, c->stages,
                                                                           stage, part, by_variant)
                                                   : 1;
    for (int i = 0; i < n_variants; i++)
        n += nmrt_islands_chunks(&q->islands, q->texts.program, c->stages, &by_variant[i],
                                 &chunk[n]);
    return n;
}

// A part's calls in the order of `phase`.
static nmrt_status add_part(nmrt_chain *c, const nmrt_chain_request *q, int stage, int part,
                            nmdrv_phase phase, nmrt_error *e)
{
    nmrt_chunk chunk[MAX_CHUNKS];
    int n = cut_part(c, q, stage, part, chunk);
    for (int i = 0; i < n; i++)
        NMRT_TRY(add_call(c, q, stage, &chunk[phase == NMDRV_BACKWARD ? n - 1 - i : i], phase, e));
    return NMRT_OK;
}

static nmrt_status add_calls(nmrt_chain *c, const nmrt_chain_request *q, nmrt_error *e)
{
    const nmrt_stages *s = c->stages;
    int turn = s->n_units - 1;
    for (int v = 0; v < s->n; v++)
        for (int i = s->at[v]; i < s->at[v + 1]; i++)
            NMRT_TRY(add_part(c, q, v, i, s->part[i].unit == turn ? NMDRV_TURN : NMDRV_FORWARD, e));
    for (int v = s->n - 1; v >= 0 && q->role == NMDRV_MICRO; v--)
        for (int i = s->at[v + 1] - 1; i >= s->at[v]; i--)
            if (s->part[i].unit != turn)
                NMRT_TRY(add_part(c, q, v, i, NMDRV_BACKWARD, e));
    return NMRT_OK;
}

// --- values --------------------------------------------------------------------------------------

static nmrt_status add_value(nmrt_chain *c, int call, const nmdrv_arg *result, int64_t bytes,
                             nmrt_error *e)
{
    nmrt_call *x = &c->call[call];
    if (x->value[result->buf] >= 0)
        return nmrt_fail(e, NMRT_CORRUPT,
                         "the program is inconsistent: %s and %s share a buffer "
                         "in %s",
                         result->name, c->value[x->value[result->buf]].name, x->func->name);
    nmrt_value *all = realloc(c->value, (size_t)(c->n_values + 1) * sizeof *all);
    if (!all)
        return no_memory(e);
    c->value = all;
    x->value[result->buf] = c->n_values;
    all[c->n_values++] = (nmrt_value){result->name, x->func->buf[result->buf].where, call, bytes};
    return NMRT_OK;
}

static const nmdrv_arg *find_result(const nmdrv_func *f, const char *name)
{
    for (int64_t i = 0; i < f->n_results; i++)
        if (f->result[i].bind == NMDRV_LINK && strcmp(f->result[i].name, name) == 0)
            return &f->result[i];
    return NULL;
}

static bool same_part(const nmrt_call *a, const nmrt_call *b)
{
    return a->part.unit == b->part.unit && a->part.first == b->part.first;
}

static bool same_direction(const nmrt_call *a, const nmrt_call *b)
{
    return a->part.unit == b->part.unit && a->backward == b->backward;
}

// The call that makes what `reader` reads as this argument; -1: none does. Of a repeat's carried
// value that is the chunk before; of a chunked one the same chunk's.
static int find_maker(const nmrt_chain *c, int reader, const nmdrv_arg *arg, const char **name)
{
    const nmrt_call *r = &c->call[reader];
    *name = arg->next && *arg->next ? arg->next : arg->name;
    for (int i = reader - 1; i >= 0 && *name == arg->next; i--)
        if (same_direction(&c->call[i], r))
            return i;
    *name = arg->name;
    for (int i = reader - 1; i >= 0; i--) {
        bool may = !arg->chunked || same_part(&c->call[i], r);
        if (may && find_result(c->call[i].func, arg->name))
            return i;
    }
    return -1;
}

// v is as large as `has` says. Has it these bytes in `wants`, too?
static nmrt_status check_bytes(const nmrt_value *v, const nmdrv_func *has, int64_t bytes,
                               const nmdrv_func *wants, nmrt_error *e)
{
    if (v->bytes == bytes)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_CORRUPT,
                     "the program is inconsistent: %s has %lld bytes in %s, %lld in %s", v->name,
                     (long long)v->bytes, has->name, (long long)bytes, wants->name);
}

static nmrt_status check_read(const nmrt_chain *c, const nmrt_call *reader, const nmdrv_arg *arg,
                              int64_t bytes, const nmrt_value *v, nmrt_error *e)
{
    const nmrt_call *maker = &c->call[v->made];
    const nmdrv_arg *result = find_result(maker->func, v->name);
    if (result->chunked && !arg->chunked && maker->part.n < c->stages->turns[maker->part.unit])
        return nmrt_fail(e, NMRT_USAGE,
                         "%s reads %s of all turns at once, which a pipeline or a block has "
                         "nowhere: --pp 1, --vp 1, no --recompute block:N and no layers in bf16 "
                         "are possible",
                         reader->func->name, v->name);
    return check_bytes(v, maker->func, bytes, reader->func, e);
}

static nmrt_status link_arg(nmrt_chain *c, int reader, const nmdrv_arg *arg, int64_t bytes,
                            nmrt_error *e)
{
    nmrt_call *r = &c->call[reader];
    const char *name;
    int maker = find_maker(c, reader, arg, &name);
    const nmdrv_arg *result = maker < 0 ? NULL : find_result(c->call[maker].func, name);
    if (!result)
        return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: nothing makes %s for %s",
                         name, r->func->name);
    r->value[arg->buf] = c->call[maker].value[result->buf];
    return check_read(c, r, arg, bytes, &c->value[r->value[arg->buf]], e);
}

typedef struct rows { // arguments or results
    const nmdrv_arg *arg;
    int64_t n;
} rows;

static const nmdrv_arg *find_row(rows of, const nmdrv_arg *like)
{
    for (int64_t i = 0; i < of.n; i++)
        if (of.arg[i].bind == like->bind && strcmp(of.arg[i].name, like->name) == 0)
            return &of.arg[i];
    return NULL;
}

// bytes: of the last micro-batch's function.
static nmrt_status link_rows(nmrt_chain *c, nmrt_call *x, rows last, rows func,
                             const int64_t *bytes, nmrt_error *e)
{
    for (int64_t i = 0; i < last.n; i++) {
        const nmdrv_arg *row = &last.arg[i], *same = find_row(func, row);
        if (row->bind != NMDRV_LINK)
            continue;
        if (!same)
            return nmrt_fail(e, NMRT_CORRUPT, "the program is inconsistent: %s has no %s, %s has",
                             x->func->name, row->name, x->last->name);
        int value = x->value[same->buf];
        x->last_value[row->buf] = value;
        NMRT_TRY(check_bytes(&c->value[value], x->func, bytes[row->buf], x->last, e));
    }
    return NMRT_OK;
}

// The last micro-batch's function reads and makes the same links.
static nmrt_status link_last(nmrt_chain *c, nmrt_call *x, const nmdrv_sym *sym, int64_t *bytes,
                             nmrt_error *e)
{
    const nmdrv_func *f = x->func, *last = x->last;
    if (!last)
        return NMRT_OK;
    last->sizes(sym, bytes);
    NMRT_TRY(link_rows(c, x, (rows){last->arg, last->n_args}, (rows){f->arg, f->n_args}, bytes, e));
    return link_rows(c, x, (rows){last->result, last->n_results}, (rows){f->result, f->n_results},
                     bytes, e);
}

static nmrt_status link_call(nmrt_chain *c, const nmrt_chain_request *q, int call, nmdrv_sym *sym,
                             int64_t *bytes, nmrt_error *e)
{
    nmrt_call *x = &c->call[call];
    const nmdrv_func *f = x->func;
    if (f->turns >= 0)
        sym[f->turns] = nmrt_turns_sym(q->texts.program, f, nmrt_turns_of(&x->part));
    f->sizes(sym, bytes);
    for (int64_t i = 0; i < f->n_args; i++)
        if (f->arg[i].bind == NMDRV_LINK)
            NMRT_TRY(link_arg(c, call, &f->arg[i], bytes[f->arg[i].buf], e));
    for (int64_t i = 0; i < f->n_results; i++)
        if (f->result[i].bind == NMDRV_LINK)
            NMRT_TRY(add_value(c, call, &f->result[i], bytes[f->result[i].buf], e));
    return link_last(c, x, sym, bytes, e);
}

static int64_t most_bufs(const nmdrv_func *f, int64_t most)
{
    return f && f->n_bufs > most ? f->n_bufs : most;
}

static nmrt_status link_calls(nmrt_chain *c, const nmrt_chain_request *q, nmrt_error *e)
{
    int64_t most = 0, n = q->texts.program->n_syms;
    for (int i = 0; i < c->n_calls; i++) {
        most = most_bufs(c->call[i].func, most);
        most = most_bufs(c->call[i].last, most);
    }
    int64_t *bytes = malloc((size_t)(most + 1) * sizeof *bytes);
    nmdrv_sym *sym = malloc((size_t)(n + 1) * sizeof *sym);
    nmrt_status status = bytes && sym ? NMRT_OK : no_memory(e);
    if (status == NMRT_OK)
        memcpy(sym, q->sym, (size_t)n * sizeof *sym);
    for (int i = 0; status == NMRT_OK && i < c->n_calls; i++)
        status = link_call(c, q, i, sym, bytes, e);
    free(bytes);
    free(sym);
    return status;
}

// --- all of it -----------------------------------------------------------------------------------

static nmrt_status make_chain(nmrt_chain *c, const nmrt_chain_request *q, nmrt_error *e)
{
    c->call = calloc((size_t)(2 * MAX_CHUNKS * c->stages->n_parts), sizeof *c->call);
    if (!c->call)
        return no_memory(e);
    NMRT_TRY(add_calls(c, q, e));
    NMRT_TRY(link_calls(c, q, e));
    return nmrt_chain_place_all(c, q->slots, e);
}

nmrt_status nmrt_chain_init(nmrt_chain *c, const nmrt_stages *s, const nmrt_chain_request *request,
                            nmrt_error *e)
{
    *c = (nmrt_chain){.stages = s};
    nmrt_status status = make_chain(c, request, e);
    if (status != NMRT_OK)
        nmrt_chain_release(c);
    return status;
}

void nmrt_chain_release(nmrt_chain *c)
{
    for (int i = 0; i < c->n_calls; i++)
        free(c->call[i].value), free(c->call[i].last_value);
    free(c->call);
    free(c->value);
    free(c->place);
    free(c->at);
    free(c->room);
    free(c->slot);
    *c = (nmrt_chain){0};
}

int64_t nmrt_chain_turns(const nmrt_chain *c, int pp, const nmdrv_func *func)
{
    int64_t most = 0;
    for (int i = 0; i < c->n_calls; i++) {
        const nmrt_call *x = &c->call[i];
        if (x->stage % c->stages->pp == pp && (x->func == func || x->last == func))
            most = x->part.n > most ? x->part.n : most;
    }
    return most;
}
