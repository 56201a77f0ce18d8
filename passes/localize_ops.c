// Ops that are written out otherwise for a part:
//
//   shard      the elements of a at the global indices that the own part of the dim has
//   first      the value where the own index on every axis is 0, else 0
//   attention  with queries split along their positions: each query's position is given, `at`
//
// The others mean the same on a part: `index` and `random` count globally, `gather` and
// `scatter_add` take global indices (another rank's give nothing).
#include "passes/localize.h"

#include "ir/attn.h"

typedef struct at { // new ops stand before this one
    nm_module *m;
    nm_op *op;
    const nm_type *const *whole; // types before, by value id
} at;

// --- building ------------------------------------------------------------------------------------

static nm_value *build(const at *x, nm_opcode code, int n, nm_value *const *in, nm_attr attr,
                       const nm_type *type)
{
    nm_proto p = {.code = code, .loc = x->op->loc, .n_in = n, .in = in, .type = type};
    p.attr = &attr;
    p.n_attrs = attr.name != NULL;
    return nm_build(x->op->func, x->op, &p);
}

static nm_value *build2(const at *x, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(x->op->func, x->op, x->op->loc, code, a, b);
}

static nm_value *build_offset(const at *x, const nm_extent *of, nm_dtype dtype)
{
    return build(x, NM_OP_offset, 0, NULL, nm_mk_extent(x->m, "of", of),
                 nm_type_scalar(x->m, dtype));
}

static nm_value *build_zero(const at *x, nm_dtype dtype)
{
    return nm_build_const(x->op->func, x->op, x->op->loc, dtype, 0);
}

static nm_value *build_index(const at *x, const nm_dim *d, nm_dtype dtype)
{
    nm_type t = {.dtype = dtype, .rank = 1, .dim = {*d}};
    return build(x, NM_OP_index, 0, NULL, nm_mk_sym(x->m, "dim", d->name), nm_type_get(x->m, &t));
}

// --- the ops ----------------------------------------------------------------------------------

static bool localize_shard(const at *x)
{
    nm_op *op = x->op;
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *out = op->out[0].type;
    const nm_dim *own = &out->dim[nm_type_find(out, over)];
    nm_value *in[] = {op->in[0], build_index(x, own, NM_i32)};
    nm_value *y = build(x, NM_OP_gather, 2, in, nm_mk_sym(x->m, "over", over), out);
    if (!y)
        return false;
    y->name = op->out[0].name;
    nm_replace(&op->out[0], y);
    nm_erase(op);
    return true;
}

static bool localize_first(const at *x)
{
    nm_op *op = x->op;
    nm_syms axes = nm_attr_dims(op, "axes");
    nm_value *sum = NULL;
    for (int i = 0; i < axes.n; i++) {
        nm_value *own = build_offset(x, nm_extent_sym(x->m, axes.sym[i]), NM_i32);
        sum = sum ? build2(x, NM_OP_add, sum, own) : own;
    }
    if (!sum)
        nm_bug("localize: first of no axes");
    nm_value *in[] = {build2(x, NM_OP_eq, sum, build_zero(x, NM_i32)), op->in[0],
                      build_zero(x, op->in[0]->type->dtype)};
    nm_value *y = build(x, NM_OP_select, 3, in, (nm_attr){0}, op->in[0]->type);
    y->name = op->out[0].name;
    nm_replace(&op->out[0], y);
    nm_erase(op);
    return true;
}

// The dim `over` of t, whose axes it had as `whole`; false: it was not split.
static bool split_dim(const nm_type *t, const nm_type *whole, nm_sym over, nm_dim *d)
{
    int i = nm_type_find(t, over), k = nm_type_find(whole, over);
    if (i < 0 || k < 0 || !whole->dim[k].axes.n)
        return false;
    *d = t->dim[i];
    return true;
}

static bool compares_positions(const nm_op *op, const nm_attn *a)
{
    return nm_attr_bool(op, "causal") || nm_attr_int(op, "window", 0) > 0 ||
           a->extra[NM_ATTN_segments];
}

static bool localize_attention(const at *x)
{
    nm_op *op = x->op;
    nm_attn a = nm_attn_of(op);
    nm_dim d;
    if (!a.seq || !compares_positions(op, &a) ||
        !split_dim(op->in[0]->type, x->whole[op->in[0]->id], a.seq, &d))
        return true;
    if (a.extra[NM_ATTN_at] || a.extra[NM_ATTN_segments])
        return nm_error(x->m->diag, op->loc, "%s with '%s' split takes no %s", nm_info(op)->name,
                        a.seq, a.extra[NM_ATTN_at] ? "position" : "segments");
    a.extra[NM_ATTN_at] = build_index(x, &d, NM_i32);
    return nm_attn_rebuild(op, &a) != NULL;
}

static bool localize_op(const at *x)
{
    switch (x->op->code) {
    case NM_OP_shard: return localize_shard(x);
    case NM_OP_first: return localize_first(x);
    case NM_OP_attention:
    case NM_OP_attention_grad: return localize_attention(x);
    default: return true;
    }
}

// The turns of a part of the layers are counted by what is stacked.
static bool counts_turns(nm_func *f, const nm_op *op)
{
    nm_module *m = f->module;
    nm_sym dim = nm_attr_sym(op, "over");
    const nm_dim_decl *d = dim ? nm_dim_lookup(m, dim) : NULL;
    nm_dim over = {.name = dim, .extent = d ? d->extent : NULL};
    return op->code != NM_OP_repeat || nm_attr_int(op, "stacked", 0) ||
           !nm_split_axes(m, nm_func_outer(f), &over).n ||
           nm_error(m->diag, op->loc,
                    "a repeat over '%s', which is split over pp, reads nothing stacked", over.name);
}

bool nm_localize_ops(nm_func *f, const nm_type *const *whole)
{
    nm_each_op_safe(op, f) {
        if (op->body && !nm_localize_ops(op->body, whole))
            return false;
        if (!counts_turns(f, op) || !localize_op(&(at){f->module, op, whole}))
            return false;
    }
    return true;
}
