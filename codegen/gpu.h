// What only kernels of the flavour gpu have (docs/gpu.md).
#ifndef NM_CODEGEN_GPU_H
#define NM_CODEGEN_GPU_H

#include "codegen/compile.h"
#include "codegen/fn.h"
#include "ir/ir.h"

#include <llvm-c/Core.h>

// Do its templates differ from one architecture to another? Else its text is the same for all.
bool nm_gpu_is_specific(LLVMModuleRef mod);
// In codegen/gpu_fp8.c, e4m3 and e5m2: as nm_fp8_bits and nm_fp8_value, by functions without a body
// yet. Has a module such ones? Then its text is an architecture's own, and they get bodies for it.
LLVMValueRef nm_gpu_fp8_bits(nm_fn *f, nm_dtype t, LLVMValueRef v);
LLVMValueRef nm_gpu_fp8_value(nm_fn *f, nm_dtype t, LLVMValueRef bits32);
bool nm_gpu_has_fp8(LLVMModuleRef mod);
void nm_gpu_fp8_define(LLVMModuleRef mod, const nm_target *t);
// Every function with a body that others can call becomes an entry of a GPU.
void nm_gpu_mark_kernels(LLVMModuleRef mod, const nm_entry entry[NM_MAX_LAUNCHES]);

#endif
