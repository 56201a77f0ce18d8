// Algorithms along one dim for gpu kernels, a line a warp: a block does NMG_LINES lines, `from` on
// and below `to`. What they compute is what template.h says of the host's.
#ifndef NM_CODEGEN_TEMPLATES_GPU_LINES_H
#define NM_CODEGEN_TEMPLATES_GPU_LINES_H

#include "codegen/templates/template.h"

enum { NMG_LINES_THREADS = 256, NMG_LINES = NMG_LINES_THREADS / 32 };

// 32 elements at a time: sums over lanes by doubling distances, and what was before them.
void nmg_cumsum(const void *env, int64_t n, int64_t reverse, nmk_line_load *load,
                nmk_line_store *store, int64_t from, int64_t to);
void nmg_cumsum_u32(const void *env, int64_t n, int64_t reverse, nmk_line_load_u32 *load,
                    nmk_line_store_u32 *store, int64_t from, int64_t to);
// k turns, each over the whole line: what follows the last that was found.
void nmg_top_k(const void *env, int64_t n, int64_t k, nmk_line_load *load, nmk_pick *pick,
               int64_t from, int64_t to);

#endif
