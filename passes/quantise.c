// Quantise: a qdq becomes plain ops, once types are one rank's, so that a scale is that of the part
// which the rank has.
//
//   amax = max |x|, at least a floor      s = floor_pow2(largest / amax)      q = cast(x * s)
//
// A qdq of two operands is given its amax. With blocks there is a scale for each
// (passes/quantise_blocks.c). Of one scale, a product of two such values is one of their q, in f32,
// times what the scales took, where a GPU's library has one: what is stored is q, 1 byte. All else
// that reads a qdq, a mask, a collective, reads q * (1 / s) in its dtype. Scales are powers of two:
// both say the same number, and products of two q are exact in f32.
//
// Why here: below ring, since what is split has become a rank's own, and above epilogues, which
// knows the ops behind a product.
#include "passes/quantise.h"

#include "ir/eval.h"
#include "ir/product.h"
#include "passes/build.h"
#include "passes/pass.h"
#include "passes/simplify.h"

typedef struct quantised { // what a qdq becomes; with blocks as dims, if it has them
    nm_value *q, *inverse; // f32: what q is times, to be x
} quantised;

// --- building ------------------------------------------------------------------------------------

static nm_value *unary(nm_at x, nm_opcode code, nm_value *v)
{
    return nm_at_build(x, code, 1, &v, NULL);
}

static nm_value *binary(nm_at x, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(x.f, x.before, x.loc, code, a, b);
}

static nm_value *number(nm_at x, double value)
{
    return nm_build_const(x.f, x.before, x.loc, NM_f32, value);
}

// --- one value -----------------------------------------------------------------------------------

static bool has_blocks(const nm_op *qdq) { return nm_attr_get(qdq, "block"); }

// What was largest before, if anything was: else what makes the scale 1.
static nm_value *given(nm_at x, nm_value *peak, nm_dtype to)
{
    peak = nm_at_cast(x, peak, NM_f32);
    nm_value *in[] = {binary(x, NM_OP_lt, number(x, 0), peak), peak, number(x, nm_largest_of(to))};
    return nm_at_build(x, NM_OP_select, 3, in, NULL);
}

// Of a scale that is given: e5m2 has infinities, where it should be as large as it can.
static nm_value *saturate(nm_at x, nm_value *v, nm_dtype to)
{
    double most = nm_largest_of(to);
    v = binary(x, NM_OP_minimum, number(x, most), v);
    return binary(x, NM_OP_maximum, number(x, -most), v);
}

static quantised quantise(nm_op *qdq)
{
    nm_at x = nm_at_op(qdq);
    bool is_given = qdq->n_in == 2;
    nm_dtype to = nm_attr_get(qdq, "to")->u.dtype;
    nm_value *v = nm_at_cast(x, qdq->in[0], NM_f32);
    nm_sym dim[NM_MAX_RANK];
    nm_syms over = {v->type->rank, dim};
    for (int i = 0; i < over.n; i++)
        dim[i] = v->type->dim[i].name;
    if (has_blocks(qdq))
        v = nm_quantise_cut(qdq, v, dim, &over.n);
    nm_value *amax =
        is_given ? given(x, qdq->in[1], to) : nm_at_max(x, unary(x, NM_OP_abs, v), over);
    amax = binary(x, NM_OP_maximum, amax, number(x, NM_QDQ_FLOOR));
    nm_value *fits = binary(x, NM_OP_div, number(x, nm_largest_of(to)), amax);
    nm_value *s = unary(x, NM_OP_floor_pow2, fits);
    v = binary(x, NM_OP_mul, v, s);
    return (quantised){.q = nm_at_cast(x, is_given ? saturate(x, v, to) : v, to),
                       .inverse = binary(x, NM_OP_div, number(x, 1), s)};
}

// --- products ------------------------------------------------------------------------------------

static nm_op *qdq_of(nm_value *v)
{
    nm_op *op = v->def;
    if (op && op->code == NM_OP_cast && v->type->dtype == NM_f32)
        op = op->in[0]->def;
    return op && op->code == NM_OP_qdq ? op : NULL;
}

static const quantised *find(const quantised *all, nm_value *v)
{
    const nm_op *op = qdq_of(v);
    return op && !has_blocks(op) ? &all[op->out[0].id] : NULL;
}

// The indices of the dims of t that are `in` the list, together; NULL: they have no extent.
static const nm_extent *count(nm_module *m, const nm_type *t, nm_syms list, bool in)
{
    const nm_extent *e = nm_extent_const(m, 1);
    for (int i = 0; i < t->rank && e; i++)
        if (nm_syms_has(list, t->dim[i].name) == in)
            e = nm_extent_mul(m, e, t->dim[i].extent);
    return e;
}

// @eval, @infer, @decode, @logits or a part of one: its tokens are as many as there are, the last
// samples of a set, a position. Those of a training step are as many as flags say: the runtime
// checks them (runtime/setup_products.c).
static bool has_any_tokens(const nm_func *f)
{
    return nm_func_has_role(f, "eval") || nm_func_has_role(f, "infer") ||
           nm_func_has_role(f, "decode") || nm_func_has_role(f, "logits");
}

// Rows, columns and what is summed: a GPU's library multiplies 8 bits where all are multiples of
// 16. Where one is known to be none, or may be any number, it multiplies the same numbers in bf16;
// so do all products for GPUs that have no others.
static bool is_multiplied(const nm_op *dot)
{
    nm_module *m = dot->func->module;
    if (m->options.flavour != NM_FLAVOUR_gpu)
        return true;
    if (m->options.wide_products || has_any_tokens(nm_func_outer(dot->func)))
        return false;
    nm_syms over = nm_attr_dims(dot, "over");
    const nm_type *a = dot->in[0]->type, *b = dot->in[1]->type;
    return nm_fp8_fits(count(m, a, over, false)) && nm_fp8_fits(count(m, b, over, false)) &&
           nm_fp8_fits(count(m, a, over, true));
}

static void scale_product(nm_op *dot, const quantised *a, const quantised *b)
{
    nm_at x = nm_at_op(dot);
    nm_value *in[] = {nm_at_cast(x, a->q, NM_f32), nm_at_cast(x, b->q, NM_f32)};
    nm_value *out = &dot->out[0];
    nm_proto proto = nm_proto_of(dot);
    proto.in = in;
    proto.name = NULL;
    proto.type = nm_type_with_dtype(dot->func->module, out->type, NM_f32);
    nm_value *sums = nm_build(dot->func, dot, &proto);
    nm_value *y = binary(x, NM_OP_mul, sums, a->inverse);
    y = nm_at_cast(x, binary(x, NM_OP_mul, y, b->inverse), out->type->dtype);
    y->name = out->name;
    nm_replace(out, y);
    nm_erase(dot);
}

// --- the walk ------------------------------------------------------------------------------------

static void write_values(nm_func *f, quantised *all, bool *changed)
{
    nm_each_op(op, f) {
        if (op->body)
            write_values(op->body, all, changed);
        if (op->code != NM_OP_qdq)
            continue;
        all[op->out[0].id] = quantise(op);
        *changed = true;
    }
}

static void write_products(nm_func *f, const quantised *all)
{
    nm_each_op_safe(op, f) {
        if (op->body)
            write_products(op->body, all);
        if (op->code != NM_OP_dot)
            continue;
        const quantised *a = find(all, op->in[0]), *b = find(all, op->in[1]);
        if (a && b && is_multiplied(op))
            scale_product(op, a, b);
    }
}

// Those that no such product read.
static void write_others(nm_func *f, const quantised *all)
{
    nm_each_op(op, f) {
        if (op->body)
            write_others(op->body, all);
        if (op->code != NM_OP_qdq || !op->out[0].uses)
            continue;
        nm_at x = nm_at_op(op);
        const quantised *v = &all[op->out[0].id];
        nm_value *y = binary(x, NM_OP_mul, nm_at_cast(x, v->q, NM_f32), v->inverse);
        y = has_blocks(op) ? nm_quantise_join(op, y) : y;
        nm_replace(&op->out[0], nm_at_cast(x, y, op->out[0].type->dtype));
    }
}

bool nm_pass_quantise(nm_module *m, bool *changed)
{
    nm_each_func(f, m) {
        bool any = false;
        quantised *all = nm_new_n(m->arena, quantised, f->n_values);
        write_values(f, all, &any);
        if (!any)
            continue;
        write_products(f, all);
        write_others(f, all);
        nm_drop_dead(f, changed);
        *changed = true;
    }
    return true;
}
