// The machine that kernels are compiled for.
#ifndef NM_CODEGEN_TARGET_H
#define NM_CODEGEN_TARGET_H

#include "ir/ir.h"

#include <llvm-c/TargetMachine.h>

typedef struct nm_target { // of one compilation; read by all threads
    LLVMTargetRef llvm;
    const char *triple, *cpu, *features; // in the arena
    const char *name;                    // as the user says it: x86-64-v4
    int vl;                              // floats in a vector: which templates
    int level;                           // 2 x86-64-v2, 3, 4: what the program needs to run
} nm_target;

// False: no such cpu, or this machine is none that we know (reported).
bool nm_target_find(nm_module *m, const char *cpu, nm_target *t);
LLVMTargetMachineRef nm_target_machine(const nm_target *t); // of one thread; NULL never
// "target-cpu", "target-features", "prefer-vector-width" and "no-builtins" on every function with a
// body: without the width LLVM halves 512-bit vectors on many CPUs (reference: twice as slow).
void nm_target_mark(const nm_target *t, LLVMModuleRef mod);

#endif
