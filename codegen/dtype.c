// How each dtype is computed and stored in kernels. The floats of 16 and 8 bits are computed as f32
// and rounded after every op, so that fusion changes no bits; bool is stored as one byte.
#include "codegen/gen.h"
#include "codegen/gpu.h"

static bool is_fp8(nm_dtype t) { return t == NM_e4m3 || t == NM_e5m2; }

bool nm_dtype_lowered(nm_dtype t)
{
    switch (t) {
    case NM_f64:
    case NM_f32:
    case NM_bf16:
    case NM_e4m3:
    case NM_e5m2:
    case NM_i64:
    case NM_i32:
    case NM_i16:
    case NM_i8:
    case NM_u8:
    case NM_bool: return true;
    default: return false;
    }
}

LLVMTypeRef nm_dtype_compute(nm_fn *f, nm_dtype t)
{
    switch (t) {
    case NM_f64: return f->f64;
    case NM_f32:
    case NM_bf16:
    case NM_e4m3:
    case NM_e5m2: return f->f32;
    case NM_i64: return f->i64;
    case NM_i32: return f->i32;
    case NM_i16: return f->i16;
    case NM_i8:
    case NM_u8: return f->i8;
    case NM_bool: return f->i1;
    default: nm_bug("codegen: no computing type for %s", nm_dtype_table[t].name);
    }
}

LLVMTypeRef nm_dtype_storage(nm_fn *f, nm_dtype t)
{
    if (t == NM_bf16)
        return f->i16;
    return t == NM_bool || is_fp8(t) ? f->i8 : nm_dtype_compute(f, t);
}

// To nearest even on the upper half of the bits; a NaN keeps its upper half and stays quiet.
static LLVMValueRef bf16_bits(nm_fn *f, LLVMValueRef v)
{
    LLVMBuilderRef b = f->b;
    LLVMValueRef sixteen = LLVMConstInt(f->i32, 16, false);
    LLVMValueRef bits = LLVMBuildBitCast(b, v, f->i32, "");
    LLVMValueRef odd =
        LLVMBuildAnd(b, LLVMBuildLShr(b, bits, sixteen, ""), LLVMConstInt(f->i32, 1, false), "");
    LLVMValueRef half = LLVMBuildAdd(b, odd, LLVMConstInt(f->i32, 0x7fff, false), "");
    LLVMValueRef up = LLVMBuildAdd(b, bits, half, "");
    LLVMValueRef quiet = LLVMBuildOr(b, bits, LLVMConstInt(f->i32, 0x400000, false), "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, v, v, "");
    return LLVMBuildLShr(b, LLVMBuildSelect(b, nan, quiet, up, ""), sixteen, "");
}

static LLVMValueRef bf16_value(nm_fn *f, LLVMValueRef bits32)
{
    LLVMValueRef high = LLVMBuildShl(f->b, bits32, LLVMConstInt(f->i32, 16, false), "");
    return LLVMBuildBitCast(f->b, high, f->f32, "");
}

// In gpu kernels by functions, which are the machine's own.
static LLVMValueRef fp8_bits(nm_fn *f, nm_dtype t, LLVMValueRef v)
{
    bool gpu = f->m->options.flavour == NM_FLAVOUR_gpu;
    return gpu ? nm_gpu_fp8_bits(f, t, v) : nm_fp8_bits(f, t, v);
}

static LLVMValueRef fp8_value(nm_fn *f, nm_dtype t, LLVMValueRef bits32)
{
    bool gpu = f->m->options.flavour == NM_FLAVOUR_gpu;
    return gpu ? nm_gpu_fp8_value(f, t, bits32) : nm_fp8_value(f, t, bits32);
}

LLVMValueRef nm_dtype_round(nm_fn *f, nm_dtype t, LLVMValueRef v)
{
    if (is_fp8(t))
        return fp8_value(f, t, fp8_bits(f, t, v));
    return t == NM_bf16 ? bf16_value(f, bf16_bits(f, v)) : v;
}

LLVMValueRef nm_dtype_load(nm_fn *f, nm_dtype t, LLVMValueRef p, LLVMValueRef i)
{
    LLVMValueRef v = nm_fn_load(f, nm_dtype_storage(f, t), p, i);
    LLVMSetAlignment(v, (unsigned)nm_dtype_table[t].bytes);
    if (t == NM_bf16)
        return bf16_value(f, LLVMBuildZExt(f->b, v, f->i32, ""));
    if (is_fp8(t))
        return fp8_value(f, t, LLVMBuildZExt(f->b, v, f->i32, ""));
    return t == NM_bool ? LLVMBuildICmp(f->b, LLVMIntNE, v, LLVMConstInt(f->i8, 0, false), "") : v;
}

LLVMValueRef nm_dtype_store(nm_fn *f, nm_dtype t, LLVMValueRef p, LLVMValueRef i, LLVMValueRef v)
{
    if (t == NM_bf16)
        v = LLVMBuildTrunc(f->b, bf16_bits(f, v), f->i16, "");
    if (is_fp8(t))
        v = LLVMBuildTrunc(f->b, fp8_bits(f, t, v), f->i8, "");
    if (t == NM_bool)
        v = LLVMBuildZExt(f->b, v, f->i8, "");
    LLVMValueRef store = LLVMBuildStore(f->b, v, nm_fn_at(f, nm_dtype_storage(f, t), p, i));
    LLVMSetAlignment(store, (unsigned)nm_dtype_table[t].bytes);
    return store;
}

static bool is_unsigned(nm_dtype t) { return t == NM_u8 || t == NM_bool; }

static LLVMValueRef int_to_int(nm_fn *f, nm_dtype from, LLVMTypeRef to, LLVMValueRef v)
{
    return LLVMBuildIntCast2(f->b, v, to, !is_unsigned(from), "");
}

LLVMValueRef nm_dtype_cast(nm_fn *f, nm_dtype from, nm_dtype to, LLVMValueRef v)
{
    LLVMTypeRef type = nm_dtype_compute(f, to);
    if (to == NM_bool && nm_is_float(from))
        return LLVMBuildFCmp(f->b, LLVMRealUNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    if (to == NM_bool)
        return LLVMBuildICmp(f->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    if (nm_is_float(from) && nm_is_float(to))
        return nm_dtype_round(f, to, LLVMBuildFPCast(f->b, v, type, ""));
    if (nm_is_float(from) && is_unsigned(to))
        return LLVMBuildFPToUI(f->b, v, type, "");
    if (nm_is_float(from))
        return LLVMBuildFPToSI(f->b, v, type, "");
    if (nm_is_float(to)) {
        v = is_unsigned(from) ? LLVMBuildUIToFP(f->b, v, type, "")
                              : LLVMBuildSIToFP(f->b, v, type, "");
        return nm_dtype_round(f, to, v);
    }
    return int_to_int(f, from, type, v);
}
