// One element of a map: the op table's meaning of each, on scalars.
//
// Float arithmetic has no fast-math flags and is never contracted, so an element has the same bits
// in whatever kernel it is computed; the functions are the templates' (template.h), which
// vectorise.
#include "codegen/gen.h"

static LLVMValueRef intrinsic(nm_gen *g, const char *name, LLVMValueRef a)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef t = LLVMTypeOf(a);
    unsigned id = LLVMLookupIntrinsicID(name, __builtin_strlen(name));
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(f->mod, id, &t, 1);
    return LLVMBuildCall2(f->b, LLVMIntrinsicGetType(f->ctx, id, &t, 1), fn, &a, 1, "");
}

static LLVMValueRef call_math(nm_gen *g, nm_op *op, const char *name, int n, LLVMValueRef *a)
{
    if (op->out[0].type->dtype == NM_f64)
        return nm_gen_refuse(g, op, "functions of f64 are not lowered yet");
    return nm_gen_call(g, name, g->fn.f32, n, a);
}

static LLVMValueRef number(LLVMTypeRef t, int64_t value)
{
    if (LLVMGetTypeKind(t) == LLVMIntegerTypeKind)
        return LLVMConstInt(t, (uint64_t)value, true);
    return LLVMConstReal(t, (double)value);
}

static bool is_int(LLVMValueRef a) { return LLVMGetTypeKind(LLVMTypeOf(a)) == LLVMIntegerTypeKind; }
static bool unsigned_int(const nm_op *op)
{
    nm_dtype t = op->in[0]->type->dtype;
    return t == NM_u8 || t == NM_bool;
}

// --- of one operand ------------------------------------------------------------------------------

static LLVMValueRef less(nm_gen *g, const nm_op *op, LLVMValueRef a, LLVMValueRef b)
{
    if (is_int(a))
        return LLVMBuildICmp(g->fn.b, unsigned_int(op) ? LLVMIntULT : LLVMIntSLT, a, b, "");
    return LLVMBuildFCmp(g->fn.b, LLVMRealOLT, a, b, "");
}

static LLVMValueRef map_neg(nm_gen *g, LLVMValueRef a)
{
    return is_int(a) ? LLVMBuildNeg(g->fn.b, a, "") : LLVMBuildFNeg(g->fn.b, a, "");
}

static LLVMValueRef map_abs(nm_gen *g, nm_op *op, LLVMValueRef a)
{
    if (!is_int(a))
        return intrinsic(g, "llvm.fabs", a);
    LLVMValueRef negative = less(g, op, a, number(LLVMTypeOf(a), 0));
    return LLVMBuildSelect(g->fn.b, negative, LLVMBuildNeg(g->fn.b, a, ""), a, "");
}

static LLVMValueRef map_sign(nm_gen *g, nm_op *op, LLVMValueRef a)
{
    LLVMTypeRef t = LLVMTypeOf(a);
    LLVMValueRef zero = number(t, 0);
    LLVMValueRef up = less(g, op, zero, a), down = less(g, op, a, zero);
    LLVMValueRef s = LLVMBuildSelect(g->fn.b, down, number(t, -1), zero, "");
    return LLVMBuildSelect(g->fn.b, up, number(t, 1), s, "");
}

// The exponent alone; that of inf and NaN stands for them.
static LLVMValueRef map_floor_pow2(nm_gen *g, nm_op *op, LLVMValueRef a)
{
    nm_fn *f = &g->fn;
    if (op->out[0].type->dtype == NM_f64)
        return nm_gen_refuse(g, op, "floor_pow2 of f64 is not lowered yet");
    LLVMValueRef exponent = LLVMConstInt(f->i32, 0x7f800000, false);
    LLVMValueRef bits = LLVMBuildAnd(f->b, LLVMBuildBitCast(f->b, a, f->i32, ""), exponent, "");
    LLVMValueRef special = LLVMBuildICmp(f->b, LLVMIntEQ, bits, exponent, "");
    return LLVMBuildSelect(f->b, special, intrinsic(g, "llvm.fabs", a),
                           LLVMBuildBitCast(f->b, bits, f->f32, ""), "");
}

static LLVMValueRef map_unary(nm_gen *g, nm_op *op, LLVMValueRef a)
{
    switch (op->code) {
    case NM_OP_neg: return map_neg(g, a);
    case NM_OP_abs: return map_abs(g, op, a);
    case NM_OP_sign: return map_sign(g, op, a);
    case NM_OP_floor: return is_int(a) ? a : intrinsic(g, "llvm.floor", a);
    case NM_OP_floor_pow2: return map_floor_pow2(g, op, a);
    case NM_OP_sqrt: return intrinsic(g, "llvm.sqrt", a);
    case NM_OP_exp: return call_math(g, op, "nmk_expf", 1, &a);
    case NM_OP_log: return call_math(g, op, "nmk_logf", 1, &a);
    case NM_OP_sin: return call_math(g, op, "nmk_sinf", 1, &a);
    case NM_OP_cos: return call_math(g, op, "nmk_cosf", 1, &a);
    case NM_OP_tanh: return call_math(g, op, "nmk_tanhf", 1, &a);
    case NM_OP_erf: return call_math(g, op, "nmk_erff", 1, &a);
    case NM_OP_gelu_tanh: return call_math(g, op, "nmk_geluf", 1, &a);
    case NM_OP_not: return LLVMBuildNot(g->fn.b, a, "");
    case NM_OP_stop: return a;
    case NM_OP_cast:
        return nm_dtype_cast(&g->fn, op->in[0]->type->dtype, op->out[0].type->dtype, a);
    default: return nm_gen_refuse(g, op, "this map is not lowered yet");
    }
}

// --- of two operands -----------------------------------------------------------------------------

// The constant behind casts and broadcasts; false: not one.
static bool constant_of(const nm_value *v, double *value)
{
    while (v->def && (v->def->code == NM_OP_broadcast || v->def->code == NM_OP_cast))
        v = v->def->in[0];
    if (!v->def || v->def->code != NM_OP_const)
        return false;
    *value = nm_attr_float(v->def, "value", 0);
    return true;
}

// Small whole powers are products, as a square in a norm should be.
static LLVMValueRef map_pow(nm_gen *g, nm_op *op, LLVMValueRef a, LLVMValueRef b)
{
    double n;
    LLVMValueRef two[] = {a, b};
    if (!constant_of(op->in[1], &n) || is_int(a))
        return call_math(g, op, "nmk_powf", 2, two);
    if (n == 0.5)
        return intrinsic(g, "llvm.sqrt", a);
    LLVMValueRef square = LLVMBuildFMul(g->fn.b, a, a, "");
    if (n == 2)
        return square;
    if (n == 3)
        return LLVMBuildFMul(g->fn.b, square, a, "");
    if (n == 4)
        return LLVMBuildFMul(g->fn.b, square, square, "");
    return call_math(g, op, "nmk_powf", 2, two);
}

// Rounded down: one less than the quotient towards zero where the remainder has the wrong sign.
static LLVMValueRef map_idiv_mod(nm_gen *g, nm_op *op, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef B = g->fn.b;
    bool div = op->code == NM_OP_idiv;
    if (unsigned_int(op))
        return div ? LLVMBuildUDiv(B, a, b, "") : LLVMBuildURem(B, a, b, "");
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(a));
    LLVMValueRef q = LLVMBuildSDiv(B, a, b, ""), r = LLVMBuildSRem(B, a, b, "");
    LLVMValueRef off = LLVMBuildICmp(B, LLVMIntSLT, LLVMBuildXor(B, r, b, ""), zero, "");
    LLVMValueRef fix = LLVMBuildAnd(B, off, LLVMBuildICmp(B, LLVMIntNE, r, zero, ""), "");
    LLVMValueRef fixed = div ? LLVMBuildSub(B, q, LLVMConstInt(LLVMTypeOf(a), 1, false), "")
                             : LLVMBuildAdd(B, r, b, "");
    return LLVMBuildSelect(B, fix, fixed, div ? q : r, "");
}

static LLVMValueRef arithmetic(nm_gen *g, LLVMOpcode ints, LLVMOpcode floats, LLVMValueRef a,
                               LLVMValueRef b)
{
    return LLVMBuildBinOp(g->fn.b, is_int(a) ? ints : floats, a, b, "");
}

static LLVMValueRef equal_or(nm_gen *g, nm_op *op, LLVMValueRef a, LLVMValueRef b)
{
    bool le = op->code == NM_OP_le;
    if (!is_int(a))
        return LLVMBuildFCmp(g->fn.b, le ? LLVMRealOLE : LLVMRealOEQ, a, b, "");
    LLVMIntPredicate p = unsigned_int(op) ? LLVMIntULE : LLVMIntSLE;
    return LLVMBuildICmp(g->fn.b, le ? p : LLVMIntEQ, a, b, "");
}

static LLVMValueRef map_binary(nm_gen *g, nm_op *op, LLVMValueRef a, LLVMValueRef b)
{
    LLVMBuilderRef B = g->fn.b;
    LLVMValueRef two[] = {a, b};
    switch (op->code) {
    case NM_OP_add: return arithmetic(g, LLVMAdd, LLVMFAdd, a, b);
    case NM_OP_sub: return arithmetic(g, LLVMSub, LLVMFSub, a, b);
    case NM_OP_mul: return arithmetic(g, LLVMMul, LLVMFMul, a, b);
    case NM_OP_div: return arithmetic(g, LLVMSDiv, LLVMFDiv, a, b);
    case NM_OP_idiv:
    case NM_OP_mod: return map_idiv_mod(g, op, a, b);
    case NM_OP_pow: return map_pow(g, op, a, b);
    case NM_OP_gelu_tanh_grad: return call_math(g, op, "nmk_gelu_gradf", 2, two);
    case NM_OP_maximum: return LLVMBuildSelect(B, less(g, op, a, b), b, a, "");
    case NM_OP_minimum: return LLVMBuildSelect(B, less(g, op, b, a), b, a, "");
    case NM_OP_lt: return less(g, op, a, b);
    case NM_OP_le:
    case NM_OP_eq: return equal_or(g, op, a, b);
    case NM_OP_and: return LLVMBuildAnd(B, a, b, "");
    case NM_OP_or: return LLVMBuildOr(B, a, b, "");
    default: return nm_gen_refuse(g, op, "this map is not lowered yet");
    }
}

LLVMValueRef nm_gen_map(nm_gen *g, nm_op *op, const nm_coords *c)
{
    LLVMValueRef x[3] = {0};
    for (int i = 0; i < op->n_in; i++) {
        x[i] = nm_gen_value(g, op->in[i], c);
        if (!x[i])
            return NULL;
    }
    LLVMValueRef y;
    if (op->n_in == 3)
        y = LLVMBuildSelect(g->fn.b, x[0], x[1], x[2], "");
    else
        y = op->n_in == 2 ? map_binary(g, op, x[0], x[1]) : map_unary(g, op, x[0]);
    return y ? nm_dtype_round(&g->fn, op->out[0].type->dtype, y) : NULL;
}
