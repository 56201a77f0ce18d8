// Vector-Jacobian products, one a row of ops.def. In a rule, dy is the gradient of op's result; an
// operand or result is read through `read`, since the backward code of a repeat's turn stands in
// another body. Rules are naive on purpose: what nobody wants is dead code, and simplify sweeps it.
#include "ir/grads.h"
#include "ir/gelu.h"

#include <math.h>
#include <string.h>

static nm_value *read(nm_grad *g, nm_value *x) { return g->of(g, x); }
static nm_value *in(nm_grad *g, nm_op *op, int i) { return read(g, op->in[i]); }
static nm_value *out(nm_grad *g, nm_op *op) { return read(g, &op->out[0]); }
static nm_value *dy0(nm_grad *g, nm_op *op) { return nm_grad_of(g, op, 0); }

static nm_value *map1(nm_grad *g, const nm_op *op, nm_opcode code, nm_value *a)
{
    return nm_build1(g->f, g->before, op->loc, code, a);
}

static nm_value *map2(nm_grad *g, const nm_op *op, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_build2(g->f, g->before, op->loc, code, a, b);
}

static nm_value *mul(nm_grad *g, const nm_op *op, nm_value *a, nm_value *b)
{
    return map2(g, op, NM_OP_mul, a, b);
}

static nm_value *neg(nm_grad *g, const nm_op *op, nm_value *a) { return map1(g, op, NM_OP_neg, a); }

// A scalar of x's dtype.
static nm_value *number(nm_grad *g, const nm_op *op, const nm_value *x, double value)
{
    return nm_build_const(g->f, g->before, op->loc, x->type->dtype, value);
}

static nm_value *select(nm_grad *g, const nm_op *op, nm_value *c, nm_value *a, nm_value *b)
{
    return nm_build(
        g->f, g->before,
        &(nm_proto){
            .code = NM_OP_select, .loc = op->loc, .n_in = 3, .in = (nm_value *[]){c, a, b}});
}

// An op of one operand with attributes; `type` is the given type, or the wanted order.
static nm_value *with(nm_grad *g, const nm_op *op, nm_opcode code, nm_value *a, const nm_type *type,
                      int n_attrs, const nm_attr *attr)
{
    return nm_build(g->f, g->before,
                    &(nm_proto){.code = code,
                                .loc = op->loc,
                                .n_in = 1,
                                .in = &a,
                                .type = type,
                                .n_attrs = n_attrs,
                                .attr = attr});
}

// --- products and sums by the names of dims ----------------------------------------------------

// The order of x's dims, with v's dtype, if v is to have just x's dims; else NULL.
static const nm_type *order_of(nm_grad *g, const nm_value *x, const nm_value *a, const nm_value *b)
{
    for (int i = 0; i < x->type->rank; i++) {
        nm_sym d = x->type->dim[i].name;
        if (!nm_has_dim(a->type, d) && !(b && nm_has_dim(b->type, d)))
            return NULL;
    }
    return nm_type_with_dtype(g->f->module, x->type, a->type->dtype);
}

// a * b (or a, where b is NULL), summed over every dim that x does not have.
static nm_value *product_like(nm_grad *g, const nm_op *op, nm_value *a, nm_value *b, nm_value *x)
{
    nm_module *m = g->f->module;
    nm_sym over[2 * NM_MAX_RANK];
    int n = 0;
    for (int i = 0; i < a->type->rank; i++)
        if (!nm_has_dim(x->type, a->type->dim[i].name))
            over[n++] = a->type->dim[i].name;
    for (int i = 0; b && i < b->type->rank; i++)
        if (!nm_has_dim(x->type, b->type->dim[i].name) &&
            !nm_has_dim(a->type, b->type->dim[i].name))
            over[n++] = b->type->dim[i].name;
    if (!n)
        return b ? mul(g, op, a, b) : a;
    nm_attr dims = nm_mk_dims(m, "over", (nm_syms){n, over});
    return nm_build(g->f, g->before,
                    &(nm_proto){.code = b ? NM_OP_dot : NM_OP_sum,
                                .loc = op->loc,
                                .n_in = b ? 2 : 1,
                                .in = (nm_value *[]){a, b},
                                .type = order_of(g, x, a, b),
                                .n_attrs = 1,
                                .attr = &dims});
}

nm_value *nm_grad_of(nm_grad *g, const nm_op *op, int i)
{
    uint32_t id = op->out[i].id;
    return id < g->n_ids ? g->adj[id] : NULL;
}

bool nm_grad_wants(const nm_grad *g, const nm_value *x)
{
    return x->id < g->n_ids && g->active[x->id];
}

// Of op itself, or, for the rule of a repeat, of the end of its body.
static bool is_operand(const nm_op *op, const nm_value *x)
{
    for (int i = 0; i < op->n_in; i++)
        if (op->in[i] == x)
            return true;
    return op->body && is_operand(op->body->last, x);
}

void nm_grad_into(nm_grad *g, const nm_op *op, nm_value *x, nm_value *dx)
{
    if (!is_operand(op, x))
        nm_bug("the gradient of %s goes into a value that is none of its operands: its rule has to "
               "pass op->in[i], not that value as backward code reads it",
               nm_info(op)->name);
    if (!dx || !nm_grad_wants(g, x))
        return;
    dx = product_like(g, op, dx, NULL, x);
    if (dx->type->dtype != x->type->dtype) {
        nm_attr to = nm_mk_dtype(g->f->module, "to", x->type->dtype);
        dx = with(g, op, NM_OP_cast, dx, NULL, 1, &to);
    }
    if (dx->type != x->type)
        dx = with(g, op, NM_OP_broadcast, dx, x->type, 0, NULL);
    nm_value **slot = &g->adj[x->id];
    *slot = *slot ? map2(g, op, NM_OP_add, *slot, dx) : dx;
}

// --- maps --------------------------------------------------------------------------------------

// y = -a
void nm_grad_neg(nm_grad *g, nm_op *op) { nm_grad_into(g, op, op->in[0], neg(g, op, dy0(g, op))); }

// y = |a|:  da = dy sign(a), so 0 at 0
void nm_grad_abs(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], mul(g, op, dy0(g, op), map1(g, op, NM_OP_sign, in(g, op, 0))));
}

// y = exp(a):  da = dy y
void nm_grad_exp(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], mul(g, op, dy0(g, op), out(g, op)));
}

// y = log(a):  da = dy / a
void nm_grad_log(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], map2(g, op, NM_OP_div, dy0(g, op), in(g, op, 0)));
}

// y = sqrt(a):  da = dy / 2y
void nm_grad_sqrt(nm_grad *g, nm_op *op)
{
    nm_value *half = mul(g, op, dy0(g, op), number(g, op, op->in[0], 0.5));
    nm_grad_into(g, op, op->in[0], map2(g, op, NM_OP_div, half, out(g, op)));
}

// y = sin(a):  da = dy cos(a)
void nm_grad_sin(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], mul(g, op, dy0(g, op), map1(g, op, NM_OP_cos, in(g, op, 0))));
}

// y = cos(a):  da = -dy sin(a)
void nm_grad_cos(nm_grad *g, nm_op *op)
{
    nm_value *sine = map1(g, op, NM_OP_sin, in(g, op, 0));
    nm_grad_into(g, op, op->in[0], neg(g, op, mul(g, op, dy0(g, op), sine)));
}

// y = tanh(a):  da = dy (1 - y y)
void nm_grad_tanh(nm_grad *g, nm_op *op)
{
    nm_value *y = out(g, op);
    nm_value *slope = map2(g, op, NM_OP_sub, number(g, op, y, 1), mul(g, op, y, y));
    nm_grad_into(g, op, op->in[0], mul(g, op, dy0(g, op), slope));
}

// y = erf(a):  da = dy 2/sqrt(pi) exp(-a a)
void nm_grad_erf(nm_grad *g, nm_op *op)
{
    nm_value *a = in(g, op, 0);
    nm_value *bell = map1(g, op, NM_OP_exp, neg(g, op, mul(g, op, a, a)));
    nm_value *slope = mul(g, op, bell, number(g, op, a, 2 / sqrt(acos(-1.0))));
    nm_grad_into(g, op, op->in[0], mul(g, op, dy0(g, op), slope));
}

// y = gelu_tanh(a)
void nm_grad_gelu_tanh(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], map2(g, op, NM_OP_gelu_tanh_grad, dy0(g, op), in(g, op, 0)));
}

// gelu_tanh's second derivative: (1 - t t) (u' + x (u''/2 - t u' u')), where t = tanh(u) and
// u = k (x + c x x x)
static nm_value *gelu_bend(nm_grad *g, const nm_op *op, nm_value *x)
{
    nm_value *one = number(g, op, x, 1), *square = mul(g, op, x, x);
    nm_value *k = number(g, op, x, NM_GELU_SCALE);
    nm_value *cube = mul(g, op, number(g, op, x, NM_GELU_CUBE), square);
    nm_value *u = mul(g, op, mul(g, op, k, x), map2(g, op, NM_OP_add, one, cube));
    nm_value *t = map1(g, op, NM_OP_tanh, u);
    nm_value *three = mul(g, op, number(g, op, x, 3), cube);
    nm_value *slope = mul(g, op, k, map2(g, op, NM_OP_add, one, three));
    nm_value *half = mul(g, op, number(g, op, x, 3 * NM_GELU_SCALE * NM_GELU_CUBE), x);
    nm_value *turn = map2(g, op, NM_OP_sub, half, mul(g, op, t, mul(g, op, slope, slope)));
    nm_value *rest = map2(g, op, NM_OP_add, slope, mul(g, op, x, turn));
    return mul(g, op, map2(g, op, NM_OP_sub, one, mul(g, op, t, t)), rest);
}

// y = a gelu_tanh'(b)
void nm_grad_gelu_tanh_grad(nm_grad *g, nm_op *op)
{
    nm_value *dy = dy0(g, op), *a = in(g, op, 0), *b = in(g, op, 1);
    nm_grad_into(g, op, op->in[0], map2(g, op, NM_OP_gelu_tanh_grad, dy, b));
    nm_grad_into(g, op, op->in[1], mul(g, op, mul(g, op, dy, a), gelu_bend(g, op, b)));
}

// y = a, rounded: the gradient goes back to a's dtype (nm_grad_into does that)
void nm_grad_cast(nm_grad *g, nm_op *op) { nm_grad_into(g, op, op->in[0], dy0(g, op)); }

// y = a + b
void nm_grad_add(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], dy0(g, op));
    nm_grad_into(g, op, op->in[1], dy0(g, op));
}

// y = a - b
void nm_grad_sub(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], dy0(g, op));
    nm_grad_into(g, op, op->in[1], neg(g, op, dy0(g, op)));
}

// y = a b:  da = dy b and db = dy a; where a was broadcast, da is a contraction
void nm_grad_mul(nm_grad *g, nm_op *op)
{
    nm_value *dy = dy0(g, op);
    nm_grad_into(g, op, op->in[0], mul(g, op, dy, in(g, op, 1)));
    nm_grad_into(g, op, op->in[1], mul(g, op, dy, in(g, op, 0)));
}

// y = a / b:  da = dy / b and db = -dy y / b
void nm_grad_div(nm_grad *g, nm_op *op)
{
    nm_value *da = map2(g, op, NM_OP_div, dy0(g, op), in(g, op, 1));
    nm_grad_into(g, op, op->in[0], da);
    nm_grad_into(g, op, op->in[1], neg(g, op, mul(g, op, da, out(g, op))));
}

// y = a^b:  da = dy b a^(b-1) and db = dy y log(a)
void nm_grad_pow(nm_grad *g, nm_op *op)
{
    nm_value *dy = dy0(g, op), *a = in(g, op, 0), *b = in(g, op, 1);
    const nm_op *def = op->in[1]->def;
    nm_value *less = def && def->code == NM_OP_const
                         ? number(g, op, b, nm_attr_float(def, "value", 0) - 1)
                         : map2(g, op, NM_OP_sub, b, number(g, op, b, 1));
    nm_value *slope = mul(g, op, b, map2(g, op, NM_OP_pow, a, less));
    nm_grad_into(g, op, op->in[0], mul(g, op, dy, slope));
    nm_value *up = mul(g, op, out(g, op), map1(g, op, NM_OP_log, a));
    nm_grad_into(g, op, op->in[1], mul(g, op, dy, up));
}

// dy goes to operand 0 where `first` holds, else to operand 1.
static void share_out(nm_grad *g, nm_op *op, nm_value *first, nm_value *to, nm_value *otherwise)
{
    nm_value *dy = dy0(g, op), *zero = number(g, op, dy, 0);
    nm_grad_into(g, op, to, select(g, op, first, dy, zero));
    nm_grad_into(g, op, otherwise, select(g, op, first, zero, dy));
}

// y = max(a, b): of equals, a has it
void nm_grad_maximum(nm_grad *g, nm_op *op)
{
    nm_value *first = map2(g, op, NM_OP_le, in(g, op, 1), in(g, op, 0));
    share_out(g, op, first, op->in[0], op->in[1]);
}

// y = min(a, b): of equals, a has it
void nm_grad_minimum(nm_grad *g, nm_op *op)
{
    nm_value *first = map2(g, op, NM_OP_le, in(g, op, 0), in(g, op, 1));
    share_out(g, op, first, op->in[0], op->in[1]);
}

// y = a where c, else b
void nm_grad_select(nm_grad *g, nm_op *op) { share_out(g, op, in(g, op, 0), op->in[1], op->in[2]); }

// --- reductions and contractions ---------------------------------------------------------------

// y = sum(a):  da = dy, repeated along the dims summed (nm_grad_into does that)
void nm_grad_sum(nm_grad *g, nm_op *op) { nm_grad_into(g, op, op->in[0], dy0(g, op)); }

// y = max(a):  da = dy / n where a = y, n the number of such places
void nm_grad_max(nm_grad *g, nm_op *op)
{
    nm_value *y = out(g, op), *dy = dy0(g, op);
    nm_value *hit = map2(g, op, NM_OP_eq, in(g, op, 0), y);
    nm_value *ones = select(g, op, hit, number(g, op, y, 1), number(g, op, y, 0));
    nm_value *n = product_like(g, op, ones, NULL, y);
    nm_value *part = map2(g, op, NM_OP_div, dy, n);
    nm_grad_into(g, op, op->in[0], mul(g, op, ones, part));
}

// y = running sums of a:  da = running sums of dy from the other end
void nm_grad_cumsum(nm_grad *g, nm_op *op)
{
    nm_module *m = g->f->module;
    nm_attr attr[] = {nm_mk_sym(m, "over", nm_attr_sym(op, "over")),
                      nm_mk_bool(m, "reverse", true)};
    int n = nm_attr_bool(op, "reverse") ? 1 : 2;
    nm_grad_into(g, op, op->in[0], with(g, op, NM_OP_cumsum, dy0(g, op), NULL, n, attr));
}

// y = a . b over d:  da = dy . b and db = a . dy, each over the dims its own side lacks
void nm_grad_dot(nm_grad *g, nm_op *op)
{
    nm_value *dy = dy0(g, op);
    nm_grad_into(g, op, op->in[0], product_like(g, op, dy, in(g, op, 1), op->in[0]));
    nm_grad_into(g, op, op->in[1], product_like(g, op, in(g, op, 0), dy, op->in[1]));
}

static nm_value *scatter_add(nm_grad *g, const nm_op *op, nm_value *a, nm_value *at, nm_sym over,
                             const nm_type *type)
{
    nm_attr attr = nm_mk_sym(g->f->module, "over", over);
    return nm_build(g->f, g->before,
                    &(nm_proto){.code = NM_OP_scatter_add,
                                .loc = op->loc,
                                .n_in = 2,
                                .in = (nm_value *[]){a, at},
                                .type = nm_type_with_dtype(g->f->module, type, a->type->dtype),
                                .n_attrs = 1,
                                .attr = &attr});
}

// y, at = top_k(a):  da has dy at `at`
void nm_grad_top_k(nm_grad *g, nm_op *op)
{
    nm_value *x = op->in[0], *dy = dy0(g, op), *at = read(g, &op->out[1]);
    if (dy)
        nm_grad_into(g, op, x, scatter_add(g, op, dy, at, nm_attr_sym(op, "over"), x->type));
}

// --- views: each undone by its opposite --------------------------------------------------------

void nm_grad_rename(nm_grad *g, nm_op *op)
{
    nm_module *m = g->f->module;
    nm_attr attr[] = {nm_mk_sym(m, "from", nm_attr_sym(op, "to")),
                      nm_mk_sym(m, "to", nm_attr_sym(op, "from"))};
    nm_grad_into(g, op, op->in[0], with(g, op, NM_OP_rename, dy0(g, op), NULL, 2, attr));
}

void nm_grad_split(nm_grad *g, nm_op *op)
{
    nm_module *m = g->f->module;
    nm_attr attr[] = {nm_mk_dims(m, "from", nm_attr_dims(op, "into")),
                      nm_mk_sym(m, "into", nm_attr_sym(op, "from"))};
    nm_grad_into(g, op, op->in[0], with(g, op, NM_OP_merge, dy0(g, op), NULL, 2, attr));
}

void nm_grad_merge(nm_grad *g, nm_op *op)
{
    nm_module *m = g->f->module;
    nm_attr attr[] = {nm_mk_sym(m, "from", nm_attr_sym(op, "into")),
                      nm_mk_dims(m, "into", nm_attr_dims(op, "from"))};
    nm_value *x = op->in[0];
    nm_grad_into(g, op, x, with(g, op, NM_OP_split, dy0(g, op), x->type, 2, attr));
}

// v with a dim of one index, if it lacks the dim.
static nm_value *with_unit(nm_grad *g, const nm_op *op, nm_value *v, nm_sym dim)
{
    nm_module *m = g->f->module;
    if (nm_has_dim(v->type, dim))
        return v;
    nm_dim unit = {.name = dim, .extent = nm_extent_const(m, 1)};
    return with(g, op, NM_OP_broadcast, v, nm_type_with_outer(m, v->type, unit), 0, NULL);
}

// The type of v with `over` as long as in x.
static const nm_type *resized(nm_grad *g, const nm_value *v, const nm_value *x, nm_sym over)
{
    nm_type t = *v->type;
    t.dim[nm_type_find(&t, over)] = x->type->dim[nm_type_find(x->type, over)];
    return nm_type_get(g->f->module, &t);
}

void nm_grad_slice(nm_grad *g, nm_op *op)
{
    nm_module *m = g->f->module;
    nm_sym over = nm_attr_sym(op, "over");
    nm_attr attr[] = {nm_mk_sym(m, "over", over),
                      nm_mk_extent(m, "before", nm_attr_get(op, "start")->u.extent),
                      nm_mk_sym(m, "mode", nm_sym_get(m, "zero"))};
    nm_value *x = op->in[0], *dy = with_unit(g, op, dy0(g, op), over);
    nm_grad_into(g, op, x, with(g, op, NM_OP_pad, dy, resized(g, dy, x, over), 3, attr));
}

static nm_value *slice_like(nm_grad *g, const nm_op *op, nm_value *dy, nm_value *x, nm_sym over,
                            const nm_extent *start)
{
    nm_module *m = g->f->module;
    nm_attr attr[] = {nm_mk_sym(m, "over", over), nm_mk_extent(m, "start", start)};
    return with(g, op, NM_OP_slice, dy, resized(g, dy, x, over), 2, attr);
}

static nm_value *size_of(nm_grad *g, const nm_op *op, const nm_extent *e)
{
    nm_module *m = g->f->module;
    nm_attr attr = nm_mk_extent(m, "of", e);
    return nm_build(g->f, g->before,
                    &(nm_proto){.code = NM_OP_size,
                                .loc = op->loc,
                                .type = nm_type_scalar(m, NM_i32),
                                .n_attrs = 1,
                                .attr = &attr});
}

static nm_value *index_of(nm_grad *g, const nm_op *op, nm_dim dim)
{
    nm_module *m = g->f->module;
    nm_attr attr = nm_mk_sym(m, "dim", dim.name);
    return nm_build(g->f, g->before,
                    &(nm_proto){.code = NM_OP_index,
                                .loc = op->loc,
                                .type = nm_type_with_outer(m, nm_type_scalar(m, NM_i32), dim),
                                .n_attrs = 1,
                                .attr = &attr});
}

// Reflected: index i of the result is index |i - before| of x, folded back at the far edge, too.
static void reflect_grad(nm_grad *g, nm_op *op, nm_value *x, nm_value *dy, nm_sym over)
{
    nm_module *m = g->f->module;
    nm_dim there = dy->type->dim[nm_type_find(dy->type, over)];
    there.name = nm_sym_fmt(m, "%s.pad", over);
    nm_attr attr[] = {nm_mk_sym(m, "from", over), nm_mk_sym(m, "to", there.name)};
    const nm_extent *n = x->type->dim[nm_type_find(x->type, over)].extent;

    nm_value *before = size_of(g, op, nm_attr_get(op, "before")->u.extent);
    nm_value *last = size_of(g, op, nm_extent_add(m, n, nm_extent_const(m, -1)));
    nm_value *at = map2(g, op, NM_OP_sub, index_of(g, op, there), before);
    at = map1(g, op, NM_OP_abs, at);
    at = map1(g, op, NM_OP_abs, map2(g, op, NM_OP_sub, last, at));
    at = map2(g, op, NM_OP_sub, last, at);
    nm_value *moved = with(g, op, NM_OP_rename, dy, NULL, 2, attr);
    nm_grad_into(g, op, x, scatter_add(g, op, moved, at, over, x->type));
}

void nm_grad_pad(nm_grad *g, nm_op *op)
{
    nm_value *x = op->in[0], *dy = dy0(g, op);
    nm_sym over = nm_attr_sym(op, "over");
    if (!strcmp(nm_attr_sym(op, "mode"), "reflect"))
        reflect_grad(g, op, x, dy, over);
    else
        nm_grad_into(g, op, x, slice_like(g, op, dy, x, over, nm_attr_get(op, "before")->u.extent));
}

void nm_grad_concat(nm_grad *g, nm_op *op)
{
    nm_module *m = g->f->module;
    nm_sym over = nm_attr_sym(op, "over");
    const nm_extent *start = nm_extent_const(m, 0);
    for (int i = 0; i < op->n_in; i++) {
        nm_value *x = op->in[i];
        nm_grad_into(g, op, x, slice_like(g, op, dy0(g, op), x, over, start));
        start = nm_extent_add(m, start, x->type->dim[nm_type_find(x->type, over)].extent);
    }
}

// y = a, constant along new dims: their sum goes back (nm_grad_into does that)
void nm_grad_broadcast(nm_grad *g, nm_op *op) { nm_grad_into(g, op, op->in[0], dy0(g, op)); }

// Does each index of y's dims but `over` pick once? Then the transpose of picking is a comparison.
static bool picks_once(const nm_value *x, const nm_value *at, nm_sym over)
{
    for (int i = 0; i < at->type->rank; i++)
        if (!nm_has_dim(x->type, at->type->dim[i].name) || at->type->dim[i].name == over)
            return false;
    return true;
}

// y = a at b:  da = dy at b, the rest 0. Where b is aligned with a (labels and logits) that is a
// map, which fuses with the rest of a's gradient; else (tokens and embedding) many may meet:
// scatter_add.
void nm_grad_gather(nm_grad *g, nm_op *op)
{
    nm_value *x = op->in[0], *dy = dy0(g, op), *at = in(g, op, 1);
    nm_sym over = nm_attr_sym(op, "over");
    if (!picks_once(x, at, over)) {
        nm_grad_into(g, op, x, scatter_add(g, op, dy, at, over, x->type));
        return;
    }
    nm_module *m = g->f->module;
    nm_dim dim = x->type->dim[nm_type_find(x->type, over)];
    nm_value *here = index_of(g, op, dim);
    nm_value *last = size_of(g, op, nm_extent_add(m, dim.extent, nm_extent_const(m, -1)));
    if (at->type->dtype != NM_i32) {
        nm_attr to = nm_mk_dtype(m, "to", NM_i32);
        at = with(g, op, NM_OP_cast, at, NULL, 1, &to);
    }
    at = map2(g, op, NM_OP_minimum, map2(g, op, NM_OP_maximum, at, number(g, op, at, 0)), last);
    nm_value *hit = map2(g, op, NM_OP_eq, at, here);
    nm_grad_into(g, op, x, select(g, op, hit, dy, number(g, op, dy, 0)));
}

// The attributes of windows or overlap_add, turned round.
static nm_value *turned(nm_grad *g, nm_op *op, nm_opcode code)
{
    nm_module *m = g->f->module;
    nm_attr attr[] = {nm_mk_sym(m, "over", nm_attr_sym(op, "into")),
                      nm_mk_sym(m, "tap", nm_attr_sym(op, "tap")),
                      nm_mk_sym(m, "into", nm_attr_sym(op, "over")),
                      nm_mk_int(m, "stride", nm_attr_int(op, "stride", 1)),
                      nm_mk_int(m, "dilate", nm_attr_int(op, "dilate", 1)),
                      nm_mk_int(m, "before", nm_attr_int(op, "before", 0))};
    return with(g, op, code, dy0(g, op), op->in[0]->type, 6, attr);
}

void nm_grad_windows(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], turned(g, op, NM_OP_overlap_add));
}

// --- writes ------------------------------------------------------------------------------------

// y = zeros, a added at b:  da = dy at b
void nm_grad_scatter_add(nm_grad *g, nm_op *op)
{
    nm_attr attr = nm_mk_sym(g->f->module, "over", nm_attr_sym(op, "over"));
    nm_value *da = nm_build(g->f, g->before,
                            &(nm_proto){.code = NM_OP_gather,
                                        .loc = op->loc,
                                        .n_in = 2,
                                        .in = (nm_value *[]){dy0(g, op), in(g, op, 1)},
                                        .n_attrs = 1,
                                        .attr = &attr});
    nm_grad_into(g, op, op->in[0], da);
}

void nm_grad_overlap_add(nm_grad *g, nm_op *op)
{
    nm_grad_into(g, op, op->in[0], turned(g, op, NM_OP_windows));
}

// autodiff inlines calls first.
void nm_grad_call(nm_grad *g, nm_op *op)
{
    g->failed = !nm_error(g->f->module->diag, op->loc, "call has no gradient: inline it first");
}
