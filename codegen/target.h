// The machines that code is compiled for: this one's processors, and the GPUs of the gpu flavour.
#ifndef NM_CODEGEN_TARGET_H
#define NM_CODEGEN_TARGET_H

#include "codegen/templates/embed.h"
#include "ir/ir.h"

#include <llvm-c/TargetMachine.h>

typedef struct nm_target { // of one compilation; read by all threads
    LLVMTargetRef llvm;
    const char *triple, *cpu, *features; // in the arena
    const char *name;                    // as the user says it: x86-64-v4, sm_90a
    nm_template_data templates;          // bitcode
    uint64_t templates_hash;
    int vl;                   // x86: floats in a vector
    int level;                // x86-64-v2 is 2, ...: what the program needs to run
    int arch;                 // a GPU: 90 of sm_90a
    const char *ptx;          // the version of PTX: 8.0
    bool is_gpu, is_specific; // sm_90a: for no other architecture
    bool is_emu;              // x86: for gpu kernels
    bool is_sm90a;            // kernels and templates are those for sm_90a alone
    bool is_driver;           // x86: for code that runs once a launch, and should compile fast
} nm_target;

enum { NM_GPU_FP8_ARCH = 89 }; // the least that converts and multiplies floats of 8 bits
enum { NM_MAX_ARCHS = 8, NM_MAX_TARGETS = NM_MAX_ARCHS + 4 };
// Between a kernel's name and its function's, in what the emulator runs as sm_90a would.
#define NM_SM90A_MARK '~'

// Host code. False: no such cpu, or this machine is none that we know (reported).
bool nm_target_find(nm_module *m, const char *cpu, nm_target *t);
// The same processors, for kernels of the flavour gpu that the emulator runs: as all GPUs do, or as
// sm_90a.
nm_target nm_target_emu(const nm_target *host, bool sm90a);
// The same processors, for drivers.
nm_target nm_target_driver(const nm_target *host);
// sm_80, sm_90a. False: no such architecture (reported).
bool nm_target_find_gpu(nm_module *m, const char *arch, nm_target *t);
LLVMTargetMachineRef nm_target_machine(const nm_target *t); // of one thread; NULL never
// "target-cpu", "target-features", "prefer-vector-width" and "no-builtins" on every function with a
// body: without the width LLVM halves 512-bit vectors on many CPUs (reference: twice as slow).
void nm_target_mark(const nm_target *t, LLVMModuleRef mod);

#endif
