// scatter_add of gpu kernels: see scatter.h.
//
// A block owns a range of rows of the result. It looks at all indices, a tile at a time: each warp
// at a stretch of its own, by ballots, so that those which name one of the block's rows become a
// list in shared memory that is in order of i. Then the list's values are added one after the
// other, the threads side by side along x: an element of the result has one thread, which adds to
// it in order.
#include "codegen/templates/gpu/scatter.h"
#include "codegen/templates/gpu/gpu.h"

enum {
    THREADS = NMG_SCATTER_THREADS,
    TILE = NMG_SCATTER_TILE,
    WARPS = THREADS / 32,
    EACH = TILE / THREADS, // indices that a thread looks at
    LIST_AT = 0,         // u32: the row in the block's range, times TILE, and the place in the tile
    COUNT_AT = 4 * TILE, // u32 a warp
};
_Static_assert((uint64_t)NMG_SCATTER_ROWS *TILE <= UINT64_C(1) << 32, "an entry of the list");

typedef struct rows { // [first, end) of result o
    int64_t o, first, end;
} rows;

// The place in a tile of the k-th index that a thread looks at: a warp's are one stretch.
INLINE u32 place_of(u32 k) { return tid() / 32 * (32 * EACH) + 32 * k + tid() % 32; }

// Those of the tile's indices, from i on, that name one of the rows, as a list; its length.
INLINE u32 list_matches(const nmk_scatter_args *x, const void *env, nmk_index *index, rows r,
                        int64_t i, smem at)
{
    u32 warp = tid() / 32, below = (1u << tid() % 32) - 1, bits[EACH], entry[EACH], n = 0;
    UNROLL
    for (u32 k = 0; k < EACH; k++) {
        int64_t here = i + place_of(k), row = here < x->n_i ? index(env, r.o, here) : -1;
        entry[k] = (u32)(row - r.first) * TILE + place_of(k);
        bits[k] = ballot(row >= r.first && row < r.end);
        n += (u32)__builtin_popcount(bits[k]);
    }
    st_shared_u32(at + COUNT_AT + 4 * warp, n);
    block_sync();
    u32 to = 0, total = 0;
    UNROLL
    for (u32 w = 0; w < WARPS; w++) {
        u32 count = ld_shared_u32(at + COUNT_AT + 4 * w);
        to += w < warp ? count : 0;
        total += count;
    }
    UNROLL
    for (u32 k = 0; k < EACH; k++) {
        if (bits[k] >> tid() % 32 & 1)
            st_shared_u32(at + LIST_AT + 4 * (to + (u32)__builtin_popcount(bits[k] & below)),
                          entry[k]);
        to += (u32)__builtin_popcount(bits[k]);
    }
    block_sync();
    return total;
}

INLINE float *row_of(const nmk_scatter_args *x, int64_t o, int64_t row)
{
    return x->dst + o * x->o_stride + row * x->row_stride;
}

INLINE void begin_rows(const nmk_scatter_args *x, const void *env, nmk_init *init, rows r)
{
    for (int64_t row = r.first; row < r.end; row++)
        for (int64_t j = tid(); j < x->n_x; j += THREADS)
            row_of(x, r.o, row)[j * x->x_stride] = init ? init(env, r.o, row, 0, j) : 0;
}

INLINE void add_matches(const nmk_scatter_args *x, const void *env, nmk_value *value, rows r,
                        int64_t i, u32 n, smem at)
{
    for (u32 k = 0; k < n; k++) {
        u32 entry = ld_shared_u32(at + LIST_AT + 4 * k);
        float *to = row_of(x, r.o, r.first + entry / TILE);
        for (int64_t j = tid(); j < x->n_x; j += THREADS)
            to[j * x->x_stride] += value(env, r.o, i + entry % TILE, 0, j);
    }
}

NMG_ENTRY void nmg_scatter_add(const nmk_scatter_args *x, const void *env, nmk_index *index,
                               nmk_value *value, nmk_init *init, int64_t from, int64_t to)
{
    smem at = smem_base();
    while (from < to) {
        int64_t first = from % x->n_rows, left = x->n_rows - first;
        int64_t n = to - from < left ? to - from : left;
        rows r = {from / x->n_rows, first, first + n};
        begin_rows(x, env, init, r);
        for (int64_t i = 0; i < x->n_i; i += TILE)
            add_matches(x, env, value, r, i, list_matches(x, env, index, r, i, at), at);
        from += n;
    }
}
