// Private to attention on gpus in bf16, as sm_90a has it with tensor maps: places in shared memory
// through which tiles come. A warpgroup fills them, all warps of the others give each back.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_RING_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_RING_H

#include "codegen/templates/gpu/attn_seat.h"

enum {
    STAGES = NMG_ATTN_MAPS_STAGES,
    CONSUMERS = NMG_ATTN_MAPS_ROWS / OWN,
    CONSUMER_WARPS = CONSUMERS * THREADS / 32,
    FEW_REGISTERS = 24, // 24 + 2 * 240 are what three warpgroups begin with
    MANY_REGISTERS = 240,
};
_Static_assert(NMG_ATTN_MAPS_THREADS == (1 + CONSUMERS) * THREADS, "warpgroups");

INLINE u32 columns(int64_t hd) { return (u32)(hd + 63) / 64; }

typedef struct ring {
    smem at, full, empty;
    u32 bytes; // of a tile
} ring;

INLINE void begin_ring(const ring *r)
{
    for (u32 s = 0; s < STAGES; s++) {
        mbar_init(r->full + 8 * s, 1);
        mbar_init(r->empty + 8 * s, CONSUMER_WARPS);
    }
}

// Tile i of a ring.
INLINE smem tile_at(const ring *r, u32 i) { return r->at + i % STAGES * r->bytes; }
INLINE void await_full(const ring *r, u32 i)
{
    mbar_wait(r->full + i % STAGES * 8, i / STAGES & 1);
}
// When all lanes of the warp have passed the wait.
INLINE void give_back(const ring *r, u32 i)
{
    if (laneid() == 0)
        mbar_arrive(r->empty + i % STAGES * 8);
}

// By one thread: so many bytes are to become tile i. Returns the barrier of their copies.
INLINE smem begin_copy(const ring *r, u32 i, u32 bytes)
{
    smem full = r->full + i % STAGES * 8;
    mbar_wait(r->empty + i % STAGES * 8, (i / STAGES & 1) ^ 1);
    mbar_expect(full, bytes);
    return full;
}

#endif
