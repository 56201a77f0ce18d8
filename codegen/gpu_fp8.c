// e4m3 and e5m2 in gpu kernels: calls of functions that are written when it is known for which
// machine the kernel is compiled. GPUs from 8.9 on have instructions; before that, and on the
// emulator, it is arithmetic on bits (codegen/dtype_fp8.c). The numbers are the same, but for the
// sign of a NaN.
#include "codegen/gen.h"
#include "codegen/gpu.h"

#include <string.h>

static const struct function {
    const char *name;
    nm_dtype dtype;
    bool rounds; // to bits; else it reads them
} functions[] = {
    {"nm_e4m3_bits", NM_e4m3, true},
    {"nm_e5m2_bits", NM_e5m2, true},
    {"nm_e4m3_value", NM_e4m3, false},
    {"nm_e5m2_value", NM_e5m2, false},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

// --- calls ---------------------------------------------------------------------------------------

static const char *name_of(nm_dtype dtype, bool rounds)
{
    for (int i = 0; i < N_FUNCTIONS; i++)
        if (functions[i].dtype == dtype && functions[i].rounds == rounds)
            return functions[i].name;
    nm_bug("no conversion of %s", nm_dtype_table[dtype].name);
}

static LLVMValueRef call(nm_fn *f, const char *name, LLVMTypeRef result, LLVMValueRef x)
{
    LLVMTypeRef from = LLVMTypeOf(x), type = LLVMFunctionType(result, &from, 1, false);
    LLVMValueRef fn = LLVMGetNamedFunction(f->mod, name);
    fn = fn ? fn : LLVMAddFunction(f->mod, name, type);
    return LLVMBuildCall2(f->b, type, fn, &x, 1, "");
}

// Of what has just been read, or rounded, the bits are there.
static LLVMValueRef bits_behind(nm_fn *f, nm_dtype dtype, LLVMValueRef v)
{
    LLVMValueRef fn = LLVMIsACallInst(v) ? LLVMGetCalledValue(v) : NULL;
    bool read = fn && fn == LLVMGetNamedFunction(f->mod, name_of(dtype, false));
    return read ? LLVMGetOperand(v, 0) : NULL;
}

LLVMValueRef nm_gpu_fp8_bits(nm_fn *f, nm_dtype dtype, LLVMValueRef v)
{
    LLVMValueRef bits = bits_behind(f, dtype, v);
    return bits ? bits : call(f, name_of(dtype, true), f->i32, v);
}

LLVMValueRef nm_gpu_fp8_value(nm_fn *f, nm_dtype dtype, LLVMValueRef bits32)
{
    return call(f, name_of(dtype, false), f->f32, bits32);
}

bool nm_gpu_has_fp8(LLVMModuleRef mod)
{
    for (int i = 0; i < N_FUNCTIONS; i++)
        if (LLVMGetNamedFunction(mod, functions[i].name))
            return true;
    return false;
}

// --- instructions --------------------------------------------------------------------------------

static LLVMValueRef instruction(nm_fn *f, const char *text, const char *registers,
                                LLVMTypeRef result, int n, LLVMValueRef *arg)
{
    LLVMTypeRef from[2], type;
    for (int i = 0; i < n; i++)
        from[i] = LLVMTypeOf(arg[i]);
    type = LLVMFunctionType(result, from, (unsigned)n, false);
    LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), registers, strlen(registers),
                                         false, false, LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(f->b, type, code, arg, (unsigned)n, "");
}

// The instruction makes the largest number of what is larger; e5m2 has infinities.
static LLVMValueRef overflow(nm_fn *f, LLVMValueRef v, LLVMValueRef bits)
{
    enum { INFINITE = 0x7c, SIGN = 0x80 };
    LLVMBuilderRef b = f->b;
    LLVMValueRef all = LLVMBuildBitCast(b, v, f->i32, "");
    LLVMValueRef size = LLVMBuildAnd(b, all, LLVMConstInt(f->i32, 0x7fffffff, false), "");
    LLVMValueRef halfway = LLVMConstReal(f->f32, 61440); // to the next that there would be
    LLVMValueRef above =
        LLVMBuildFCmp(b, LLVMRealOGE, LLVMBuildBitCast(b, size, f->f32, ""), halfway, "");
    LLVMValueRef sign = LLVMBuildAnd(b, bits, LLVMConstInt(f->i32, SIGN, false), "");
    LLVMValueRef most = LLVMBuildOr(b, sign, LLVMConstInt(f->i32, INFINITE, false), "");
    return LLVMBuildSelect(b, above, most, bits, "");
}

// It rounds two numbers at once; the upper one is 0.
static LLVMValueRef round_by_instruction(nm_fn *f, nm_dtype dtype, LLVMValueRef v)
{
    LLVMValueRef pair[] = {LLVMConstReal(f->f32, 0), v};
    const char *text = dtype == NM_e4m3 ? "cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;"
                                        : "cvt.rn.satfinite.e5m2x2.f32 $0, $1, $2;";
    LLVMValueRef two = instruction(f, text, "=h,f,f", f->i16, 2, pair);
    LLVMValueRef bits = LLVMBuildZExt(f->b, two, f->i32, "");
    return dtype == NM_e5m2 ? overflow(f, v, bits) : bits;
}

static LLVMValueRef read_by_instruction(nm_fn *f, nm_dtype dtype, LLVMValueRef bits)
{
    LLVMValueRef two = LLVMBuildTrunc(f->b, bits, f->i16, "");
    const char *text =
        dtype == NM_e4m3 ? "cvt.rn.f16x2.e4m3x2 $0, $1;" : "cvt.rn.f16x2.e5m2x2 $0, $1;";
    LLVMValueRef halves = instruction(f, text, "=r,h", f->i32, 1, &two);
    LLVMValueRef half = LLVMBuildTrunc(f->b, halves, f->i16, "");
    LLVMTypeRef f16 = LLVMHalfTypeInContext(f->ctx);
    return LLVMBuildFPExt(f->b, LLVMBuildBitCast(f->b, half, f16, ""), f->f32, "");
}

// --- bodies --------------------------------------------------------------------------------------

static LLVMValueRef convert(nm_fn *f, const struct function *x, const nm_target *t, LLVMValueRef v)
{
    bool has = t->is_gpu && t->arch >= NM_GPU_FP8_ARCH;
    if (x->rounds)
        return has ? round_by_instruction(f, x->dtype, v) : nm_fp8_bits(f, x->dtype, v);
    return has ? read_by_instruction(f, x->dtype, v) : nm_fp8_value(f, x->dtype, v);
}

static void define(LLVMValueRef fn, const struct function *x, const nm_target *t)
{
    nm_fn f;
    LLVMModuleRef mod = LLVMGetGlobalParent(fn);
    LLVMContextRef ctx = LLVMGetModuleContext(mod);
    nm_fn_init(&f, NULL, NULL, ctx, mod);
    LLVMPositionBuilderAtEnd(f.b, LLVMAppendBasicBlockInContext(ctx, fn, "entry"));
    LLVMBuildRet(f.b, convert(&f, x, t, LLVMGetParam(fn, 0)));
    nm_fn_release(&f);
    unsigned inlined = LLVMGetEnumAttributeKindForName("alwaysinline", strlen("alwaysinline"));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(ctx, inlined, 0));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
}

void nm_gpu_fp8_define(LLVMModuleRef mod, const nm_target *t)
{
    for (int i = 0; i < N_FUNCTIONS; i++) {
        LLVMValueRef fn = LLVMGetNamedFunction(mod, functions[i].name);
        if (fn)
            define(fn, &functions[i], t);
    }
}
