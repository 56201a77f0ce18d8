// windows and overlap_add: a view with a dim for the tap, and its adjoint.
#include "frontend/elab_builtin.h"

#include <stdlib.h>
#include <string.h>

enum { X, ARROW, STRIDE, DILATE, PAD };

typedef struct steps {
    int64_t stride, dilate, before, after;
} steps;

static bool whole(nm_elab *e, nm_bcall *c, nm_ev v, const char *what, int64_t least, int64_t *out)
{
    v = nm_ev_number(e, c->f, v);
    if (nm_ev_is_whole(v, out) && *out >= least && *out < 1 << 30)
        return true;
    if (v.kind != NM_EV_poison)
        nm_elab_error(e, c->f, c->loc, "%s's %s is a whole number of at least %d, not %s [num-2]",
                      c->b->name, what, (int)least, nm_ev_describe(e, v));
    return false;
}

static bool read_steps(nm_elab *e, nm_bcall *c, steps *s)
{
    *s = (steps){.stride = 1, .dilate = 1};
    if ((c->given[STRIDE] && !whole(e, c, c->v[STRIDE], "stride", 1, &s->stride)) ||
        (c->given[DILATE] && !whole(e, c, c->v[DILATE], "dilate", 1, &s->dilate)))
        return false;
    if (!c->given[PAD])
        return true;
    nm_ev p = c->v[PAD];
    if (p.kind == NM_EV_tuple && p.u.tuple.n == 2)
        return whole(e, c, p.u.tuple.item[0], "pad", 0, &s->before) &&
               whole(e, c, p.u.tuple.item[1], "pad", 0, &s->after);
    nm_elab_error(e, c->f, c->loc, "%s's pad is a pair (before, after), not %s [call-1]",
                  c->b->name, nm_ev_describe(e, p));
    return false;
}

static const nm_extent *scaled(nm_elab *e, const nm_extent *x, int64_t factor, int64_t plus)
{
    return nm_extent_add(e->m, nm_extent_mul(e->m, x, nm_extent_const(e->m, factor)),
                         nm_extent_const(e->m, plus));
}

static bool two(nm_elab *e, nm_bcall *c, nm_edims d, const char *example)
{
    if (d.n == 2)
        return true;
    nm_elab_error(e, c->f, c->loc, "%s takes %s [dim-6]", c->b->name, example);
    return false;
}

static nm_ev build(nm_elab *e, nm_bcall *c, nm_opcode code, nm_sym over, nm_sym tap, nm_sym into,
                   const steps *s, const nm_type *t)
{
    nm_attr attr[] = {nm_mk_sym(e->m, "over", over),        nm_mk_sym(e->m, "tap", tap),
                      nm_mk_sym(e->m, "into", into),        nm_mk_int(e->m, "stride", s->stride),
                      nm_mk_int(e->m, "dilate", s->dilate), nm_mk_int(e->m, "before", s->before)};
    nm_value *x = c->v[X].u.t->v;
    return nm_ev_like(e, c->v[X], nm_elab_op(e, c->loc, code, 1, &x, 6, attr, t));
}

static bool is_positive(const nm_extent *x)
{
    int64_t n;
    return x && (!nm_extent_is_const(x, &n) || n > 0);
}

nm_ev nm_builtin_windows(nm_elab *e, nm_bcall *c)
{
    steps s;
    nm_edim over;
    int64_t k;
    nm_edims from = c->v[ARROW].u.tuple.item[0].u.dims, to = c->v[ARROW].u.tuple.item[1].u.dims;
    if (c->v[X].kind != NM_EV_tensor)
        return nm_elab_error(e, c->f, c->loc, "windows looks at a tensor, not %s [num-1]",
                             nm_ev_describe(e, c->v[X]));
    if (!nm_dim_single(e, c->f, from, c->loc, &over) ||
        !nm_dim_must_have(e, c->f, c->v[X], over, c->loc, "windows") ||
        !two(e, c, to, "t -> t tap") || !read_steps(e, c, &s))
        return nm_ev_poison();
    const nm_extent *taps = nm_dim_extent(e, c->f, to.dim[1], c->loc);
    if (!taps || !nm_extent_is_const(taps, &k) || k < 1)
        return taps ? nm_elab_error(e, c->f, c->loc,
                                    "the size of '%s' is known when nemocc runs [dim-6]",
                                    to.dim[1].name)
                    : nm_ev_poison();
    nm_type t = *c->v[X].u.t->v->type;
    int at = nm_type_find(&t, over.name);
    const nm_extent *n =
        scaled(e, t.dim[at].extent, 1, s.before + s.after - s.dilate * (k - 1) - 1);
    n = n ? nm_extent_add(e->m, nm_extent_div(e->m, n, nm_extent_const(e->m, s.stride)),
                          nm_extent_const(e->m, 1))
          : NULL;
    if (!is_positive(n))
        return nm_elab_error(e, c->f, c->loc, "%s = %s is too short for windows of %d [dim-6]",
                             over.name, nm_extent_str(e->m, t.dim[at].extent), (int)k);
    if (t.rank == NM_MAX_RANK || nm_has_dim(&t, to.dim[1].name) ||
        (to.dim[0].name != over.name && nm_has_dim(&t, to.dim[0].name)))
        return nm_elab_error(e, c->f, c->loc, "'%s' would stand twice in one type [type-2]",
                             nm_has_dim(&t, to.dim[1].name) ? to.dim[1].name : to.dim[0].name);
    for (int i = t.rank; i > at + 1; i--)
        t.dim[i] = t.dim[i - 1];
    t.rank++;
    t.dim[at] = (nm_dim){.name = to.dim[0].name, .extent = n};
    t.dim[at + 1] = (nm_dim){.name = to.dim[1].name, .extent = taps};
    return build(e, c, NM_OP_windows, over.name, to.dim[1].name, to.dim[0].name, &s,
                 nm_type_get(e->m, &t));
}

nm_ev nm_builtin_overlap_add(nm_elab *e, nm_bcall *c)
{
    steps s;
    nm_edim into;
    nm_edims from = c->v[ARROW].u.tuple.item[0].u.dims, to = c->v[ARROW].u.tuple.item[1].u.dims;
    if (c->v[X].kind != NM_EV_tensor)
        return nm_elab_error(e, c->f, c->loc, "overlap_add takes a tensor, not %s [num-1]",
                             nm_ev_describe(e, c->v[X]));
    if (!two(e, c, from, "t tap -> t") ||
        !nm_dims_must_have(e, c->f, c->v[X], from, c->loc, "overlap_add") ||
        !nm_dim_single(e, c->f, to, c->loc, &into) || !read_steps(e, c, &s))
        return nm_ev_poison();
    nm_type t = *c->v[X].u.t->v->type;
    int at = nm_type_find(&t, from.dim[0].name), tap = nm_type_find(&t, from.dim[1].name);
    int64_t k;
    if (!nm_extent_is_const(t.dim[tap].extent, &k))
        return nm_elab_error(e, c->f, c->loc, "the size of '%s' is known when nemocc runs [dim-6]",
                             from.dim[1].name);
    const nm_extent *n = scaled(e, t.dim[at].extent, s.stride,
                                s.dilate * (k - 1) + 1 - s.stride - s.before - s.after);
    if (!is_positive(n))
        return nm_elab_error(e, c->f, c->loc, "nothing is left of '%s' after pad [dim-6]",
                             into.name);
    t.dim[at] = (nm_dim){.name = into.name, .extent = n};
    for (int i = tap; i + 1 < t.rank; i++)
        t.dim[i] = t.dim[i + 1];
    t.rank--;
    return build(e, c, NM_OP_overlap_add, from.dim[0].name, from.dim[1].name, into.name, &s,
                 nm_type_get(e->m, &t));
}
