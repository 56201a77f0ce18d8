// The matrix product of gpu kernels: see gemm.h.
//
// A block makes a TILE x TILE tile of the result: 16 x 16 threads of 4 x 4 sums each, in registers.
// Operands come DEPTH of k at a time through shared memory, as [k][row], from where a thread reads
// its four rows and its four columns as one vector each; the next step's elements are loaded while
// this one's are multiplied. The sums leave through shared memory, too, so that the store hook is
// called for neighbours by neighbours. Outside of the operands all is zero.
#include "codegen/templates/gpu/tile.h"

enum {
    DEPTH = 16,
    MINE = 4,                       // rows, and columns, of a thread
    SHARE = TILE * DEPTH / THREADS, // elements of an operand's tile that a thread loads
    A_AT = 0,
    B_AT = DEPTH * LINE,
};
_Static_assert(2 * DEPTH * LINE <= NMG_GEMM_SHARED, "two tiles of operands");
_Static_assert(TILE / MINE * (TILE / MINE) == THREADS, "a thread for each 4 x 4 sums");

INLINE place my_place(const operand *x, u32 i)
{
    return place_of(x->along, tid() + i * THREADS, DEPTH);
}

INLINE void fetch(const operand *x, const void *env, int64_t k, float share[SHARE])
{
    UNROLL
    for (u32 i = 0; i < SHARE; i++)
        share[i] = element_of(x, env, my_place(x, i), k);
}

INLINE void put(const operand *x, smem to, const float share[SHARE])
{
    UNROLL
    for (u32 i = 0; i < SHARE; i++) {
        place p = my_place(x, i);
        st_shared_f32(to + p.k * LINE + 4 * p.row, share[i]);
    }
}

INLINE void read_four(float v[MINE], smem at)
{
    u32 bits[MINE];
    ld_shared_v4(bits, at);
    UNROLL
    for (int i = 0; i < MINE; i++)
        v[i] = __builtin_bit_cast(float, bits[i]);
}

INLINE void multiply(smem a, smem b, float sum[MINE][MINE])
{
    UNROLL
    for (u32 k = 0; k < DEPTH; k++) {
        float x[MINE], y[MINE];
        read_four(x, a + k * LINE);
        read_four(y, b + k * LINE);
        UNROLL
        for (int i = 0; i < MINE; i++)
            UNROLL
        for (int j = 0; j < MINE; j++)
            sum[i][j] += x[i] * y[j];
    }
}

// The tile's sums, [row][column], to shared memory.
INLINE void put_sums(smem to, float sum[MINE][MINE])
{
    u32 row = tid() / (TILE / MINE) * MINE, col = tid() % (TILE / MINE) * MINE;
    UNROLL
    for (u32 i = 0; i < MINE; i++) {
        u32 bits[MINE];
        UNROLL
        for (int j = 0; j < MINE; j++)
            bits[j] = __builtin_bit_cast(u32, sum[i][j]);
        st_shared_v4(to + (row + i) * LINE + 4 * col, bits);
    }
}

INLINE void add_up(const operand *a, const operand *b, const void *env, smem at,
                   float sum[MINE][MINE])
{
    u32 row = tid() / (TILE / MINE) * MINE, col = tid() % (TILE / MINE) * MINE;
    float x[SHARE], y[SHARE];
    fetch(a, env, 0, x);
    fetch(b, env, 0, y);
    for (int64_t k = 0; k < a->K; k += DEPTH) {
        put(a, at + A_AT, x);
        put(b, at + B_AT, y);
        block_sync();
        fetch(a, env, k + DEPTH, x);
        fetch(b, env, k + DEPTH, y);
        multiply(at + A_AT + 4 * row, at + B_AT + 4 * col, sum);
        block_sync(); // all have read
    }
}

NMG_ENTRY void nmg_gemm(const void *env, int64_t a_along, int64_t b_along, int64_t M, int64_t N,
                        int64_t K, nmk_load *a, nmk_load *b, nmk_store *c, int64_t tile)
{
    operand x = {.get = a, .along = a_along, .rows = M, .K = K};
    operand y = {.get = b, .along = b_along, .rows = N, .K = K};
    float sum[MINE][MINE] = {0};
    smem at = smem_base();
    find_tile(M, N, tile, &x, &y);
    add_up(&x, &y, env, at, sum);
    put_sums(at, sum);
    block_sync();
    store_sums(&x, &y, env, c, at);
}
