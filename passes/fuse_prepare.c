// Rewrites before fusion that trade costs, so they do not belong in simplify.
//
//   dot(a, b) where a or b has no dim of its own   =>  sum(a * b): a row or a column, not a product
//   scatter_add(a, b) whose result keeps b's dims  =>  select(index == b, a, 0): a pull and
//     no push; b clamped, as scatter_add does
//   sum(a) over dims of extent 1                   =>  a view of a
//   sum(a) {over}                                  =>  over in the order of a's dims: that is the
//     order of the sum, wherever a will lie and whatever is fused (codegen/reduce.h)
//   acc + (x + y), acc a parameter                 =>  (acc + x) + y: each part is added in place.
//     Floating-point sums are not associative: this changes the last bit, the same way each time.
#include "passes/fuse.h"
#include "passes/simplify.h"

#include <string.h>

// --- products that are none -----------------------------------------------------------------

static bool has_own_dim(const nm_value *a, const nm_value *b)
{
    for (int i = 0; i < a->type->rank; i++)
        if (!nm_has_dim(b->type, a->type->dim[i].name))
            return true;
    return false;
}

static void dot_to_sum(nm_op *op)
{
    nm_func *f = op->func;
    nm_module *m = f->module;
    nm_value *a = op->in[0], *b = op->in[1];
    if (has_own_dim(a, b) && has_own_dim(b, a))
        return;
    if (op->out[0].type->dtype != NM_f32 && op->out[0].type->dtype != NM_f64)
        return; // a dot accumulates in f32, a sum of bf16 does not
    nm_value *product = nm_build2(f, op, op->loc, NM_OP_mul, a, b);
    nm_attr over = nm_mk_dims(m, "over", nm_attr_dims(op, "over"));
    nm_proto sum = {.code = NM_OP_sum,
                    .loc = op->loc,
                    .n_in = 1,
                    .in = &product,
                    .n_attrs = 1,
                    .attr = &over,
                    .type = op->out[0].type};
    nm_replace(&op->out[0], nm_build(f, op, &sum));
    nm_erase(op);
}

// --- sums of one element --------------------------------------------------------------------

static bool is_unit_dim(const nm_type *t, nm_sym dim)
{
    int64_t n;
    return nm_extent_is_const(t->dim[nm_type_find(t, dim)].extent, &n) && n == 1;
}

static void reduction_to_slice(nm_op *op)
{
    nm_module *m = op->func->module;
    nm_syms over = nm_attr_dims(op, "over");
    nm_value *v = op->in[0];
    for (int i = 0; i < over.n; i++)
        if (!is_unit_dim(v->type, over.sym[i]))
            return;
    for (int i = 0; i < over.n; i++) {
        nm_attr attr[] = {nm_mk_sym(m, "over", over.sym[i]),
                          nm_mk_extent(m, "start", nm_extent_const(m, 0))};
        nm_proto slice = {.code = NM_OP_slice,
                          .loc = op->loc,
                          .n_in = 1,
                          .in = &v,
                          .n_attrs = 2,
                          .attr = attr,
                          .type = nm_type_without(m, v->type, over.sym[i])};
        v = nm_build(op->func, op, &slice);
    }
    nm_replace(&op->out[0], v);
    nm_erase(op);
}

// --- one-hot --------------------------------------------------------------------------------

static nm_value *build_index(nm_op *op, nm_sym dim, nm_dtype dtype)
{
    nm_func *f = op->func;
    const nm_type *result = op->out[0].type;
    nm_type t = {.dtype = dtype, .rank = 1};
    t.dim[0] = result->dim[nm_type_find(result, dim)];
    nm_attr attr = nm_mk_sym(f->module, "dim", dim);
    nm_proto proto = {.code = NM_OP_index,
                      .loc = op->loc,
                      .n_attrs = 1,
                      .attr = &attr,
                      .type = nm_type_get(f->module, &t)};
    return nm_build(f, op, &proto);
}

// b within the dim; what the loader has checked is.
static nm_value *build_clamped(nm_op *op, nm_value *b, nm_sym dim)
{
    nm_func *f = op->func;
    if (!b->def && !f->parent && f->param_bind[b->index].index_of == dim)
        return b;
    const nm_type *result = op->out[0].type;
    nm_dtype dtype = b->type->dtype;
    nm_attr of = nm_mk_extent(f->module, "of", result->dim[nm_type_find(result, dim)].extent);
    nm_proto size = {.code = NM_OP_size,
                     .loc = op->loc,
                     .n_attrs = 1,
                     .attr = &of,
                     .type = nm_type_scalar(f->module, dtype)};
    nm_value *one = nm_build_const(f, op, op->loc, dtype, 1);
    nm_value *last = nm_build2(f, op, op->loc, NM_OP_sub, nm_build(f, op, &size), one);
    nm_value *low = nm_build_const(f, op, op->loc, dtype, 0);
    nm_value *above = nm_build2(f, op, op->loc, NM_OP_maximum, b, low);
    return nm_build2(f, op, op->loc, NM_OP_minimum, above, last);
}

static void scatter_to_select(nm_op *op)
{
    nm_func *f = op->func;
    nm_value *a = op->in[0], *b = op->in[1];
    const nm_type *result = op->out[0].type;
    nm_sym dim = nm_attr_sym(op, "over");
    if (nm_has_dim(b->type, dim) || nm_has_dim(a->type, dim) || // another dim of this name
        !nm_fuse_within(b->type, result) || !nm_fuse_within(a->type, result))
        return;
    nm_value *at = build_index(op, dim, b->type->dtype);
    nm_value *hit = nm_build2(f, op, op->loc, NM_OP_eq, at, build_clamped(op, b, dim));
    nm_value *zero = nm_build_const(f, op, op->loc, a->type->dtype, 0);
    nm_value *in[] = {hit, a, zero};
    nm_proto select = {.code = NM_OP_select, .loc = op->loc, .n_in = 3, .in = in, .type = result};
    nm_replace(&op->out[0], nm_build(f, op, &select));
    nm_erase(op);
}

// --- sums onto an accumulator ---------------------------------------------------------------

static bool add_to_param(nm_op *op)
{
    nm_func *f = op->func;
    for (int i = 0; i < 2; i++) {
        nm_value *acc = op->in[i];
        nm_op *parts = op->in[1 - i]->def;
        bool fits = !acc->def && parts && parts->code == NM_OP_add &&
                    nm_used_once(&parts->out[0]) && acc->type == op->out[0].type &&
                    parts->in[0]->type->rank == acc->type->rank &&
                    parts->in[1]->type->rank == acc->type->rank;
        if (!fits)
            continue;
        nm_value *x = parts->in[0], *y = parts->in[1];
        nm_op *first = parts->next ? parts->next : op;
        nm_value *so_far = nm_build2(f, first, op->loc, NM_OP_add, acc, x);
        nm_value *all = nm_build2(f, op, op->loc, NM_OP_add, so_far, y);
        nm_replace(&op->out[0], all);
        nm_erase(op);
        nm_erase(parts);
        add_to_param(so_far->def);
        return true;
    }
    return false;
}

static void fix_order(nm_op *op)
{
    const nm_type *t = op->in[0]->type;
    nm_sym dim[NM_MAX_RANK];
    int n = 0;
    for (int i = 0; i < op->n_attrs; i++) {
        if (strcmp(op->attr[i].name, "over") != 0)
            continue;
        for (int k = 0; k < t->rank; k++)
            if (nm_syms_has(op->attr[i].u.syms, t->dim[k].name))
                dim[n++] = t->dim[k].name;
        op->attr[i] = nm_mk_dims(op->func->module, "over", (nm_syms){n, dim});
    }
}

void nm_fuse_prepare(nm_func *f)
{
    nm_drop_dead(f, NULL);
    nm_each_op_safe(op, f)
        if (op->code == NM_OP_dot)
            dot_to_sum(op);
        else if (op->code == NM_OP_scatter_add)
            scatter_to_select(op);
        else if (op->code == NM_OP_sum || op->code == NM_OP_max)
            reduction_to_slice(op);
        else if (op->code == NM_OP_add)
            add_to_param(op);
    nm_each_op(op, f)
        if (op->code == NM_OP_sum || op->code == NM_OP_max)
            fix_order(op);
}
