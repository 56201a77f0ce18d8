// Ops that are written out otherwise for a part:
//
//   shard      the elements of a at the global indices that the own part of the dim has
//   first      the value where the own index on every axis is 0, else 0
//   attention  with queries split along their positions: each query's position is given, `at`
//   all_gather, reduce_scatter  between a whole dim and one that ranks store padded: what they
//              gather ends with the padding, which is cut off, what they scatter gets it
//
// The others mean the same on a part: `index` and `random` count globally, `gather` and
// `scatter_add` take global indices (another rank's give nothing).
#include "passes/localize.h"

#include "ir/attn.h"

typedef struct at { // new ops stand before this one
    nm_module *m;
    nm_op *op;
} at;

// --- building ------------------------------------------------------------------------------------

static nm_value *build_free(const at *x, nm_opcode code, nm_attr attr, const nm_type *type)
{
    return nm_build(
        x->op->func, x->op,
        &(nm_proto){.code = code, .loc = x->op->loc, .n_attrs = 1, .attr = &attr, .type = type});
}

static nm_value *build2(const at *x, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(x->op->func, x->op, x->op->loc, code, a, b);
}

static nm_value *build_offset(const at *x, const nm_extent *of, nm_dtype dtype)
{
    return build_free(x, NM_OP_offset, nm_mk_extent(x->m, "of", of), nm_type_scalar(x->m, dtype));
}

static nm_value *build_zero(const at *x, nm_dtype dtype)
{
    return nm_build_const(x->op->func, x->op, x->op->loc, dtype, 0);
}

static nm_value *build_index(const at *x, const nm_dim *d, nm_dtype dtype)
{
    nm_type t = {.dtype = dtype, .rank = 1, .dim = {*d}};
    return build_free(x, NM_OP_index, nm_mk_sym(x->m, "dim", d->name), nm_type_get(x->m, &t));
}

// What p builds stands in the op's place. False: reported.
static bool replace(const at *x, const nm_proto *p)
{
    nm_op *op = x->op;
    nm_value *y = nm_build(op->func, op, p);
    if (!y)
        return false;
    y->name = op->out[0].name;
    nm_replace(&op->out[0], y);
    nm_erase(op);
    return true;
}

// --- the ops ----------------------------------------------------------------------------------

static bool localize_shard(const at *x)
{
    nm_op *op = x->op;
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *out = op->out[0].type;
    const nm_dim *own = &out->dim[nm_type_find(out, over)];
    nm_value *in[] = {op->in[0], build_index(x, own, NM_i32)};
    nm_attr attr = nm_mk_sym(x->m, "over", over);
    return replace(x, &(nm_proto){.code = NM_OP_gather,
                                  .loc = op->loc,
                                  .n_in = 2,
                                  .in = in,
                                  .n_attrs = 1,
                                  .attr = &attr,
                                  .type = out});
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
    return replace(
        x, &(nm_proto){
               .code = NM_OP_select, .loc = op->loc, .n_in = 3, .in = in, .type = op->in[0]->type});
}

// --- between whole and padded ---------------------------------------------------------------

// A whole dim, of which `part` is what a rank stores, as what all ranks store; its own extent, if
// there is no padding. NULL: that is no extent.
static const nm_extent *pad_extent(nm_module *m, const nm_dim *whole, const nm_dim *part)
{
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        const nm_extent *all = nm_extent_sym(m, d->name);
        if (!d->of || !d->pad || part->extent != all || whole->extent != nm_dim_of(m, d->of).extent)
            continue;
        for (int k = 0; k < d->axes.n; k++)
            all = nm_extent_mul(m, all, nm_extent_sym(m, d->axes.axis[k]));
        return all;
    }
    return whole->extent;
}

// The type with the padding of `over`; t itself, if it has none. part: of what a rank stores. NULL:
// reported.
static const nm_type *pad_type(const at *x, const nm_type *t, const nm_type *part, nm_sym over)
{
    nm_type all = *t;
    nm_dim *d = &all.dim[nm_type_find(t, over)];
    d->extent = pad_extent(x->m, d, &part->dim[nm_type_find(part, over)]);
    if (d->extent)
        return nm_type_get(x->m, &all);
    nm_error(x->m->diag, x->op->loc,
             "'%s' is padded, and split over %d axes to be whole here, of at most %d; take its "
             "`pad` away or have the mesh split it over fewer",
             over, nm_attr_dims(x->op, "axes").n, NM_MAX_ATOMS - 1);
    return NULL;
}

static bool localize_gather(const at *x)
{
    nm_op *op = x->op;
    nm_sym over = nm_attr_sym(op, "over");
    nm_proto gather = nm_proto_of(op);
    gather.type = pad_type(x, op->out[0].type, op->in[0]->type, over);
    if (!gather.type || gather.type == op->out[0].type)
        return gather.type != NULL;
    nm_value *all = nm_build(op->func, op, &gather);
    nm_attr attr[] = {nm_mk_sym(x->m, "over", over),
                      nm_mk_extent(x->m, "start", nm_extent_const(x->m, 0))};
    return all && replace(x, &(nm_proto){.code = NM_OP_slice,
                                         .loc = op->loc,
                                         .n_in = 1,
                                         .in = &all,
                                         .n_attrs = 2,
                                         .attr = attr,
                                         .type = op->out[0].type});
}

static bool localize_scatter(const at *x)
{
    nm_op *op = x->op;
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *t = pad_type(x, op->in[0]->type, op->out[0].type, over);
    if (!t || t == op->in[0]->type)
        return t != NULL;
    nm_attr attr[] = {nm_mk_sym(x->m, "over", over),
                      nm_mk_extent(x->m, "before", nm_extent_const(x->m, 0)),
                      nm_mk_sym(x->m, "mode", nm_sym_get(x->m, "zero"))};
    nm_value *all = nm_build(op->func, op,
                             &(nm_proto){.code = NM_OP_pad,
                                         .loc = op->loc,
                                         .n_in = 1,
                                         .in = op->in,
                                         .n_attrs = 3,
                                         .attr = attr,
                                         .type = t});
    if (all)
        nm_set_operand(op, 0, all);
    return all != NULL;
}

// --- attention ------------------------------------------------------------------------------

static bool is_local(const nm_module *m, const nm_extent *e)
{
    for (int i = 0; i < m->n_dims; i++)
        if (m->dim[i].of && nm_extent_reads(e, m->dim[i].name))
            return true;
    return false;
}

// The dim `over` of t, if it is a part of it.
static bool split_dim(const nm_module *m, const nm_type *t, nm_sym over, nm_dim *d)
{
    int i = nm_type_find(t, over);
    if (i < 0 || !is_local(m, t->dim[i].extent))
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
    if (!a.seq || !compares_positions(op, &a) || !split_dim(x->m, op->in[0]->type, a.seq, &d))
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
    case NM_OP_all_gather: return localize_gather(x);
    case NM_OP_reduce_scatter: return localize_scatter(x);
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

bool nm_localize_ops(nm_func *f)
{
    nm_each_op_safe(op, f) {
        if (op->body && !nm_localize_ops(op->body))
            return false;
        if (!counts_turns(f, op) || !localize_op(&(at){f->module, op}))
            return false;
    }
    return true;
}
