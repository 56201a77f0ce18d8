// Training data: a text whose bytes are the tokens.
#include "runtime/data.h"

#include "runtime/dtype.h"
#include "runtime/permute.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_integer(int64_t dtype)
{
    return dtype == NMDRV_I64 || dtype == NMDRV_I32 || dtype == NMDRV_I16 || dtype == NMDRV_U8;
}

// Is it the dim of this name, or a rank's part of it?
static bool is_dim(const nmdrv_program *program, int64_t dim, const char *name)
{
    const nmdrv_dim *d = &program->dim[dim];
    return strcmp(d->name, name) == 0 ||
           (d->sym >= 0 && strcmp(program->sym[d->sym].of, name) == 0);
}

static nmrt_status check_field(const nmdrv_program *program, const nmdrv_arg *field, nmrt_error *e)
{
    if (strcmp(field->name, "tokens") != 0 && strcmp(field->name, "labels") != 0)
        return nmrt_fail(e, NMRT_USAGE,
                         "the model reads the field '%s'; a text has only 'tokens' and 'labels'",
                         field->name);
    bool fits = field->rank == 2 && is_integer(field->dtype) &&
                is_dim(program, field->dim[0], program->batch) &&
                is_dim(program, field->dim[1], program->seq);
    if (fits)
        return NMRT_OK;
    nmrt_text shape = {0};
    for (int64_t i = 0; i < field->rank; i++)
        nmrt_text_add(&shape, "%s%s", i ? ", " : "", program->dim[field->dim[i]].name);
    nmrt_fail(e, NMRT_USAGE,
              "the model's field '%s' is %s[%s]; a text gives whole numbers [%s, %s]", field->name,
              nmrt_dtype(field->dtype)->name, shape.at ? shape.at : "", program->batch,
              *program->seq ? program->seq : "seq");
    nmrt_text_release(&shape);
    return NMRT_USAGE;
}

nmrt_status nmrt_data_check(const nmrt_plan *plan, nmrt_error *e)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slot[i].bind == NMDRV_DATA)
            NMRT_TRY(check_field(plan->program, plan->slot[i].arg, e));
    return NMRT_OK;
}

static int64_t room_of(int64_t seq) { return seq > NMRT_DATA_ROOM ? seq : NMRT_DATA_ROOM; }

static nmrt_status make_rooms(nmrt_data *d, int64_t micro_batch, nmrt_error *e)
{
    d->samples = d->bytes ? (d->bytes - 1) / d->seq : 0;
    d->raw = malloc((size_t)room_of(d->seq));
    d->stage = malloc((size_t)(micro_batch * d->seq) * sizeof *d->stage);
    if (!d->raw || !d->stage)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a micro-batch of data");
    if (!d->samples)
        return nmrt_fail(e, NMRT_USAGE, "%s has %lld bytes; one sample of seq = %lld needs %lld",
                         d->path, (long long)d->bytes, (long long)d->seq, (long long)d->seq + 1);
    return NMRT_OK;
}

nmrt_status nmrt_data_open(nmrt_data *d, const nmrt_data_request *request, nmrt_error *e)
{
    int fd;
    int64_t bytes;
    *d = (nmrt_data){0};
    NMRT_TRY(nmrt_file_open(&fd, &bytes, request->path, e));
    *d = (nmrt_data){.path = request->path,
                     .fd = fd,
                     .bytes = bytes,
                     .seq = request->seq,
                     .shuffle = request->shuffle,
                     .seed = request->seed};
    nmrt_status status = make_rooms(d, request->micro_batch, e);
    if (status != NMRT_OK)
        nmrt_data_close(d);
    return status;
}

void nmrt_data_close(nmrt_data *d)
{
    if (d->path)
        close(d->fd);
    free(d->raw);
    free(d->stage);
    *d = (nmrt_data){0};
}

int64_t nmrt_data_sample(const nmrt_data *d, int64_t index)
{
    int64_t epoch = index / d->samples, i = index % d->samples;
    if (!d->shuffle)
        return i;
    uint64_t key = nmrt_mix(nmrt_mix(d->seed) ^ (uint64_t)epoch);
    return (int64_t)nmrt_permute((uint64_t)d->samples, key, (uint64_t)i);
}

// The dim that the field's tokens have to be below; NULL: any byte will do.
static const nmdrv_dim *limit_of(const nmdrv_program *program, const nmdrv_arg *field)
{
    const nmdrv_dim *dim = field->index_of >= 0 ? &program->dim[field->index_of] : NULL;
    return dim && dim->extent > 0 && dim->extent < 256 ? dim : NULL;
}

// The file's bytes [from, from + n), as many as there is room for, to d->raw: are they below the
// limit?
static nmrt_status read_tokens(const nmrt_data *d, const nmdrv_dim *dim, int64_t from, int64_t n,
                               nmrt_error *e)
{
    NMRT_TRY(nmrt_read_at(d->fd, d->raw, (size_t)n, from, d->path, e));
    for (int64_t k = 0; dim && k < n; k++)
        if (d->raw[k] >= dim->extent)
            return nmrt_fail(
                e, NMRT_USAGE,
                "%s: byte %d at offset %lld, of sample %lld, is not below %s = %lld (%s)", d->path,
                d->raw[k], (long long)(from + k), (long long)((from + k) / d->seq), dim->name,
                (long long)dim->extent, dim->where);
    return NMRT_OK;
}

static nmrt_status check_tokens(const nmrt_data *d, const nmdrv_dim *dim, int64_t from, int64_t n,
                                nmrt_error *e)
{
    int64_t room = room_of(d->seq);
    for (int64_t at = 0; dim && at < n; at += room)
        NMRT_TRY(read_tokens(d, dim, from + at, n - at < room ? n - at : room, e));
    return NMRT_OK;
}

static nmrt_status check_fields(const nmrt_data *d, const nmrt_plan *plan, int64_t sample,
                                int64_t n, nmrt_error *e)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slot[i].bind == NMDRV_DATA)
            NMRT_TRY(check_tokens(d, limit_of(plan->program, plan->slot[i].arg), sample * d->seq,
                                  n * d->seq + 1, e));
    return NMRT_OK;
}

nmrt_status nmrt_data_check_tokens(const nmrt_data *d, const nmrt_plan *plan, int64_t samples,
                                   nmrt_error *e)
{
    return check_fields(d, plan, 0, samples, e);
}

nmrt_status nmrt_data_check_next(const nmrt_data *d, const nmrt_plan *plan, int64_t first,
                                 int64_t n, nmrt_error *e)
{
    for (int64_t i = first; i < first + n; i++)
        NMRT_TRY(check_fields(d, plan, nmrt_data_sample(d, i), 1, e));
    return NMRT_OK;
}

static int dim_runs(const nmdrv_dim *d, const nmdrv_sym *sym, nmrt_run_of run[2])
{
    nmdrv_sym fixed = {.size = d->extent};
    return nmrt_sym_runs(d->sym >= 0 ? &sym[d->sym] : &fixed, run);
}

// The part of one sample that this rank has, behind *at.
static nmrt_status load_sample(const nmrt_data *d, const nmdrv_program *program,
                               const nmdrv_arg *field, const nmdrv_sym *sym, int64_t sample,
                               int64_t *at, nmrt_error *e)
{
    nmrt_run_of run[2];
    int n = dim_runs(&program->dim[field->dim[1]], sym, run);
    int64_t start = sample * d->seq + (strcmp(field->name, "labels") == 0);
    for (int i = 0; i < n; i++) {
        int64_t from = start + run[i].from;
        NMRT_TRY(read_tokens(d, limit_of(program, field), from, run[i].n, e));
        for (int64_t k = 0; k < run[i].n; k++)
            d->stage[(*at)++] = d->raw[k];
    }
    return NMRT_OK;
}

nmrt_status nmrt_data_load(const nmrt_data *d, nmrt_engine *en, const nmdrv_arg *field,
                           const nmdrv_sym *sym, int64_t first, nmrt_error *e)
{
    const nmdrv_program *program = en->program;
    nmrt_run_of run[2];
    int n = dim_runs(&program->dim[field->dim[0]], sym, run);
    int64_t at = 0;
    for (int i = 0; i < n; i++)
        for (int64_t k = run[i].from; k < run[i].from + run[i].n; k++) {
            nmrt_comm_moved(en->shares.comm);
            NMRT_TRY(load_sample(d, program, field, sym, nmrt_data_sample(d, first + k), &at, e));
        }
    nmrt_tokens_store(en, nmrt_plan_slot(en->plan, NMDRV_DATA, field->name), d->stage, at);
    return NMRT_OK;
}

void nmrt_tokens_store(nmrt_engine *en, const nmrt_slot *slot, const int64_t *token, int64_t n)
{
    char *at = nmrt_engine_slot_at(en, slot), stage[4096];
    int64_t size = nmrt_dtype(slot->arg->dtype)->bits / 8, most = (int64_t)sizeof stage / size;
    for (int64_t i = 0; i < n; i += most) {
        int64_t some = n - i < most ? n - i : most;
        for (int64_t k = 0; k < some; k++) // little-endian: the low bytes come first
            memcpy(stage + k * size, &token[i + k], (size_t)size);
        en->ops->copy_in(en->device, at + i * size, stage, some * size);
    }
}
