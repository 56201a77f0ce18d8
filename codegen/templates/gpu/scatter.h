// scatter_add of gpu kernels. Codegen includes this header, too.
#ifndef NM_CODEGEN_TEMPLATES_GPU_SCATTER_H
#define NM_CODEGEN_TEMPLATES_GPU_SCATTER_H

#include "codegen/templates/template.h"

enum {
    NMG_SCATTER_THREADS = 256,  // of a block
    NMG_SCATTER_TILE = 1024,    // indices that are looked at together
    NMG_SCATTER_ROWS = 1 << 22, // at most, of a block
    NMG_SCATTER_SHARED = 4 * NMG_SCATTER_TILE + NMG_SCATTER_THREADS / 32 * 4, // bytes
};

// As nmk_scatter_add (template.h): the block's rows of the result are [from, to). Sums are made in
// order of i, whatever the blocks are.
void nmg_scatter_add(const nmk_scatter_args *x, const void *env, nmk_index *index, nmk_value *value,
                     nmk_init *init, int64_t from, int64_t to);

#endif
