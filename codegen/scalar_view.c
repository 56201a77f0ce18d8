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

// --- one rule an op ------------------------------------------------------------------------------

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

// Are the indices those of one rank's own block of the dim? They are all there, then.
static bool is_own_block(nm_gen *g, const nm_op *gather, const nm_dim *from)
{
    const nm_op *index = gather->in[1]->def;
    if (!index || index->code != NM_OP_index || index->out[0].type->dim[0].name != from->name)
        return false;
    const nm_extent *own = index->out[0].type->dim[0].extent;
    return nm_extent_whole(g->fn.m, own) == nm_extent_whole(g->fn.m, from->extent) &&
           !nm_extent_is_padded(g->fn.m, own);
}

static LLVMValueRef clamp_index(nm_gen *g, LLVMValueRef index, LLVMValueRef n)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef zero = nm_index_const(g, 0), one = nm_index_const(g, 1);
    LLVMValueRef low = LLVMBuildICmp(b, LLVMIntSLT, index, zero, "");
    index = LLVMBuildSelect(b, low, zero, index, "");
    return nm_fn_min(&g->fn, index, LLVMBuildSub(b, n, one, ""));
}

// Of a dim of which a rank or a call has a part the indices are global; what it lacks gives 0.
static void point_part(nm_gen *g, const nm_dim *dim, LLVMValueRef global, bool own,
                       nm_source_point *p)
{
    if (!own)
        global = clamp_index(g, global, nm_fn_extent_value(&g->fn, dim->extent, NM_SYM_TOTAL));
    LLVMValueRef at = nm_gen_local(g, dim, global);
    if (own)
        nm_coords_set(&p->at, dim->name, at);
    else
        guard(g, p, dim->name, at, nm_fn_extent_value(&g->fn, dim->extent, NM_SYM_SIZE));
}

static bool point_gather(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p)
{
    nm_sym over = nm_attr_sym(op, "over");
    const nm_dim *dim = &op->in[0]->type->dim[nm_type_find(op->in[0]->type, over)];
    bool own = is_own_block(g, op, dim);
    LLVMValueRef index = own ? nm_gen_global(g, &op->in[1]->type->dim[0], nm_coords_get(c, over))
                             : nm_gen_value(g, op->in[1], c);
    if (!index)
        return false;
    bool is_unsigned = op->in[1]->type->dtype == NM_u8;
    index = LLVMBuildIntCast2(g->fn.b, index, g->fn.i64, !is_unsigned, "");
    if (nm_extent_is_part(g->fn.m, dim->extent))
        point_part(g, dim, index, own, p);
    else
        nm_coords_set(&p->at, over,
                      own ? index : clamp_index(g, index, extent_of(g, op->in[0]->type, over)));
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
    default: nm_gen_refuse(g, op, "this view is not lowered yet"); return false;
    }
}

// --- concat, and the element ---------------------------------------------------------------------

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
