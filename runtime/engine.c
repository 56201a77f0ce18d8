// A program made ready to run.
#include "runtime/engine.h"

#include "runtime/dtype.h"

#include <stdlib.h>
#include <string.h>

static nmrt_status open_parts(nmrt_engine *en, const nmrt_device_request *request, nmrt_error *e)
{
    NMRT_TRY(en->ops->open(&en->device, request, e));
    return nmrt_engine_take_memory(en, e);
}

nmrt_status nmrt_engine_open(nmrt_engine *en, const nmrt_plan *plan, const nmrt_device_ops *ops,
                             const nmrt_device_request *request, nmrt_error *e)
{
    *en =
        (nmrt_engine){.program = plan->program, .plan = plan, .ops = ops, .trace = request->trace};
    nmrt_status status = open_parts(en, request, e);
    if (status != NMRT_OK)
        nmrt_engine_close(en);
    return status;
}

void nmrt_engine_close(nmrt_engine *en)
{
    nmrt_engine_give_memory(en);
    if (en->device)
        en->ops->close(en->device);
    *en = (nmrt_engine){0};
}

void nmrt_engine_run(nmrt_engine *en, const nmrt_planned *p, const nmdrv_sym *sym, void **buf)
{
    if (en->check_memory)
        nmrt_engine_poison(en, p);
    nmdrv_frame frame = {sym, buf, en->ops->calls, en->device};
    nmrt_track *track = nmrt_trace_steps(en->trace);
    int64_t begin = nmrt_trace_begin(track, p->func->name);
    en->ops->run(en->device, p->func, &frame);
    en->ops->end_call(en->device, p->func);
    nmrt_trace_end(track, begin, &(nmrt_span){.kind = NMRT_SPAN_FUNCTION, .name = p->func->name});
}

void nmrt_engine_call(nmrt_engine *en, const nmrt_planned *p, const nmdrv_sym *sym)
{
    nmrt_engine_run(en, p, sym, en->buf[p - en->plan->func]);
}

void *nmrt_engine_slot_at(const nmrt_engine *en, const nmrt_slot *slot)
{
    return en->slot[slot - en->plan->slot];
}

void nmrt_engine_fill(nmrt_engine *en, nmdrv_bind bind, uint32_t pattern)
{
    for (int i = 0; i < en->plan->n_slots; i++)
        if (en->plan->slot[i].bind == (int64_t)bind)
            en->ops->fill(en->device, nmrt_engine_slot_at(en, &en->plan->slot[i]),
                          en->plan->slot[i].bytes, pattern);
}

void nmrt_engine_start_own(nmrt_engine *en)
{
    for (int64_t i = 0; i < en->program->n_params; i++) {
        const nmdrv_param *p = &en->program->param[i];
        const nmrt_slot *s = p->own ? nmrt_plan_slot(en->plan, NMDRV_STATE, p->path) : NULL;
        if (s)
            en->ops->fill(en->device, nmrt_engine_slot_at(en, s), s->bytes, 0);
    }
}

typedef union number {
    double f64;
    float f32;
    int64_t i64;
    int32_t i32;
} number;

static int64_t write_number(number *n, int64_t dtype, double value)
{
    switch (dtype) {
    case NMDRV_F64: n->f64 = value; return 8;
    case NMDRV_F32: n->f32 = (float)value; return 4;
    case NMDRV_I64: n->i64 = (int64_t)value; return 8;
    case NMDRV_I32: n->i32 = (int32_t)value; return 4;
    default: return 0;
    }
}

double nmrt_number_read(int64_t dtype, const void *at)
{
    number n = {0};
    memcpy(&n, at, (size_t)nmrt_dtype(dtype)->bits / 8);
    switch (dtype) {
    case NMDRV_F64: return n.f64;
    case NMDRV_F32: return (double)n.f32;
    case NMDRV_I64: return (double)n.i64;
    case NMDRV_I32: return n.i32;
    case NMDRV_BF16: {
        number wide = {0};
        wide.i64 = (int64_t)((uint64_t)(n.i64 & 0xFFFF) << 16);
        return (double)wide.f32;
    }
    default: return 0;
    }
}

void nmrt_engine_set(nmrt_engine *en, const char *scalar, double value)
{
    const nmrt_slot *s = nmrt_plan_slot(en->plan, NMDRV_SCALAR, scalar);
    number n = {0};
    if (s)
        en->ops->copy_in(en->device, nmrt_engine_slot_at(en, s), &n,
                         write_number(&n, s->arg->dtype, value));
}

static const nmdrv_arg *find_result(const nmrt_planned *p, const char *name)
{
    for (int64_t i = 0; i < p->func->n_results; i++) {
        const nmdrv_arg *r = &p->func->result[i];
        if ((r->bind == NMDRV_EMIT || r->bind == NMDRV_OUT) && strcmp(r->name, name) == 0)
            return r;
    }
    return NULL;
}

bool nmrt_engine_result(const nmrt_engine *en, const nmrt_planned *p, const char *name,
                        double *value)
{
    const nmdrv_arg *r = find_result(p, name);
    if (!r)
        return false;
    number n = {0};
    en->ops->copy_out(en->device, &n, en->buf[p - en->plan->func][r->buf],
                      nmrt_dtype(r->dtype)->bits / 8);
    *value = nmrt_number_read(r->dtype, &n);
    return true;
}

const void *nmrt_engine_result_at(const nmrt_engine *en, const nmrt_planned *p, nmdrv_bind bind)
{
    for (int64_t i = 0; i < p->func->n_results; i++)
        if (p->func->result[i].bind == (int64_t)bind)
            return en->buf[p - en->plan->func][p->func->result[i].buf];
    return NULL;
}
