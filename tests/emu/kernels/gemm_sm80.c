// gemm_sm80.c: c = a b for sm_80, bf16 in, f32 out, any size with k and n multiples of 8: cp.async,
// ldmatrix, mma.sync.
//
// A block of four warps owns 64 x 64 of c; k comes 64 at a time through two buffers. Rows of 64
// elements are 128 bytes, swizzled like TMA does, so that ldmatrix meets no bank twice. b is [k,
// n]: its fragments come through .trans.
#include "tests/emu/kernels/gemm.h"

enum { T = 64, TILE = T * 128, A_AT = 0, B_AT = 2 * TILE };

// Rows row..row+63, columns col..col+63 of m[rows][cols]; what lies outside is zero.
INLINE void load(smem to, const u16 *m, int rows, int cols, int row, int col)
{
    UNROLL
    for (u32 i = 0; i < 4; i++) {
        u32 r = i * 16 + tid() / 8, c = tid() % 8 * 8;
        int in = row + (int)r < rows && col + (int)c < cols;
        const u16 *from = in ? m + (long)(row + (int)r) * cols + col + (int)c : m;
        cp_async16(swizzle128(to + r * 128 + c * 2), from, in ? 16 : 0);
    }
}

// Grid: (ceil(n / T), ceil(m / T)), 128 threads.
KERNEL(gemm_sm80, gemm_params, p)
{
    smem at = smem_base();
    int row = (int)ctaid_y() * T, col = (int)ctaid_x() * T, steps = (p.k + T - 1) / T;
    u32 w = tid() / 32, lane = tid() % 32;
    float d[8][4];
    UNROLL
    for (int i = 0; i < 8; i++)
        UNROLL
    for (int j = 0; j < 4; j++)
        d[i][j] = 0;

    load(at + A_AT, p.a, p.m, p.k, row, 0);
    load(at + B_AT, p.b, p.k, p.n, 0, col);
    cp_async_commit();
    for (int s = 0; s < steps; s++) {
        u32 here = (u32)(s & 1) * TILE, next = TILE - here;
        if (s + 1 < steps) {
            load(at + A_AT + next, p.a, p.m, p.k, row, (s + 1) * T);
            load(at + B_AT + next, p.b, p.k, p.n, (s + 1) * T, col);
        }
        cp_async_commit(); // maybe an empty group: then the count below is right in the last step,
                           // too
        cp_async_wait(1);
        block_sync();
        UNROLL
        for (u32 kk = 0; kk < 4; kk++) {
            u32 fa[4], fb[4];
            ldmatrix_x4(fa, swizzle128(at + A_AT + here + (w * 16 + lane % 16) * 128 + kk * 32 +
                                       lane / 16 * 16));
            UNROLL
            for (u32 j = 0; j < 4; j++) { // two tiles of 8 columns a time
                ldmatrix_x4_trans(fb, swizzle128(at + B_AT + here + (kk * 16 + lane % 16) * 128 +
                                                 j * 32 + lane / 16 * 16));
                mma_bf16(d[2 * j], fa, fb[0], fb[1]);
                mma_bf16(d[2 * j + 1], fa, fb[2], fb[3]);
            }
        }
        block_sync(); // all have read before the next copy overwrites
    }
    UNROLL
    for (int j = 0; j < 8; j++)
        UNROLL
    for (int i = 0; i < 4; i++) {
        int r = row + (int)(w * 16 + lane / 4) + 8 * (i >> 1),
            cc = col + j * 8 + (int)(lane % 4) * 2 + (i & 1);
        if (r < p.m && cc < p.n)
            p.c[(long)r * p.n + cc] = d[j][i];
    }
}
