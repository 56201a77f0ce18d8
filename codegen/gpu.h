// What only kernels of the flavour gpu have (docs/gpu.md).
#ifndef NM_CODEGEN_GPU_H
#define NM_CODEGEN_GPU_H

#include "codegen/compile.h"
#include "ir/ir.h"

#include <llvm-c/Core.h>

// Do its templates differ from one architecture to another? Else its text is the same for all.
bool nm_gpu_is_specific(LLVMModuleRef mod);
// Every function with a body that others can call becomes an entry of a GPU.
void nm_gpu_mark_kernels(LLVMModuleRef mod, const nm_entry entry[NM_MAX_LAUNCHES]);

#endif
