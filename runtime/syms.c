// The run-time dims of a program and the values they have in a call.
#include "runtime/syms.h"

#include <string.h>

enum { DEFAULT_SEQ = 256 };

int nmrt_sym_find(const nmdrv_program *program, const char *name)
{
    for (int i = 0; i < program->n_syms; i++)
        if (strcmp(program->sym[i].name, name) == 0)
            return i;
    return -1;
}

static const nmdrv_dim *find_fixed(const nmdrv_program *program, const char *name)
{
    for (int i = 0; i < program->n_dims; i++)
        if (program->dim[i].extent > 0 && strcmp(program->dim[i].name, name) == 0)
            return &program->dim[i];
    return NULL;
}

int64_t nmrt_dim_fixed(const nmdrv_program *program, const char *name)
{
    const nmdrv_dim *d = find_fixed(program, name);
    return d ? d->extent : 0;
}

int64_t nmrt_seq_default(const nmdrv_program *p)
{
    int64_t fixed = nmrt_dim_fixed(p, p->seq);
    int i = nmrt_sym_find(p, p->seq);
    if (fixed)
        return fixed;
    if (i < 0)
        return DEFAULT_SEQ;
    const nmdrv_sym_info *s = &p->sym[i];
    int64_t seq = s->max > 0 ? s->max : DEFAULT_SEQ > s->min ? DEFAULT_SEQ : s->min;
    return s->multiple > 1 ? seq / s->multiple * s->multiple : seq;
}

nmrt_status nmrt_syms_bind(nmrt_syms *out, const nmdrv_program *program, const nmrt_sizes *sizes,
                           nmrt_error *e)
{
    *out = (nmrt_syms){0};
    if (program->n_syms > NMRT_MAX_SYMS)
        return nmrt_fail(e, NMRT_USAGE, "the program has %d run-time dims; at most %d can be bound",
                         (int)program->n_syms, NMRT_MAX_SYMS);
    for (int i = 0; i < program->n_syms; i++) {
        const nmdrv_sym_info *s = &program->sym[i];
        nmdrv_sym *v = &out->at[i];
        if (*s->of || s->n_axes) // the mesh's, or a repeat's turns
            continue;
        if (strcmp(s->name, program->batch) == 0)
            *v = (nmdrv_sym){.size = sizes->batch, .total = sizes->batch_total};
        else if (strcmp(s->name, program->seq) == 0)
            *v = (nmdrv_sym){.size = sizes->seq, .total = sizes->seq};
        else if (strcmp(s->name, "context") == 0 || strcmp(s->name, "context.cache") == 0)
            *v = (nmdrv_sym){.size = sizes->context, .total = sizes->context};
        else
            return nmrt_fail(e, NMRT_USAGE,
                             "nothing gives the run-time dim %s (%s) a value: a text has samples "
                             "(%s) and positions (%s)",
                             s->name, s->where, program->batch,
                             *program->seq ? program->seq : "none here");
    }
    return NMRT_OK;
}

nmrt_status nmrt_sym_check(const nmdrv_program *program, const char *name, int64_t value,
                           nmrt_error *e)
{
    int i = nmrt_sym_find(program, name);
    if (i < 0) {
        const nmdrv_dim *d = find_fixed(program, name);
        if (d && d->extent != value)
            return nmrt_fail(e, NMRT_USAGE, "%s = %lld, but the model fixes it at %lld (%s)", name,
                             (long long)value, (long long)d->extent, d->where);
        return NMRT_OK;
    }
    const nmdrv_sym_info *s = &program->sym[i];
    if (value < s->min)
        return nmrt_fail(e, NMRT_USAGE, "%s = %lld is below its minimum %lld (%s)", name,
                         (long long)value, (long long)s->min, s->where);
    if (s->max > 0 && value > s->max)
        return nmrt_fail(e, NMRT_USAGE, "%s = %lld is above its maximum %lld (%s)", name,
                         (long long)value, (long long)s->max, s->where);
    if (s->multiple > 1 && value % s->multiple)
        return nmrt_fail(e, NMRT_USAGE, "%s = %lld is not a multiple of %lld (%s)", name,
                         (long long)value, (long long)s->multiple, s->where);
    return NMRT_OK;
}
