// One element of a view: the element of an operand at other coordinates, or 0.
//
// Conditions on constant coordinates are decided here, so that a loop that is unrolled over the
// parts of a concat reads each part without a select.
#include "codegen/global.h"

static LLVMValueRef extent_of(nm_gen *g, const nm_type *t, nm_sym dim)
{
    int i = nm_type_find(t, dim);
    if (i < 0)
        nm_bug("codegen: %s has no dim '%s'", nm_type_str(g->fn.m, t), dim);
    return nm_fn_extent_value(&g->fn, t->dim[i].extent, NM_SYM_SIZE);
}

static LLVMValueRef attr_extent(nm_gen *g, const nm_op *op, const char *name)
{
    const nm_attr *a = nm_attr_get(op, name);
    if (a->kind == NM_ATTR_int)
        return nm_index_const(g, a->u.i);
    return nm_fn_extent_value(&g->fn, a->u.extent, NM_SYM_SIZE);
}

static LLVMValueRef in_range(nm_gen *g, LLVMValueRef at, LLVMValueRef extent)
{
    return LLVMBuildICmp(g->fn.b, LLVMIntULT, at, extent, ""); // below 0 is above all, unsigned
}

// at, or 0 where it is outside: a load there is safe, and its value is not used.
static LLVMValueRef clamp_outside(nm_gen *g, LLVMValueRef inside, LLVMValueRef at)
{
    return LLVMBuildSelect(g->fn.b, inside, at, nm_index_const(g, 0), "");
}

// Coordinates of the operand `in` that c has under the same names.
static void keep_dims(const nm_value *in, const nm_coords *c, nm_coords *at)
{
    *at = (nm_coords){0};
    for (int i = 0; i < in->type->rank; i++)
        if (nm_coords_has(c, in->type->dim[i].name))
            nm_coords_set(at, in->type->dim[i].name, nm_coords_get(c, in->type->dim[i].name));
}

static void guard(nm_gen *g, nm_source_point *p, nm_sym dim, LLVMValueRef at, LLVMValueRef extent)
{
    LLVMValueRef inside = in_range(g, at, extent);
    int64_t known;
    if (nm_fn_is_const(inside, &known)) {
        p->inside = known ? p->inside : inside;
        nm_coords_set(&p->at, dim, known ? at : nm_index_const(g, 0));
        return;
    }
    nm_coords_set(&p->at, dim, clamp_outside(g, inside, at));
    p->inside = p->inside ? LLVMBuildAnd(g->fn.b, p->inside, inside, "") : inside;
}

// --- one rule an op
// ---------------------------------------------------------------------------------------

static void point_split(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_syms into = nm_attr_dims(op, "into");
    LLVMValueRef flat = nm_coords_get(c, into.sym[0]);
    for (int i = 1; i < into.n; i++)
        flat = nm_index_flat(g, flat, extent_of(g, op->out[0].type, into.sym[i]),
                             nm_coords_get(c, into.sym[i]));
    nm_coords_set(&p->at, nm_attr_sym(op, "from"), flat);
}

static void point_merge(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_syms from = nm_attr_dims(op, "from");
    LLVMValueRef flat = nm_coords_get(c, nm_attr_sym(op, "into"));
    for (int i = from.n; i-- > 1;) {
        LLVMValueRef extent = extent_of(g, op->in[0]->type, from.sym[i]);
        nm_coords_set(&p->at, from.sym[i], nm_index_rem(g, flat, extent));
        flat = nm_index_div(g, flat, extent);
    }
    nm_coords_set(&p->at, from.sym[0], flat);
}

static void point_slice(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_sym over = nm_attr_sym(op, "over");
    LLVMValueRef at = attr_extent(g, op, "start");
    if (nm_has_dim(op->out[0].type, over))
        at = nm_index_add(g, at, nm_coords_get(c, over));
    nm_coords_set(&p->at, over, at);
}

static LLVMValueRef reflect(nm_gen *g, LLVMValueRef at, LLVMValueRef extent)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef zero = nm_index_const(g, 0);
    LLVMValueRef last = LLVMBuildSub(b, extent, nm_index_const(g, 1), "");
    LLVMValueRef low = LLVMBuildICmp(b, LLVMIntSLT, at, zero, "");
    at = LLVMBuildSelect(b, low, LLVMBuildNeg(b, at, ""), at, "");
    LLVMValueRef high = LLVMBuildICmp(b, LLVMIntSGT, at, last, "");
    LLVMValueRef back = LLVMBuildSub(b, LLVMBuildAdd(b, last, last, ""), at, "");
    return LLVMBuildSelect(b, high, back, at, "");
}

static void point_pad(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_sym over = nm_attr_sym(op, "over");
    LLVMValueRef before = attr_extent(g, op, "before"),
                 extent = extent_of(g, op->in[0]->type, over);
    LLVMValueRef at = nm_index_add(g, nm_coords_get(c, over), LLVMBuildNeg(g->fn.b, before, ""));
    if (nm_attr_sym(op, "mode") == nm_sym_get(g->fn.m, "reflect"))
        nm_coords_set(&p->at, over, reflect(g, at, extent));
    else
        guard(g, p, over, at, extent);
}

static bool point_gather(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_sym over = nm_attr_sym(op, "over");
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef index = nm_gen_value(g, op->in[1], c);
    if (!index)
        return false;
    bool is_unsigned = op->in[1]->type->dtype == NM_u8;
    index = LLVMBuildIntCast2(b, index, g->fn.i64, !is_unsigned, "");
    LLVMValueRef zero = nm_index_const(g, 0), one = nm_index_const(g, 1);
    LLVMValueRef last = LLVMBuildSub(b, extent_of(g, op->in[0]->type, over), one, "");
    LLVMValueRef low = LLVMBuildICmp(b, LLVMIntSLT, index, zero, "");
    index = nm_fn_min(&g->fn, LLVMBuildSelect(b, low, zero, index, ""), last);
    nm_coords_set(&p->at, over, index);
    return true;
}

static void point_windows(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_sym over = nm_attr_sym(op, "over");
    LLVMValueRef t = nm_coords_get(c, nm_attr_sym(op, "into"));
    LLVMValueRef tap = nm_coords_get(c, nm_attr_sym(op, "tap"));
    t = nm_index_mul(g, t, nm_index_const(g, nm_attr_int(op, "stride", 1)));
    tap = nm_index_mul(g, tap, nm_index_const(g, nm_attr_int(op, "dilate", 1)));
    LLVMValueRef before = nm_index_const(g, -nm_attr_int(op, "before", 0));
    LLVMValueRef at = nm_index_add(g, nm_index_add(g, t, tap), before);
    guard(g, p, over, at, extent_of(g, op->in[0]->type, over));
}

// This rank's number among those of the axes, major first.
static LLVMValueRef own_place(nm_gen *g, nm_syms axes)
{
    LLVMValueRef at = nm_index_const(g, 0);
    for (int i = 0; i < axes.n; i++) {
        const nm_extent *axis = nm_extent_sym(g->fn.m, axes.sym[i]);
        LLVMValueRef ranks = nm_fn_extent_value(&g->fn, axis, NM_SYM_SIZE);
        at = nm_index_add(g, nm_index_mul(g, at, ranks),
                          nm_fn_extent_value(&g->fn, axis, NM_SYM_OFFSET));
    }
    return at;
}

// Of a whole dim, where global indices are; of a part, the own block of it.
static void point_shard(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *in = op->in[0]->type, *out = op->out[0].type;
    const nm_dim *from = &in->dim[nm_type_find(in, over)], *to = &out->dim[nm_type_find(out, over)];
    LLVMValueRef i = nm_coords_get(c, over);
    if (nm_extent_is_local(g->fn.m, from->extent)) {
        LLVMValueRef block = own_place(g, nm_attr_dims(op, "axes"));
        i = nm_index_add(g, nm_index_mul(g, block, extent_of(g, out, over)), i);
        nm_coords_set(&p->at, over, i);
    } else if (nm_extent_is_padded(g->fn.m, to->extent))
        guard(g, p, over, nm_gen_global(g, to, i), extent_of(g, in, over));
    else
        nm_coords_set(&p->at, over, nm_gen_global(g, to, i));
}

bool nm_gen_view_point(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_coords from = *c; // c may lie in p
    *p = (nm_source_point){.value = op->in[0]};
    keep_dims(op->in[0], &from, &p->at);
    switch (op->code) {
    case NM_OP_rename:
        nm_coords_set(&p->at, nm_attr_sym(op, "from"), nm_coords_get(&from, nm_attr_sym(op, "to")));
        return true;
    case NM_OP_split: point_split(g, op, &from, p); return true;
    case NM_OP_merge: point_merge(g, op, &from, p); return true;
    case NM_OP_slice: point_slice(g, op, &from, p); return true;
    case NM_OP_pad: point_pad(g, op, &from, p); return true;
    case NM_OP_broadcast: return true;
    case NM_OP_gather: return point_gather(g, op, &from, p);
    case NM_OP_windows: point_windows(g, op, &from, p); return true;
    case NM_OP_shard: point_shard(g, op, &from, p); return true;
    default: nm_gen_refuse(g, op, "this view is not lowered yet"); return false;
    }
}

// --- concat, and the element
// -----------------------------------------------------------------------------

// Part k has the indices [start, start + extent): a chain of selects, or the one part that a
// constant coordinate falls in.
static LLVMValueRef concat_element(nm_gen *g, nm_op *op, const nm_coords *c)
{
    nm_sym over = nm_attr_sym(op, "over");
    LLVMValueRef at = nm_coords_get(c, over), start = nm_index_const(g, 0), y = NULL;
    for (int k = 0; k < op->n_in; k++) {
        LLVMValueRef extent = extent_of(g, op->in[k]->type, over);
        LLVMValueRef local = nm_index_add(g, at, LLVMBuildNeg(g->fn.b, start, ""));
        LLVMValueRef inside = in_range(g, local, extent);
        start = nm_index_add(g, start, extent);
        int64_t known = -1;
        bool constant = nm_fn_is_const(inside, &known);
        if (constant && !known)
            continue;
        nm_coords p = *c;
        nm_coords_set(&p, over, constant ? local : clamp_outside(g, inside, local));
        LLVMValueRef x = nm_gen_value(g, op->in[k], &p);
        if (!x || constant)
            return x;
        y = y ? LLVMBuildSelect(g->fn.b, inside, x, y, "") : x;
    }
    return y;
}

LLVMValueRef nm_gen_view(nm_gen *g, nm_op *op, const nm_coords *c)
{
    if (op->code == NM_OP_concat)
        return concat_element(g, op, c);
    nm_source_point p;
    if (!nm_gen_view_point(g, op, c, &p))
        return NULL;
    LLVMValueRef zero = LLVMConstNull(nm_dtype_compute(&g->fn, op->out[0].type->dtype));
    int64_t known;
    if (p.inside && nm_fn_is_const(p.inside, &known) && !known)
        return zero;
    LLVMValueRef x = nm_gen_value(g, p.value, &p.at);
    return x && p.inside ? LLVMBuildSelect(g->fn.b, p.inside, x, zero, "") : x;
}
