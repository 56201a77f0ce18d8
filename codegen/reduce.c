// Sums and maxes inside kernels: see reduce.h.
#include "codegen/reduce.h"

#include <math.h>

static bool is_reduction(const nm_op *op) { return op->code == NM_OP_sum || op->code == NM_OP_max; }

static int find(const nm_reductions *r, const nm_op *op)
{
    for (int i = 0; i < r->n; i++)
        if (r->op[i] == op)
            return i;
    return -1;
}

int nm_reduction_level(const nm_reductions *r, const nm_value *v)
{
    if (!v->def)
        return 0;
    int i = find(r, v->def), level = 0;
    if (i >= 0 && r->level[i])
        return r->level[i];
    for (int k = 0; k < v->def->n_in; k++) {
        int below = nm_reduction_level(r, v->def->in[k]);
        level = below > level ? below : level;
    }
    return level + (i >= 0);
}

static void find_dims(nm_reductions *r)
{
    const nm_type *in = r->op[0]->in[0]->type;
    nm_syms over = nm_attr_dims(r->op[0], "over");
    for (int i = 0; i < over.n; i++)
        r->over[r->n_over++] = in->dim[nm_type_find(in, over.sym[i])];
    const nm_type *out = r->op[0]->out[0].type;
    for (int i = 0; i < out->rank; i++)
        r->kept[r->n_kept++] = out->dim[i];
}

static bool has_dims(const nm_type *t, int n, const nm_dim *dim)
{
    for (int i = 0; i < n; i++) {
        int at = nm_type_find(t, dim[i].name);
        if (at < 0 || t->dim[at].extent != dim[i].extent)
            return false;
    }
    return true;
}

static bool same_dims(const nm_reductions *r, const nm_op *op)
{
    const nm_type *in = op->in[0]->type, *out = op->out[0].type;
    return has_dims(in, r->n_over, r->over) && has_dims(out, r->n_kept, r->kept) &&
           in->rank == r->n_over + r->n_kept && out->rank == r->n_kept;
}

bool nm_reductions_find(nm_gen *g, nm_reductions *r)
{
    *r = (nm_reductions){0};
    for (nm_op *op = g->group->body->first; op; op = op->next) {
        if (!is_reduction(op))
            continue;
        if (r->n == NM_MAX_REDUCTIONS)
            return nm_gen_refuse(g, op, "more sums in one kernel than it can hold") != NULL;
        r->op[r->n++] = op;
    }
    if (r->n == 0)
        return nm_gen_refuse(g, g->group, "a row or column kernel without a sum or max") != NULL;
    find_dims(r);
    for (int i = 0; i < r->n; i++) {
        if (!same_dims(r, r->op[i]))
            return nm_gen_refuse(g, r->op[i], "sums of one kernel go over different dims") != NULL;
        r->level[i] = nm_reduction_level(r, &r->op[i]->out[0]);
        r->levels = r->level[i] > r->levels ? r->level[i] : r->levels;
    }
    return true;
}

// --- accumulators --------------------------------------------------------------------------------

LLVMTypeRef nm_reduction_type(nm_gen *g, const nm_op *op)
{
    return nm_dtype_compute(&g->fn, op->out[0].type->dtype);
}

static bool is_unsigned(const nm_op *op) { return op->out[0].type->dtype == NM_u8; }

static LLVMValueRef least(const nm_op *op, LLVMTypeRef t)
{
    if (LLVMGetTypeKind(t) != LLVMIntegerTypeKind)
        return LLVMConstReal(t, -INFINITY);
    unsigned bits = LLVMGetIntTypeWidth(t);
    return is_unsigned(op) ? LLVMConstNull(t) : LLVMConstInt(t, 1ull << (bits - 1), false);
}

LLVMValueRef nm_reduction_start(nm_gen *g, const nm_op *op)
{
    LLVMTypeRef t = nm_reduction_type(g, op);
    return op->code == NM_OP_sum ? LLVMConstNull(t) : least(op, t);
}

static LLVMValueRef allow(LLVMValueRef v, LLVMFastMathFlags flags)
{
    if (LLVMIsAInstruction(v))
        LLVMSetFastMathFlags(v, flags);
    return v;
}

static bool is_int(LLVMTypeRef t)
{
    bool vector = LLVMGetTypeKind(t) == LLVMVectorTypeKind;
    return LLVMGetTypeKind(vector ? LLVMGetElementType(t) : t) == LLVMIntegerTypeKind;
}

// Max: a NaN may be passed over here; the sum or product that follows carries it.
LLVMValueRef nm_reduction_join(nm_gen *g, const nm_op *op, LLVMValueRef acc, LLVMValueRef x)
{
    LLVMBuilderRef b = g->fn.b;
    bool ints = is_int(LLVMTypeOf(x));
    if (op->code == NM_OP_sum)
        return ints ? LLVMBuildAdd(b, acc, x, "") : LLVMBuildFAdd(b, acc, x, "");
    if (ints)
        return LLVMBuildSelect(
            b, LLVMBuildICmp(b, is_unsigned(op) ? LLVMIntUGT : LLVMIntSGT, x, acc, ""), x, acc, "");
    LLVMFastMathFlags flags = LLVMFastMathNoNaNs | LLVMFastMathNoSignedZeros;
    LLVMValueRef more = allow(LLVMBuildFCmp(b, LLVMRealOGT, x, acc, ""), flags);
    return allow(LLVMBuildSelect(b, more, x, acc, ""), flags);
}
