// The primitives that came with sm_90, in kernels that leave their results in memory.
#include "tests/emu/kernels/probe.h"

INLINE void barrier_of(smem bar, u32 arrivals)
{
    if (tid() == 0) {
        mbar_init(bar, arrivals);
        mbar_init_fence();
    }
    block_sync();
}

KERNEL(probe_elect, probe_warp_params, g)
{
    grid_wait();
    g.out[tid()][0] = elect();
    g.out[tid()][1] = elect();
    grid_launch();
}

KERNEL(probe_stmatrix, probe_matrix_params, g)
{
    smem at = smem_base();
    u32 t = tid(), r[4];
    for (u32 k = 0; k < 4; k++)
        r[k] = (u32)g.m[64 * k + 2 * t] | (u32)g.m[64 * k + 2 * t + 1] << 16;
    stmatrix_x4(at + t * 16, r);
    stmatrix_x4_trans(at + 512 + t * 16, r);
    stmatrix_x2(at + 1024 + t % 16 * 16, r);
    stmatrix_x2_trans(at + 1280 + t % 16 * 16, r);
    block_sync();
    for (u32 i = t; i < 384; i += 32)
        ((u32 *)g.stored)[i] = ld_shared_u32(at + 4 * i);
}

// A box of each rank in and out again. An even and an odd phase of the same barrier, and one
// without a copy.
KERNEL(probe_tma, probe_copies_params, g)
{
    smem bar = smem_base() + PROBE_BAR, to = smem_base() + PROBE_A;
    const int *x = g.at;
    barrier_of(bar, 1);
    for (u32 rank = 1; rank <= 5; rank++) {
        if (tid() == 0) {
            tma_prefetch(g.from[rank]);
            mbar_expect_only(bar, 512);
            switch (rank) {
            case 1: tma_load_1d(to, g.from[1], bar, x[0]); break;
            case 2: tma_load_2d(to, g.from[2], bar, x[0], x[1]); break;
            case 3: tma_load_3d(to, g.from[3], bar, x[0], x[1], x[2]); break;
            case 4: tma_load_4d(to, g.from[4], bar, x[0], x[1], x[2], x[3]); break;
            default: tma_load_5d(to, g.from[5], bar, x[0], x[1], x[2], x[3], x[4]);
            }
            mbar_arrive(bar);
        }
        mbar_wait(bar, (rank - 1) & 1);
        for (u32 i = tid(); i < 128; i += ntid())
            g.out[128 * rank + i] = ld_shared_u32(to + 4 * i);
        block_sync();
        if (tid() == 0) {
            switch (rank) {
            case 1: tma_store_1d(g.to[1], to, x[0]); break;
            case 2: tma_store_2d(g.to[2], to, x[0], x[1]); break;
            case 3: tma_store_3d(g.to[3], to, x[0], x[1], x[2]); break;
            case 4: tma_store_4d(g.to[4], to, x[0], x[1], x[2], x[3]); break;
            default: tma_store_5d(g.to[5], to, x[0], x[1], x[2], x[3], x[4]);
            }
            bulk_commit();
            bulk_wait_read(0);
        }
        block_sync();
    }
    if (tid() == 0)
        mbar_inval(bar);
}

KERNEL(probe_bulk, probe_copies_params, g)
{
    smem bar = smem_base() + PROBE_BAR, to = smem_base() + PROBE_A;
    barrier_of(bar, 2);
    if (tid() == 0) {
        mbar_expect(bar, 2048);
        bulk_load(to, g.in, 1024, bar);
        bulk_load(to + 1024, g.in + 512, 1024, bar);
        mbar_arrive(bar);
    }
    mbar_wait(bar, 0);
    if (tid() == 0) {
        bulk_store(g.out, to, 1024);
        bulk_commit();
        bulk_add_f32((float *)g.out + 256, to + 1024, 1024);
        bulk_commit();
        bulk_wait_read(1);
        bulk_wait(0);
    }
}

// --- wgmma ---------------------------------------------------------------------------------------

INLINE u32 d_row(u32 e) { return tid() / 32 * 16 + tid() % 32 / 4 + 8 * (e >> 1 & 1); }
INLINE u32 d_column(u32 e) { return e / 4 * 8 + tid() % 4 * 2 + (e & 1); }

// One product, start to end. A pure instruction must not move between: see prims.h.
#define PRODUCT(d, n, ...)                                                                         \
    do {                                                                                           \
        acc_ready(d, n / 2);                                                                       \
        wgmma_fence();                                                                             \
        __VA_ARGS__;                                                                               \
        wgmma_commit();                                                                            \
        wgmma_wait(0);                                                                             \
        acc_ready(d, n / 2);                                                                       \
    } while (0)

INLINE void load_operands(const probe_wgmma_params *g, smem bar, smem a, smem b_k, smem b_mn, u32 n)
{
    if (tid() != 0)
        return;
    mbar_expect(bar, 2048 + 64 * n);
    tma_load_2d(a, g->a, bar, 0, 0);
    tma_load_2d(b_k, g->b_k, bar, 0, 0);
    for (u32 i = 0; i < n / 16; i++)
        tma_load_2d(b_mn + 512 * i, g->b_mn, bar, 16 * (int)i, 0);
}

// Both products of n columns: a from shared memory with b k-major, and a from registers with b
// n-major.
#define PROBE_WGMMA(n)                                                                             \
    KERNEL(probe_wgmma_##n, probe_wgmma_params, g)                                                 \
    {                                                                                              \
        float d[n / 2];                                                                            \
        u32 a[4];                                                                                  \
        smem bar = smem_base() + PROBE_BAR, at = smem_base() + PROBE_A;                            \
        smem b_k = at + 2048, b_mn = b_k + 32 * n;                                                 \
        barrier_of(bar, 1);                                                                        \
        load_operands(&g, bar, at, b_k, b_mn, n);                                                  \
        mbar_wait(bar, 0);                                                                         \
        UNROLL                                                                                     \
        for (u32 i = 0; i < n / 2; i++)                                                            \
            d[i] = 7;                                                                              \
        PRODUCT(d, n, wgmma_n##n##_kk(d, desc(at, 16, 256, 32), desc(b_k, 16, 256, 32), 0));       \
        UNROLL                                                                                     \
        for (u32 i = 0; i < n / 2; i++)                                                            \
            g.d_k[d_row(i) * n + d_column(i)] = d[i];                                              \
        UNROLL                                                                                     \
        for (u32 i = 0; i < n / 2; i++)                                                            \
            d[i] = 1;                                                                              \
        UNROLL                                                                                     \
        for (u32 i = 0; i < 4; i++)                                                                \
            a[i] = g.a_registers[4 * tid() + i];                                                   \
        UNROLL                                                                                     \
        for (u32 i = 0; i < 4; i++)                                                                \
            keep_u32(&a[i]);                                                                       \
        PRODUCT(d, n, wgmma_n##n##_rm(d, a, desc(b_mn, 512, 256, 32), 1));                         \
        UNROLL                                                                                     \
        for (u32 i = 0; i < n / 2; i++)                                                            \
            g.d_mn[d_row(i) * n + d_column(i)] = d[i];                                             \
    }
PROBE_WGMMA(16)
PROBE_WGMMA(32)
PROBE_WGMMA(64)
PROBE_WGMMA(80)
PROBE_WGMMA(96)
PROBE_WGMMA(128)
PROBE_WGMMA(192)
PROBE_WGMMA(256)

// An operand of 64 x 16, in columns of w bytes: of 64 rows (k-major) or 16 (mn-major).
INLINE u32 load_operand(smem to, const tmap *m, smem bar, int mn, int w)
{
    int columns = mn ? 128 / w : w == 16 ? 2 : 1, bytes = (mn ? 16 : 64) * w;
    for (int c = 0; c < columns; c++)
        tma_load_2d(to + (u32)(c * bytes), m, bar, c * w / 2, 0);
    return (u32)(columns * bytes);
}

INLINE u64 operand_desc(smem at, int mn, int w)
{
    u32 column = (mn ? 16 : 64) * (u32)w, eight = 8 * (u32)w;
    return w == 16 && mn ? desc(at, eight, column, w) : desc(at, column, eight, w);
}

// Every layout of the operands: TMA writes the tiles, a 64 x 64 x 16 product reads them.
KERNEL(probe_layout, probe_layout_params, g)
{
    smem bar = smem_base() + PROBE_BAR, at = smem_base() + PROBE_A, bt = smem_base() + PROBE_B;
    float d[32];
    UNROLL
    for (int i = 0; i < 32; i++)
        d[i] = 0;
    barrier_of(bar, 1);
    if (tid() == 0) {
        u32 bytes = load_operand(at, g.a, bar, g.a_mn, g.w);
        mbar_expect(bar, bytes + load_operand(bt, g.b, bar, g.b_mn, g.w));
    }
    mbar_wait(bar, 0);
    u64 a = operand_desc(at, g.a_mn, g.w), b = operand_desc(bt, g.b_mn, g.w);
    if (g.a_mn && g.b_mn)
        PRODUCT(d, 64, wgmma_n64_mm(d, a, b, 1));
    else if (g.a_mn)
        PRODUCT(d, 64, wgmma_n64_mk(d, a, b, 1));
    else if (g.b_mn)
        PRODUCT(d, 64, wgmma_n64_km(d, a, b, 1));
    else
        PRODUCT(d, 64, wgmma_n64_kk(d, a, b, 1));
    UNROLL
    for (u32 i = 0; i < 32; i++)
        g.d[d_row(i) * 64 + d_column(i)] = d[i];
}
