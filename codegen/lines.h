// Line tables of kernels that run in the emulator.
#ifndef NM_CODEGEN_LINES_H
#define NM_CODEGEN_LINES_H

#include <llvm-c/Types.h>

// Gives every function that is defined in the module, a generated kernel before its templates are
// linked in, a place in the debug information. Without one, LLVM forgets the lines of what is
// inlined into it. `name`: for people, where a place is in no template.
void nm_lines_mark(LLVMModuleRef mod, const char *name);

#endif
