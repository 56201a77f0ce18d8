// Global indices: of a dim that is cut (a micro-batch, a rank's part) the code sees local ones.
#ifndef NM_CODEGEN_GLOBAL_H
#define NM_CODEGEN_GLOBAL_H

#include "codegen/gen.h"

// Of local index i: i + offset, and the jump from `half` on where the dim may lie in two runs.
LLVMValueRef nm_gen_global(nm_gen *g, const nm_dim *dim, LLVMValueRef i);
// Back: the local index of a global one. It is another rank's, if it is not below the extent,
// unsigned.
LLVMValueRef nm_gen_local(nm_gen *g, const nm_dim *dim, LLVMValueRef global);
// The local index from which on global ones are `jump` further. False: the dim lies in one run.
bool nm_gen_runs(nm_gen *g, const nm_dim *dim, LLVMValueRef *half, LLVMValueRef *jump);
// Is the extent that of a part of a dim, a rank's or a micro-batch's, so that its first global
// index need not be 0?
bool nm_extent_is_part(nm_module *m, const nm_extent *e);
bool nm_extent_is_padded(nm_module *m,
                         const nm_extent *e); // and stored with indices behind its end
const nm_extent *nm_extent_whole(nm_module *m, const nm_extent *e); // of all ranks' parts together

#endif
