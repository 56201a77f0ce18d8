// The device's calls, as a driver function makes them.
#include "codegen/drive.h"

LLVMValueRef nm_drive_callee(nm_drive *w, nm_call_slot slot)
{
    return nm_fn_load(&w->fn, w->fn.ptr, w->call, nm_fn_i64(&w->fn, slot));
}

void nm_drive_copy(nm_drive *w, const nm_type *t, LLVMValueRef to, LLVMValueRef from)
{
    nm_fn *f = &w->fn;
    LLVMValueRef bytes = LLVMBuildMul(f->b, nm_fn_product(f, t->rank, t->dim),
                                      nm_fn_i64(f, nm_dtype_table[t->dtype].bytes), "");
    LLVMTypeRef param[] = {f->ptr, f->ptr, f->ptr, f->i64};
    LLVMTypeRef type = LLVMFunctionType(f->nothing, param, 4, false);
    LLVMValueRef arg[] = {w->frame, to, from, bytes};
    LLVMBuildCall2(f->b, type, nm_drive_callee(w, NM_CALL_COPY), arg, 4, "");
}
