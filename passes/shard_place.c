// Where sums are completed: for each axis a minimum vertex cut of the region in which values can
// stay pending over it, from the ops that leave a sum pending to the readers that need it complete.
// A value costs what completing it sends; what an earlier axis completes already costs little, the
// collective is joint. Of equal cuts the earliest. Twice: the second time it is known which of two
// pending operands is completed in any case.
//
// Sizes are nominal, never those of a mesh.
#include "ir/flow.h"
#include "passes/shard.h"

#include <string.h>

static const double latency = 1e5; // of one more collective, in elements
static const double joint = 0.1;   // of the cost of a collective of its own
enum { AXIS_SIZE = 4 };

typedef struct place {
    nm_shard *s;
    nm_sym axis;
    nm_flow *flow;  // of the body at hand; vertices are value ids
    bool *cut;      // by value id: an earlier axis completes it
    uint32_t *stay; // by value id: axes over which it may stay pending
} place;

static bool is_pending(const place *p, const nm_value *v)
{
    const nm_type *t = p->s->form[v->id];
    return t && t->kind == NM_PENDING_SUM && nm_axes_has(&t->pending, p->axis);
}

// --- costs ---------------------------------------------------------------------------------------

// ZeRO's factors of dp are 1 where it is not asked for, and cps mostly is all of cp.
static double size_of(nm_sym axis)
{
    bool is_one = !strcmp(axis, "dps") || !strcmp(axis, "dpp") || !strcmp(axis, "cpr");
    return is_one ? 1 : AXIS_SIZE;
}

static double part_of(const nm_dim *form, const nm_dim *home)
{
    double n = (double)nm_extent_nominal(form->extent);
    for (int i = 0; i < form->axes.n; i++)
        n /= size_of(form->axes.axis[i]);
    for (int i = 0; i < home->axes.n; i++)
        if (!nm_axes_has(&form->axes, home->axes.axis[i]))
            n /= size_of(home->axes.axis[i]);
    return n;
}

// Where the value's canonical form is split over the axis, a reduce_scatter does: half of an
// all_reduce.
static int64_t cost_of(const place *p, const nm_value *v)
{
    const nm_type *t = p->s->form[v->id], *home = nm_claims_canonical(p->s->m, p->s->claims, t);
    double n = 1;
    bool scatters = false;
    for (int i = 0; i < t->rank; i++) {
        n *= part_of(&t->dim[i], &home->dim[i]);
        scatters |= nm_axes_has(&home->dim[i].axes, p->axis);
    }
    double cost = ((scatters ? n : 2 * n) + latency) * (p->cut[v->id] ? joint : 1);
    return cost < 1e15 ? (int64_t)cost + 1 : (int64_t)1e15;
}

// --- the region of one axis ----------------------------------------------------------------------

static bool adds_up(const place *p, const nm_op *op)
{
    return op->n_out == 1 && p->s->acc[op->out[0].id];
}

// What reads v over the axis while it is pending hands it on; others need it complete. What is
// added to an accumulator that itself is pending may stay so.
static void add_reader(place *p, const nm_op *op, int i, const nm_type *need)
{
    const nm_value *v = op->in[i];
    if (!is_pending(p, v) || p->s->acc[v->id])
        return;
    if (!need || !nm_axes_has(&need->pending, p->axis))
        nm_flow_sink(p->flow, (int)v->id);
    else if (!adds_up(p, op))
        nm_flow_edge(p->flow, (int)v->id, (int)op->out[0].id);
}

static void add_value(place *p, const nm_value *v, bool born)
{
    if (!is_pending(p, v) || p->s->acc[v->id])
        return;
    nm_flow_cost(p->flow, (int)v->id, cost_of(p, v));
    if (born)
        nm_flow_source(p->flow, (int)v->id);
}

static bool keeps(const place *p, const nm_op *op, const nm_transfer *t)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_axes_has(&t->need[i]->pending, p->axis))
            return true;
    return false;
}

static void add_op(place *p, nm_op *op)
{
    if (op->n_out && p->s->free[op->out[0].id])
        return;
    bool plain = !op->body && op->code != NM_OP_ret;
    nm_transfer t = plain ? nm_shard_transfer(p->s, op) : (nm_transfer){0};
    for (int i = 0; i < op->n_in; i++)
        add_reader(p, op, i, plain ? t.need[i] : NULL);
    bool born = !plain || !keeps(p, op, &t);
    for (int i = 0; i < op->n_out; i++)
        add_value(p, &op->out[i], born);
}

static void cut_func(place *p, nm_func *f)
{
    nm_arena scratch = {0};
    uint32_t n = nm_func_outer(f)->n_values;
    p->flow = nm_flow_new(&scratch, (int)n);
    for (int i = 0; i < f->n_params; i++)
        add_value(p, f->param[i], true);
    nm_each_op(op, f)
        add_op(p, op);
    nm_flow_run(p->flow);
    for (uint32_t i = 0; i < n; i++) {
        bool enters = nm_flow_enters(p->flow, (int)i);
        if (enters)
            p->stay[i] |= 1u << nm_axis_order(p->axis);
        p->cut[i] |= enters && !nm_flow_leaves(p->flow, (int)i);
    }
    nm_arena_free(&scratch);
    nm_each_op(op, f)
        if (op->body)
            cut_func(p, op->body);
}

// --- all axes ------------------------------------------------------------------------------------

// The axes that are claimed, in the mesh's order.
static nm_axes all_axes(const nm_shard *s)
{
    nm_type all = {0};
    for (int i = 0; i < s->claims->n; i++)
        for (int k = 0; k < s->claims->claim[i].axes.n; k++)
            nm_axes_add(&all.pending, s->claims->claim[i].axes.axis[k]);
    return nm_type_get(s->m, &all)->pending;
}

static void keep_all(nm_shard *s)
{
    for (uint32_t i = 0; i < s->f->n_values; i++)
        s->keep[i] = UINT32_MAX;
}

static void place_once(nm_shard *s)
{
    uint32_t n = s->f->n_values;
    nm_axes axes = all_axes(s);
    place p = {.s = s,
               .cut = nm_new_n(s->arena, bool, n + 1),
               .stay = nm_new_n(s->arena, uint32_t, n + 1)};
    keep_all(s);
    nm_shard_infer(s);
    for (int i = 0; i < axes.n; i++) {
        p.axis = axes.axis[i];
        cut_func(&p, s->f);
    }
    s->keep = p.stay;
    nm_shard_infer(s);
}

void nm_shard_place(nm_shard *s)
{
    enum { ROUNDS = 2 };
    for (int i = 0; i < ROUNDS; i++) {
        place_once(s);
        const nm_type **before = nm_new_n(s->arena, const nm_type *, s->f->n_values + 1);
        memcpy(before, s->form, s->f->n_values * sizeof *before);
        s->before = before;
    }
}
