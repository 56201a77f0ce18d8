// Private to attention on gpus in bf16: tiles and products by mma.sync, for sm_80 and later.
//
// A line of a tile is 16 bytes longer than its columns, so that the eight lines of a matrix are in
// different banks.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_MMA_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_MMA_H

#include "codegen/templates/gpu/attn_seat.h"

INLINE u32 tile_bytes(u32 lines, int64_t hd) { return lines * NMG_ATTN_BF16_LINE((u32)hd); }

// Elements c .. c + 8 of line n of a tile.
INLINE smem element_at(smem tile, u32 lines, u32 hd, u32 n, u32 c)
{
    (void)lines;
    return tile + n * NMG_ATTN_BF16_LINE(hd) + 2 * c;
}

// What a thread has written to tiles is for products of all threads, behind a barrier.
INLINE void publish(void) {}

// s[n] = the warp's own lines times others 8 n .. 8 n + 8, over the head dim; n < `eights`, even.
INLINE void product(seat me, smem own, smem others, int64_t hd, int eights, float (*s)[4])
{
    u32 line = NMG_ATTN_BF16_LINE((u32)hd);
    smem a_at = own + (16 * me.warp + me.lane % 16) * line + me.lane / 16 * 16;
    smem b_at = others + (me.lane / 16 * 8 + me.lane % 8) * line + me.lane / 8 % 2 * 16;
    UNROLL
    for (int n = 0; n < eights; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        s[n][e] = 0;
    for (u32 k = 0; k < padded(hd) / 16; k++) {
        u32 a[4];
        ldmatrix_x4(a, a_at + 32 * k);
        UNROLL
        for (u32 n = 0; n < (u32)eights; n += 2) {
            u32 b[4];
            ldmatrix_x4(b, b_at + n * 8 * line + 32 * k);
            mma_bf16(s[n], a, b[0], b[1]);
            mma_bf16(s[n + 1], a, b[2], b[3]);
        }
    }
}

// sum[c] += p times elements from + 8 c .. + 8 of the others' lines, for columns [from, to); at
// most `wide` of them, a constant. Of p, `sixteens` others.
INLINE void add_lines(seat me, u32 (*p)[4], int sixteens, smem others, int64_t hd, int64_t from,
                      int64_t to, int64_t wide, float (*sum)[4])
{
    u32 line = NMG_ATTN_BF16_LINE((u32)hd);
    smem b_at = others + me.lane % 16 * line + me.lane / 16 * 16 + 2 * (u32)from;
    UNROLL
    for (u32 k = 0; k < (u32)sixteens; k++)
        UNROLL
    for (u32 c = 0; c < padded(wide) / 8; c += 2) {
        if (from + 8 * c >= to)
            continue;
        u32 b[4];
        ldmatrix_x4_trans(b, b_at + k * 16 * line + 16 * c);
        mma_bf16(sum[c], p[k], b[0], b[1]);
        mma_bf16(sum[c + 1], p[k], b[2], b[3]);
    }
}

// s[n] = elements from + 16 warp .. + 16 of own lines, as rows, times pairs with others 8 n .. + 8:
// summed over the own lines. The pairs are a tile of own lines.
INLINE void product_across(seat me, smem own, u32 hd, u32 from, smem pairs, int eights,
                           float (*s)[4])
{
    u32 line = NMG_ATTN_BF16_LINE(hd), pair_line = NMG_ATTN_BF16_LINE(64);
    smem a_at = own + (me.lane / 16 * 8 + me.lane % 8) * line + me.lane / 8 % 2 * 16 +
                2 * (from + 16 * me.warp);
    smem b_at = pairs + me.lane % 16 * pair_line + me.lane / 16 * 16;
    UNROLL
    for (int n = 0; n < eights; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        s[n][e] = 0;
    UNROLL
    for (u32 k = 0; k < OWN / 16; k++) {
        u32 a[4];
        ldmatrix_x4_trans(a, a_at + k * 16 * line);
        UNROLL
        for (u32 n = 0; n < (u32)eights; n += 2) {
            u32 b[4];
            ldmatrix_x4_trans(b, b_at + k * 16 * pair_line + 16 * n);
            mma_bf16(s[n], a, b[0], b[1]);
            mma_bf16(s[n + 1], a, b[2], b[3]);
        }
    }
}

#endif
