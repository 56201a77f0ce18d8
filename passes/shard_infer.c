// The rule, forward (docs/mesh.md): one walk in program order gives each result its natural form
// and each operand the form in which its reader demands it.
//
//   space     the dims of operands and results, less those that the op needs whole
//   keep      axes over which operands are read while their sums are pending, where that is legal
//             and the placement has chosen it
//   A         what the space's dims claim, without kept axes
//   born      axes of A on dims that the result lacks, if the op reduces
//   operand   demanded: its dims by A, pending keep;   result: its dims by A, pending born + keep
//
// A renamed dim keeps its axes: a new name moves no data, and its reader converts. Free values have
// no form. acc' = acc + part, or the larger of the two, takes the form of the part.
#include "passes/shard.h"

// --- keep ----------------------------------------------------------------------------------------

typedef struct reading { // of an op that is being inferred
    nm_shard *s;
    nm_op *op;
    const nm_type **form; // [n_in] natural forms of operands; NULL: free
    nm_axes *keep;        // [n_in]
    nm_axes kept, split;  // all that is kept; all axes on dims of operands
    nm_space space;
} reading;

static bool is_part(const reading *r, int i, nm_sym axis)
{
    const nm_type *t = r->form[i];
    return t && t->kind == NM_PENDING_SUM && nm_axes_has(&t->pending, axis) &&
           nm_form_reads_parts(r->op, i);
}

static bool on_space(const nm_space *space, nm_sym axis)
{
    for (int i = 0; i < space->n; i++)
        if (nm_axes_has(&space->dim[i].axes, axis))
            return true;
    return false;
}

static bool has_wide(const reading *r)
{
    return r->s->claims->wide && nm_has_dim(r->op->out[0].type, r->s->claims->wide);
}

// May the operands that are complete over the axis be masked (complete on one rank, zero on
// others)? Of wide values only where each is pending over something: else the mask drags complete
// values into the sum.
static bool may_mask(const reading *r, nm_sym axis)
{
    bool all_here = true, all_pending = true;
    for (int i = 0; i < r->op->n_in; i++) {
        if (!nm_form_reads_parts(r->op, i))
            continue;
        all_here &= is_part(r, i, axis);
        all_pending &= r->form[i] && r->form[i]->pending.n;
    }
    return all_here || all_pending || !has_wide(r);
}

static int find_reader(const reading *r, nm_sym axis)
{
    int best = -1, best_rank = -1;
    for (int i = 0; i < r->op->n_in; i++) {
        if (!is_part(r, i, axis))
            continue;
        const nm_type *before = r->s->before ? r->s->before[r->op->in[i]->id] : NULL;
        int rank = r->op->in[i]->type->rank;
        if (before && nm_axes_has(&before->pending, axis))
            rank += NM_MAX_RANK + 1; // completed nowhere else: rather this one
        if (rank >= best_rank)
            best = i, best_rank = rank;
    }
    return best;
}

static void keep_sum(reading *r, nm_sym axis)
{
    for (int i = 0; i < r->op->n_in; i++)
        if (nm_form_reads_parts(r->op, i))
            nm_axes_add(&r->keep[i], axis);
    nm_axes_add(&r->kept, axis);
}

static void keep_axis(reading *r, nm_sym axis)
{
    int i = find_reader(r, axis);
    if (i < 0 || !(r->s->keep[r->op->out[0].id] >> nm_axis_order(axis) & 1))
        return;
    if (nm_is(r->op, NM_SUM)) {
        if (!nm_axes_has(&r->split, axis) && may_mask(r, axis))
            keep_sum(r, axis);
        return;
    }
    bool idle = nm_is(r->op, NM_IDLE) && !nm_axes_has(&r->split, axis);
    if (!idle && on_space(&r->space, axis))
        return;
    nm_axes_add(&r->keep[i], axis);
    nm_axes_add(&r->kept, axis);
}

// All axes that are pending in some operand, in the mesh's order.
static nm_axes pending_of(const reading *r)
{
    nm_type all = {0};
    for (int i = 0; i < r->op->n_in; i++)
        for (int k = 0; r->form[i] && k < r->form[i]->pending.n; k++)
            nm_axes_add(&all.pending, r->form[i]->pending.axis[k]);
    return nm_type_get(r->s->m, &all)->pending;
}

static reading read(nm_shard *s, nm_op *op)
{
    reading r = {.s = s, .op = op, .space = nm_space_of(op)};
    r.form = nm_new_n(s->arena, const nm_type *, op->n_in + 1);
    r.keep = nm_new_n(s->arena, nm_axes, op->n_in + 1);
    for (int i = 0; i < op->n_in; i++) {
        const nm_type *t = r.form[i] = s->form[op->in[i]->id];
        for (int k = 0; t && k < t->rank; k++)
            for (int a = 0; a < t->dim[k].axes.n; a++)
                nm_axes_add(&r.split, t->dim[k].axes.axis[a]);
    }
    nm_claims_assign(s->claims, &r.space, &(nm_axes){0}, op->n_in, r.form);
    nm_axes pending = pending_of(&r);
    for (int i = 0; i < pending.n; i++)
        keep_axis(&r, pending.axis[i]);
    return r;
}

// --- from the space to forms ---------------------------------------------------------------------

static nm_axes axes_in(nm_space *space, nm_sym dim)
{
    const nm_dim *d = dim ? nm_space_find(space, dim) : NULL;
    return d ? d->axes : (nm_axes){0};
}

static const nm_type *demand_of(reading *r, int i)
{
    nm_type t = *r->op->in[i]->type;
    for (int k = 0; k < t.rank; k++)
        t.dim[k].axes = axes_in(&r->space, nm_space_of_operand(r->op, t.dim[k].name));
    t.pending = r->keep[i];
    t.kind = NM_PENDING_SUM;
    return nm_type_get(r->s->m, &t);
}

static const nm_type *result_of(reading *r, int i)
{
    nm_type t = *r->op->out[i].type;
    for (int k = 0; k < t.rank; k++)
        t.dim[k].axes = axes_in(&r->space, nm_space_of_result(r->op, t.dim[k].name));
    t.pending = r->kept;
    t.kind = nm_form_kind(r->op);
    for (int k = 0; nm_is(r->op, NM_REDUCE) && k < r->space.n; k++)
        for (int a = 0; a < r->space.dim[k].axes.n; a++)
            if (nm_form_drops(r->op, i, r->space.dim[k].name))
                nm_axes_add(&t.pending, r->space.dim[k].axes.axis[a]);
    return nm_type_get(r->s->m, &t);
}

// A new name for a dim: the axes that the operand's dims have.
static void keep_axes(reading *r)
{
    const nm_type *t = r->form[0];
    for (int i = 0; i < t->rank; i++) {
        nm_dim *d = nm_space_find(&r->space, t->dim[i].name);
        if (d)
            d->axes = t->dim[i].axes;
    }
}

static nm_transfer transfer(nm_shard *s, nm_op *op)
{
    nm_transfer t = {nm_new_n(s->arena, const nm_type *, op->n_in + 1),
                     nm_new_n(s->arena, const nm_type *, op->n_out + 1)};
    reading r = read(s, op);
    if (nm_form_is_rename(op) && r.form[0])
        keep_axes(&r);
    else
        nm_claims_assign(s->claims, &r.space, &r.kept, op->n_in, r.form);
    for (int i = 0; i < op->n_in; i++)
        t.need[i] = demand_of(&r, i);
    for (int i = 0; i < op->n_out; i++)
        t.out[i] = result_of(&r, i);
    return t;
}

// --- accumulators, repeats, what other passes put in ---------------------------------------------

static const nm_type *form_or_canonical(nm_shard *s, const nm_value *v)
{
    const nm_type *t = s->form[v->id];
    return t ? t : nm_claims_canonical(s->m, s->claims, v->type);
}

static nm_transfer add_up(nm_shard *s, nm_op *op, const nm_value *acc)
{
    const nm_value *part = op->in[op->in[0] == acc];
    nm_bind bind = *s->acc[acc->id];
    nm_shard_join_acc(s, bind, form_or_canonical(s, part), nm_form_kind(op));
    const nm_type **form = nm_new_n(s->arena, const nm_type *, 3);
    for (int i = 0; i < 2; i++)
        form[i] = nm_shard_like(s->m, op->in[i]->type, nm_shard_acc_form(s, bind));
    form[2] = nm_shard_like(s->m, op->out[0].type, nm_shard_acc_form(s, bind));
    return (nm_transfer){form, &form[2]};
}

static const nm_type *complete(nm_shard *s, const nm_value *v)
{
    const nm_type *t = form_or_canonical(s, v);
    return t->pending.n ? nm_claims_canonical(s->m, s->claims, v->type) : t;
}

// A collective over stages, from units: what is sent is complete otherwise, it is smallest then.
static nm_transfer pass_on(nm_shard *s, nm_op *op)
{
    const nm_type **form = nm_new_n(s->arena, const nm_type *, 1);
    form[0] = op->code == NM_OP_first ? form_or_canonical(s, op->in[0]) : complete(s, op->in[0]);
    return (nm_transfer){form, form};
}

nm_transfer nm_shard_transfer(nm_shard *s, nm_op *op)
{
    const nm_value *acc = nm_shard_acc_of(s, op);
    if (acc)
        return add_up(s, op, acc);
    return nm_is(op, NM_COLLECTIVE) ? pass_on(s, op) : transfer(s, op);
}

static const nm_type *acc_form(nm_shard *s, const nm_value *v, nm_bind bind)
{
    const nm_type *form = nm_shard_acc_form(s, bind);
    return form ? nm_shard_like(s->m, v->type, form)
                : nm_claims_canonical(s->m, s->claims, v->type);
}

// Of a repeat, which every rank runs all turns of: a sum that is stacked becomes in the turns
// already what it is in the end, but for the dim that it is stacked over.
static const nm_type *stacked_form(nm_shard *s, const nm_value *out, const nm_value *inner)
{
    const nm_bind *acc = s->ends[out->id] ? s->ends[out->id] : s->acc[inner->id];
    const nm_type *form = acc ? acc_form(s, inner, *acc) : complete(s, inner);
    return nm_shard_like(s->m, out->type, form);
}

static const nm_type *carried_form(nm_shard *s, const nm_value *inner, const nm_value *param)
{
    return s->acc[inner->id] ? acc_form(s, inner, *s->acc[inner->id]) : s->form[param->id];
}

static void infer_func(nm_shard *s, nm_func *f);

static void infer_repeat(nm_shard *s, nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    int carried = (int)nm_attr_int(op, "carried", 0), stacked = (int)nm_attr_int(op, "stacked", 0);
    for (int i = 0; i < op->n_in; i++) {
        nm_value *param = op->body->param[i];
        const nm_type *t = complete(s, op->in[i]);
        if (i >= carried && i < carried + stacked)
            t = nm_type_without(s->m, t, over);
        s->form[param->id] = s->free[param->id]  ? NULL
                             : s->acc[param->id] ? acc_form(s, param, *s->acc[param->id])
                             : i < carried       ? nm_claims_canonical(s->m, s->claims, param->type)
                                                 : t;
    }
    infer_func(s, op->body);
    for (int i = 0; i < op->n_out; i++) {
        nm_value *out = &op->out[i], *inner = op->body->last->in[i];
        s->form[out->id] =
            i < carried ? carried_form(s, inner, op->body->param[i]) : stacked_form(s, out, inner);
    }
}

static void infer_func(nm_shard *s, nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_ret || (op->n_out && s->free[op->out[0].id]))
            continue;
        if (op->code == NM_OP_repeat) {
            infer_repeat(s, op);
            continue;
        }
        nm_transfer t = nm_shard_transfer(s, op);
        for (int i = 0; i < op->n_out; i++)
            s->form[op->out[i].id] = t.out[i];
    }
}

void nm_shard_infer(nm_shard *s)
{
    for (int i = 0; i < s->f->n_params; i++)
        s->form[s->f->param[i]->id] =
            s->free[s->f->param[i]->id] ? NULL : nm_shard_param_form(s, i);
    infer_func(s, s->f);
}
