// Floats of 8 bits, by integer arithmetic on the bits of an f32, so that every target that has no
// instruction for them gives the same: to nearest even; e4m3 saturates, e5m2 goes to infinity (OCP
// 8-bit floating point specification, section 5). Subnormal numbers are rounded by an addition: the
// sum's last bit is worth as much as theirs.
#include "codegen/gen.h"

typedef struct format {
    unsigned mantissa; // bits of it
    unsigned bias;     // f32's exponent less its own
    double largest;    // what is above becomes this; e5m2: what is rounded to infinity
    double least;      // normal number
    double magic;      // a number whose last bit is worth that of a subnormal
    unsigned special;  // bits that stand for a number that is not finite, and all above
    unsigned nan;
} format;

static format format_of(nm_dtype t)
{
    if (t == NM_e4m3)
        return (format){3, 120, 448, 0x1p-6, 0x1p14, 0x7f, 0x7f};
    return (format){2, 112, 65536, 0x1p-14, 0x1p7, 0x7c, 0x7e};
}

static LLVMValueRef word(nm_fn *f, unsigned v) { return LLVMConstInt(f->i32, v, false); }
static LLVMValueRef number(nm_fn *f, double v) { return LLVMConstReal(f->f32, v); }

static LLVMValueRef bits_of(nm_fn *f, LLVMValueRef v)
{
    return LLVMBuildBitCast(f->b, v, f->i32, "");
}

static LLVMValueRef less(nm_fn *f, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFCmp(f->b, LLVMRealOLT, a, b, "");
}

// Of a normal number: half of the last bit, less if that is even, is added before the rest goes.
static LLVMValueRef normal_bits(nm_fn *f, format t, LLVMValueRef magnitude)
{
    LLVMBuilderRef b = f->b;
    unsigned drop = 23 - t.mantissa;
    LLVMValueRef bits = bits_of(f, magnitude);
    LLVMValueRef odd = LLVMBuildAnd(b, LLVMBuildLShr(b, bits, word(f, drop), ""), word(f, 1), "");
    LLVMValueRef half = LLVMBuildAdd(b, odd, word(f, (1u << (drop - 1)) - 1), "");
    LLVMValueRef kept = LLVMBuildLShr(b, LLVMBuildAdd(b, bits, half, ""), word(f, drop), "");
    return LLVMBuildSub(b, kept, word(f, t.bias << t.mantissa), "");
}

static LLVMValueRef subnormal_bits(nm_fn *f, format t, LLVMValueRef magnitude)
{
    LLVMValueRef sum = LLVMBuildFAdd(f->b, magnitude, number(f, t.magic), "");
    return LLVMBuildSub(f->b, bits_of(f, sum), bits_of(f, number(f, t.magic)), "");
}

LLVMValueRef nm_fp8_bits(nm_fn *f, nm_dtype dtype, LLVMValueRef v)
{
    LLVMBuilderRef b = f->b;
    format t = format_of(dtype);
    LLVMValueRef all = bits_of(f, v);
    LLVMValueRef size =
        LLVMBuildBitCast(b, LLVMBuildAnd(b, all, word(f, 0x7fffffff), ""), f->f32, "");
    LLVMValueRef most = number(f, t.largest);
    size = LLVMBuildSelect(b, less(f, most, size), most, size, "");
    LLVMValueRef small = less(f, size, number(f, t.least));
    LLVMValueRef bits =
        LLVMBuildSelect(b, small, subnormal_bits(f, t, size), normal_bits(f, t, size), "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, v, v, "");
    bits = LLVMBuildSelect(b, nan, word(f, t.nan), bits, "");
    LLVMValueRef sign = LLVMBuildAnd(b, LLVMBuildLShr(b, all, word(f, 24), ""), word(f, 0x80), "");
    return LLVMBuildOr(b, bits, sign, "");
}

LLVMValueRef nm_fp8_value(nm_fn *f, nm_dtype dtype, LLVMValueRef bits32)
{
    LLVMBuilderRef b = f->b;
    format t = format_of(dtype);
    unsigned drop = 23 - t.mantissa;
    LLVMValueRef bits = LLVMBuildAnd(b, bits32, word(f, 0x7f), "");
    LLVMValueRef high = LLVMBuildShl(b, bits, word(f, drop), "");
    LLVMValueRef normal = LLVMBuildAdd(b, high, word(f, t.bias << 23), "");
    // As an integer it is worth that many of the least.
    LLVMValueRef count = LLVMBuildUIToFP(b, bits, f->f32, "");
    LLVMValueRef unit = number(f, t.least / (1u << t.mantissa));
    LLVMValueRef subnormal = bits_of(f, LLVMBuildFMul(b, count, unit, ""));
    LLVMValueRef small = LLVMBuildICmp(b, LLVMIntULT, bits, word(f, 1u << t.mantissa), "");
    LLVMValueRef size = LLVMBuildSelect(b, small, subnormal, normal, "");
    LLVMValueRef special = LLVMBuildOr(b, high, word(f, 0x7f800000), "");
    LLVMValueRef is_special = LLVMBuildICmp(b, LLVMIntUGE, bits, word(f, t.special), "");
    size = LLVMBuildSelect(b, is_special, special, size, "");
    LLVMValueRef sign =
        LLVMBuildShl(b, LLVMBuildAnd(b, bits32, word(f, 0x80), ""), word(f, 24), "");
    return LLVMBuildBitCast(b, LLVMBuildOr(b, size, sign, ""), f->f32, "");
}
