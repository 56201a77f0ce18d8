// A tile is loaded by threads that stand along its columns, waits in shared memory as floats, and
// is stored by threads that stand along its rows. Lines are an odd number of words apart: no two
// threads of a warp meet in a bank, either way.
#include "codegen/templates/gpu/transpose.h"
#include "codegen/templates/gpu/gpu.h"

enum {
    TILE = NMG_TRANSPOSE_TILE,
    LINE = 4 * (TILE + 1),
    STEP = NMG_TRANSPOSE_THREADS / TILE, // lines of a tile that are done at once
    AHEAD = 4,                           // elements that a thread loads before it puts them down
};
_Static_assert(TILE *LINE <= NMG_TRANSPOSE_SHARED, "a tile");
_Static_assert(TILE % (STEP * AHEAD) == 0, "whole steps");

typedef struct tile_place { // of a tile: its first row and column, and how many there are in all
    int64_t batch, row, col, rows, cols;
} tile_place;

INLINE tile_place find(int64_t rows, int64_t cols, int64_t tile)
{
    int64_t down = (rows + TILE - 1) / TILE, across = (cols + TILE - 1) / TILE;
    return (tile_place){tile / down / across, tile % down * TILE, tile / down % across * TILE, rows,
                        cols};
}

INLINE void fetch(const tile_place *p, const void *env, nmk_load *load, smem to)
{
    u32 col = tid() % TILE;
    for (u32 line = tid() / TILE; line < TILE; line += STEP * AHEAD) {
        float x[AHEAD];
        UNROLL
        for (u32 i = 0; i < AHEAD; i++) {
            int64_t row = p->row + line + i * STEP, at = p->col + col;
            x[i] = row < p->rows && at < p->cols ? load(env, p->batch, row, at, 0) : 0;
        }
        UNROLL
        for (u32 i = 0; i < AHEAD; i++)
            st_shared_f32(to + (line + i * STEP) * LINE + 4 * col, x[i]);
    }
}

INLINE void put(const tile_place *p, const void *env, nmk_store *store, smem from)
{
    u32 row = tid() % TILE;
    for (u32 col = tid() / TILE; col < TILE; col += STEP)
        if (p->row + row < p->rows && p->col + col < p->cols)
            store(env, p->batch, p->row + row, p->col + col, 0,
                  ld_shared_f32(from + row * LINE + 4 * col));
}

NMG_ENTRY void nmg_transpose(const void *env, int64_t rows, int64_t cols, nmk_load *load,
                             nmk_store *store, int64_t tile)
{
    tile_place p = find(rows, cols, tile);
    smem at = smem_base();
    fetch(&p, env, load, at);
    block_sync();
    put(&p, env, store, at);
}
