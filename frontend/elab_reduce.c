// The built-ins that reduce or contract dims, and the application of arrows.
#include "frontend/elab_builtin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- reductions ----------------------------------------------------------------------------------

bool nm_bcall_is_tensor(nm_elab *e, nm_bcall *c, int i)
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

nm_ev nm_builtin_reduce(nm_elab *e, nm_bcall *c) // sum, max
{
    nm_edims over = c->v[1].u.dims;
    if (!over.n)
        return c->v[0];
    if (!nm_bcall_is_tensor(e, c, 0) || reduces_slot(e, c, over) ||
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

nm_ev nm_builtin_cumsum(nm_elab *e, nm_bcall *c)
{
    nm_edims over = c->v[1].u.dims;
    if (!nm_bcall_is_tensor(e, c, 0) ||
        !nm_dims_must_have(e, c->f, c->v[0], over, c->loc, c->b->name))
        return nm_ev_poison();
    nm_attr attr = nm_mk_sym(e->m, "over", over.dim[0].name);
    nm_value *x = c->v[0].u.t->v;
    return nm_ev_value(e, nm_elab_op(e, c->loc, NM_OP_cumsum, 1, &x, 1, &attr, NULL));
}

nm_ev nm_builtin_dot(nm_elab *e, nm_bcall *c)
{
    nm_edims over = c->v[2].u.dims;
    nm_value *v[2];
    if (!nm_bcall_is_tensor(e, c, 0) || !nm_bcall_is_tensor(e, c, 1) || reduces_slot(e, c, over))
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
    if (!nm_bcall_is_tensor(e, c, 0) || !nm_dim_single(e, c->f, from, c->loc, &over) ||
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
