// Costs of calls. Collectives are priced as rings where their group lies; a part of their time,
// by axis, is hidden by the products of the same call.
#include "runtime/planner_cost.h"

#include "runtime/dtype.h"
#include "runtime/null_device.h"

#include <math.h>

enum { PP = 1 << NMDRV_PP, DP = NMRT_DP_AXES, CP = NMRT_CP_AXES, TP = NMRT_TP_AXES };

typedef struct pricing { // the frame's device
    nmrt_cost_model *model;
    bool finish;
    double time[NMRT_N_TIMES]; // of collectives, nothing hidden
} pricing;

// --- collectives ---------------------------------------------------------------------------------

static nmrt_ring find_ring(nmrt_cost_model *model, const nmdrv_collective *c)
{
    const nmrt_mesh *m = model->mesh;
    for (int i = 0; i < model->n_rings; i++)
        if (model->ring[i].axes == c->axes && model->ring[i].units == c->units)
            return model->ring[i].ring;
    nmrt_ring g = {nmrt_mesh_members(m, c->axes, c->units, model->rank), 0};
    for (int i = 0; i < g.ranks; i++)
        g.in_node += model->rank[i] / model->node == m->rank / model->node;
    if (model->n_rings < NMRT_MAX_RINGS)
        model->ring[model->n_rings++] = (nmrt_ring_of){c->axes, c->units, g};
    return g;
}

// In bf16, gradients of parameters are summed in f32: what finish reduces, and what dp does.
static double element_bytes(const pricing *x, const nmdrv_collective *c)
{
    bool reduces = c->kind == NMDRV_ALL_REDUCE || c->kind == NMDRV_REDUCE_SCATTER,
         gradient = reduces && (x->finish || c->axes & DP);
    if (x->model->bf16 && c->dtype == NMDRV_F32 && !gradient)
        return nmrt_costs.activation_bytes;
    return nmrt_dtype(c->dtype)->bits / 8.0;
}

// The widest axis that the group spans names its time; gradients are reduced over cp as over dp.
static nmrt_time time_of(const nmrt_mesh *m, int64_t axes, bool finish)
{
    bool cp = nmrt_mesh_ranks(m, axes & CP) > 1;
    if (nmrt_mesh_ranks(m, axes & PP) > 1)
        return NMRT_TIME_PP;
    if (nmrt_mesh_ranks(m, axes & DP) > 1 || (finish && cp))
        return NMRT_TIME_DP;
    return cp ? NMRT_TIME_CP : NMRT_TIME_TP;
}

static void *price_collective(nmdrv_frame *f, int64_t collective, const int64_t *geometry,
                              void *out, void *in)
{
    pricing *x = (pricing *)f->device;
    const nmdrv_collective *c = &x->model->mesh->program->collective[collective];
    nmrt_ring g = find_ring(x->model, c);
    if (g.ranks < 2)
        return in;
    bool hop = c->kind == NMDRV_ROTATE; // one step of what the others go all around
    double bytes = (double)nmrt_larger_side(c, geometry, g.ranks) * element_bytes(x, c);
    bytes *= hop ? 1 : (double)(g.ranks - 1) / g.ranks;
    int times = c->kind == NMDRV_ALL_REDUCE ? 2 : 1, steps = hop ? 1 : times * (g.ranks - 1);
    double s = nmrt_ring_seconds(x->model->gpu, g, times * bytes, steps);
    x->time[time_of(x->model->mesh, c->axes, x->finish)] += s - (c->more ? nmrt_costs.launch : 0);
    return out;
}

// --- products ------------------------------------------------------------------------------------

// The side of a square of as many elements as the function's weight matrices have, each counted by
// its share of the products. Matrices that ZeRO-3 splits are multiplied whole.
static double width_of(const nmrt_mesh *m, const nmdrv_func *f, const nmdrv_sym *sym)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < f->n_args; i++) {
        const nmdrv_arg *arg = &f->arg[i];
        double n = (double)m->size[NMDRV_DPP];
        if (arg->bind != NMDRV_PARAM || arg->rank - arg->chunked < 2)
            continue;
        for (int64_t k = arg->chunked; k < arg->rank; k++) {
            const nmdrv_dim *d = &m->program->dim[arg->dim[k]];
            n *= (double)(d->sym >= 0 ? sym[d->sym].size : d->extent);
        }
        sum += n;
        squares += n * n;
    }
    return sum > 0 ? sqrt(squares / sum) : 0;
}

double nmrt_cost_peak(const nmrt_cost_model *model)
{
    return 1e12 * (model->bf16 ? model->gpu->bf16 : model->gpu->f32);
}

static double product_seconds(const nmrt_cost_model *model, const nmdrv_func *f,
                              const nmdrv_sym *sym, double flops)
{
    double width = width_of(model->mesh, f, sym);
    if (flops <= 0 || model->rows <= 0)
        return 0;
    double share = nmrt_gpu_efficiency(model->rows, width > 1 ? width : 1);
    return flops / (nmrt_cost_peak(model) * share);
}

// --- calls ---------------------------------------------------------------------------------------

static double seen(double time, double share, double behind)
{
    double longer = time - behind;
    return longer > share * time ? longer : share * time;
}

nmrt_cost nmrt_cost_of(nmrt_cost_model *model, const nmdrv_func *func, const nmdrv_sym *sym,
                       void **buf)
{
    pricing x = {.model = model, .finish = func->role == NMDRV_FINISH};
    const nmdrv_calls calls = nmrt_null_calls(price_collective);
    nmdrv_frame frame = {sym, buf, &calls, &x};
    nmrt_cost cost = {.flops = (double)func->flops(sym)};
    func->run(&frame);
    double compute = product_seconds(model, func, sym, cost.flops);
    cost.time[NMRT_TIME_COMPUTE] = compute;
    cost.time[NMRT_TIME_TP] = x.time[NMRT_TIME_TP] * nmrt_costs.tp_exposed;
    cost.time[NMRT_TIME_CP] = x.time[NMRT_TIME_CP] * nmrt_costs.cp_exposed;
    cost.time[NMRT_TIME_PP] = x.time[NMRT_TIME_PP];
    cost.time[NMRT_TIME_DP] = x.finish ? x.time[NMRT_TIME_DP]
                                       : seen(x.time[NMRT_TIME_DP], nmrt_costs.dp_exposed, compute);
    return cost;
}

static double collective_seconds(nmrt_cost_model *model, const nmdrv_func *func,
                                 const nmdrv_sym *sym, void **buf)
{
    pricing x = {.model = model, .finish = true};
    const nmdrv_calls calls = nmrt_null_calls(price_collective);
    nmdrv_frame frame = {sym, buf, &calls, &x};
    double sum = 0;
    func->run(&frame);
    for (int i = 0; i < NMRT_N_TIMES; i++)
        sum += x.time[i];
    return sum;
}

double nmrt_cost_more(nmrt_cost_model *model, const nmdrv_func *func, const nmdrv_func *than,
                      const nmdrv_sym *sym, void **buf)
{
    return collective_seconds(model, func, sym, buf) - collective_seconds(model, than, sym, buf);
}

double nmrt_cost_send(const nmrt_cost_model *model, double bytes)
{
    const nmrt_mesh *m = model->mesh;
    bool near =
        m->world / m->size[NMDRV_PP] < model->node; // the next stage is in this node, mostly
    return nmrt_costs.pp_exposed *
           nmrt_ring_seconds(model->gpu, (nmrt_ring){2, near ? 2 : 1}, bytes, 1);
}

double nmrt_cost_total(const nmrt_cost *cost)
{
    double sum = 0;
    for (int i = 0; i < NMRT_N_TIMES; i++)
        sum += cost->time[i];
    return sum;
}

void nmrt_cost_add(nmrt_cost *to, const nmrt_cost *cost, double times)
{
    for (int i = 0; i < NMRT_N_TIMES; i++)
        to->time[i] += times * cost->time[i];
    to->flops += times * cost->flops;
}
