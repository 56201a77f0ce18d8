// Private to attention on gpus in bf16: a thread's place in its block.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_SEAT_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_SEAT_H

#include "codegen/templates/gpu/attn_bf16.h"
#include "codegen/templates/gpu/attn_pair.h"

enum {
    THREADS = NMG_ATTN_BF16_THREADS,
    OWN = NMG_ATTN_BF16_TILE,
    MOST = NMG_ATTN_BF16_MOST,
    WIDE = NMG_ATTN_BF16_WIDE,
};

INLINE u32 padded(int64_t hd) { return (u32)(hd + 15) / 16 * 16; }

typedef struct seat { // a thread's place in its four warps
    smem at;
    u32 line, other; // its first own line; its first other
    u32 warp, lane;
    u32 four; // of those in the block, its four warps
} seat;

INLINE seat take_seat(void)
{
    u32 all = shfl_idx_u32(tid() / 32, 0); // the same in all lanes, and seen so
    u32 lane = laneid(), warp = all % (THREADS / 32), four = all / (THREADS / 32);
    return (seat){smem_base(), 16 * warp + lane / 4, lane % 4 * 2, warp, lane, four};
}

// The four warps meet.
INLINE void sync_four(seat me) { bar_sync(1 + me.four, THREADS); }

// What follows from a thread's lines is computed anew in each tile: no registers are left to keep
// it.
INLINE void find_again(seat *me)
{
    keep_u32(&me->line);
    keep_u32(&me->other);
}

#endif
