// What is stored, seen through renames, splits, merges and slices: see view.h.
#include "ir/view.h"

static const nm_extent *one(nm_module *m) { return nm_extent_const(m, 1); }

static bool is_one(const nm_extent *e)
{
    int64_t n;
    return nm_extent_is_const(e, &n) && n == 1;
}

static int find(const nm_view *s, nm_sym dim)
{
    for (int i = 0; i < s->n; i++)
        if (s->dim[i].name == dim)
            return i;
    return -1;
}

static void remove_dim(nm_view *s, int at)
{
    s->n--;
    s->dim[at] = s->dim[s->n];
    s->stride[at] = s->stride[s->n];
}

static bool add_dim(nm_view *s, nm_dim dim, const nm_extent *stride)
{
    if (s->n == NM_MAX_RANK || !stride)
        return false;
    s->dim[s->n] = dim;
    s->stride[s->n++] = stride;
    return true;
}

bool nm_view_dense(nm_module *m, const nm_type *t, nm_view *s)
{
    const nm_extent *stride = one(m);
    *s = (nm_view){.offset = nm_extent_const(m, 0)};
    for (int i = t->rank; i-- > 0;) {
        if (!add_dim(s, t->dim[i], stride))
            return false;
        stride = nm_extent_mul(m, stride, t->dim[i].extent);
    }
    return true;
}

const nm_extent *nm_view_stride(nm_module *m, const nm_view *s, int n, const nm_dim *dim)
{
    const nm_extent *stride = NULL, *next = NULL;
    for (int i = n; i-- > 0;) {
        if (is_one(dim[i].extent))
            continue;
        int at = find(s, dim[i].name);
        const nm_extent *here = at < 0 ? nm_extent_const(m, 0) : s->stride[at];
        if ((at >= 0 && s->dim[at].extent != dim[i].extent) || (next && here != next))
            return NULL;
        stride = stride ? stride : here;
        next = nm_extent_mul(m, here, dim[i].extent);
        if (!next)
            return NULL;
    }
    return stride ? stride : nm_extent_const(m, 0);
}

static bool view_rename(nm_view *s, const nm_op *op)
{
    s->dim[find(s, nm_attr_sym(op, "from"))].name = nm_attr_sym(op, "to");
    return true;
}

static bool view_split(nm_module *m, nm_view *s, const nm_op *op)
{
    int at = find(s, nm_attr_sym(op, "from"));
    nm_syms into = nm_attr_dims(op, "into");
    const nm_extent *stride = s->stride[at];
    remove_dim(s, at);
    for (int i = into.n; i-- > 0;) {
        const nm_type *t = op->out[0].type;
        nm_dim dim = t->dim[nm_type_find(t, into.sym[i])];
        if (!add_dim(s, dim, stride))
            return false;
        stride = nm_extent_mul(m, stride, dim.extent);
    }
    return true;
}

static bool view_merge(nm_module *m, nm_view *s, const nm_op *op)
{
    nm_syms from = nm_attr_dims(op, "from");
    nm_dim part[NM_MAX_RANK];
    for (int i = 0; i < from.n; i++)
        part[i] = s->dim[find(s, from.sym[i])];
    const nm_extent *stride = nm_view_stride(m, s, from.n, part);
    for (int i = 0; i < from.n; i++)
        remove_dim(s, find(s, from.sym[i]));
    const nm_type *t = op->out[0].type;
    return add_dim(s, t->dim[nm_type_find(t, nm_attr_sym(op, "into"))], stride);
}

static bool view_slice(nm_module *m, nm_view *s, const nm_op *op)
{
    int at = find(s, nm_attr_sym(op, "over"));
    const nm_attr *start = nm_attr_get(op, "start");
    const nm_extent *first =
        start->kind == NM_ATTR_int ? nm_extent_const(m, start->u.i) : start->u.extent;
    s->offset = nm_extent_add(m, s->offset, nm_extent_mul(m, first, s->stride[at]));
    int kept = nm_type_find(op->out[0].type, s->dim[at].name);
    if (kept >= 0)
        s->dim[at].extent = op->out[0].type->dim[kept].extent;
    else
        remove_dim(s, at);
    return s->offset != NULL;
}

// What is stored narrow is read as it is: products of bf16, and of fp8, are sums in f32.
static bool widens(const nm_view *s, const nm_op *op)
{
    bool narrow = nm_dtype_table[s->dtype].is_float && nm_dtype_table[s->dtype].bytes <= 2;
    return narrow && op->out[0].type->dtype == NM_f32;
}

static bool look_through(nm_module *m, nm_view *s, const nm_op *op)
{
    switch (op->code) {
    case NM_OP_stop: return true;
    case NM_OP_cast: return widens(s, op);
    case NM_OP_rename: return view_rename(s, op);
    case NM_OP_split: return view_split(m, s, op);
    case NM_OP_merge: return view_merge(m, s, op);
    case NM_OP_slice: return view_slice(m, s, op);
    case NM_OP_broadcast: return op->in[0]->type->rank == op->out[0].type->rank;
    default: return false;
    }
}

bool nm_view_follow(nm_module *m, const nm_value *v, nm_view *s)
{
    if (v->def)
        return v->def->n_in == 1 && nm_view_follow(m, v->def->in[0], s) &&
               look_through(m, s, v->def);
    bool ok = nm_view_dense(m, v->type, s);
    s->index = v->index;
    s->dtype = v->type->dtype;
    return ok;
}
