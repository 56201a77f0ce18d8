// The matrix product of gpu kernels for operands that are bf16: see gemm.h. As gemm.c, on tensor
// cores: operands lie in shared memory as rows of bf16 along k, from where ldmatrix takes them as
// mma.sync wants them. Eight warps make 16 x 32 of the tile each.
#include "codegen/templates/gpu/tile.h"

enum {
    DEPTH = 32,
    PAIRS = TILE * DEPTH / 2 / THREADS, // two neighbours along k, that a thread loads
    ROW = 2 * DEPTH + 16,               // bytes from row to row: eight rows are in all the banks
    WIDE = 32,                          // columns of a warp
    BLOCKS = WIDE / 8,                  // of 8 columns
    A_AT = 0,
    B_AT = TILE * ROW,
};
_Static_assert(2 * TILE * ROW <= NMG_GEMM_SHARED, "two tiles of operands");
_Static_assert(TILE / 16 * (TILE / WIDE) * 32 == THREADS, "a warp for each 16 x 32 sums");

// Of the first of pair i.
INLINE place my_place(const operand *x, u32 i)
{
    place p = place_of(x->along, tid() + i * THREADS, DEPTH / 2);
    return (place){p.row, 2 * p.k};
}

INLINE void fetch(const operand *x, const void *env, int64_t k, u32 share[PAIRS])
{
    UNROLL
    for (u32 i = 0; i < PAIRS; i++) {
        place p = my_place(x, i), next = {p.row, p.k + 1};
        share[i] = bf16x2(element_of(x, env, p, k), element_of(x, env, next, k));
    }
}

INLINE void put(const operand *x, smem to, const u32 share[PAIRS])
{
    UNROLL
    for (u32 i = 0; i < PAIRS; i++) {
        place p = my_place(x, i);
        st_shared_u32(to + p.row * ROW + 2 * p.k, share[i]);
    }
}

// Where the warp's part of the tile begins.
INLINE u32 my_row(void) { return tid() / 32 % (TILE / 16) * 16; }
INLINE u32 my_col(void) { return tid() / 32 / (TILE / 16) * WIDE; }

INLINE void multiply(smem a, smem b, float sum[BLOCKS][4])
{
    u32 lane = laneid();
    UNROLL
    for (u32 k = 0; k < 2 * DEPTH; k += 32) { // bytes of 16 elements
        u32 x[4], y[4];
        ldmatrix_x4(x, a + (my_row() + lane % 16) * ROW + k + lane / 16 * 16);
        UNROLL
        for (u32 j = 0; j < BLOCKS;
             j += 2) { // matrices: 8 columns and 8 of k, the next 8 of k, ...
            u32 col = my_col() + 8 * j + lane / 16 * 8 + lane % 8;
            ldmatrix_x4(y, b + col * ROW + k + lane / 8 % 2 * 16);
            mma_bf16(sum[j], x, y[0], y[1]);
            mma_bf16(sum[j + 1], x, y[2], y[3]);
        }
    }
}

// The tile's sums, [row][column], to shared memory: each lane has four of each 16 x 8.
INLINE void put_sums(smem to, float sum[BLOCKS][4])
{
    UNROLL
    for (u32 j = 0; j < BLOCKS; j++)
        UNROLL
    for (u32 i = 0; i < 4; i++) {
        u32 row = my_row() + laneid() / 4 + i / 2 * 8;
        u32 col = my_col() + 8 * j + laneid() % 4 * 2 + i % 2;
        st_shared_f32(to + row * LINE + 4 * col, sum[j][i]);
    }
}

INLINE void add_up(const operand *a, const operand *b, const void *env, smem at,
                   float sum[BLOCKS][4])
{
    u32 x[PAIRS], y[PAIRS];
    fetch(a, env, 0, x);
    fetch(b, env, 0, y);
    for (int64_t k = 0; k < a->K; k += DEPTH) {
        put(a, at + A_AT, x);
        put(b, at + B_AT, y);
        block_sync();
        fetch(a, env, k + DEPTH, x);
        fetch(b, env, k + DEPTH, y);
        multiply(at + A_AT, at + B_AT, sum);
        block_sync(); // all have read
    }
}

NMG_ENTRY void nmg_gemm_bf16(const void *env, int64_t a_along, int64_t b_along, int64_t M,
                             int64_t N, int64_t K, nmk_load *a, nmk_load *b, nmk_store *c,
                             int64_t tile)
{
    operand x = {.get = a, .along = a_along, .rows = M, .K = K};
    operand y = {.get = b, .along = b_along, .rows = N, .K = K};
    float sum[BLOCKS][4] = {0};
    smem at = smem_base();
    find_tile(M, N, tile, &x, &y);
    add_up(&x, &y, env, at, sum);
    put_sums(at, sum);
    block_sync();
    store_sums(&x, &y, env, c, at);
}
