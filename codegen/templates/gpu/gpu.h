// Templates of gpu kernels: what generated kernels call. Each is freestanding C against
// runtime/emu/prims.h, compiled to bitcode twice when nemocc is built: for nvptx64, where
// primitives are instructions, and for x86-64, where they are functions of the emulator
// (docs/emu.md).
//
// Codegen links the bitcode to a kernel, as the host's (codegen/templates/template.h), whose rules
// for hooks hold here, too. The functions of template.h that are written for one element (math.c,
// random.c) are there under the same names. A template is called by all threads of a block
// together.
#ifndef NM_CODEGEN_TEMPLATES_GPU_H
#define NM_CODEGEN_TEMPLATES_GPU_H

#include "runtime/emu/prims.h"

#include <stdint.h>

#define NMG_ENTRY __attribute__((always_inline)) // external: a kernel's module calls it

int64_t nmg_block(void); // the number of the thread's block
int64_t nmg_lane(void);  // the thread's number in its block

#endif
