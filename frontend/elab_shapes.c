// The built-ins about shapes, tuples and distributions.
#include "frontend/elab_builtin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- shapes --------------------------------------------------------------------------------------

nm_ev nm_builtin_concat(nm_elab *e, nm_bcall *c)
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

nm_ev nm_builtin_pad(nm_elab *e, nm_bcall *c)
{
    nm_edim over = c->v[1].u.dims.dim[0];
    const nm_extent *before = count_of(e, c, c->v[2]), *after = count_of(e, c, c->v[3]);
    nm_sym mode = c->given[4] ? c->v[4].u.sym : nm_sym_get(e->m, "zero");
    if (!nm_bcall_is_tensor(e, c, 0) || !before || !after ||
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

nm_ev nm_builtin_index(nm_elab *e, nm_bcall *c)
{
    nm_edim d = c->v[0].u.dims.dim[0];
    const nm_extent *extent = nm_dim_extent(e, c->f, d, c->loc);
    return extent ? make_index(e, d.name, extent, c->loc) : nm_ev_poison();
}

static const nm_extent *extent_in(nm_elab *e, nm_bcall *c)
{
    nm_edim d = c->v[1].u.dims.dim[0];
    if (!nm_bcall_is_tensor(e, c, 0) || !nm_dim_must_have(e, c->f, c->v[0], d, c->loc, c->b->name))
        return NULL;
    const nm_type *t = c->v[0].u.t->v->type;
    return t->dim[nm_type_find(t, d.name)].extent;
}

nm_ev nm_builtin_index_in(nm_elab *e, nm_bcall *c)
{
    const nm_extent *extent = extent_in(e, c);
    return extent ? make_index(e, c->v[1].u.dims.dim[0].name, extent, c->loc) : nm_ev_poison();
}

nm_ev nm_builtin_size(nm_elab *e, nm_bcall *c) { return nm_ev_number(e, c->f, c->v[0]); }

nm_ev nm_builtin_size_in(nm_elab *e, nm_bcall *c)
{
    const nm_extent *extent = extent_in(e, c);
    return extent ? nm_ev_extent(e, extent) : nm_ev_poison();
}

nm_ev nm_builtin_shape(nm_elab *e, nm_bcall *c)
{
    if (nm_ev_is_number(c->v[0]))
        return nm_ev_dims(e, 0, NULL);
    if (!nm_bcall_is_tensor(e, c, 0))
        return nm_ev_poison();
    nm_edims d = nm_dims_of_type(e, c->v[0].u.t->v->type, c->v[0].loc);
    return nm_ev_dims(e, d.n, d.dim);
}

nm_ev nm_builtin_rest(nm_elab *e, nm_bcall *c)
{
    if (!nm_bcall_is_tensor(e, c, 0) ||
        !nm_dims_must_have(e, c->f, c->v[0], c->v[1].u.dims, c->loc, "rest"))
        return nm_ev_poison();
    nm_edims d = nm_dims_of_type(e, c->v[0].u.t->v->type, c->v[0].loc), out = {0, d.dim};
    for (int i = 0; i < d.n; i++)
        if (!nm_dims_has(c->v[1].u.dims, d.dim[i].name))
            out.dim[out.n++] = d.dim[i];
    return nm_ev_dims(e, out.n, out.dim);
}

nm_ev nm_builtin_side(nm_elab *e, nm_bcall *c) // ins, outs
{
    if (!nm_bcall_is_tensor(e, c, 0))
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

nm_ev nm_builtin_decays(nm_elab *e, nm_bcall *c)
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

// --- tuples, distributions -----------------------------------------------------------------------

nm_ev nm_builtin_len(nm_elab *e, nm_bcall *c)
{
    if (c->v[0].kind == NM_EV_tuple)
        return nm_ev_num(c->v[0].u.tuple.n);
    if (c->v[0].kind == NM_EV_dims)
        return nm_ev_num(c->v[0].u.dims.n);
    return nm_elab_error(e, c->f, c->loc, "len counts a tuple, not %s [call-1]",
                         nm_ev_describe(e, c->v[0]));
}

nm_ev nm_builtin_zip(nm_elab *e, nm_bcall *c)
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

nm_ev nm_builtin_dist(nm_elab *e, nm_bcall *c)
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
