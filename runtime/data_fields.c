// The fields that a program may read of a sample: one row each. A document's last token still
// belongs to it; what follows is the next one's.
#include "runtime/data.h"

#include "runtime/dtype.h"

#include <string.h>

typedef struct field {
    const char *name;
    bool is_token;  // of the vocabulary
    bool is_weight; // f32, too
    void (*fill)(const nmrt_document_ends *d, const int64_t *token, int64_t from, int64_t n,
                 int64_t *out);
} field;

static void fill_tokens(const nmrt_document_ends *d, const int64_t *token, int64_t from, int64_t n,
                        int64_t *out)
{
    (void)d;
    memcpy(out, token + from, (size_t)n * sizeof *out);
}

static void fill_labels(const nmrt_document_ends *d, const int64_t *token, int64_t from, int64_t n,
                        int64_t *out)
{
    fill_tokens(d, token, from + 1, n, out);
}

static void fill_at(const nmrt_document_ends *d, const int64_t *token, int64_t from, int64_t n,
                    int64_t *out)
{
    int64_t begin = 0;
    for (int64_t i = 0; i < from + n; i++) {
        if (d->resets_positions && i && token[i - 1] == d->end)
            begin = i;
        if (i >= from)
            out[i - from] = i - begin;
    }
}

static void fill_segments(const nmrt_document_ends *d, const int64_t *token, int64_t from,
                          int64_t n, int64_t *out)
{
    int64_t ended = 0;
    for (int64_t i = 0; i < from + n; i++) {
        ended += d->resets_attention && i && token[i - 1] == d->end;
        if (i >= from)
            out[i - from] = ended;
    }
}

static void fill_mask(const nmrt_document_ends *d, const int64_t *token, int64_t from, int64_t n,
                      int64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = !(d->masks_end && token[from + i] == d->end);
}

static const field fields[] = {
    {"tokens", .fill = fill_tokens, .is_token = true},
    {"labels", .fill = fill_labels, .is_token = true},
    {"at", .fill = fill_at},
    {"segments", .fill = fill_segments},
    {"mask", .fill = fill_mask, .is_weight = true},
};

static const field *find_field(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

void nmrt_data_field(const char *name, const nmrt_document_ends *documents, const int64_t *token,
                     int64_t from, int64_t n, int64_t *out)
{
    find_field(name)->fill(documents, token, from, n, out);
}

// --- what the program asks for -------------------------------------------------------------------

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

static nmrt_status check_form(const nmdrv_program *program, const nmdrv_arg *arg, const field *f,
                              nmrt_error *e)
{
    bool fits =
        arg->rank == 2 && (is_integer(arg->dtype) || (f->is_weight && arg->dtype == NMDRV_F32)) &&
        is_dim(program, arg->dim[0], program->batch) && is_dim(program, arg->dim[1], program->seq);
    if (fits)
        return NMRT_OK;
    nmrt_text shape = {0};
    for (int64_t i = 0; i < arg->rank; i++)
        nmrt_text_add(&shape, "%s%s", i ? ", " : "", program->dim[arg->dim[i]].name);
    nmrt_fail(e, NMRT_USAGE,
              "the model's field '%s' is %s[%s]; a text gives whole numbers [%s, %s]", arg->name,
              nmrt_dtype(arg->dtype)->name, shape.at ? shape.at : "", program->batch,
              *program->seq ? program->seq : "seq");
    nmrt_text_release(&shape);
    return NMRT_USAGE;
}

bool nmrt_data_func_reads(const nmdrv_func *f, const char *field)
{
    for (int64_t i = 0; i < f->n_args; i++)
        if (f->arg[i].bind == NMDRV_DATA && strcmp(f->arg[i].name, field) == 0)
            return true;
    return false;
}

bool nmrt_data_reads(const nmdrv_program *p, const char *field)
{
    for (int64_t i = 0; i < p->n_funcs; i++)
        if (nmrt_data_func_reads(&p->func[i], field))
            return true;
    return false;
}

bool nmrt_data_is_token(const char *name)
{
    const field *f = find_field(name);
    return f && f->is_token;
}

const nmdrv_dim *nmrt_data_limit(const nmrt_plan *plan)
{
    const nmdrv_dim *least = NULL;
    for (int i = 0; i < plan->n_slots; i++) {
        const nmdrv_arg *arg = plan->slot[i].arg;
        if (plan->slot[i].bind != NMDRV_DATA || !nmrt_data_is_token(arg->name) || arg->index_of < 0)
            continue;
        const nmdrv_dim *dim = &plan->program->dim[arg->index_of];
        if (dim->extent > 0 && (!least || dim->extent < least->extent))
            least = dim;
    }
    return least;
}

static nmrt_status check_end(const nmrt_plan *plan, const nmrt_document_ends *d, nmrt_error *e)
{
    const nmdrv_dim *limit = nmrt_data_limit(plan);
    if (!limit || d->end < limit->extent)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_USAGE, "--eod: token %lld is not below %s = %lld (%s)",
                     (long long)d->end, limit->name, (long long)limit->extent, limit->where);
}

const nmrt_document_flag nmrt_document_flags[NMRT_DOCUMENT_FLAGS] = {
    {"reset-position-ids", "at", offsetof(nmrt_document_ends, resets_positions)},
    {"reset-attention-mask", "segments", offsetof(nmrt_document_ends, resets_attention)},
    {"eod-mask-loss", "mask", offsetof(nmrt_document_ends, masks_end)},
};

// A flag that would change nothing is a mistake.
static nmrt_status check_flags(const nmdrv_program *p, const nmrt_document_ends *d, nmrt_error *e)
{
    for (int i = 0; i < NMRT_DOCUMENT_FLAGS; i++) {
        const nmrt_document_flag *f = &nmrt_document_flags[i];
        bool given = *(const bool *)((const char *)d + f->at);
        if (given && !nmrt_data_reads(p, f->field))
            return nmrt_fail(e, NMRT_USAGE,
                             "--%s: this binary reads no field '%s'; compile an entry that does, "
                             "as nemocc --entry documents of gpt2, llama3 and phi3",
                             f->flag, f->field);
        if (given && d->end < 0)
            return nmrt_fail(e, NMRT_USAGE,
                             "--%s needs --eod ID, the token that ends a document, or a tokenizer "
                             "that has one",
                             f->flag);
    }
    return NMRT_OK;
}

nmrt_status nmrt_data_check(const nmrt_plan *plan, const nmrt_document_ends *documents,
                            nmrt_error *e)
{
    for (int i = 0; i < plan->n_slots; i++) {
        const nmdrv_arg *arg = plan->slot[i].arg;
        if (plan->slot[i].bind != NMDRV_DATA)
            continue;
        const field *f = find_field(arg->name);
        if (!f)
            return nmrt_fail(e, NMRT_USAGE,
                             "the model reads the field '%s'; a text has only 'tokens', 'labels', "
                             "'at', 'segments' and 'mask'",
                             arg->name);
        NMRT_TRY(check_form(plan->program, arg, f, e));
    }
    NMRT_TRY(check_end(plan, documents, e));
    return check_flags(plan->program, documents, e);
}
