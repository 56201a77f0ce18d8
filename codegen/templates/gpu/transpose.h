// Maps of a matrix that is stored the other way round. Codegen includes this header, too.
#ifndef NM_CODEGEN_TEMPLATES_GPU_TRANSPOSE_H
#define NM_CODEGEN_TEMPLATES_GPU_TRANSPOSE_H

#include "codegen/templates/template.h"

enum {
    NMG_TRANSPOSE_THREADS = 256, // of a block
    NMG_TRANSPOSE_TILE = 64,     // rows and columns that a block makes
    NMG_TRANSPOSE_SHARED =
        NMG_TRANSPOSE_TILE * (NMG_TRANSPOSE_TILE + 1) * 4, // bytes of dynamic shared memory
};

// store(b, row, col) = load(b, row, col) for all rows and columns; the hooks are as template.h says
// (their j is 0). What is loaded lies with its columns side by side, what is stored with its rows.
// Range: tiles, B * ceil(rows / TILE) * ceil(cols / TILE), rows fastest, one a block.
void nmg_transpose(const void *env, int64_t rows, int64_t cols, nmk_load *load, nmk_store *store,
                   int64_t tile);

#endif
