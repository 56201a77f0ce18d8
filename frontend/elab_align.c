// What the operands of one op have to agree in: dtypes (num-1) and dims (align-1 to align-3).
#include "frontend/elab_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool nm_dtype_find(nm_sym name, nm_dtype *out)
{
    for (int i = 0; i < NM_N_DTYPES; i++)
        if (!strcmp(nm_dtype_table[i].name, name)) {
            *out = (nm_dtype)i;
            return true;
        }
    return false;
}

bool nm_dtype_is_int(nm_dtype d) { return !nm_dtype_table[d].is_float && d != NM_bool; }

// --- dtypes --------------------------------------------------------------------------------------

// The order in which a wider float takes in a narrower one.
static int float_rank(nm_dtype d)
{
    static const nm_dtype order[] = {NM_e5m2, NM_e4m3, NM_f16, NM_bf16, NM_real, NM_f32, NM_f64};
    for (int i = 0; i < (int)(sizeof order / sizeof order[0]); i++)
        if (order[i] == d)
            return i;
    return -1;
}

static nm_dtype wider(nm_dtype a, nm_dtype b)
{
    if (nm_dtype_table[a].is_float)
        return float_rank(a) >= float_rank(b) ? a : b;
    return nm_dtype_table[a].bytes >= nm_dtype_table[b].bytes ? a : b;
}

static bool do_not_mix(nm_elab *e, nm_frame *f, nm_ev a, nm_ev b, nm_loc loc)
{
    nm_dtype da = a.u.t->v->type->dtype, db = b.u.t->v->type->dtype;
    nm_ev odd = nm_dtype_table[da].is_float ? b : a;
    nm_elab_error(e, f, loc, "%s and %s do not mix; cast one: f32(%s) [num-1]",
                  nm_dtype_table[da].name, nm_dtype_table[db].name, nm_ev_name(e, odd, "..."));
    return false;
}

static bool same_family(nm_dtype a, nm_dtype b)
{
    return nm_dtype_table[a].is_float == nm_dtype_table[b].is_float &&
           (a == NM_bool) == (b == NM_bool);
}

static bool strong(nm_ev v) { return v.kind == NM_EV_tensor && !v.u.t->weak; }

// The dtype of numbers alone: that of counts, unless one is not whole.
static nm_dtype dtype_of_numbers(int n, const nm_ev *in)
{
    int64_t whole;
    for (int i = 0; i < n; i++)
        if ((in[i].kind == NM_EV_num && !nm_ev_is_whole(in[i], &whole)) ||
            (in[i].kind == NM_EV_tensor && nm_dtype_table[in[i].u.t->v->type->dtype].is_float))
            return NM_f32;
    for (int i = 0; i < n; i++)
        if (in[i].kind == NM_EV_tensor || in[i].kind == NM_EV_extent)
            return NM_i32;
    return NM_f32;
}

static bool number_fits(nm_elab *e, nm_frame *f, nm_ev v, nm_dtype d, nm_loc loc)
{
    int64_t whole;
    if (nm_dtype_table[d].is_float || v.kind == NM_EV_extent)
        return true;
    if (v.kind == NM_EV_tensor) {
        if (!nm_dtype_table[v.u.t->v->type->dtype].is_float)
            return true;
        nm_elab_error(e, f, loc, "a real number and %s do not mix; cast one [num-1]",
                      nm_dtype_table[d].name);
        return false;
    }
    if (d == NM_bool) {
        nm_elab_error(e, f, loc, "bool and a number do not mix; cast one: f32(...) [num-1]");
        return false;
    }
    if (nm_ev_is_whole(v, &whole))
        return true;
    nm_elab_error(e, f, loc, "%s and %s do not mix; cast one: f32(...) [num-1]",
                  nm_dtype_table[d].name, nm_ev_describe(e, v));
    return false;
}

bool nm_elab_common_dtype(nm_elab *e, nm_frame *f, int n, const nm_ev *in, nm_loc loc,
                          nm_dtype *out)
{
    int first = -1;
    for (int i = 0; i < n; i++) {
        if (!strong(in[i]))
            continue;
        nm_dtype d = in[i].u.t->v->type->dtype;
        if (first >= 0 && !same_family(*out, d))
            return do_not_mix(e, f, in[first], in[i], loc);
        *out = first < 0 ? d : wider(*out, d);
        first = first < 0 ? i : first;
    }
    if (first < 0) {
        *out = dtype_of_numbers(n, in);
        return true;
    }
    for (int i = 0; i < n; i++)
        if (!strong(in[i]) && in[i].kind != NM_EV_bool && !number_fits(e, f, in[i], *out, loc))
            return false;
    return true;
}

// --- dims ----------------------------------------------------------------------------------------

static bool has_all(const nm_type *t, const nm_type *all)
{
    for (int i = 0; i < all->rank; i++)
        if (!nm_has_dim(t, all->dim[i].name))
            return false;
    return true;
}

static bool extents_differ(nm_elab *e, nm_frame *f, nm_ev a, nm_ev b, const nm_dim *da,
                           const nm_dim *db, nm_loc loc)
{
    nm_elab_error(e, f, loc, "%s has %s = %s (%s), %s has %s = %s (%s) [align-3]",
                  nm_ev_name(e, a, "the left side"), da->name, nm_extent_str(e->m, da->extent),
                  nm_elab_place(e, a.made.src ? a.made : a.loc, loc),
                  nm_ev_name(e, b, "the right side"), db->name, nm_extent_str(e->m, db->extent),
                  nm_elab_place(e, b.made.src ? b.made : b.loc, loc));
    return false;
}

static bool join(nm_elab *e, nm_frame *f, nm_type *all, const nm_ev *in, int *owner, int k,
                 nm_loc loc)
{
    const nm_type *t = in[k].u.t->v->type;
    for (int i = 0; i < t->rank; i++) {
        int at = nm_type_find(all, t->dim[i].name);
        if (at >= 0 && !nm_extents_agree(e, t->dim[i].name, all->dim[at].extent, t->dim[i].extent))
            return extents_differ(e, f, in[owner[at]], in[k], &all->dim[at], &t->dim[i], loc);
        if (at >= 0)
            continue;
        if (all->rank == NM_MAX_RANK) {
            nm_elab_error(e, f, loc, "a value has at most %d dims [align-1]", NM_MAX_RANK);
            return false;
        }
        owner[all->rank] = k;
        all->dim[all->rank++] = t->dim[i];
    }
    return true;
}

// "[+heads, +hd]": what `t` lacks of `all`
static const char *missing(nm_elab *e, const nm_type *t, const nm_type *all)
{
    const char *s = "";
    for (int i = 0; i < all->rank; i++)
        if (!nm_has_dim(t, all->dim[i].name))
            s = nm_arena_fmt(e->a, "%s%s+%s", s, *s ? ", " : "", all->dim[i].name);
    return s;
}

static bool nobody_has_all(nm_elab *e, nm_frame *f, int n, const nm_ev *in, const nm_type *all,
                           nm_loc loc)
{
    int a = -1, b = -1;
    for (int i = 0; i < n; i++)
        if (in[i].kind == NM_EV_tensor && in[i].u.t->v->type->rank) {
            if (a < 0)
                a = i;
            else if (b < 0 && !has_all(in[a].u.t->v->type, in[i].u.t->v->type))
                b = i;
        }
    if (b < 0)
        b = a;
    nm_elab_error(e, f, loc,
                  "neither side has every dim of the result: %s is %s, %s is %s; if an outer "
                  "product is meant, write "
                  "%s[%s] [align-2]",
                  nm_ev_name(e, in[a], "the left"), nm_tensor_str(e, in[a].u.t),
                  nm_ev_name(e, in[b], "the right"), nm_tensor_str(e, in[b].u.t),
                  nm_ev_name(e, in[a], "(...)"), missing(e, in[a].u.t->v->type, all));
    return false;
}

static bool join_all(nm_elab *e, nm_frame *f, int n, const nm_ev *in, nm_type *all, nm_loc loc)
{
    int owner[NM_MAX_RANK];
    *all = (nm_type){0};
    for (int i = 0; i < n; i++)
        if (in[i].kind == NM_EV_tensor && !join(e, f, all, in, owner, i, loc))
            return false;
    return true;
}

bool nm_elab_align(nm_elab *e, nm_frame *f, int n, const nm_ev *in, nm_loc loc)
{
    nm_type all;
    if (!join_all(e, f, n, in, &all, loc))
        return false;
    for (int i = 0; i < n; i++)
        if (in[i].kind == NM_EV_tensor && has_all(in[i].u.t->v->type, &all))
            return true;
    return !all.rank || nobody_has_all(e, f, n, in, &all, loc);
}

nm_value *nm_elab_conform(nm_elab *e, nm_loc loc, nm_value *v, nm_sym dim, const nm_extent *extent)
{
    int at = v ? nm_type_find(v->type, dim) : -1;
    if (at < 0 || v->type->dim[at].extent == extent)
        return v;
    nm_type t = *v->type;
    t.dim[at].extent = extent;
    nm_attr attr[] = {nm_mk_sym(e->m, "over", dim),
                      nm_mk_extent(e->m, "start", nm_extent_const(e->m, 0))};
    return nm_elab_op(e, loc, NM_OP_slice, 1, &v, 2, attr, nm_type_get(e->m, &t));
}

bool nm_elab_unify(nm_elab *e, nm_frame *f, int n, const nm_ev *in, nm_value **out, nm_loc loc,
                   bool aligned)
{
    nm_dtype dtype;
    nm_type all;
    if (!nm_elab_common_dtype(e, f, n, in, loc, &dtype) || !join_all(e, f, n, in, &all, loc))
        return false;
    if (aligned && !nm_elab_align(e, f, n, in, loc))
        return false;
    for (int i = 0; i < n; i++) {
        out[i] = nm_ev_materialise(e, in[i], dtype, loc);
        if (!out[i])
            return false;
        for (int k = 0; k < all.rank; k++) // extents that agree are made one
            out[i] = nm_elab_conform(e, loc, out[i], all.dim[k].name, all.dim[k].extent);
    }
    return true;
}
