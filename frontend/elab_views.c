// Views: everything in brackets. Items apply left to right (view-4). What a view does to an arrow's
// sides: a renamed or split dim stays on its side; a side that loses a dim ends the arrow.
#include "frontend/elab_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- arrows through views ------------------------------------------------------------------------

static nm_syms replace_side(nm_elab *e, nm_syms side, nm_edims from, nm_edims to)
{
    nm_sym *out = nm_new_n(e->a, nm_sym, (size_t)(side.n + to.n));
    int n = 0;
    bool put = false;
    for (int i = 0; i < side.n; i++) {
        if (!nm_dims_has(from, side.sym[i])) {
            out[n++] = side.sym[i];
            continue;
        }
        for (int k = 0; !put && k < to.n; k++)
            out[n++] = to.dim[k].name;
        put = true;
    }
    return (nm_syms){n, out};
}

static nm_ev with_dims_replaced(nm_elab *e, nm_ev x, nm_value *v, nm_edims from, nm_edims to)
{
    nm_ev out = x;
    nm_tensor t = *x.u.t;
    t.v = v;
    t.param = NULL;
    if (t.is_arrow) {
        t.ins = replace_side(e, t.ins, from, to);
        t.outs = replace_side(e, t.outs, from, to);
    }
    out = nm_ev_tensor(e, t);
    return v ? nm_ev_like(e, out, v) : out;
}

// --- split, merge, rename ------------------------------------------------------------------------

nm_ev nm_view_rename(nm_elab *e, nm_ev x, nm_sym from, nm_sym to, nm_loc loc)
{
    if (from == to || x.kind != NM_EV_tensor)
        return x;
    nm_attr attr[] = {nm_mk_sym(e->m, "from", from), nm_mk_sym(e->m, "to", to)};
    nm_value *v = nm_elab_op(e, loc, NM_OP_rename, 1, &x.u.t->v, 2, attr, NULL);
    nm_edim a = {.name = from}, b = {.name = to};
    return with_dims_replaced(e, x, v, (nm_edims){1, &a}, (nm_edims){1, &b});
}

// "heads * hd = 32 * 96 = 3072"
static const char *product_str(nm_elab *e, nm_edims dims)
{
    const char *names = "", *sizes = "";
    const nm_extent *p = nm_extent_const(e->m, 1);
    for (int i = 0; i < dims.n; i++) {
        const nm_extent *x = dims.dim[i].extent;
        names = nm_arena_fmt(e->a, "%s%s%s", names, i ? " * " : "", dims.dim[i].name);
        sizes =
            nm_arena_fmt(e->a, "%s%s%s", sizes, i ? " * " : "", x ? nm_extent_str(e->m, x) : "?");
        p = x ? nm_extent_mul(e->m, p, x) : p;
    }
    if (dims.n == 1 || !p)
        return nm_arena_fmt(e->a, "%s = %s", names, sizes);
    return nm_arena_fmt(e->a, "%s = %s = %s", names, sizes, nm_extent_str(e->m, p));
}

static nm_ev not_the_product(nm_elab *e, nm_frame *f, nm_sym dim, const nm_extent *x,
                             nm_edims parts, nm_loc loc)
{
    nm_dim_decl *d = nm_dim_lookup(e->m, dim);
    const char *place =
        d && d->loc.src ? nm_arena_fmt(e->a, " (%s)", nm_elab_place(e, d->loc, loc)) : "";
    return nm_elab_error(e, f, loc, "%s = %s%s is not %s [view-2]", dim, nm_extent_str(e->m, x),
                         place, product_str(e, parts));
}

static bool would_stand_twice(nm_elab *e, nm_frame *f, nm_ev x, nm_edims left, nm_edims right,
                              nm_loc loc)
{
    for (int i = 0; i < right.n; i++) {
        nm_sym name = right.dim[i].name;
        bool taken = nm_has_dim(x.u.t->v->type, name) && !nm_dims_has(left, name);
        for (int k = 0; k < i; k++)
            taken |= right.dim[k].name == name;
        if (!taken)
            continue;
        nm_elab_error(e, f, loc, "'%s' stands twice in one type; write %s' for the second [type-2]",
                      name, name);
        return true;
    }
    return false;
}

static bool is_open(nm_edim d)
{
    const nm_extent *x = d.extent;
    bool symbol = x && x->n_terms == 1 && x->term[0].n_atoms == 1 && x->term[0].factor == 1 &&
                  x->term[0].atom[0].sym;
    return !x || (symbol && !d.written);
}

// The part whose extent is inferred, or -1; of two that are open, what the scope says of one
// counts.
static bool find_open(nm_elab *e, nm_frame *f, nm_edims parts, int *open, nm_loc loc)
{
    int n = 0;
    *open = -1;
    for (int i = 0; i < parts.n; i++)
        n += is_open(parts.dim[i]);
    for (int i = 0; i < parts.n; i++) {
        nm_edim *d = &parts.dim[i];
        if (!is_open(*d))
            continue;
        if (n > 1 && *open >= 0)
            d->extent = nm_dim_known(e, f, *d);
        if (n > 1 && *open >= 0 && !d->extent) {
            nm_elab_error(e, f, loc,
                          "the extents of '%s' and '%s' are both open; write one: %s=... [view-2]",
                          parts.dim[*open].name, d->name, d->name);
            return false;
        }
        if (*open < 0)
            *open = i;
    }
    return true;
}

// Fill in the one part that is inferred. false: reported.
static bool infer_parts(nm_elab *e, nm_frame *f, nm_sym from, const nm_extent *whole,
                        nm_edims parts, nm_loc loc)
{
    int open;
    int64_t c;
    const nm_extent *known = nm_extent_const(e->m, 1);
    if (!find_open(e, f, parts, &open, loc))
        return false;
    for (int i = 0; i < parts.n; i++)
        if (i != open)
            known = nm_extent_mul(e->m, known, parts.dim[i].extent);
    const nm_extent *all = known;
    if (open >= 0) {
        parts.dim[open].extent = nm_extent_div(e->m, whole, known);
        all = nm_extent_mul(e->m, known, parts.dim[open].extent);
    }
    if (all && nm_extents_agree(e, from, all, whole) && !(nm_extent_is_const(all, &c) && c < 1))
        return true;
    if (open >= 0)
        nm_elab_error(e, f, loc, "%s = %s is not a multiple of %s [view-2]", from,
                      nm_extent_str(e->m, whole), known ? nm_extent_str(e->m, known) : "that");
    else
        not_the_product(e, f, from, whole, parts, loc);
    return false;
}

static nm_ev split(nm_elab *e, nm_frame *f, nm_ev x, nm_edim from, nm_edims parts, nm_loc loc)
{
    int at = nm_type_find(x.u.t->v->type, from.name);
    nm_type t = *x.u.t->v->type;
    const nm_extent *whole = t.dim[at].extent, *product = nm_extent_const(e->m, 1);
    if (!infer_parts(e, f, from.name, whole, parts, loc))
        return nm_ev_poison();
    if (t.rank - 1 + parts.n > NM_MAX_RANK)
        return nm_elab_error(e, f, loc, "a value has at most %d dims [type-2]", NM_MAX_RANK);
    for (int i = t.rank - 1; i > at; i--)
        t.dim[i + parts.n - 1] = t.dim[i];
    for (int i = 0; i < parts.n; i++) {
        t.dim[at + i] = (nm_dim){.name = parts.dim[i].name, .extent = parts.dim[i].extent};
        product = nm_extent_mul(e->m, product, parts.dim[i].extent);
    }
    t.rank += parts.n - 1;
    nm_value *v = nm_elab_conform(e, loc, x.u.t->v, from.name, product);
    nm_attr attr[] = {nm_mk_sym(e->m, "from", from.name),
                      nm_mk_dims(e->m, "into", nm_syms_of(e, parts))};
    v = v ? nm_elab_op(e, loc, NM_OP_split, 1, &v, 2, attr, nm_type_get(e->m, &t)) : NULL;
    return with_dims_replaced(e, x, v, (nm_edims){1, &from}, parts);
}

// A dim that gets a name with a declared extent has to agree; a run-time one keeps its own.
static nm_ev check_renamed(nm_elab *e, nm_frame *f, nm_ev x, nm_edim to, nm_edims left, nm_loc loc)
{
    int at = x.kind == NM_EV_tensor ? nm_type_find(x.u.t->v->type, to.name) : -1;
    if (at < 0 || !to.extent || nm_dims_has(left, to.name))
        return x;
    const nm_extent *have = x.u.t->v->type->dim[at].extent;
    if (nm_extents_agree(e, to.name, have, to.extent))
        return nm_ev_like(e, x, nm_elab_conform(e, loc, x.u.t->v, to.name, to.extent));
    bool both = nm_extent_is_const(have, NULL) && nm_extent_is_const(to.extent, NULL);
    return both || to.written ? not_the_product(e, f, to.name, to.extent, left, loc) : x;
}

static nm_ev merge(nm_elab *e, nm_frame *f, nm_ev x, nm_edims from, nm_edim to, nm_loc loc)
{
    nm_attr attr[] = {nm_mk_dims(e->m, "from", nm_syms_of(e, from)),
                      nm_mk_sym(e->m, "into", to.name)};
    nm_value *v = nm_elab_op(e, loc, NM_OP_merge, 1, &x.u.t->v, 2, attr, NULL);
    nm_ev out = with_dims_replaced(e, x, v, from, (nm_edims){1, &to});
    for (int i = 0; i < from.n; i++) // for what is said if it does not fit
        from.dim[i].extent =
            x.u.t->v->type->dim[nm_type_find(x.u.t->v->type, from.dim[i].name)].extent;
    return check_renamed(e, f, out, to, from, loc);
}

static nm_ev grow(nm_elab *e, nm_frame *f, nm_ev x, nm_edim d, nm_loc loc);

// () -> r and r -> (): a list of no dims is one dim of extent 1.
static nm_ev arrow_of_nothing(nm_elab *e, nm_frame *f, nm_ev x, nm_edims left, nm_edims right,
                              nm_loc loc)
{
    if (!left.n && right.n == 1) {
        right.dim[0].extent = nm_extent_const(e->m, 1);
        return grow(e, f, x, right.dim[0], loc);
    }
    if (left.n != 1 || right.n)
        return left.n || right.n ? nm_elab_error(e, f, loc, "a view takes dims to dims [view-1]")
                                 : x;
    return nm_ev_like(e, x, nm_elab_turn_of(e, loc, x.u.t->v, left.dim[0].name, 0));
}

static nm_ev arrow(nm_elab *e, nm_frame *f, nm_ev x, const nm_ast_arrow *a)
{
    nm_edims left = nm_dims_of_names(e, f, &a->from), right;
    right = nm_dims_right_of(e, f, &a->to, left);
    if (!nm_dims_must_have(e, f, x, left, a->loc, NULL) ||
        would_stand_twice(e, f, x, left, right, a->loc))
        return nm_ev_poison();
    if (!left.n || !right.n)
        return arrow_of_nothing(e, f, x, left, right, a->loc);
    for (int i = 0; i < left.n; i++)
        left.dim[i].extent =
            x.u.t->v->type->dim[nm_type_find(x.u.t->v->type, left.dim[i].name)].extent;
    if (left.n == 1 && right.n == 1) {
        nm_ev out = nm_view_rename(e, x, left.dim[0].name, right.dim[0].name, a->loc);
        return check_renamed(e, f, out, right.dim[0], left, a->loc);
    }
    if (left.n == 1)
        return split(e, f, x, left.dim[0], right, a->loc);
    if (right.n == 1)
        return merge(e, f, x, left, right.dim[0], a->loc);
    nm_edim all = {.name = nm_sym_fmt(e->m, "%s.all", left.dim[0].name)};
    x = merge(e, f, x, left, all, a->loc);
    return x.kind == NM_EV_tensor ? split(e, f, x, all, right, a->loc) : x;
}

// --- pick and slice ------------------------------------------------------------------------------

static const nm_extent *plus(nm_elab *e, const nm_extent *a, const nm_extent *b, int sign)
{
    return nm_extent_add(e->m, a, nm_extent_mul(e->m, b, nm_extent_const(e->m, sign)));
}

// A place on a dim: from the end if it is negative. NULL: reported.
static const nm_extent *place_on(nm_elab *e, nm_frame *f, nm_ev v, const nm_extent *whole,
                                 nm_loc loc)
{
    int64_t n;
    v = nm_ev_number(e, f, v);
    if (v.kind == NM_EV_extent) {
        bool negative = v.u.extent->n_terms && v.u.extent->term[0].factor < 0;
        return negative ? plus(e, whole, v.u.extent, 1) : v.u.extent;
    }
    if (nm_ev_is_whole(v, &n))
        return n < 0 || signbit(v.u.num) ? plus(e, whole, nm_extent_const(e->m, n), 1)
                                         : nm_extent_const(e->m, n);
    if (v.kind != NM_EV_poison)
        nm_elab_error(e, f, loc, "a place on a dim is a whole number, not %s [view-3]",
                      nm_ev_describe(e, v));
    return NULL;
}

static bool is_below(nm_elab *e, const nm_extent *a, const nm_extent *b) // known to be
{
    int64_t c;
    const nm_extent *d = plus(e, a, b, -1);
    return d && nm_extent_is_const(d, &c) && c < 0;
}

static nm_ev pick_number(nm_elab *e, nm_frame *f, nm_ev x, nm_edim d, nm_ev at, nm_loc loc)
{
    const nm_type *t = x.u.t->v->type;
    const nm_extent *whole = t->dim[nm_type_find(t, d.name)].extent;
    const nm_extent *start = place_on(e, f, at, whole, loc);
    if (!start)
        return nm_ev_poison();
    if (is_below(e, start, nm_extent_const(e->m, 0)) || !is_below(e, start, whole)) {
        const nm_extent *rest = plus(e, whole, start, -1);
        if (!rest || nm_extent_is_const(rest, NULL) || nm_extent_is_const(whole, NULL))
            return nm_elab_error(e, f, loc, "%s = %s has no index %s [view-3]", d.name,
                                 nm_extent_str(e->m, whole), nm_ev_describe(e, at));
    }
    nm_attr attr[] = {nm_mk_sym(e->m, "over", d.name), nm_mk_extent(e->m, "start", start)};
    return nm_ev_like(
        e, x,
        nm_elab_op(e, loc, NM_OP_slice, 1, &x.u.t->v, 2, attr, nm_type_without(e->m, t, d.name)));
}

// "; is cross_entropy(logits, labels, vocab) meant?": the user's call with the dim that fits.
static const char *meant_call(nm_elab *e, nm_frame *f, nm_edim d, nm_sym index_of)
{
    if (!f->user_call || !d.loc.src || d.loc.src != f->user_call->loc.src)
        return "";
    nm_loc call = f->user_call->loc;
    if (d.loc.off < call.off || d.loc.off + d.loc.len > call.off + call.len)
        return "";
    nm_loc head = {call.src, call.off, d.loc.off - call.off};
    nm_loc tail = {call.src, d.loc.off + d.loc.len, call.off + call.len - d.loc.off - d.loc.len};
    return nm_arena_fmt(e->a, "; is %s%s%s meant?", nm_elab_source_text(e, head), index_of,
                        nm_elab_source_text(e, tail));
}

static bool index_fits(nm_elab *e, nm_frame *f, nm_edim d, nm_ev at, nm_loc loc)
{
    const nm_tensor *t = at.u.t;
    if (!nm_dtype_is_int(t->v->type->dtype)) {
        nm_elab_error(e, f, loc, "an index is an int, and %s is %s [view-3]",
                      nm_ev_name(e, at, "this"), nm_tensor_str(e, t));
        return false;
    }
    if (!t->index_of || t->index_of == d.name)
        return true;
    nm_frame bare = f->user_fn ? *f : (nm_frame){0};
    bare.user_fn = NULL; // the sentence begins with the value, not with what was called
    nm_elab_error(e, &bare,
                  at.loc.src   ? at.loc
                  : f->user_fn ? f->user_loc
                               : loc,
                  "%s are positions in %s and cannot pick from '%s'%s [type-3]",
                  nm_ev_name(e, at, "these"), t->index_of, d.name,
                  meant_call(e, f, d, t->index_of));
    return false;
}

static nm_ev gather(nm_elab *e, nm_frame *f, nm_ev x, nm_edim d, nm_ev at, nm_loc loc)
{
    if (!index_fits(e, f, d, at, loc))
        return nm_ev_poison();
    const nm_type *t = x.u.t->v->type, *it = at.u.t->v->type;
    nm_value *index = at.u.t->v;
    for (int i = 0; i < it->rank; i++) {
        int k = it->dim[i].name == d.name ? -1 : nm_type_find(t, it->dim[i].name);
        if (k >= 0 && !nm_extents_agree(e, t->dim[k].name, t->dim[k].extent, it->dim[i].extent))
            return nm_elab_error(e, f, loc, "%s has %s = %s, the index has %s = %s [align-3]",
                                 nm_ev_name(e, x, "this"), t->dim[k].name,
                                 nm_extent_str(e->m, t->dim[k].extent), it->dim[i].name,
                                 nm_extent_str(e->m, it->dim[i].extent));
        if (k >= 0)
            index = nm_elab_conform(e, loc, index, it->dim[i].name, t->dim[k].extent);
    }
    nm_value *in[] = {x.u.t->v, index};
    nm_attr over = nm_mk_sym(e->m, "over", d.name);
    return nm_ev_like(e, x, nm_elab_op(e, loc, NM_OP_gather, 2, in, 1, &over, NULL));
}

static bool viewed_dim(nm_elab *e, nm_frame *f, nm_ev x, const nm_ast_name *name, nm_edim *d)
{
    return nm_dim_single(e, f, nm_dims_of_name(e, f, name, name->loc), name->loc, d) &&
           nm_dim_must_have(e, f, x, *d, name->loc, NULL);
}

static nm_ev pick(nm_elab *e, nm_frame *f, nm_ev x, const nm_ast_view *view)
{
    nm_edim d;
    nm_ev at = nm_elab_expr(e, f, view->index);
    if (at.kind == NM_EV_poison || !viewed_dim(e, f, x, &view->dim, &d))
        return nm_ev_poison();
    nm_loc loc = view->index->loc;
    return at.kind == NM_EV_tensor ? gather(e, f, x, d, at, loc) : pick_number(e, f, x, d, at, loc);
}

static nm_ev slice(nm_elab *e, nm_frame *f, nm_ev x, const nm_ast_view *view)
{
    nm_edim d;
    if (!viewed_dim(e, f, x, &view->dim, &d))
        return nm_ev_poison();
    nm_type t = *x.u.t->v->type;
    int at = nm_type_find(&t, d.name);
    const nm_extent *whole = t.dim[at].extent, *lo = nm_extent_const(e->m, 0), *hi = whole;
    if (view->lo)
        lo = place_on(e, f, nm_elab_expr(e, f, view->lo), whole, view->lo->loc);
    if (view->hi)
        hi = place_on(e, f, nm_elab_expr(e, f, view->hi), whole, view->hi->loc);
    if (!lo || !hi)
        return nm_ev_poison();
    if (is_below(e, lo, nm_extent_const(e->m, 0)) || !nm_extent_str(e->m, lo) ||
        is_below(e, whole, hi) || is_below(e, hi, plus(e, lo, nm_extent_const(e->m, 1), 1)))
        return nm_elab_error(e, f, view->loc, "%s = %s has no indices %s..%s [view-3]", d.name,
                             nm_extent_str(e->m, whole), nm_extent_str(e->m, lo),
                             nm_extent_str(e->m, hi));
    t.dim[at].extent = plus(e, hi, lo, -1);
    if (!t.dim[at].extent)
        return nm_elab_error(e, f, view->loc, "the extent of this slice is too large [view-3]");
    nm_attr attr[] = {nm_mk_sym(e->m, "over", d.name), nm_mk_extent(e->m, "start", lo)};
    return nm_ev_like(
        e, x, nm_elab_op(e, view->loc, NM_OP_slice, 1, &x.u.t->v, 2, attr, nm_type_get(e->m, &t)));
}

// --- grow ----------------------------------------------------------------------------------------

static nm_ev grow(nm_elab *e, nm_frame *f, nm_ev x, nm_edim d, nm_loc loc)
{
    nm_type t = *x.u.t->v->type;
    if (nm_has_dim(&t, d.name))
        return x;
    const nm_extent *extent = nm_dim_extent(e, f, d, loc);
    if (!extent)
        return nm_ev_poison();
    if (t.rank == NM_MAX_RANK)
        return nm_elab_error(e, f, loc, "a value has at most %d dims [type-2]", NM_MAX_RANK);
    t.dim[t.rank++] = (nm_dim){.name = d.name, .extent = extent};
    return nm_ev_like(
        e, x, nm_elab_op(e, loc, NM_OP_broadcast, 1, &x.u.t->v, 0, NULL, nm_type_get(e->m, &t)));
}

static nm_ev grow_list(nm_elab *e, nm_frame *f, nm_ev x, nm_edims dims, nm_loc loc)
{
    for (int i = 0; i < dims.n && x.kind == NM_EV_tensor; i++)
        x = grow(e, f, x, dims.dim[i], loc);
    return x;
}

static nm_ev grow_call(nm_elab *e, nm_frame *f, nm_ev x, const nm_ast_view *view)
{
    nm_ev v = nm_elab_expr(e, f, view->call);
    if (v.kind == NM_EV_dims)
        return grow_list(e, f, x, v.u.dims, view->loc);
    if (v.kind != NM_EV_poison)
        nm_elab_error(e, f, view->loc,
                      "a list of dims is expected after '+', and this is %s [dim-1]",
                      nm_ev_describe(e, v));
    return nm_ev_poison();
}

// --- all -----------------------------------------------------------------------------------------

static nm_ev apply(nm_elab *e, nm_frame *f, nm_ev x, const nm_ast_view *view)
{
    switch (view->kind) {
    case NM_VIEW_arrow: return arrow(e, f, x, &view->arrow);
    case NM_VIEW_pick: return pick(e, f, x, view);
    case NM_VIEW_slice: return slice(e, f, x, view);
    case NM_VIEW_grow: return grow_list(e, f, x, nm_dims_sized(e, f, &view->grown), view->loc);
    case NM_VIEW_grow_call: return grow_call(e, f, x, view);
    }
    return x;
}

nm_ev nm_elab_view(nm_elab *e, nm_frame *f, const nm_ast_expr *x)
{
    nm_ev v = nm_elab_expr(e, f, x->u.view.of);
    if (v.kind == NM_EV_num || v.kind == NM_EV_extent) // a number may grow: f32's default dtype
        v = nm_ev_value(e, nm_ev_materialise(e, v, NM_f32, x->loc));
    if (v.kind == NM_EV_poison)
        return v;
    if (v.kind != NM_EV_tensor)
        return nm_elab_error(e, f, x->u.view.loc,
                             "brackets look at a tensor, and this is %s [view-1]",
                             nm_ev_describe(e, v));
    for (int i = 0; i < x->u.view.n && v.kind == NM_EV_tensor; i++) {
        nm_sym text = v.text;
        v = apply(e, f, v, &x->u.view.item[i]);
        v.text = text; // for messages of the items to come
    }
    return v;
}
