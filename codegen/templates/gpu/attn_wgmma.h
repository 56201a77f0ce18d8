// Private to attention on gpus in bf16: tiles and products by wgmma, for sm_90a. The four warps of
// a block are one warpgroup.
//
// A tile lies as TMA would write it with a swizzle of 128 bytes: columns of 64 elements, each of
// all lines. So it is an operand both ways, along the head dim and across it.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_WGMMA_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_WGMMA_H

#include "codegen/templates/gpu/attn_seat.h"

enum { ROW = 128 }; // bytes of a column's line

INLINE u32 tile_bytes(u32 lines, int64_t hd)
{
    return lines * ROW * NMG_ATTN_BF16_COLUMNS((u32)hd);
}

// Elements c .. c + 8 of line n of a tile.
INLINE smem element_at(smem tile, u32 lines, u32 hd, u32 n, u32 c)
{
    (void)hd;
    return swizzle128(tile + c / 64 * lines * ROW + n * ROW + c % 64 * 2);
}

// What a thread has written to tiles is for products of all threads, behind a barrier.
INLINE void publish(void) { fence_async(); }

// s[n] = the warp's own lines times others 8 n .. 8 n + 8, over the head dim; n < `eights`: 4 or 8.
INLINE void product(seat me, smem own, smem others, int64_t hd, int eights, float (*s)[4])
{
    (void)me;
    float *d = s[0];
    UNROLL
    for (int i = 0; i < 4 * eights; i++)
        d[i] = 0;
    acc_ready(d, 4 * eights);
    keep_u32(&own); // descriptors are made again in each tile: no registers are left to keep them
    keep_u32(&others);
    wgmma_fence();
    UNROLL
    for (u32 k = 0; k < padded(hd) / 16; k++) {
        u64 a = desc_sw128(own + k / 4 * OWN * ROW + k % 4 * 32, 16, 8 * ROW);
        u64 b = desc_sw128(others + k / 4 * 8 * (u32)eights * ROW + k % 4 * 32, 16, 8 * ROW);
        if (eights == 8)
            wgmma_n64_kk(d, a, b, 1);
        else
            wgmma_n32_kk(d, a, b, 1);
    }
    wgmma_commit();
    wgmma_wait(0);
    acc_ready(d, 4 * eights);
}

// s[n] = elements from + 16 warp .. + 16 of own lines, as rows, times pairs with others 8 n .. + 8:
// summed over the own lines. The pairs are a tile of own lines; `eights` is 4, `from` a multiple of
// 64.
INLINE void product_across(seat me, smem own, u32 hd, u32 from, smem pairs, int eights,
                           float (*s)[4])
{
    (void)me, (void)hd;
    float *d = s[0];
    own += from / 64 * OWN * ROW;
    UNROLL
    for (int i = 0; i < 4 * eights; i++)
        d[i] = 0;
    acc_ready(d, 4 * eights);
    keep_u32(&own);
    keep_u32(&pairs);
    wgmma_fence();
    UNROLL
    for (u32 k = 0; k < OWN / 16; k++)
        wgmma_n32_mm(d, desc_sw128(own + k * 16 * ROW, ROW, 8 * ROW),
                     desc_sw128(pairs + k * 16 * ROW, ROW, 8 * ROW), 1);
    wgmma_commit();
    wgmma_wait(0);
    acc_ready(d, 4 * eights);
}

// Columns of one wgmma that makes `wide` of them; those in excess are never read.
INLINE u32 columns_of(u32 wide)
{
    return wide == 16 || wide == 32 || wide == 80 || wide == 96 ? wide : (wide + 63) / 64 * 64;
}

INLINE void sum_sixteen(float *d, const u32 p[4], u64 b, u32 columns)
{
    switch (columns) {
    case 16: wgmma_n16_rm(d, p, b, 1); break;
    case 32: wgmma_n32_rm(d, p, b, 1); break;
    case 64: wgmma_n64_rm(d, p, b, 1); break;
    case 80: wgmma_n80_rm(d, p, b, 1); break;
    case 96: wgmma_n96_rm(d, p, b, 1); break;
    case 128: wgmma_n128_rm(d, p, b, 1); break;
    case 192: wgmma_n192_rm(d, p, b, 1); break;
    default: wgmma_n256_rm(d, p, b, 1); break;
    }
}

// sum[c] += p times elements from + 8 c .. + 8 of the others' lines, for columns [from, to); at
// most `wide` of them, a constant. Of p, `sixteens` others.
INLINE void add_lines(seat me, u32 (*p)[4], int sixteens, smem others, int64_t hd, int64_t from,
                      int64_t to, int64_t wide, float (*sum)[4])
{
    (void)me, (void)hd;
    u32 columns = columns_of(padded(wide)), column_bytes = 16 * (u32)sixteens * ROW;
    smem at = others + (u32)from / 64 * column_bytes;
    float *d = sum[0];
    if (from >= to)
        return;
    acc_ready(d, (int)columns / 2);
    UNROLL
    for (int i = 0; i < 4 * sixteens; i++)
        keep_u32(&p[0][i]);
    wgmma_fence();
    UNROLL
    for (u32 k = 0; k < (u32)sixteens; k++)
        sum_sixteen(d, p[k], desc_sw128(at + k * 16 * ROW, column_bytes, 8 * ROW), columns);
    wgmma_commit();
    wgmma_wait(0);
    acc_ready(d, (int)columns / 2);
}

#endif
