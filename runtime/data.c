// Loading. The samples of a micro-batch are read once, whole, as several fields are made of them,
// and a rank of cp, which has a part of a sample, has to know the documents before it.
#include "runtime/data.h"

#include "runtime/dtype.h"

#include <stdlib.h>
#include <string.h>

static nmrt_status make_rooms(nmrt_data *d, int64_t micro_batch, int64_t seq, nmrt_error *e)
{
    d->rows = micro_batch;
    d->token = malloc((size_t)(d->rows * (seq + 1)) * sizeof *d->token);
    d->row = malloc((size_t)d->rows * sizeof *d->row);
    d->stage = malloc((size_t)(micro_batch * seq) * sizeof *d->stage);
    if (!d->token || !d->row || !d->stage)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a micro-batch of data");
    for (int64_t i = 0; i < d->rows; i++)
        d->row[i] = -1;
    return NMRT_OK;
}

nmrt_status nmrt_data_open(nmrt_data *d, const nmrt_data_request *request, nmrt_error *e)
{
    *d = (nmrt_data){.documents = request->documents};
    nmrt_status status = nmrt_source_open(&d->source, &request->source, e);
    if (status == NMRT_OK)
        status = make_rooms(d, request->micro_batch, request->source.seq, e);
    if (status != NMRT_OK)
        nmrt_data_close(d);
    return status;
}

void nmrt_data_close(nmrt_data *d)
{
    nmrt_source_close(d->source);
    free(d->token);
    free(d->row);
    free(d->stage);
    *d = (nmrt_data){0};
}

// --- tokens of the vocabulary --------------------------------------------------------------------

// `bad`: where a token is that is not below the limit; taken over.
static nmrt_status refuse(const nmdrv_dim *limit, nmrt_text *bad, nmrt_error *e)
{
    nmrt_fail(e, NMRT_USAGE,
              "%.700s is not below %s = %lld (%s); nemocc -D %s=N compiles a model of more",
              bad->at ? bad->at : "a token", limit->name, (long long)limit->extent, limit->where,
              limit->name);
    nmrt_text_release(bad);
    return NMRT_USAGE;
}

nmrt_status nmrt_data_check_all(const nmrt_data *d, const nmrt_plan *plan, nmrt_error *e)
{
    const nmdrv_dim *limit = nmrt_data_limit(plan);
    nmrt_text bad = {0};
    if (!limit)
        return NMRT_OK;
    nmrt_status status = d->source->kind->scan(d->source, limit->extent, &bad, e);
    if (status == NMRT_OK && bad.n)
        return refuse(limit, &bad, e);
    nmrt_text_release(&bad);
    return status;
}

static nmrt_status check_sample(const nmrt_data *d, const nmdrv_dim *limit, int64_t index,
                                const int64_t *token, nmrt_error *e)
{
    for (int64_t k = 0; limit && k <= d->source->q.seq; k++)
        if (token[k] < 0 || token[k] >= limit->extent) {
            nmrt_text bad = {0};
            d->source->kind->locate(d->source, index, k, &bad);
            return refuse(limit, &bad, e);
        }
    return NMRT_OK;
}

// --- samples -------------------------------------------------------------------------------------

// The tokens of a sample of the run, [seq + 1], as long as no other takes its room.
static nmrt_status take_sample(const nmrt_data *d, const nmdrv_dim *limit, int64_t index,
                               const int64_t **token, nmrt_error *e)
{
    int64_t row = index % d->rows, *at = d->token + row * (d->source->q.seq + 1);
    *token = at;
    if (d->row[row] == index)
        return NMRT_OK;
    d->row[row] = -1;
    if (index >= d->source->drawn)
        return nmrt_fail(e, NMRT_USAGE, "%s: sample %lld is asked for, and %lld were drawn",
                         d->source->q.path, (long long)index, (long long)d->source->drawn);
    NMRT_TRY(d->source->kind->read(d->source, index, at, e));
    NMRT_TRY(check_sample(d, limit, index, at, e));
    d->row[row] = index;
    return NMRT_OK;
}

nmrt_status nmrt_data_check_next(const nmrt_data *d, const nmrt_plan *plan, int64_t first,
                                 int64_t n, nmrt_error *e)
{
    const int64_t *token;
    for (int64_t i = first; i < first + n; i++)
        NMRT_TRY(take_sample(d, nmrt_data_limit(plan), i, &token, e));
    return NMRT_OK;
}

nmrt_status nmrt_data_weigh(const nmrt_data *d, const nmrt_plan *plan, int64_t n, int64_t *tokens,
                            nmrt_error *e)
{
    int64_t seq = d->source->q.seq;
    const int64_t *token;
    *tokens = 0;
    for (int64_t i = 0; i < n; i++) {
        NMRT_TRY(take_sample(d, nmrt_data_limit(plan), i, &token, e));
        nmrt_data_field("mask", &d->documents, token, 0, seq, d->stage);
        for (int64_t k = 0; k < seq; k++)
            *tokens += d->stage[k];
    }
    return NMRT_OK;
}

static int dim_runs(const nmdrv_dim *d, const nmdrv_sym *sym, nmrt_run_of run[2])
{
    nmdrv_sym fixed = {.size = d->extent};
    return nmrt_sym_runs(d->sym >= 0 ? &sym[d->sym] : &fixed, run);
}

// A field of tokens, which all others are made of; NULL: this rank reads none.
static const nmdrv_arg *find_tokens(const nmrt_plan *plan)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slot[i].bind == NMDRV_DATA && nmrt_data_is_token(plan->slot[i].arg->name))
            return plan->slot[i].arg;
    return NULL;
}

nmrt_status nmrt_data_check_part(const nmrt_data *d, const nmrt_plan *plan, const nmdrv_sym *sym,
                                 int64_t first, nmrt_error *e)
{
    const nmdrv_arg *field = find_tokens(plan);
    nmrt_run_of run[2];
    int n = field ? dim_runs(&plan->program->dim[field->dim[0]], sym, run) : 0;
    for (int i = 0; i < n; i++)
        NMRT_TRY(nmrt_data_check_next(d, plan, first + run[i].from, run[i].n, e));
    return NMRT_OK;
}

// The part of one sample that this rank has, behind *at.
static void stage_sample(const nmrt_data *d, const nmdrv_program *program, const nmdrv_arg *field,
                         const nmdrv_sym *sym, const int64_t *token, int64_t *at)
{
    nmrt_run_of run[2];
    int n = dim_runs(&program->dim[field->dim[1]], sym, run);
    for (int i = 0; i < n; i++) {
        nmrt_data_field(field->name, &d->documents, token, run[i].from, run[i].n, d->stage + *at);
        *at += run[i].n;
    }
}

nmrt_status nmrt_data_load(const nmrt_data *d, nmrt_engine *en, const nmdrv_arg *field,
                           const nmdrv_sym *sym, int64_t first, nmrt_error *e)
{
    const nmdrv_program *program = en->program;
    const nmdrv_dim *limit = nmrt_data_limit(en->plan);
    nmrt_run_of run[2];
    int n = dim_runs(&program->dim[field->dim[0]], sym, run);
    int64_t at = 0;
    for (int i = 0; i < n; i++)
        for (int64_t k = run[i].from; k < run[i].from + run[i].n; k++) {
            const int64_t *token;
            nmrt_comm_moved(en->shares.comm);
            NMRT_TRY(take_sample(d, limit, first + k, &token, e));
            stage_sample(d, program, field, sym, token, &at);
        }
    nmrt_tokens_store(en, nmrt_plan_slot(en->plan, NMDRV_DATA, field->name), d->stage, at);
    return NMRT_OK;
}

// Little-endian: the low bytes of an integer come first.
static void put_number(char *to, const int64_t *x, int64_t dtype, int64_t size)
{
    float real = (float)*x;
    if (dtype == NMDRV_F32)
        memcpy(to, &real, sizeof real);
    else
        memcpy(to, x, (size_t)size);
}

void nmrt_tokens_store(nmrt_engine *en, const nmrt_slot *slot, const int64_t *token, int64_t n)
{
    char *at = nmrt_engine_slot_at(en, slot), stage[4096];
    int64_t dtype = slot->arg->dtype, size = nmrt_dtype(dtype)->bits / 8,
            most = (int64_t)sizeof stage / size;
    for (int64_t i = 0; i < n; i += most) {
        int64_t some = n - i < most ? n - i : most;
        for (int64_t k = 0; k < some; k++)
            put_number(stage + k * size, &token[i + k], dtype, size);
        en->ops->copy_in(en->device, at + i * size, stage, some * size);
    }
}
