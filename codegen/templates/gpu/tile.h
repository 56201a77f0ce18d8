// A tile of a product's result, for the templates that make one: what operands are, and how sums
// leave. Private to gemm*.c.
#ifndef NM_CODEGEN_TEMPLATES_GPU_TILE_H
#define NM_CODEGEN_TEMPLATES_GPU_TILE_H

#include "codegen/templates/gpu/gemm.h"
#include "codegen/templates/gpu/gpu.h"

enum {
    THREADS = NMG_GEMM_THREADS,
    TILE = NMG_GEMM_TILE,
    LINE = 4 * (TILE + 4), // bytes from one line of a tile's floats to the next: threads meet few
                           // banks twice
};
_Static_assert(TILE *LINE <= NMG_GEMM_SHARED, "a tile of the result");

typedef struct operand { // one tile's rows of it
    nmk_load *get;
    int64_t along, batch, row, rows, K; // the first row, and the rows that there are in all
} operand;

typedef struct place { // of an element in an operand's tile
    u32 row, k;
} place;

// Element i of the tile, of `depth` k: neighbours are neighbours in memory.
INLINE place place_of(int64_t along, u32 i, u32 depth)
{
    return along == NMK_ALONG_K ? (place){i / depth, i % depth} : (place){i % TILE, i / TILE};
}

// Outside of the operand: 0.
INLINE float element_of(const operand *x, const void *env, place p, int64_t k)
{
    int64_t row = x->row + p.row, at = k + p.k;
    return row < x->rows && at < x->K ? x->get(env, x->batch, row, at, 0) : 0;
}

// The two operands' parts of tile number `tile`, n fastest.
INLINE void find_tile(int64_t M, int64_t N, int64_t tile, operand *a, operand *b)
{
    int64_t rows = (M + TILE - 1) / TILE, cols = (N + TILE - 1) / TILE;
    a->batch = b->batch = tile / cols / rows;
    a->row = tile / cols % rows * TILE;
    b->row = tile % cols * TILE;
}

// The tile's sums from shared memory, [row][column], to the store hook: neighbours by neighbours.
INLINE void store_sums(const operand *a, const operand *b, const void *env, nmk_store *c, smem from)
{
    u32 col = tid() % TILE;
    int64_t n = b->row + col;
    for (u32 row = tid() / TILE; row < TILE; row += THREADS / TILE) {
        int64_t m = a->row + row;
        if (m < a->rows && n < b->rows)
            c(env, a->batch, m, n, 0, ld_shared_f32(from + row * LINE + 4 * col));
    }
}

#endif
