// --num-layers-at-start-in-bf16, --num-layers-at-end-in-bf16: in a program of precision fp8, the
// first and the last layers of each repeat whose products stay in bf16 (docs/precision.md). Layers
// are counted over the whole model: a stage has its part of them, or none. Turns of several layers
// are in bf16 as a whole where one of theirs is. The flags are Megatron's, by their names.
#ifndef NMRT_ISLANDS_H
#define NMRT_ISLANDS_H

#include "runtime/options.h"
#include "runtime/recompute.h"

typedef struct nmrt_islands {
    int64_t start, end; // layers
} nmrt_islands;

nmrt_islands nmrt_islands_of(const nmrt_options *options);
bool nmrt_islands_any(const nmdrv_program *program); // has it both texts of a repeat?
// The most layers that a repeat with both texts has; 0: there is none.
int64_t nmrt_islands_most(const nmdrv_program *program, const nmrt_stages *stages);
// The turns of a chunk by what their products are of, in order: at most three chunks, and one where
// its repeat has one text. Returns how many.
int nmrt_islands_chunks(const nmrt_islands *islands, const nmdrv_program *program,
                        const nmrt_stages *stages, const nmrt_chunk *whole, nmrt_chunk chunk[3]);

#endif
