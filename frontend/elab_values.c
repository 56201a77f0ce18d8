// Values of the elaborator: making, comparing, describing and converting them.
#include "frontend/elab_builtin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- making --------------------------------------------------------------------------------------

nm_ev nm_ev_poison(void) { return (nm_ev){.kind = NM_EV_poison}; }

nm_ev nm_ev_none(void) { return (nm_ev){.kind = NM_EV_none}; }

nm_ev nm_ev_num(double v) { return (nm_ev){.kind = NM_EV_num, .u.num = v}; }

nm_ev nm_ev_bool(bool b) { return (nm_ev){.kind = NM_EV_bool, .u.b = b}; }

nm_ev nm_ev_word(nm_ev_kind kind, nm_sym s) { return (nm_ev){.kind = kind, .u.sym = s}; }

nm_ev nm_ev_tuple(nm_elab *e, int n, const nm_ev *item)
{
    nm_ev v = {.kind = NM_EV_tuple, .u.tuple = {n, nm_new_n(e->a, nm_ev, (size_t)n)}};
    for (int i = 0; i < n; i++)
        v.u.tuple.item[i] = item[i];
    return v;
}

nm_ev nm_ev_extent(nm_elab *e, const nm_extent *x)
{
    int64_t c;
    (void)e;
    if (nm_extent_is_const(x, &c))
        return nm_ev_num((double)c);
    return (nm_ev){.kind = NM_EV_extent, .u.extent = x};
}

nm_ev nm_ev_dims(nm_elab *e, int n, const nm_edim *dim)
{
    nm_ev v = {.kind = NM_EV_dims, .u.dims = {n, nm_new_n(e->a, nm_edim, (size_t)n)}};
    for (int i = 0; i < n; i++)
        v.u.dims.dim[i] = dim[i];
    return v;
}

nm_ev nm_ev_fn(nm_elab *e, nm_callable fn)
{
    nm_callable *kept = nm_new(e->a, nm_callable);
    *kept = fn;
    return (nm_ev){.kind = NM_EV_fn, .u.fn = kept};
}

nm_ev nm_ev_tensor(nm_elab *e, nm_tensor t)
{
    if (!t.v)
        return nm_ev_poison();
    nm_tensor *kept = nm_new(e->a, nm_tensor);
    *kept = t;
    return (nm_ev){.kind = NM_EV_tensor, .u.t = kept};
}

nm_ev nm_ev_value(nm_elab *e, nm_value *v) { return nm_ev_tensor(e, (nm_tensor){.v = v}); }

static bool arrow_fits(const nm_tensor *t, const nm_type *type)
{
    for (int i = 0; i < t->ins.n; i++)
        if (!nm_has_dim(type, t->ins.sym[i]))
            return false;
    for (int i = 0; i < t->outs.n; i++)
        if (!nm_has_dim(type, t->outs.sym[i]))
            return false;
    return true;
}

nm_ev nm_ev_like(nm_elab *e, nm_ev of, nm_value *v)
{
    if (!v || of.kind != NM_EV_tensor)
        return nm_ev_value(e, v);
    nm_tensor t = *of.u.t;
    t.v = v;
    t.param = NULL;
    t.weak = false;
    if (t.is_arrow && !arrow_fits(&t, v->type))
        t.is_arrow = false;
    return nm_ev_tensor(e, t);
}

nm_syms nm_syms_copy(nm_elab *e, int n, const nm_sym *s)
{
    nm_sym *kept = nm_new_n(e->a, nm_sym, (size_t)n);
    for (int i = 0; i < n; i++)
        kept[i] = s[i];
    return (nm_syms){n, kept};
}

nm_syms nm_syms_of(nm_elab *e, nm_edims dims)
{
    nm_sym *s = nm_new_n(e->a, nm_sym, (size_t)dims.n);
    for (int i = 0; i < dims.n; i++)
        s[i] = dims.dim[i].name;
    return (nm_syms){dims.n, s};
}

// --- comparing -----------------------------------------------------------------------------------

static bool same_tuples(nm_elab *e, nm_ev a, nm_ev b)
{
    if (a.u.tuple.n != b.u.tuple.n)
        return false;
    for (int i = 0; i < a.u.tuple.n; i++)
        if (!nm_ev_same(e, a.u.tuple.item[i], b.u.tuple.item[i]))
            return false;
    return true;
}

static bool same_dims(nm_edims a, nm_edims b)
{
    for (int i = 0; i < a.n; i++)
        if (!nm_dims_has(b, a.dim[i].name))
            return false;
    return a.n == b.n;
}

static bool same_fns(const nm_callable *a, const nm_callable *b)
{
    return a->def == b->def && a->ext == b->ext && a->builtin == b->builtin && a->inst == b->inst &&
           a->is_cast == b->is_cast && a->cast == b->cast;
}

bool nm_ev_same(nm_elab *e, nm_ev a, nm_ev b)
{
    if (a.kind != b.kind) { // () is the empty list of dims
        nm_ev tuple = a.kind == NM_EV_tuple ? a : b, dims = a.kind == NM_EV_tuple ? b : a;
        return tuple.kind == NM_EV_tuple && dims.kind == NM_EV_dims && !tuple.u.tuple.n &&
               !dims.u.dims.n;
    }
    switch (a.kind) {
    case NM_EV_none: return true;
    case NM_EV_num: return a.u.num == b.u.num;
    case NM_EV_bool: return a.u.b == b.u.b;
    case NM_EV_word:
    case NM_EV_string: return a.u.sym == b.u.sym;
    case NM_EV_tuple: return same_tuples(e, a, b);
    case NM_EV_extent: return a.u.extent == b.u.extent;
    case NM_EV_dims: return same_dims(a.u.dims, b.u.dims);
    case NM_EV_fn: return same_fns(a.u.fn, b.u.fn);
    case NM_EV_inst: return a.u.inst == b.u.inst;
    case NM_EV_unit: return a.u.unit == b.u.unit;
    default: return false;
    }
}

bool nm_ev_is_whole(nm_ev v, int64_t *i)
{
    if (v.kind != NM_EV_num || v.u.num != floor(v.u.num) || fabs(v.u.num) > 9e15)
        return false;
    *i = (int64_t)v.u.num;
    return true;
}

// --- describing ----------------------------------------------------------------------------------

static bool in_list(nm_syms list, nm_sym s) { return nm_syms_has(list, s); }

const char *nm_tensor_str(nm_elab *e, const nm_tensor *t)
{
    const nm_type *type = t->v->type;
    const char *s = t->index_of ? t->index_of : nm_dtype_table[type->dtype].name;
    const char *dims = "", *ins = "", *outs = "";
    for (int i = 0; i < type->rank; i++) {
        nm_sym d = type->dim[i].name;
        if (t->is_arrow && in_list(t->ins, d))
            ins = nm_arena_fmt(e->a, "%s%s%s", ins, *ins ? " " : "", d);
        else if (t->is_arrow && in_list(t->outs, d))
            outs = nm_arena_fmt(e->a, "%s%s%s", outs, *outs ? " " : "", d);
        else
            dims = nm_arena_fmt(e->a, "%s%s%s", dims, *dims ? ", " : "", d);
    }
    if (t->is_arrow)
        return nm_arena_fmt(e->a, "%s[%s%s%s -> %s]", s, dims, *dims ? ", " : "", ins, outs);
    return nm_arena_fmt(e->a, "%s[%s]", s, dims);
}

static const char *describe_fn(nm_elab *e, const nm_callable *fn)
{
    if (fn->inst)
        return nm_arena_fmt(e->a, "the instance %s", fn->inst->label);
    if (fn->def)
        return nm_arena_fmt(e->a, "%s %s", fn->def->kind == NM_DEF_fn ? "fn" : "module",
                            fn->def->name.sym);
    if (fn->ext)
        return nm_arena_fmt(e->a, "extern %s", fn->ext->name.sym);
    return fn->is_cast ? "a dtype" : nm_arena_fmt(e->a, "the op %s", fn->builtin->name);
}

const char *nm_ev_describe(nm_elab *e, nm_ev v)
{
    switch (v.kind) {
    case NM_EV_poison: return "an erroneous value";
    case NM_EV_none: return "none";
    case NM_EV_num: return nm_arena_fmt(e->a, "%.12g", v.u.num);
    case NM_EV_bool: return v.u.b ? "true" : "false";
    case NM_EV_word: return v.u.sym;
    case NM_EV_string: return nm_arena_fmt(e->a, "\"%s\"", v.u.sym);
    case NM_EV_tuple: return nm_arena_fmt(e->a, "a tuple of %d", v.u.tuple.n);
    case NM_EV_extent: return nm_extent_str(e->m, v.u.extent);
    case NM_EV_dims:
        return v.u.dims.n == 1 ? nm_arena_fmt(e->a, "the dim %s", v.u.dims.dim[0].name)
                               : nm_arena_fmt(e->a, "the dims (%s)", nm_dims_str(e, v.u.dims));
    case NM_EV_fn: return describe_fn(e, v.u.fn);
    case NM_EV_dist: return "a distribution";
    case NM_EV_tensor: return nm_tensor_str(e, v.u.t);
    case NM_EV_inst: return nm_arena_fmt(e->a, "the instance %s", v.u.inst->label);
    case NM_EV_unit: return nm_arena_fmt(e->a, "the file used as %s", v.u.unit->as);
    }
    return "a value";
}

const char *nm_ev_name(nm_elab *e, nm_ev v, const char *otherwise)
{
    (void)e;
    return v.text ? v.text : otherwise;
}

// --- converting ----------------------------------------------------------------------------------

static nm_ev product_of_extents(nm_elab *e, nm_frame *f, nm_ev v)
{
    const nm_extent *x = nm_extent_const(e->m, 1);
    for (int i = 0; i < v.u.dims.n; i++) {
        const nm_extent *d = nm_dim_extent(e, f, v.u.dims.dim[i], v.loc);
        if (!d)
            return nm_ev_poison();
        x = nm_extent_mul(e->m, x, d);
        if (!x)
            return nm_elab_error(e, f, v.loc, "the product of (%s) is too large",
                                 nm_dims_str(e, v.u.dims));
    }
    nm_ev out = nm_ev_extent(e, x);
    out.loc = v.loc;
    out.text = v.text;
    return out;
}

nm_ev nm_ev_number(nm_elab *e, nm_frame *f, nm_ev v)
{
    return v.kind == NM_EV_dims ? product_of_extents(e, f, v) : v;
}

bool nm_ev_is_number(nm_ev v)
{
    return v.kind == NM_EV_num || v.kind == NM_EV_dims || v.kind == NM_EV_extent ||
           (v.kind == NM_EV_tensor && v.u.t->weak && v.u.t->v->type->rank == 0);
}

nm_value *nm_ev_materialise(nm_elab *e, nm_ev v, nm_dtype dtype, nm_loc loc)
{
    switch (v.kind) {
    case NM_EV_num: return nm_elab_const(e, loc, dtype, v.u.num);
    case NM_EV_bool: return nm_elab_const(e, loc, dtype, v.u.b);
    case NM_EV_extent: {
        nm_attr of = nm_mk_extent(e->m, "of", v.u.extent);
        return nm_elab_op(e, loc, NM_OP_size, 0, NULL, 1, &of, nm_type_scalar(e->m, dtype));
    }
    case NM_EV_tensor: return nm_elab_cast(e, loc, v.u.t->v, dtype);
    default: return NULL;
    }
}
