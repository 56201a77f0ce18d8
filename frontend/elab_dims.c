// Dims: what a name stands for where a dim is expected, its extent, and the shapes of declarations.
//
// The extent of a dim that is read (dim-4): what a parameter or `dims` of the body fixed; else the
// size of the file's declaration; else, of a dim that is bound later or only introduced by values,
// the one extent that it has in the values in scope.
#include "frontend/elab_internal.h"

#include <stdlib.h>
#include <string.h>

// --- names ---------------------------------------------------------------------------------------

nm_sym nm_dim_unprimed(nm_elab *e, nm_sym name, int *primes)
{
    size_t n = strlen(name), k = n;
    while (k && name[k - 1] == '\'')
        k--;
    *primes = (int)(n - k);
    return n == k ? name : nm_sym_fmt(e->m, "%.*s", (int)k, name);
}

static nm_sym primed(nm_elab *e, nm_sym name, int primes)
{
    for (; primes > 0; primes--)
        name = nm_sym_fmt(e->m, "%s'", name);
    return name;
}

bool nm_dims_has(nm_edims dims, nm_sym name)
{
    for (int i = 0; i < dims.n; i++)
        if (dims.dim[i].name == name)
            return true;
    return false;
}

const char *nm_dims_str(nm_elab *e, nm_edims dims)
{
    const char *s = "";
    for (int i = 0; i < dims.n; i++)
        s = nm_arena_fmt(e->a, "%s%s%s", s, i ? " " : "", dims.dim[i].name);
    return s;
}

nm_edims nm_dims_of_type(nm_elab *e, const nm_type *t, nm_loc loc)
{
    nm_edims d = {t->rank, nm_new_n(e->a, nm_edim, (size_t)t->rank)};
    for (int i = 0; i < t->rank; i++)
        d.dim[i] = (nm_edim){
            .name = t->dim[i].name, .extent = t->dim[i].extent, .written = true, .loc = loc};
    return d;
}

// What the name stands for without primes: false if nothing declares it.
static bool declared_dims(nm_elab *e, nm_frame *f, nm_sym name, nm_loc loc, nm_edims *out)
{
    nm_local_dim *local = nm_frame_dim(f, name);
    nm_var *var = nm_frame_var(f, name);
    if (local) {
        *out = local->dims;
        return true;
    }
    if (var && var->value.kind == NM_EV_dims) {
        *out = var->value.u.dims;
        return true;
    }
    nm_item *item = var ? NULL : nm_unit_find(e, f->unit, name);
    if (!item || item->kind != NM_ITEM_dim)
        return false;
    nm_ev v = nm_item_value(e, item, f, loc);
    *out = v.kind == NM_EV_dims ? v.u.dims : (nm_edims){0};
    return true;
}

static nm_edims at_place(nm_elab *e, nm_frame *f, nm_edims dims, nm_loc loc, int primes)
{
    nm_edims out = {dims.n, nm_new_n(e->a, nm_edim, (size_t)dims.n)};
    for (int i = 0; i < dims.n; i++) {
        out.dim[i] = dims.dim[i];
        out.dim[i].name = primed(e, dims.dim[i].name, primes);
        if (!f->user_fn)
            out.dim[i].loc = loc;
    }
    return out;
}

static nm_edims one_dim(nm_elab *e, nm_frame *f, nm_sym name, nm_loc loc)
{
    nm_edims out = {1, nm_new(e->a, nm_edim)};
    out.dim[0] = (nm_edim){.name = name, .loc = f->user_fn ? f->user_loc : loc};
    return out;
}

nm_edims nm_dims_of_name(nm_elab *e, nm_frame *f, const nm_ast_name *name, nm_loc loc)
{
    nm_edims d;
    int primes;
    if (name->n > 1) {
        nm_ev v = nm_name_value(e, f, name, loc);
        if (v.kind == NM_EV_dims)
            return at_place(e, f, v.u.dims, loc, 0);
        if (v.kind != NM_EV_poison)
            nm_elab_error(e, f, loc, "'%s' is %s; a dim is expected [dim-1]", name->sym,
                          nm_ev_describe(e, v));
        return (nm_edims){0};
    }
    nm_sym base = nm_dim_unprimed(e, name->sym, &primes);
    if (declared_dims(e, f, name->sym, loc, &d))
        return at_place(e, f, d, loc, 0);
    if (primes && declared_dims(e, f, base, loc, &d))
        return at_place(e, f, d, loc, primes);
    nm_var *var = nm_frame_var(f, name->sym);
    if (var && var->is_turn) {
        nm_elab_error(e, f, loc,
                      "iterations of a repeat share one stacked parameter, its type may not use "
                      "%s; use 'for' [loop-4]",
                      name->sym);
        return (nm_edims){0};
    }
    if (var) {
        if (var->value.kind != NM_EV_poison)
            nm_elab_error(e, f, loc, "'%s' is a value; a dim is expected [dim-1]", name->sym);
        return (nm_edims){0};
    }
    return one_dim(e, f, name->sym, loc);
}

static nm_edims append(nm_elab *e, nm_edims a, nm_edims b)
{
    nm_edims out = {a.n + b.n, nm_new_n(e->a, nm_edim, (size_t)(a.n + b.n))};
    for (int i = 0; i < out.n; i++)
        out.dim[i] = i < a.n ? a.dim[i] : b.dim[i - a.n];
    return out;
}

nm_edims nm_dims_of_names(nm_elab *e, nm_frame *f, const nm_ast_names *names)
{
    nm_edims out = {0};
    for (int i = 0; i < names->n; i++)
        out = append(e, out, nm_dims_of_name(e, f, &names->name[i], names->name[i].loc));
    return out;
}

static const nm_extent *written_size(nm_elab *e, nm_frame *f, const nm_ast_dim *d)
{
    int64_t n;
    nm_ev v = nm_ev_number(e, f, nm_elab_expr(e, f, d->size));
    if (v.kind == NM_EV_extent)
        return v.u.extent;
    if (nm_ev_is_whole(v, &n) && n >= 1)
        return nm_extent_const(e->m, n);
    if (v.kind != NM_EV_poison)
        nm_elab_error(e, f, d->size->loc,
                      "the size of '%s' is a whole number of at least 1, not %s [dim-6]",
                      d->name.sym, nm_ev_describe(e, v));
    return NULL;
}

nm_edims nm_dims_sized(nm_elab *e, nm_frame *f, const nm_ast_dim *d)
{
    nm_edims one = nm_dims_of_name(e, f, &d->name, d->name.loc);
    if (!d->size || one.n != 1)
        return one;
    one.dim[0].extent = written_size(e, f, d);
    one.dim[0].written = one.dim[0].extent != NULL;
    one.dim[0].ambiguous = false;
    return one;
}

nm_edims nm_dims_right_of(nm_elab *e, nm_frame *f, const nm_ast_dims *dims, nm_edims left)
{
    nm_edims out = {0};
    for (int i = 0; i < dims->n; i++) {
        nm_edims one = nm_dims_sized(e, f, &dims->dim[i]);
        for (int k = 0; k < one.n; k++)
            if (!dims->dim[i].size && nm_dims_has(left, one.dim[k].name)) {
                one.dim[k].extent = NULL;
                one.dim[k].written = false;
            }
        out = append(e, out, one);
    }
    return out;
}

nm_edims nm_dims_right(nm_elab *e, nm_frame *f, const nm_ast_dims *dims)
{
    return nm_dims_right_of(e, f, dims, (nm_edims){0});
}

bool nm_dim_single(nm_elab *e, nm_frame *f, nm_edims dims, nm_loc loc, nm_edim *out)
{
    if (dims.n != 1) {
        if (dims.n)
            nm_elab_error(e, f, loc, "one dim is expected here, and these are %d: %s [dim-1]",
                          dims.n, nm_dims_str(e, dims));
        return false;
    }
    *out = dims.dim[0];
    return true;
}

// --- extents -------------------------------------------------------------------------------------

// Every symbol whose dim is a multiple of k as k * (sym // k), so that sizes in units of k compare.
static const nm_extent *in_multiples(nm_elab *e, const nm_extent *x)
{
    const nm_extent *total = nm_extent_const(e->m, 0);
    for (int i = 0; i < x->n_terms; i++) {
        const nm_extent *product = nm_extent_const(e->m, x->term[i].factor);
        for (int k = 0; k < x->term[i].n_atoms; k++) {
            const nm_atom *a = &x->term[i].atom[k];
            const nm_extent *part =
                a->sym ? nm_extent_sym(e->m, a->sym)
                       : nm_extent_div(e->m, in_multiples(e, a->num), in_multiples(e, a->den));
            nm_dim_decl *d = a->sym ? nm_dim_lookup(e->m, a->sym) : NULL;
            if (d && d->multiple > 1) {
                const nm_extent *unit = nm_extent_const(e->m, d->multiple);
                part = nm_extent_mul(e->m, unit, nm_extent_div(e->m, part, unit));
            }
            product = nm_extent_mul(e->m, product, part);
        }
        total = nm_extent_add(e->m, total, product);
    }
    return total;
}

static bool is_symbol(const nm_extent *x)
{
    return x && x->n_terms == 1 && x->term[0].n_atoms == 1 && x->term[0].atom[0].sym &&
           x->term[0].factor == 1;
}

// The data binds the dim, and another value computes its extent: known to agree when both are.
static bool bound_by_data(nm_elab *e, nm_sym dim, const nm_extent *a, const nm_extent *b)
{
    int primes;
    nm_sym name = nm_dim_unprimed(e, dim, &primes);
    return is_symbol(a) && a->term[0].atom[0].sym == name && !nm_extent_is_const(b, NULL) &&
           !nm_extent_reads(b, name);
}

bool nm_extents_agree(nm_elab *e, nm_sym dim, const nm_extent *a, const nm_extent *b)
{
    if (a == b || !a || !b || bound_by_data(e, dim, a, b) || bound_by_data(e, dim, b, a))
        return true;
    if (nm_extent_is_const(a, NULL) && nm_extent_is_const(b, NULL))
        return false;
    const nm_extent *x = in_multiples(e, a), *y = in_multiples(e, b);
    return x && x == y;
}

static const nm_extent *extent_in(nm_ev v, nm_sym name)
{
    int at = v.kind == NM_EV_tensor ? nm_type_find(v.u.t->v->type, name) : -1;
    return at < 0 ? NULL : v.u.t->v->type->dim[at].extent;
}

typedef struct seen { // the extents of a dim in the values of a frame
    const nm_extent *extent[2];
    nm_var *var[2];
    int n;
} seen;

static void look_at(seen *s, nm_var *var, nm_ev v, nm_sym name)
{
    const nm_extent *x = extent_in(v, name);
    if (v.kind == NM_EV_tuple)
        for (int i = 0; i < v.u.tuple.n && s->n < 2; i++)
            look_at(s, var, v.u.tuple.item[i], name);
    if (!x || s->n == 2 || (s->n && s->extent[0] == x))
        return;
    s->var[s->n] = var;
    s->extent[s->n++] = x;
}

static seen look_around(nm_frame *f, nm_sym name)
{
    seen s = {0};
    for (int i = 0; i < f->n_vars; i++)
        look_at(&s, &f->var[i], f->var[i].value, name);
    return s;
}

const nm_extent *nm_dim_known(nm_elab *e, nm_frame *f, nm_edim d)
{
    (void)e;
    if (d.ambiguous)
        return NULL;
    if (d.extent && (d.written || !is_symbol(d.extent)))
        return d.extent;
    seen s = look_around(f, d.name);
    return s.n == 1 ? s.extent[0] : s.n ? NULL : d.extent;
}

static const nm_extent *two_extents(nm_elab *e, nm_frame *f, nm_edim d, nm_loc loc)
{
    seen s = look_around(f, d.name);
    if (s.n < 2) {
        nm_elab_error(e, f, loc, "'%s' has two extents in the arguments; write size(x, %s) [dim-4]",
                      d.name, d.name);
        return NULL;
    }
    nm_elab_error(e, f, loc,
                  "'%s' has two extents here: %s (%s) and %s (%s); write index(%s, %s) or size(%s, "
                  "%s) [dim-4]",
                  d.name, nm_extent_str(e->m, s.extent[0]),
                  nm_elab_place(e, s.var[0]->value.made, loc), nm_extent_str(e->m, s.extent[1]),
                  nm_elab_place(e, s.var[1]->value.made, loc), s.var[0]->name, d.name,
                  s.var[0]->name, d.name);
    return NULL;
}

// In the library a dim of unknown extent was given by the user's call: of a tensor that lacks it.
static bool lacking_argument(nm_elab *e, nm_frame *f, nm_edim d)
{
    for (int i = 0; i < f->n_vars; i++)
        if (f->var[i].value.kind == NM_EV_tensor) {
            nm_ev x = f->var[i].value;
            x.text = x.text ? x.text : f->var[i].name;
            return !nm_dim_must_have(e, f, x, d, d.loc, NULL);
        }
    return false;
}

const nm_extent *nm_dim_extent(nm_elab *e, nm_frame *f, nm_edim d, nm_loc loc)
{
    const nm_extent *x = nm_dim_known(e, f, d);
    if (x)
        return x;
    if (d.loc.src)
        loc = d.loc;
    if (d.ambiguous || look_around(f, d.name).n == 2)
        return two_extents(e, f, d, loc);
    if (f->user_fn && lacking_argument(e, f, d))
        return NULL;
    nm_sym near = nm_name_suggest(e, f, d.name);
    if (near && near != d.name)
        nm_elab_error(
            e, f, loc,
            "the dim '%s' has no extent here: nothing in scope has it; did you mean '%s'? [dim-2]",
            d.name, near);
    else
        nm_elab_error(e, f, loc, "the dim '%s' has no extent here: nothing in scope has it [dim-2]",
                      d.name);
    return NULL;
}

// --- what a value has to have --------------------------------------------------------------------

bool nm_dim_must_have(nm_elab *e, nm_frame *f, nm_ev x, nm_edim d, nm_loc loc, const char *what)
{
    nm_sym names[NM_MAX_RANK];
    const nm_type *t = x.u.t->v->type;
    if (nm_has_dim(t, d.name))
        return true;
    for (int i = 0; i < t->rank; i++)
        names[i] = t->dim[i].name;
    nm_sym near = nm_elab_nearest(e, d.name, t->rank, names);
    bool say_what = what && !f->user_fn;
    nm_elab_error(e, f, d.loc.src ? d.loc : loc, "%s%s%s is %s, without a dim '%s'%s%s%s [dim-1]",
                  say_what ? what : "", say_what ? ": " : "", nm_ev_name(e, x, "this"),
                  nm_tensor_str(e, x.u.t), d.name, near ? "; did you mean '" : "", near ? near : "",
                  near ? "'?" : "");
    return false;
}

bool nm_dims_must_have(nm_elab *e, nm_frame *f, nm_ev x, nm_edims dims, nm_loc loc,
                       const char *what)
{
    for (int i = 0; i < dims.n; i++) {
        if (!nm_dim_must_have(e, f, x, dims.dim[i], loc, what))
            return false;
        for (int k = 0; k < i; k++)
            if (dims.dim[k].name == dims.dim[i].name) {
                nm_elab_error(e, f, loc, "'%s' stands twice in one list of dims [type-2]",
                              dims.dim[i].name);
                return false;
            }
    }
    return true;
}

// --- shapes of declarations ----------------------------------------------------------------------

static bool add_axis(nm_elab *e, nm_frame *f, nm_eshape *s, nm_edim d, nm_loc loc)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i].name == d.name) {
            nm_elab_error(e, f, loc,
                          "'%s' stands twice in one type; write %s' for the second, or an arrow "
                          "[%s -> %s] [type-2]",
                          d.name, d.name, d.name, d.name);
            return false;
        }
    if (s->rank == NM_MAX_RANK) {
        nm_elab_error(e, f, loc, "a type has at most %d dims [type-2]", NM_MAX_RANK);
        return false;
    }
    d.extent = nm_dim_extent(e, f, d, loc);
    s->dim[s->rank++] = d;
    return d.extent != NULL;
}

static bool add_axes(nm_elab *e, nm_frame *f, nm_eshape *s, nm_edims dims, nm_loc loc)
{
    for (int i = 0; i < dims.n; i++)
        if (!add_axis(e, f, s, dims.dim[i], loc))
            return false;
    return true;
}

// hid -> gate hid: the domain's is hid' (type-2).
static bool add_arrow(nm_elab *e, nm_frame *f, nm_eshape *s, const nm_ast_axis *axis)
{
    nm_edims ins = nm_dims_of_names(e, f, &axis->arrow.from),
             outs = nm_dims_right(e, f, &axis->arrow.to);
    if (s->is_arrow) {
        nm_elab_error(e, f, axis->loc, "a type has one arrow [type-2]");
        return false;
    }
    for (int i = 0; i < ins.n; i++)
        if (nm_dims_has(outs, ins.dim[i].name)) {
            nm_edim *d = &ins.dim[i];
            d->extent = nm_dim_extent(e, f, *d, axis->loc);
            d->written = true;
            d->name = primed(e, d->name, 1);
        }
    s->is_arrow = true;
    s->n_batch = s->rank;
    s->n_ins = ins.n;
    return add_axes(e, f, s, ins, axis->loc) && add_axes(e, f, s, outs, axis->loc);
}

static bool read_axis(nm_elab *e, nm_frame *f, const nm_ast_axis *axis, nm_eshape *s)
{
    nm_ev v;
    switch (axis->kind) {
    case NM_AXIS_dim: return add_axes(e, f, s, nm_dims_sized(e, f, &axis->dim), axis->loc);
    case NM_AXIS_arrow: return add_arrow(e, f, s, axis);
    case NM_AXIS_rest:
        nm_elab_error(e, f, axis->loc,
                      "'...' stands in the type of a parameter; here every dim is named [type-2]");
        return false;
    case NM_AXIS_call: break;
    }
    v = nm_elab_expr(e, f, axis->call);
    if (v.kind == NM_EV_dims)
        return add_axes(e, f, s, v.u.dims, axis->loc);
    if (v.kind != NM_EV_poison)
        nm_elab_error(e, f, axis->loc, "a list of dims is expected, and this is %s [dim-1]",
                      nm_ev_describe(e, v));
    return false;
}

bool nm_shape_read(nm_elab *e, nm_frame *f, const nm_ast_shape *shape, nm_eshape *out)
{
    *out = (nm_eshape){0};
    unsigned before = e->fails;
    for (int i = 0; i < shape->n; i++)
        if (!read_axis(e, f, &shape->axis[i], out))
            return false;
    if (!out->is_arrow)
        out->n_batch = out->rank;
    return e->fails == before;
}

void nm_body_dims(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    for (int i = 0; i < s->u.dims.n; i++) {
        const nm_ast_dimdecl *d = &s->u.dims.decl[i];
        if (!d->size) {
            nm_elab_error(e, f, d->loc, "a dim of a body needs a size: dims %s = ... [dim-2]",
                          d->word.sym);
            continue;
        }
        if (nm_frame_var(f, d->word.sym))
            nm_elab_error(e, f, d->word.loc, "'%s' is a value; a dim needs another name [name-1]",
                          d->word.sym);
        nm_edims own = one_dim(e, f, d->word.sym, d->word.loc);
        nm_ast_dim sized = {.loc = d->loc, .name = {.sym = d->word.sym}, .size = d->size};
        own.dim[0].extent = written_size(e, f, &sized);
        own.dim[0].written = true;
        nm_frame_set_dim(e, f, d->word.sym, own);
    }
}
