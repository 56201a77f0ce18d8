// The built-ins: one row each, with their parameters as a definition would write them. `?` marks
// what may be left out; two rows of one name differ in the number of arguments.
#include "frontend/elab_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- maps
// ----------------------------------------------------------------------------------------------

static bool fold(int code, double x, double *out)
{
    switch (code) {
    case NM_OP_exp: *out = exp(x); break;
    case NM_OP_log: *out = log(x); break;
    case NM_OP_sqrt: *out = sqrt(x); break;
    case NM_OP_sin: *out = sin(x); break;
    case NM_OP_cos: *out = cos(x); break;
    case NM_OP_tanh: *out = tanh(x); break;
    case NM_OP_erf: *out = erf(x); break;
    case NM_OP_floor: *out = floor(x); break;
    case NM_OP_abs: *out = fabs(x); break;
    case NM_OP_sign: *out = (x > 0) - (x < 0); break;
    default: *out = x;
    }
    return isfinite(*out);
}

static bool takes_ints(int code)
{
    return code == NM_OP_abs || code == NM_OP_sign || code == NM_OP_stop;
}

static nm_ev run_map(nm_elab *e, nm_bcall *c)
{
    nm_ev x = nm_ev_number(e, c->f, c->v[0]);
    double v;
    if (x.kind == NM_EV_num && fold(c->b->arg, x.u.num, &v))
        return nm_ev_num(v);
    if (x.kind == NM_EV_num)
        return nm_elab_error(e, c->f, c->loc, "%s(%g) is not a number [num-2]", c->b->name,
                             x.u.num);
    if (x.kind == NM_EV_extent)
        x = nm_ev_tensor(e,
                         (nm_tensor){.v = nm_ev_materialise(e, x, NM_f32, c->loc), .weak = true});
    if (x.kind != NM_EV_tensor)
        return nm_elab_error(e, c->f, c->loc, "%s takes a number or a tensor, not %s [num-1]",
                             c->b->name, nm_ev_describe(e, x));
    nm_tensor t = *x.u.t;
    bool is_float = nm_dtype_table[t.v->type->dtype].is_float;
    if (!is_float && c->b->arg == NM_OP_floor)
        return x;
    if (!is_float && !(takes_ints(c->b->arg) && t.v->type->dtype != NM_bool))
        return nm_elab_error(e, c->f, c->loc,
                             "%s takes reals, and %s is %s; cast it: f32(...) [num-1]", c->b->name,
                             nm_ev_name(e, x, "this"), nm_tensor_str(e, &t));
    t.v = nm_elab_op1(e, c->loc, (nm_opcode)c->b->arg, t.v);
    t.param = NULL;
    if (c->b->arg != NM_OP_stop)
        t.index_of = NULL;
    return nm_ev_tensor(e, t);
}

static nm_ev run_extreme(nm_elab *e, nm_bcall *c) // maximum, minimum
{
    nm_ev in[] = {nm_ev_number(e, c->f, c->v[0]), nm_ev_number(e, c->f, c->v[1])};
    nm_value *v[2];
    if (in[0].kind == NM_EV_num && in[1].kind == NM_EV_num)
        return nm_ev_num((in[0].u.num > in[1].u.num) == (c->b->arg == NM_OP_maximum) ? in[0].u.num
                                                                                     : in[1].u.num);
    for (int i = 0; i < 2; i++)
        if (in[i].kind != NM_EV_tensor && !nm_ev_is_number(in[i]))
            return nm_elab_error(e, c->f, c->loc, "%s takes numbers and tensors, not %s [num-1]",
                                 c->b->name, nm_ev_describe(e, in[i]));
    if (!nm_elab_unify(e, c->f, 2, in, v, c->loc, true))
        return nm_ev_poison();
    bool weak = nm_ev_is_number(in[0]) && nm_ev_is_number(in[1]);
    return nm_ev_tensor(
        e,
        (nm_tensor){.v = nm_elab_op2(e, c->loc, (nm_opcode)c->b->arg, v[0], v[1]), .weak = weak});
}

static bool all_whole(const nm_ev *v, int n)
{
    int64_t i;
    for (int k = 0; k < n; k++)
        if (!nm_ev_is_whole(v[k], &i) && v[k].kind != NM_EV_extent)
            return false;
    return true;
}

static nm_ev run_where(nm_elab *e, nm_bcall *c)
{
    nm_ev cond = c->v[0], in[] = {nm_ev_number(e, c->f, c->v[1]), nm_ev_number(e, c->f, c->v[2])};
    nm_value *v[3];
    if (cond.kind == NM_EV_bool)
        return cond.u.b ? c->v[1] : c->v[2];
    if (cond.kind != NM_EV_tensor || cond.u.t->v->type->dtype != NM_bool)
        return nm_elab_error(e, c->f, c->loc, "where's condition is a bool, not %s [num-1]",
                             nm_ev_describe(e, cond));
    for (int i = 0; i < 2; i++)
        if (in[i].kind == NM_EV_bool)
            in[i] = nm_ev_value(e, nm_ev_materialise(e, in[i], NM_bool, c->loc));
        else if (in[i].kind != NM_EV_tensor && !nm_ev_is_number(in[i]))
            return nm_elab_error(e, c->f, c->loc, "where takes numbers and tensors, not %s [num-1]",
                                 nm_ev_describe(e, in[i]));
    bool weak = nm_ev_is_number(in[0]) && nm_ev_is_number(in[1]);
    if (weak && all_whole(in, 2)) {
        v[1] = nm_ev_materialise(e, in[0], NM_i32, c->loc);
        v[2] = nm_ev_materialise(e, in[1], NM_i32, c->loc);
    } else if (!nm_elab_unify(e, c->f, 2, in, v + 1, c->loc, false)) {
        return nm_ev_poison();
    }
    nm_ev all[] = {cond, nm_ev_value(e, v[1]), nm_ev_value(e, v[2])};
    for (int i = 0; i < 2; i++)
        all[i + 1].text = in[i].text;
    if (!v[1] || !v[2] || !nm_elab_align(e, c->f, 3, all, c->loc))
        return nm_ev_poison();
    v[0] = cond.u.t->v;
    nm_sym of[] = {in[0].kind == NM_EV_tensor ? in[0].u.t->index_of : NULL,
                   in[1].kind == NM_EV_tensor ? in[1].u.t->index_of : NULL};
    nm_sym index_of = of[0] && of[1]            ? (of[0] == of[1] ? of[0] : NULL)
                      : in[0].kind == NM_EV_num ? of[1]
                      : in[1].kind == NM_EV_num ? of[0]
                                                : NULL;
    return nm_ev_tensor(e,
                        (nm_tensor){.v = nm_elab_op(e, c->loc, NM_OP_select, 3, v, 0, NULL, NULL),
                                    .weak = weak,
                                    .index_of = index_of});
}

static nm_ev cast_to(nm_elab *e, nm_frame *f, nm_ev x, nm_dtype to, nm_loc loc, bool numbers_stay)
{
    x = nm_ev_number(e, f, x);
    if (x.kind == NM_EV_num && numbers_stay)
        return nm_ev_num(nm_dtype_is_int(to) ? trunc(x.u.num) : x.u.num);
    if (x.kind == NM_EV_num || x.kind == NM_EV_extent || x.kind == NM_EV_bool)
        return nm_ev_value(e, nm_ev_materialise(e, x, to, loc));
    if (x.kind != NM_EV_tensor)
        return x.kind == NM_EV_poison
                   ? x
                   : nm_elab_error(e, f, loc, "a cast takes a number or tensor, not %s [num-1]",
                                   nm_ev_describe(e, x));
    nm_tensor t = *x.u.t;
    t.v = nm_elab_cast(e, loc, t.v, to);
    t.weak = false;
    t.index_of = NULL;
    t.param = NULL;
    return nm_ev_tensor(e, t);
}

static nm_ev run_cast(nm_elab *e, nm_bcall *c)
{
    if (c->v[1].kind == NM_EV_tensor)
        return cast_to(e, c->f, c->v[0], c->v[1].u.t->v->type->dtype, c->loc, false);
    if (nm_ev_is_number(c->v[1]))
        return c->v[0];
    return nm_elab_error(e, c->f, c->loc, "cast(x, y) takes y's dtype, and y is %s [num-1]",
                         nm_ev_describe(e, c->v[1]));
}

// --- reductions
// --------------------------------------------------------------------------------------------

static bool is_tensor(nm_elab *e, nm_bcall *c, int i)
{
    if (c->v[i].kind == NM_EV_tensor)
        return true;
    nm_elab_error(e, c->f, c->loc, "%s takes a tensor, and %s is %s [num-1]", c->b->name,
                  nm_ev_name(e, c->v[i], "this"), nm_ev_describe(e, c->v[i]));
    return false;
}

static bool reduces_slot(nm_elab *e, nm_bcall *c, nm_edims over)
{
    for (int i = 0; i < over.n; i++)
        if (over.dim[i].name == e->slot && e->slot) {
            nm_elab_error(e, c->f, c->loc,
                          "'%s' is ragged; nothing but combine reduces it [route-2]", e->slot);
            return true;
        }
    return false;
}

static nm_ev run_reduce(nm_elab *e, nm_bcall *c) // sum, max
{
    nm_edims over = c->v[1].u.dims;
    if (!over.n)
        return c->v[0];
    if (!is_tensor(e, c, 0) || reduces_slot(e, c, over) ||
        !nm_dims_must_have(e, c->f, c->v[0], over, c->loc, c->b->name))
        return nm_ev_poison();
    if (c->v[0].u.t->v->type->dtype == NM_bool)
        return nm_elab_error(
            e, c->f, c->loc, "%s takes numbers, and %s is %s; cast it: i32(...) [num-1]",
            c->b->name, nm_ev_name(e, c->v[0], "this"), nm_tensor_str(e, c->v[0].u.t));
    nm_attr attr = nm_mk_dims(e->m, "over", nm_syms_of(e, over));
    nm_value *x = c->v[0].u.t->v;
    return nm_ev_value(e, nm_elab_op(e, c->loc, (nm_opcode)c->b->arg, 1, &x, 1, &attr, NULL));
}

static nm_ev run_cumsum(nm_elab *e, nm_bcall *c)
{
    nm_edims over = c->v[1].u.dims;
    if (!is_tensor(e, c, 0) || !nm_dims_must_have(e, c->f, c->v[0], over, c->loc, c->b->name))
        return nm_ev_poison();
    nm_attr attr = nm_mk_sym(e->m, "over", over.dim[0].name);
    nm_value *x = c->v[0].u.t->v;
    return nm_ev_value(e, nm_elab_op(e, c->loc, NM_OP_cumsum, 1, &x, 1, &attr, NULL));
}

static nm_ev run_dot(nm_elab *e, nm_bcall *c)
{
    nm_edims over = c->v[2].u.dims;
    nm_value *v[2];
    if (!is_tensor(e, c, 0) || !is_tensor(e, c, 1) || reduces_slot(e, c, over))
        return nm_ev_poison();
    for (int i = 0; i < over.n; i++)
        if (!nm_has_dim(c->v[1].u.t->v->type, over.dim[i].name) &&
            !nm_dim_must_have(e, c->f, c->v[0], over.dim[i], c->loc, "dot"))
            return nm_ev_poison();
    if (!nm_elab_unify(e, c->f, 2, c->v, v, c->loc, false))
        return nm_ev_poison();
    nm_attr attr = nm_mk_dims(e->m, "over", nm_syms_of(e, over));
    return nm_ev_value(e, nm_elab_op(e, c->loc, NM_OP_dot, 2, v, 1, &attr, NULL));
}

static nm_syms without(nm_elab *e, nm_syms a, nm_syms b)
{
    nm_sym *s = nm_new_n(e->a, nm_sym, (size_t)a.n);
    int n = 0;
    for (int i = 0; i < a.n; i++)
        if (!nm_syms_has(b, a.sym[i]))
            s[n++] = a.sym[i];
    return (nm_syms){n, s};
}

// Where the user wrote the dim that an arrow's domain wants, if a parameter of this frame says it.
static nm_edim dim_as_written(nm_frame *f, nm_sym name, nm_loc loc)
{
    for (int i = 0; i < f->n_dims; i++)
        for (int k = 0; k < f->dim[i].dims.n; k++)
            if (f->dim[i].dims.dim[k].name == name)
                return f->dim[i].dims.dim[k];
    return (nm_edim){.name = name, .loc = loc};
}

nm_ev nm_apply_arrow(nm_elab *e, nm_frame *f, nm_ev w, nm_ev x, nm_loc loc)
{
    const nm_tensor *t = w.u.t;
    nm_value *v[2];
    int primes;
    if (x.kind != NM_EV_tensor)
        return nm_elab_error(e, f, loc, "an arrow is applied to a tensor, not %s [call-1]",
                             nm_ev_describe(e, x));
    nm_syms arrow_ins = x.u.t->is_arrow ? x.u.t->ins : (nm_syms){0};
    bool composes = x.u.t->is_arrow;
    for (int i = 0; i < t->ins.n; i++) { // hid -> gate hid has the domain hid'
        nm_sym base = nm_dim_unprimed(e, t->ins.sym[i], &primes);
        nm_sym theirs =
            primes && nm_syms_has(t->outs, base) && !nm_has_dim(x.u.t->v->type, t->ins.sym[i])
                ? base
                : t->ins.sym[i];
        nm_sym text = x.text;
        if (!nm_dim_must_have(e, f, x, dim_as_written(f, theirs, loc), loc, NULL))
            return nm_ev_poison();
        x = nm_view_rename(e, x, theirs, t->ins.sym[i], loc);
        x.text = text;
        if (x.kind != NM_EV_tensor)
            return x;
    }
    nm_ev in[] = {x, w};
    if (!nm_elab_unify(e, f, 2, in, v, loc, false))
        return nm_ev_poison();
    nm_attr attr = nm_mk_dims(e->m, "over", t->ins);
    nm_tensor out = {.v = nm_elab_op(e, loc, NM_OP_dot, 2, v, 1, &attr, NULL)};
    if (composes) {
        out.is_arrow = true;
        out.ins = without(e, arrow_ins, t->ins);
        out.outs = t->outs;
    }
    return nm_ev_tensor(e, out);
}

nm_ev nm_builtin_top_k(nm_elab *e, nm_bcall *c)
{
    nm_edim over, choice;
    int64_t k, n;
    nm_edims from = c->v[1].u.tuple.item[0].u.dims, to = c->v[1].u.tuple.item[1].u.dims;
    if (!is_tensor(e, c, 0) || !nm_dim_single(e, c->f, from, c->loc, &over) ||
        !nm_dim_single(e, c->f, to, c->loc, &choice) ||
        !nm_dim_must_have(e, c->f, c->v[0], over, c->loc, "top_k"))
        return nm_ev_poison();
    const nm_type *t = c->v[0].u.t->v->type;
    const nm_extent *extent = nm_dim_extent(e, c->f, choice, c->loc);
    if (!extent)
        return nm_ev_poison();
    if (!nm_extent_is_const(extent, &k) ||
        (nm_extent_is_const(t->dim[nm_type_find(t, over.name)].extent, &n) && k > n))
        return nm_elab_error(e, c->f, c->loc,
                             "top_k's %s = %s is a number of at most %s = %s [dim-6]", choice.name,
                             nm_extent_str(e->m, extent), over.name,
                             nm_extent_str(e->m, t->dim[nm_type_find(t, over.name)].extent));
    nm_attr attr[] = {nm_mk_sym(e->m, "over", over.name), nm_mk_sym(e->m, "choice", choice.name),
                      nm_mk_int(e->m, "k", k)};
    nm_value *x = c->v[0].u.t->v;
    nm_op *op = nm_elab_op_many(
        e,
        (nm_proto){
            .code = NM_OP_top_k, .loc = c->loc, .n_in = 1, .in = &x, .n_attrs = 3, .attr = attr});
    if (!op)
        return nm_ev_poison();
    nm_ev out[] = {nm_ev_value(e, &op->out[0]),
                   nm_ev_tensor(e, (nm_tensor){.v = &op->out[1], .index_of = over.name})};
    return nm_ev_tuple(e, 2, out);
}

// --- shapes
// ---------------------------------------------------------------------------------------------------

static nm_ev run_concat(nm_elab *e, nm_bcall *c)
{
    nm_edim over = c->v[1].u.dims.dim[0];
    nm_ev parts = c->v[0];
    nm_dtype dtype;
    if (parts.kind != NM_EV_tuple || !parts.u.tuple.n)
        return nm_elab_error(e, c->f, c->loc, "concat takes a tuple of tensors, not %s [call-1]",
                             nm_ev_describe(e, parts));
    int n = parts.u.tuple.n;
    nm_value **v = nm_new_n(e->a, nm_value *, (size_t)n);
    for (int i = 0; i < n; i++) {
        nm_ev p = parts.u.tuple.item[i];
        if (p.kind == NM_EV_poison)
            return p;
        if (p.kind != NM_EV_tensor)
            return nm_elab_error(e, c->f, c->loc,
                                 "concat takes tensors, and part %d is %s [call-1]", i,
                                 nm_ev_describe(e, p));
        if (!nm_dim_must_have(e, c->f, p, over, c->loc, "concat"))
            return nm_ev_poison();
    }
    if (!nm_elab_common_dtype(e, c->f, n, parts.u.tuple.item, c->loc, &dtype))
        return nm_ev_poison();
    const nm_type *first = nm_type_without(e->m, parts.u.tuple.item[0].u.t->v->type, over.name);
    for (int i = 0; i < n; i++) {
        const nm_type *t = nm_type_without(e->m, parts.u.tuple.item[i].u.t->v->type, over.name);
        if (!nm_type_same_set(nm_type_with_dtype(e->m, t, dtype),
                              nm_type_with_dtype(e->m, first, dtype)))
            return nm_elab_error(
                e, c->f, c->loc,
                "beside '%s', parts of a concat have the same dims: %s and %s [align-3]", over.name,
                nm_tensor_str(e, parts.u.tuple.item[0].u.t),
                nm_tensor_str(e, parts.u.tuple.item[i].u.t));
        v[i] = nm_elab_cast(e, c->loc, parts.u.tuple.item[i].u.t->v, dtype);
    }
    nm_attr attr = nm_mk_sym(e->m, "over", over.name);
    return nm_ev_value(e, nm_elab_op(e, c->loc, NM_OP_concat, n, v, 1, &attr, NULL));
}

static const nm_extent *count_of(nm_elab *e, nm_bcall *c, nm_ev v)
{
    int64_t n;
    v = nm_ev_number(e, c->f, v);
    if (v.kind == NM_EV_extent)
        return v.u.extent;
    if (nm_ev_is_whole(v, &n))
        return nm_extent_const(e->m, n);
    if (v.kind != NM_EV_poison)
        nm_elab_error(e, c->f, c->loc, "%s: a whole number is expected, not %s [num-2]", c->b->name,
                      nm_ev_describe(e, v));
    return NULL;
}

static nm_ev run_pad(nm_elab *e, nm_bcall *c)
{
    nm_edim over = c->v[1].u.dims.dim[0];
    const nm_extent *before = count_of(e, c, c->v[2]), *after = count_of(e, c, c->v[3]);
    nm_sym mode = c->given[4] ? c->v[4].u.sym : nm_sym_get(e->m, "zero");
    if (!is_tensor(e, c, 0) || !before || !after ||
        !nm_dim_must_have(e, c->f, c->v[0], over, c->loc, "pad"))
        return nm_ev_poison();
    if (strcmp(mode, "zero") && strcmp(mode, "reflect"))
        return nm_elab_error(e, c->f, c->loc, "pad's mode is zero or reflect, not %s [call-2]",
                             mode);
    nm_type t = *c->v[0].u.t->v->type;
    nm_dim *d = &t.dim[nm_type_find(&t, over.name)];
    d->extent = nm_extent_add(e->m, d->extent, nm_extent_add(e->m, before, after));
    if (!d->extent)
        return nm_elab_error(e, c->f, c->loc, "the padded extent is too large [dim-6]");
    nm_attr attr[] = {nm_mk_sym(e->m, "over", over.name), nm_mk_extent(e->m, "before", before),
                      nm_mk_sym(e->m, "mode", mode)};
    nm_value *x = c->v[0].u.t->v;
    return nm_ev_value(e, nm_elab_op(e, c->loc, NM_OP_pad, 1, &x, 3, attr, nm_type_get(e->m, &t)));
}

static nm_ev make_index(nm_elab *e, nm_sym name, const nm_extent *extent, nm_loc loc)
{
    nm_type t = {.dtype = NM_i32, .rank = 1, .dim = {{.name = name, .extent = extent}}};
    nm_attr attr = nm_mk_sym(e->m, "dim", name);
    nm_value *v = nm_elab_op(e, loc, NM_OP_index, 0, NULL, 1, &attr, nm_type_get(e->m, &t));
    return nm_ev_tensor(e, (nm_tensor){.v = v, .index_of = name});
}

static nm_ev run_index(nm_elab *e, nm_bcall *c)
{
    nm_edim d = c->v[0].u.dims.dim[0];
    const nm_extent *extent = nm_dim_extent(e, c->f, d, c->loc);
    return extent ? make_index(e, d.name, extent, c->loc) : nm_ev_poison();
}

static const nm_extent *extent_in(nm_elab *e, nm_bcall *c)
{
    nm_edim d = c->v[1].u.dims.dim[0];
    if (!is_tensor(e, c, 0) || !nm_dim_must_have(e, c->f, c->v[0], d, c->loc, c->b->name))
        return NULL;
    const nm_type *t = c->v[0].u.t->v->type;
    return t->dim[nm_type_find(t, d.name)].extent;
}

static nm_ev run_index_in(nm_elab *e, nm_bcall *c)
{
    const nm_extent *extent = extent_in(e, c);
    return extent ? make_index(e, c->v[1].u.dims.dim[0].name, extent, c->loc) : nm_ev_poison();
}

static nm_ev run_size(nm_elab *e, nm_bcall *c) { return nm_ev_number(e, c->f, c->v[0]); }

static nm_ev run_size_in(nm_elab *e, nm_bcall *c)
{
    const nm_extent *extent = extent_in(e, c);
    return extent ? nm_ev_extent(e, extent) : nm_ev_poison();
}

static nm_ev run_shape(nm_elab *e, nm_bcall *c)
{
    if (nm_ev_is_number(c->v[0]))
        return nm_ev_dims(e, 0, NULL);
    if (!is_tensor(e, c, 0))
        return nm_ev_poison();
    nm_edims d = nm_dims_of_type(e, c->v[0].u.t->v->type, c->v[0].loc);
    return nm_ev_dims(e, d.n, d.dim);
}

static nm_ev run_rest(nm_elab *e, nm_bcall *c)
{
    if (!is_tensor(e, c, 0) || !nm_dims_must_have(e, c->f, c->v[0], c->v[1].u.dims, c->loc, "rest"))
        return nm_ev_poison();
    nm_edims d = nm_dims_of_type(e, c->v[0].u.t->v->type, c->v[0].loc), out = {0, d.dim};
    for (int i = 0; i < d.n; i++)
        if (!nm_dims_has(c->v[1].u.dims, d.dim[i].name))
            out.dim[out.n++] = d.dim[i];
    return nm_ev_dims(e, out.n, out.dim);
}

static nm_ev run_side(nm_elab *e, nm_bcall *c) // ins, outs
{
    if (!is_tensor(e, c, 0))
        return nm_ev_poison();
    const nm_tensor *t = c->v[0].u.t;
    nm_syms side = c->b->arg ? t->outs : t->ins;
    nm_edim d[NM_MAX_RANK];
    int n = 0;
    for (int i = 0; t->is_arrow && i < side.n; i++) {
        int at = nm_type_find(t->v->type, side.sym[i]);
        if (at >= 0)
            d[n++] = (nm_edim){
                .name = side.sym[i], .extent = t->v->type->dim[at].extent, .written = true};
    }
    return nm_ev_dims(e, n, d);
}

static nm_ev run_decays(nm_elab *e, nm_bcall *c)
{
    nm_ev p = c->v[0];
    if (p.kind == NM_EV_tensor && e->opt_param)
        return nm_ev_bool(!e->opt_param->no_decay);
    if (p.kind != NM_EV_tensor || !p.u.t->param)
        return nm_elab_error(e, c->f, c->loc,
                             "decays(p) asks about a parameter, and this is %s [call-1]",
                             nm_ev_describe(e, p));
    return nm_ev_bool(!p.u.t->param->no_decay);
}

// --- tuples, distributions
// --------------------------------------------------------------------------------------

static nm_ev run_len(nm_elab *e, nm_bcall *c)
{
    if (c->v[0].kind == NM_EV_tuple)
        return nm_ev_num(c->v[0].u.tuple.n);
    if (c->v[0].kind == NM_EV_dims)
        return nm_ev_num(c->v[0].u.dims.n);
    return nm_elab_error(e, c->f, c->loc, "len counts a tuple, not %s [call-1]",
                         nm_ev_describe(e, c->v[0]));
}

static nm_ev run_zip(nm_elab *e, nm_bcall *c)
{
    int n = 0, k = 0;
    for (int i = 0; i < 4 && c->given[i]; i++, n++) {
        if (c->v[i].kind != NM_EV_tuple)
            return nm_elab_error(e, c->f, c->loc, "zip takes tuples, not %s [call-1]",
                                 nm_ev_describe(e, c->v[i]));
        if (i && c->v[i].u.tuple.n != k)
            return nm_elab_error(e, c->f, c->loc,
                                 "zip takes tuples of one length, not %d and %d [call-1]", k,
                                 c->v[i].u.tuple.n);
        k = c->v[i].u.tuple.n;
    }
    nm_ev *row = nm_new_n(e->a, nm_ev, (size_t)k);
    for (int r = 0; r < k; r++) {
        nm_ev item[4];
        for (int i = 0; i < n; i++)
            item[i] = c->v[i].u.tuple.item[r];
        row[r] = nm_ev_tuple(e, n, item);
    }
    return nm_ev_tuple(e, k, row);
}

static nm_ev run_dist(nm_elab *e, nm_bcall *c)
{
    nm_ev v = {.kind = NM_EV_dist, .u.dist = {(nm_dist_kind)c->b->arg, nm_new_n(e->a, nm_ev, 2)}};
    for (int i = 0; i < 2; i++) {
        nm_ev a = c->given[i] ? nm_ev_number(e, c->f, c->v[i]) : nm_ev_num(0);
        if (a.kind == NM_EV_poison)
            return a;
        if (a.kind != NM_EV_num && a.kind != NM_EV_tensor && a.kind != NM_EV_extent)
            return nm_elab_error(e, c->f, c->loc, "%s takes numbers and tensors, not %s [num-1]",
                                 c->b->name, nm_ev_describe(e, a));
        v.u.dist.arg[i] = a;
    }
    return v;
}

// --- the table
// -----------------------------------------------------------------------------------------------------

// clang-format off
static const nm_builtin table[] = {
    {"neg",     "x", run_map, NM_OP_neg},
    {"abs",     "x", run_map, NM_OP_abs},
    {"sign",    "x", run_map, NM_OP_sign},
    {"exp",     "x", run_map, NM_OP_exp},
    {"log",     "x", run_map, NM_OP_log},
    {"sqrt",    "x", run_map, NM_OP_sqrt},
    {"sin",     "x", run_map, NM_OP_sin},
    {"cos",     "x", run_map, NM_OP_cos},
    {"tanh",    "x", run_map, NM_OP_tanh},
    {"erf",     "x", run_map, NM_OP_erf},
    {"floor",   "x", run_map, NM_OP_floor},
    {"stop",    "x", run_map, NM_OP_stop},
    {"maximum", "a, b", run_extreme, NM_OP_maximum},
    {"minimum", "a, b", run_extreme, NM_OP_minimum},
    {"where",   "c, a, b", run_where, 0},
    {"cast",    "x, y", run_cast, 0},
    {"sum",     "x, over: dims", run_reduce, NM_OP_sum},
    {"max",     "x, over: dims", run_reduce, NM_OP_max},
    {"cumsum",  "x, over: dim", run_cumsum, 0},
    {"top_k",   "x, over -> choice", nm_builtin_top_k, 0},
    {"dot",     "a, b, over: dims", run_dot, 0},
    {"concat",  "parts, over: dim", run_concat, 0},
    {"pad",     "x, over: dim, before, after, mode?: word", run_pad, 0},
    {"index",   "over: dim", run_index, 0},
    {"index",   "x, over: dim", run_index_in, 0},
    {"size",    "over: dims", run_size, 0},
    {"size",    "x, over: dim", run_size_in, 0},
    {"windows", "x, from -> to, stride?: int, dilate?: int, pad?", nm_builtin_windows, 0},
    {"overlap_add", "x, from -> to, stride?: int, dilate?: int, pad?", nm_builtin_overlap_add, 0},
    {"shape",   "x", run_shape, 0},
    {"rest",    "x, over: dims", run_rest, 0},
    {"ins",     "w", run_side, 0},
    {"outs",    "w", run_side, 1},
    {"decays",  "p", run_decays, 0},
    {"len",     "x", run_len, 0},
    {"zip",     "a, b, c?, d?", run_zip, 0},
    {"normal",  "mean, deviation", run_dist, NM_DIST_normal},
    {"uniform", "low, high", run_dist, NM_DIST_uniform},
    {"bernoulli", "p", run_dist, NM_DIST_bernoulli},
    {"attention", "q, k, v, over: dim, hd: dim, causal?: bool, window?: int, softcap?, sink?, bias?, mask?, segments?, "
                  "keys?, scale?, dropout?", nm_builtin_attention, 0},
    {"dispatch", "x, e, to: dims, capacity?: int", nm_builtin_dispatch, 0},
    {"combine",  "y, e, w, from: dims, choice: dim", nm_builtin_combine, 0},
};
// clang-format on
enum { N_BUILTINS = sizeof table / sizeof table[0] };

const nm_builtin *nm_builtin_find(nm_sym name)
{
    for (int i = 0; i < N_BUILTINS; i++)
        if (!strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}

int nm_builtin_names(const char **name, int max)
{
    int n = 0;
    for (int i = 0; i < N_BUILTINS && n < max; i++)
        name[n++] = table[i].name;
    return n;
}

// --- calling one
// ------------------------------------------------------------------------------------------------------

static const char *skip_spaces(const char *s) { return s + strspn(s, " ,"); }

static nm_sym take_word(nm_elab *e, const char **s)
{
    size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyz_");
    nm_sym w = nm_sym_fmt(e->m, "%.*s", (int)n, *s);
    *s += n;
    return w;
}

static nm_ast_pars parse_pars(nm_elab *e, const char *s)
{
    static nm_ast_expr absent = {.kind = NM_EXPR_tuple};
    nm_ast_pars pars = {.par = nm_new_n(e->a, nm_ast_par, NM_BUILTIN_MAX)};
    for (s = skip_spaces(s); *s; s = skip_spaces(s)) {
        nm_ast_par *p = &pars.par[pars.n++];
        *p = (nm_ast_par){.kind = NM_PAR_plain, .name.sym = take_word(e, &s)};
        if (*s == '?') {
            p->otherwise = &absent;
            s++;
        }
        if (!strncmp(s, " -> ", 4)) {
            s += 4;
            p->kind = NM_PAR_arrow;
            p->to.sym = take_word(e, &s);
        } else if (*s == ':') {
            s += 2;
            p->kind = NM_PAR_kind;
            p->of.sym = take_word(e, &s);
        }
    }
    return pars;
}

static const nm_builtin *by_count(const nm_builtin *b, int n)
{
    bool more = n > 1 && b + 1 < table + N_BUILTINS && !strcmp(b[1].name, b->name);
    return more ? b + 1 : b;
}

nm_ev nm_call_builtin(nm_elab *e, nm_frame *f, const nm_builtin *b, const nm_args *args)
{
    b = by_count(b, args->n);
    nm_ast_pars pars = parse_pars(e, b->pars);
    nm_binding bind = {.name = nm_sym_get(e->m, b->name), .pars = &pars};
    nm_bcall c = {.f = f, .b = b, .loc = args->loc, .whole = args->loc};
    if (!nm_args_bind(e, f, args, &bind))
        return nm_ev_poison();
    for (int i = 0; i < pars.n; i++) {
        c.given[i] = bind.given[i] && bind.value[i].kind != NM_EV_none;
        c.v[i] = bind.value[i];
        if (bind.given[i] && bind.value[i].kind == NM_EV_poison)
            return nm_ev_poison();
        if (!bind.given[i] && !pars.par[i].otherwise)
            return nm_call_missing(e, f, &pars.par[i], bind.name, args) ? nm_ev_none()
                                                                        : nm_ev_poison();
    }
    return b->run(e, &c);
}

nm_ev nm_call_cast(nm_elab *e, nm_frame *f, nm_dtype to, const nm_args *args)
{
    if (args->n != 1 || !args->arg[0].arg || args->arg[0].arg->kind != NM_ARG_expr ||
        args->arg[0].arg->word.sym)
        return nm_elab_error(e, f, args->loc, "%s takes one value to cast [call-1]",
                             nm_dtype_table[to].name);
    nm_ev x = nm_elab_expr(e, args->arg[0].frame, args->arg[0].arg->expr);
    return cast_to(e, f, x, to, args->loc, true);
}

// --- externs
// --------------------------------------------------------------------------------------------------------------

static const nm_type *extern_result(nm_elab *e, nm_frame *f, const nm_ast_type *t, nm_sym *index_of)
{
    nm_eshape s;
    nm_type type = {.dtype = NM_real};
    *index_of = NULL;
    if (t->elem.n && !nm_dtype_find(t->elem.sym, &type.dtype)) {
        nm_edim d;
        if (!nm_dim_single(e, f, nm_dims_of_name(e, f, &t->elem, t->elem.loc), t->elem.loc, &d))
            return NULL;
        *index_of = d.name;
        type.dtype = NM_i32;
    }
    if (!nm_shape_read(e, f, &t->shape, &s))
        return NULL;
    for (type.rank = 0; type.rank < s.rank; type.rank++)
        type.dim[type.rank] =
            (nm_dim){.name = s.dim[type.rank].name, .extent = s.dim[type.rank].extent};
    return nm_type_get(e->m, &type);
}

static int extern_operands(nm_elab *e, nm_frame *f, const nm_ast_extern *ext, nm_value **in,
                           nm_loc loc)
{
    int n = 0;
    for (int i = 0; i < ext->pars.n; i++) {
        nm_var *v = nm_frame_var(f, ext->pars.par[i].name.sym);
        if (!v)
            continue;
        nm_ev x = nm_ev_number(e, f, v->value);
        in[n] =
            nm_ev_materialise(e, x, x.kind == NM_EV_tensor ? x.u.t->v->type->dtype : NM_i32, loc);
        if (!in[n++])
            return -1;
    }
    return n;
}

nm_ev nm_call_extern(nm_elab *e, nm_frame *f, const nm_ast_extern *ext, nm_unit *unit,
                     const nm_args *args)
{
    nm_binding b = {.name = ext->name.sym, .pars = &ext->pars};
    if (!nm_args_bind(e, f, args, &b))
        return nm_ev_poison();
    nm_frame *callee = nm_frame_new(e, f, unit, args->loc);
    callee->what = ext->name.sym;
    callee->is_fn = true;
    if (callee->user_frame && !callee->user_fn)
        callee->user_fn = ext->name.sym;
    if (!nm_call_set_pars(e, f, callee, &b, args))
        return nm_ev_poison();
    nm_value **in = nm_new_n(e->a, nm_value *, (size_t)ext->pars.n);
    const nm_type **type = nm_new_n(e->a, const nm_type *, (size_t)ext->n_types);
    nm_sym *index_of = nm_new_n(e->a, nm_sym, (size_t)ext->n_types);
    int n = extern_operands(e, callee, ext, in, args->loc);
    for (int i = 0; i < ext->n_types; i++)
        if (!(type[i] = extern_result(e, callee, &ext->type[i], &index_of[i])))
            return nm_ev_poison();
    nm_attr attr = nm_mk_sym(e->m, "name", ext->name.sym);
    nm_op *op = n < 0 ? NULL
                      : nm_elab_op_many(e, (nm_proto){.code = NM_OP_extern,
                                                      .loc = args->loc,
                                                      .n_in = n,
                                                      .in = in,
                                                      .n_attrs = 1,
                                                      .attr = &attr,
                                                      .n_types = ext->n_types,
                                                      .types = type});
    nm_ev *out = nm_new_n(e->a, nm_ev, (size_t)ext->n_types);
    for (int i = 0; op && i < ext->n_types; i++)
        out[i] = nm_ev_tensor(e, (nm_tensor){.v = &op->out[i], .index_of = index_of[i]});
    return !op ? nm_ev_poison() : ext->n_types == 1 ? out[0] : nm_ev_tuple(e, ext->n_types, out);
}
