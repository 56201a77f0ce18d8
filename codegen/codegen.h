// Code generation: modules after `schedule` become programs of one binary.
//
//   groups -> kernels (one LLVM module each), functions -> native drivers, the module -> tables;
//   compiled in parallel, linked with the embedded runtime by lld into one ELF file.
//
// A module of the flavour gpu has its kernels compiled for several machines: each architecture of a
// GPU (as an image, data of the binary), and this machine's processors, if `emu` is wanted.
#ifndef NM_CODEGEN_CODEGEN_H
#define NM_CODEGEN_CODEGEN_H

#include "ir/ir.h"

typedef enum {
    NM_EMIT_program, // an executable: kernels, driver, tables and the runtime
    NM_EMIT_shared,  // a shared object without the runtime, for tests: it exports `nemocc_programs`
    NM_EMIT_obj,     // one relocatable object: the same, not linked
    NM_EMIT_llvm,    // text, after optimisation
    NM_EMIT_asm,
    NM_EMIT_ptx,       // the images of the programs of flavour gpu
    NM_EMIT_resources, // a table of what their kernels take, by ptxas
} nm_emit_kind;

typedef struct nm_codegen_opts {
    nm_emit_kind emit;
    const char *out;     // path of the file to write
    const char *cpu;     // native, x86-64-v2, x86-64-v3, x86-64-v4 (also v2, v3, v4); NULL: native
    const char *version; // of the compiler, for `info`
    bool times;          // print how long each part took
    int n_archs;         // of GPUs; 0: no images
    const char *const *arch; // sm_80, sm_90a
    bool emu;                // gpu kernels for the emulator, too
} nm_codegen_opts;

// Has one of these GPUs (sm_80,sm_90a) products of 8-bit floats? One that nobody knows may.
bool nm_archs_have_fp8(const char *list);

// All have one diag, which has at least one error if this is false. A file that was at `out` is
// still there.
bool nm_codegen_programs(int n, nm_module *const *m, const nm_codegen_opts *o);

#endif
