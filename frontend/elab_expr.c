// Expressions: constants are folded as numbers, extents as extents; the rest becomes maps.
#include "frontend/elab_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- arithmetic that is known now ----------------------------------------------------------------

static bool is_comparison(nm_ast_binary_op op) { return op >= NM_BIN_eq && op <= NM_BIN_ge; }

static bool compare(nm_ast_binary_op op, double a, double b)
{
    switch (op) {
    case NM_BIN_eq: return a == b;
    case NM_BIN_ne: return a != b;
    case NM_BIN_lt: return a < b;
    case NM_BIN_le: return a <= b;
    case NM_BIN_gt: return a > b;
    default: return a >= b;
    }
}

static double calculate(nm_ast_binary_op op, double a, double b)
{
    switch (op) {
    case NM_BIN_add: return a + b;
    case NM_BIN_sub: return a - b;
    case NM_BIN_mul: return a * b;
    case NM_BIN_div: return a / b;
    case NM_BIN_idiv: return floor(a / b);
    case NM_BIN_mod: return a - b * floor(a / b);
    default: return pow(a, b);
    }
}

static nm_ev fold_numbers(nm_elab *e, nm_frame *f, nm_ast_binary_op op, nm_ev a, nm_ev b,
                          nm_loc loc)
{
    bool divides = op == NM_BIN_div || op == NM_BIN_idiv || op == NM_BIN_mod;
    if (is_comparison(op))
        return nm_ev_bool(compare(op, a.u.num, b.u.num));
    if (divides && b.u.num == 0)
        return nm_elab_error(e, f, loc, "division by zero [num-2]");
    double v = calculate(op, a.u.num, b.u.num);
    if (!isfinite(v))
        return nm_elab_error(e, f, loc, "%g %s %g is not a finite number [num-2]", a.u.num,
                             nm_ast_binary_text(op), b.u.num);
    return nm_ev_num(v);
}

static const nm_extent *as_extent(nm_elab *e, nm_ev v)
{
    int64_t n;
    if (v.kind == NM_EV_extent)
        return v.u.extent;
    return nm_ev_is_whole(v, &n) ? nm_extent_const(e->m, n) : NULL;
}

// a - b * (a // b)
static const nm_extent *remainder_of(nm_elab *e, const nm_extent *a, const nm_extent *b)
{
    const nm_extent *q = nm_extent_mul(e->m, nm_extent_div(e->m, a, b), b);
    return nm_extent_add(e->m, a, nm_extent_mul(e->m, q, nm_extent_const(e->m, -1)));
}

static const nm_extent *fold_extents(nm_elab *e, nm_ast_binary_op op, const nm_extent *a,
                                     const nm_extent *b)
{
    nm_module *m = e->m;
    const nm_extent *q;
    if (!a || !b)
        return NULL;
    switch (op) {
    case NM_BIN_add: return nm_extent_add(m, a, b);
    case NM_BIN_sub: return nm_extent_add(m, a, nm_extent_mul(m, b, nm_extent_const(m, -1)));
    case NM_BIN_mul: return nm_extent_mul(m, a, b);
    case NM_BIN_idiv: return nm_extent_div(m, a, b);
    case NM_BIN_mod: return remainder_of(e, a, b);
    case NM_BIN_div: q = nm_extent_div(m, a, b); return q && nm_extent_mul(m, q, b) == a ? q : NULL;
    default: return NULL;
    }
}

// --- arithmetic on tensors -----------------------------------------------------------------------

static nm_value *build_pow(nm_elab *e, nm_loc loc, nm_value *a, nm_value *b, nm_ev exponent)
{
    bool small = exponent.kind == NM_EV_num && (exponent.u.num == 2 || exponent.u.num == 3);
    if (!small)
        return nm_elab_op2(e, loc, NM_OP_pow, a, b);
    nm_value *square = nm_elab_op2(e, loc, NM_OP_mul, a, a);
    return exponent.u.num == 2 ? square : nm_elab_op2(e, loc, NM_OP_mul, square, a);
}

static nm_value *build_floor_div(nm_elab *e, nm_loc loc, nm_value *a, nm_value *b)
{
    if (nm_dtype_is_int(a->type->dtype))
        return nm_elab_op2(e, loc, NM_OP_idiv, a, b);
    return nm_elab_op1(e, loc, NM_OP_floor, nm_elab_op2(e, loc, NM_OP_div, a, b));
}

static nm_value *build_mod(nm_elab *e, nm_loc loc, nm_value *a, nm_value *b)
{
    if (nm_dtype_is_int(a->type->dtype))
        return nm_elab_op2(e, loc, NM_OP_mod, a, b);
    return nm_elab_op2(e, loc, NM_OP_sub, a,
                       nm_elab_op2(e, loc, NM_OP_mul, b, build_floor_div(e, loc, a, b)));
}

static nm_value *build_binary(nm_elab *e, nm_ast_binary_op op, nm_value *a, nm_value *b,
                              nm_ev exponent, nm_loc loc)
{
    switch (op) {
    case NM_BIN_or: return nm_elab_op2(e, loc, NM_OP_or, a, b);
    case NM_BIN_and: return nm_elab_op2(e, loc, NM_OP_and, a, b);
    case NM_BIN_eq: return nm_elab_op2(e, loc, NM_OP_eq, a, b);
    case NM_BIN_ne: return nm_elab_op1(e, loc, NM_OP_not, nm_elab_op2(e, loc, NM_OP_eq, a, b));
    case NM_BIN_lt: return nm_elab_op2(e, loc, NM_OP_lt, a, b);
    case NM_BIN_le: return nm_elab_op2(e, loc, NM_OP_le, a, b);
    case NM_BIN_gt: return nm_elab_op2(e, loc, NM_OP_lt, b, a);
    case NM_BIN_ge: return nm_elab_op2(e, loc, NM_OP_le, b, a);
    case NM_BIN_add: return nm_elab_op2(e, loc, NM_OP_add, a, b);
    case NM_BIN_sub: return nm_elab_op2(e, loc, NM_OP_sub, a, b);
    case NM_BIN_mul: return nm_elab_op2(e, loc, NM_OP_mul, a, b);
    case NM_BIN_div: return nm_elab_op2(e, loc, NM_OP_div, a, b);
    case NM_BIN_idiv: return build_floor_div(e, loc, a, b);
    case NM_BIN_mod: return build_mod(e, loc, a, b);
    case NM_BIN_pow: return build_pow(e, loc, a, b, exponent);
    }
    return NULL;
}

// Arithmetic keeps the arrow of the operand that has one; what is compared or picked by is plain.
static nm_ev result_like(nm_elab *e, nm_ast_binary_op op, nm_ev a, nm_ev b, nm_value *v)
{
    nm_ev arrow = a.kind == NM_EV_tensor && a.u.t->is_arrow ? a : b;
    bool weak = nm_ev_is_number(a) && nm_ev_is_number(b) && !is_comparison(op);
    if (!v)
        return nm_ev_poison();
    if (weak)
        return nm_ev_tensor(e, (nm_tensor){.v = v, .weak = true});
    nm_ev out = is_comparison(op) ? nm_ev_value(e, v) : nm_ev_like(e, arrow, v);
    if (out.kind == NM_EV_tensor && out.u.t->index_of) {
        nm_tensor plain = *out.u.t;
        plain.index_of = NULL;
        out = nm_ev_tensor(e, plain);
    }
    return out;
}

static bool int_division(nm_elab *e, nm_frame *f, nm_ast_binary_op op, nm_ev a, nm_ev b,
                         nm_value *v, nm_loc loc, const nm_ast_expr *x)
{
    if (op != NM_BIN_div || !v || nm_dtype_table[v->type->dtype].is_float)
        return true;
    nm_ev t = a.kind == NM_EV_tensor ? a : b;
    const char *left = x ? nm_elab_source_text(e, x->u.binary.a->loc) : "a";
    const char *right = x ? nm_elab_source_text(e, x->u.binary.b->loc) : "b";
    nm_elab_error(e, f, loc, "'/' on %s; write '//' to round down, or f32(%s) / %s [num-2]",
                  t.kind == NM_EV_tensor ? nm_type_str(e->m, t.u.t->v->type) : "whole numbers",
                  left, right);
    return false;
}

static nm_ev binary_on_tensors(nm_elab *e, nm_frame *f, nm_ast_binary_op op, nm_ev a, nm_ev b,
                               nm_loc loc, const nm_ast_expr *x)
{
    nm_ev in[] = {a, b};
    nm_value *v[2];
    bool numbers = nm_ev_is_number(a) && nm_ev_is_number(b);
    if (op == NM_BIN_and || op == NM_BIN_or)
        for (int i = 0; i < 2; i++)
            if (in[i].kind == NM_EV_tensor && in[i].u.t->v->type->dtype != NM_bool)
                return nm_elab_error(e, f, loc, "'%s' takes bools, and %s is %s [num-1]",
                                     nm_ast_binary_text(op), nm_ev_name(e, in[i], "this"),
                                     nm_tensor_str(e, in[i].u.t));
    if (numbers && (op == NM_BIN_div || op == NM_BIN_pow)) { // of numbers that are known later
        v[0] = nm_ev_materialise(e, a, NM_f32, loc);
        v[1] = nm_ev_materialise(e, b, NM_f32, loc);
    } else if (!nm_elab_unify(e, f, 2, in, v, loc, true)) {
        return nm_ev_poison();
    }
    if (!int_division(e, f, op, a, b, v[0], loc, x))
        return nm_ev_poison();
    return result_like(e, op, a, b, build_binary(e, op, v[0], v[1], b, loc));
}

// --- binary --------------------------------------------------------------------------------------

static nm_ev join_tuples(nm_elab *e, nm_ev a, nm_ev b)
{
    int n = a.u.tuple.n + b.u.tuple.n;
    nm_ev *item = nm_new_n(e->a, nm_ev, (size_t)n);
    for (int i = 0; i < n; i++)
        item[i] = i < a.u.tuple.n ? a.u.tuple.item[i] : b.u.tuple.item[i - a.u.tuple.n];
    return nm_ev_tuple(e, n, item);
}

// (a, b) * 3
static nm_ev repeat_tuple(nm_elab *e, nm_frame *f, nm_ev tuple, nm_ev times, nm_loc loc)
{
    enum { MOST = 4096 };
    int64_t n = 0;
    int len = tuple.u.tuple.n;
    times = nm_ev_number(e, f, times);
    if (times.kind == NM_EV_poison)
        return times;
    if (!nm_ev_is_whole(times, &n) || n < 0 || n > MOST || n * len > MOST)
        return nm_elab_error(e, f, loc,
                             "a tuple is taken a whole number of times, and has %d elements at "
                             "most; this is %s times %d [num-1]",
                             MOST, nm_ev_describe(e, times), len);
    nm_ev *item = nm_new_n(e->a, nm_ev, (size_t)(n * len) + 1);
    for (int i = 0; i < n * len; i++)
        item[i] = tuple.u.tuple.item[i % len];
    return nm_ev_tuple(e, (int)n * len, item);
}

static bool is_list(nm_ev v)
{
    return v.kind == NM_EV_tuple || (v.kind == NM_EV_dims && v.u.dims.n != 1);
}

static bool compares_as_is(nm_ev a, nm_ev b)
{
    bool numbers = (nm_ev_is_number(a) || a.kind == NM_EV_tensor) &&
                   (nm_ev_is_number(b) || b.kind == NM_EV_tensor);
    return !numbers || is_list(a) || is_list(b);
}

static nm_ev logic(nm_elab *e, nm_frame *f, nm_ast_binary_op op, nm_ev a, nm_ev b, nm_loc loc,
                   const nm_ast_expr *x)
{
    nm_ev known = a.kind == NM_EV_bool ? a : b, other = a.kind == NM_EV_bool ? b : a;
    if (known.kind != NM_EV_bool)
        return binary_on_tensors(e, f, op, a, b, loc, x);
    if (other.kind != NM_EV_bool && other.kind != NM_EV_tensor)
        return nm_elab_error(e, f, loc, "'%s' takes bools, not %s [num-1]", nm_ast_binary_text(op),
                             nm_ev_describe(e, other));
    return known.u.b == (op == NM_BIN_and) ? other : known;
}

static bool is_operand(nm_ev v)
{
    return v.kind == NM_EV_num || v.kind == NM_EV_extent || v.kind == NM_EV_tensor;
}

nm_ev nm_elab_binary(nm_elab *e, nm_frame *f, nm_ast_binary_op op, nm_ev a, nm_ev b, nm_loc loc,
                     const nm_ast_expr *x)
{
    if (a.kind == NM_EV_poison || b.kind == NM_EV_poison)
        return nm_ev_poison();
    if (op == NM_BIN_and || op == NM_BIN_or)
        return logic(e, f, op, a, b, loc, x);
    if ((op == NM_BIN_eq || op == NM_BIN_ne) && compares_as_is(a, b))
        return nm_ev_bool(nm_ev_same(e, a, b) == (op == NM_BIN_eq));
    if (op == NM_BIN_add && a.kind == NM_EV_tuple && b.kind == NM_EV_tuple)
        return join_tuples(e, a, b);
    if (op == NM_BIN_mul && a.kind == NM_EV_tuple)
        return repeat_tuple(e, f, a, b, loc);
    a = nm_ev_number(e, f, a);
    b = nm_ev_number(e, f, b);
    if (a.kind == NM_EV_poison || b.kind == NM_EV_poison)
        return nm_ev_poison();
    if (!is_operand(a) || !is_operand(b))
        return nm_elab_error(e, f, loc, "'%s' takes numbers and tensors, not %s [num-1]",
                             nm_ast_binary_text(op), nm_ev_describe(e, is_operand(a) ? b : a));
    if (a.kind == NM_EV_num && b.kind == NM_EV_num)
        return fold_numbers(e, f, op, a, b, loc);
    if (a.kind != NM_EV_tensor && b.kind != NM_EV_tensor) {
        const nm_extent *n = fold_extents(e, op, as_extent(e, a), as_extent(e, b));
        if (n)
            return nm_ev_extent(e, n);
    }
    return binary_on_tensors(e, f, op, a, b, loc, x);
}

// --- unary ---------------------------------------------------------------------------------------

static nm_ev negate(nm_elab *e, nm_frame *f, nm_ev v, nm_loc loc)
{
    v = nm_ev_number(e, f, v);
    if (v.kind == NM_EV_num)
        return nm_ev_num(-v.u.num);
    if (v.kind == NM_EV_extent)
        return nm_ev_extent(e, nm_extent_mul(e->m, v.u.extent, nm_extent_const(e->m, -1)));
    if (v.kind == NM_EV_tensor && v.u.t->v->type->dtype != NM_bool) {
        nm_tensor t = *v.u.t;
        t.v = nm_elab_op1(e, loc, NM_OP_neg, t.v);
        t.index_of = NULL;
        t.param = NULL;
        return nm_ev_tensor(e, t);
    }
    return v.kind == NM_EV_poison
               ? v
               : nm_elab_error(e, f, loc, "'-' takes a number or tensor, not %s [num-1]",
                               nm_ev_describe(e, v));
}

static nm_ev invert(nm_elab *e, nm_frame *f, nm_ev v, nm_loc loc)
{
    if (v.kind == NM_EV_bool)
        return nm_ev_bool(!v.u.b);
    if (v.kind == NM_EV_tensor && v.u.t->v->type->dtype == NM_bool)
        return nm_ev_value(e, nm_elab_op1(e, loc, NM_OP_not, v.u.t->v));
    return v.kind == NM_EV_poison ? v
                                  : nm_elab_error(e, f, loc, "'not' takes a bool, not %s [num-1]",
                                                  nm_ev_describe(e, v));
}

// --- choices -------------------------------------------------------------------------------------

// The first name in a condition, for "and step is known later".
static nm_sym first_name(const nm_ast_expr *x)
{
    nm_sym s;
    switch (x->kind) {
    case NM_EXPR_name: return x->u.name.sym;
    case NM_EXPR_unary: return first_name(x->u.unary.a);
    case NM_EXPR_binary: s = first_name(x->u.binary.a); return s ? s : first_name(x->u.binary.b);
    case NM_EXPR_view: return first_name(x->u.view.of);
    case NM_EXPR_call:
        for (int i = 0; i < x->u.call.n_args; i++)
            if (x->u.call.arg[i].expr && (s = first_name(x->u.call.arg[i].expr)))
                return s;
        return NULL;
    default: return NULL;
    }
}

bool nm_elab_static(nm_elab *e, nm_frame *f, const nm_ast_expr *cond, const nm_ast_expr *whole,
                    bool *out)
{
    nm_ev v = nm_elab_expr(e, f, cond);
    nm_sym name = first_name(cond);
    *out = v.kind == NM_EV_bool && v.u.b;
    if (v.kind == NM_EV_bool || v.kind == NM_EV_poison)
        return v.kind == NM_EV_bool;
    if (v.kind != NM_EV_tensor && v.kind != NM_EV_extent) {
        nm_elab_error(e, f, cond->loc, "'if' takes a bool, not %s [static-1]",
                      nm_ev_describe(e, v));
        return false;
    }
    const char *a = whole ? nm_elab_source_text(e, whole->u.if_.then->loc) : "a";
    const char *b = whole ? nm_elab_source_text(e, whole->u.if_.other->loc) : "b";
    nm_elab_error(
        e, f, cond->loc,
        "'if' is decided when nemocc runs, and %s is known later; use where(%s, %s, %s) [static-1]",
        name ? name : "this", nm_elab_source_text(e, cond->loc), a, b);
    return false;
}

static nm_ev choose(nm_elab *e, nm_frame *f, const nm_ast_expr *x)
{
    bool yes;
    if (!nm_elab_static(e, f, x->u.if_.cond, x, &yes))
        return nm_ev_poison();
    return nm_elab_expr(e, f, yes ? x->u.if_.then : x->u.if_.other);
}

// --- all -----------------------------------------------------------------------------------------

static nm_ev tuple(nm_elab *e, nm_frame *f, int n, nm_ast_expr **item)
{
    nm_ev *v = nm_new_n(e->a, nm_ev, (size_t)n);
    for (int i = 0; i < n; i++)
        v[i] = nm_elab_expr(e, f, item[i]);
    return nm_ev_tuple(e, n, v);
}

nm_ev nm_elab_exprs(nm_elab *e, nm_frame *f, const nm_ast_exprs *x)
{
    return x->n == 1 ? nm_elab_expr(e, f, x->expr[0]) : tuple(e, f, x->n, x->expr);
}

static nm_ev binary(nm_elab *e, nm_frame *f, const nm_ast_expr *x)
{
    nm_ev a = nm_elab_expr(e, f, x->u.binary.a);
    nm_ast_binary_op op = x->u.binary.op;
    if (a.kind == NM_EV_bool && (op == NM_BIN_and || op == NM_BIN_or) && a.u.b == (op == NM_BIN_or))
        return a; // decided: the other side may not even be meaningful
    nm_ev b = nm_elab_expr(e, f, x->u.binary.b);
    return nm_elab_binary(e, f, op, a, b, x->op_loc, x);
}

static nm_ev evaluate(nm_elab *e, nm_frame *f, const nm_ast_expr *x)
{
    switch (x->kind) {
    case NM_EXPR_number: return nm_ev_num(x->u.number.f);
    case NM_EXPR_string: return nm_ev_word(NM_EV_string, x->u.string);
    case NM_EXPR_name: return nm_name_value(e, f, &x->u.name, x->loc);
    case NM_EXPR_tuple: return tuple(e, f, x->u.tuple.n, x->u.tuple.item);
    case NM_EXPR_unary: {
        nm_ev a = nm_elab_expr(e, f, x->u.unary.a);
        return x->u.unary.op == NM_UN_neg ? negate(e, f, a, x->op_loc) : invert(e, f, a, x->op_loc);
    }
    case NM_EXPR_binary: return binary(e, f, x);
    case NM_EXPR_if: return choose(e, f, x);
    case NM_EXPR_call: return nm_elab_call(e, f, x);
    case NM_EXPR_view: return nm_elab_view(e, f, x);
    }
    return nm_ev_poison();
}

nm_ev nm_elab_expr(nm_elab *e, nm_frame *f, const nm_ast_expr *x)
{
    if (!nm_elab_enter(e, f, x->loc))
        return nm_ev_poison();
    nm_ev v = evaluate(e, f, x);
    nm_elab_leave(e);
    bool named = x->kind == NM_EXPR_name;
    if (!f->user_fn) {
        v.loc = x->loc;
        if (!named)
            v.text = NULL;
    } else if (!named) {
        v.loc = f->user_loc;
        v.text = NULL;
    }
    return v;
}
