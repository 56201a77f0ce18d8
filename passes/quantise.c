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
#include "passes/pass.h"
#include "passes/simplify.h"

#include <string.h>

typedef struct quantised { // what a qdq becomes; with blocks as dims, if it has them
    nm_value *q, *inverse; // f32: what q is times, to be x
} quantised;

typedef struct at { // new ops stand before this one
    nm_op *op;
    nm_module *m;
} at;

// --- building ------------------------------------------------------------------------------------

static nm_value *unary(const at *x, nm_opcode code, nm_value *v, const nm_attr *attr)
{
    return nm_build(x->op->func, x->op,
                    &(nm_proto){.code = code,
                                .loc = x->op->loc,
                                .n_in = 1,
                                .in = &v,
                                .n_attrs = attr != NULL,
                                .attr = attr});
}

static nm_value *binary(const at *x, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(x->op->func, x->op, x->op->loc, code, a, b);
}

static nm_value *number(const at *x, double value)
{
    return nm_build_const(x->op->func, x->op, x->op->loc, NM_f32, value);
}

static nm_value *cast(const at *x, nm_value *v, nm_dtype to)
{
    nm_attr attr = nm_mk_dtype(x->m, "to", to);
    return v->type->dtype == to ? v : unary(x, NM_OP_cast, v, &attr);
}

// --- one value -----------------------------------------------------------------------------------

static bool has_blocks(const nm_op *qdq) { return nm_attr_get(qdq, "block"); }

static nm_value *largest(const at *x, nm_value *v, nm_syms over)
{
    nm_attr attr = nm_mk_dims(x->m, "over", over);
    return unary(x, NM_OP_max, unary(x, NM_OP_abs, v, NULL), &attr);
}

// What was largest before, if anything was: else what makes the scale 1.
static nm_value *given(const at *x, nm_dtype to)
{
    nm_value *peak = cast(x, x->op->in[1], NM_f32);
    nm_value *in[] = {binary(x, NM_OP_lt, number(x, 0), peak), peak, number(x, nm_largest_of(to))};
    return nm_build(x->op->func, x->op,
                    &(nm_proto){.code = NM_OP_select, .loc = x->op->loc, .n_in = 3, .in = in});
}

// Of a scale that is given: e5m2 has infinities, where it should be as large as it can.
static nm_value *saturate(const at *x, nm_value *v, nm_dtype to)
{
    double most = nm_largest_of(to);
    v = binary(x, NM_OP_minimum, number(x, most), v);
    return binary(x, NM_OP_maximum, number(x, -most), v);
}

static quantised quantise(const at *x)
{
    bool is_given = x->op->n_in == 2;
    nm_dtype to = nm_attr_get(x->op, "to")->u.dtype;
    nm_value *v = cast(x, x->op->in[0], NM_f32);
    nm_sym dim[NM_MAX_RANK];
    nm_syms over = {v->type->rank, dim};
    for (int i = 0; i < over.n; i++)
        dim[i] = v->type->dim[i].name;
    if (has_blocks(x->op))
        v = nm_quantise_cut(x->op, v, dim, &over.n);
    nm_value *amax = is_given ? given(x, to) : largest(x, v, over);
    amax = binary(x, NM_OP_maximum, amax, number(x, NM_QDQ_FLOOR));
    nm_value *fits = binary(x, NM_OP_div, number(x, nm_largest_of(to)), amax);
    nm_value *s = unary(x, NM_OP_floor_pow2, fits, NULL);
    v = binary(x, NM_OP_mul, v, s);
    return (quantised){.q = cast(x, is_given ? saturate(x, v, to) : v, to),
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

static bool is_uneven(const nm_extent *e)
{
    int64_t n;
    return e && nm_extent_is_const(e, &n) && n % 16 != 0;
}

// @eval, @infer, @decode or a part of one: its tokens are as many as there are, the last samples of
// a set, a position. Those of a training step are as many as flags say: the runtime checks them
// (runtime/setup_products.c).
static bool has_any_tokens(const nm_func *f)
{
    static const char *const roles[] = {"eval", "infer", "decode"};
    size_t n = f->name ? strcspn(f->name, ".") : 0;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strlen(roles[i]) == n && !strncmp(f->name, roles[i], n))
            return true;
    return false;
}

// Rows, columns and what is summed: a GPU's library multiplies 8 bits where all are multiples of
// 16. Where one is known to be none, or may be any number, it multiplies the same numbers in bf16.
static bool is_multiplied(const nm_op *dot)
{
    nm_module *m = dot->func->module;
    if (m->options.flavour != NM_FLAVOUR_gpu)
        return true;
    if (has_any_tokens(nm_func_outer(dot->func)))
        return false;
    nm_syms over = nm_attr_dims(dot, "over");
    const nm_type *a = dot->in[0]->type, *b = dot->in[1]->type;
    return !is_uneven(count(m, a, over, false)) && !is_uneven(count(m, b, over, false)) &&
           !is_uneven(count(m, a, over, true));
}

static void scale_product(nm_op *dot, const quantised *a, const quantised *b)
{
    at x = {dot, dot->func->module};
    nm_value *in[] = {cast(&x, a->q, NM_f32), cast(&x, b->q, NM_f32)}, *out = &dot->out[0];
    nm_proto proto = nm_proto_of(dot);
    proto.in = in;
    proto.name = NULL;
    proto.type = nm_type_with_dtype(x.m, out->type, NM_f32);
    nm_value *sums = nm_build(dot->func, dot, &proto);
    nm_value *y = binary(&x, NM_OP_mul, sums, a->inverse);
    y = cast(&x, binary(&x, NM_OP_mul, y, b->inverse), out->type->dtype);
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
        all[op->out[0].id] = quantise(&(at){op, f->module});
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
        at x = {op, f->module};
        const quantised *v = &all[op->out[0].id];
        nm_value *y = binary(&x, NM_OP_mul, cast(&x, v->q, NM_f32), v->inverse);
        y = has_blocks(op) ? nm_quantise_join(op, y) : y;
        nm_replace(&op->out[0], cast(&x, y, op->out[0].type->dtype));
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
