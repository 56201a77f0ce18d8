// What the threads of a team tell each other: see team.h.
#include "codegen/templates/gpu/team.h"
#include "codegen/templates/gpu/gpu.h"

NMG_ENTRY uint32_t nmg_swap32(uint32_t v, int64_t mask) { return shfl_xor_u32(v, (u32)mask); }

NMG_ENTRY uint64_t nmg_swap64(uint64_t v, int64_t mask)
{
    u32 low = shfl_xor_u32((u32)v, (u32)mask), high = shfl_xor_u32((u32)(v >> 32), (u32)mask);
    return (u64)high << 32 | low;
}

NMG_ENTRY void nmg_put32(int64_t at, uint32_t v) { st_shared_u32(smem_base() + (smem)at, v); }
NMG_ENTRY void nmg_put64(int64_t at, uint64_t v) { st_shared_u64(smem_base() + (smem)at, v); }
NMG_ENTRY uint32_t nmg_get32(int64_t at) { return ld_shared_u32(smem_base() + (smem)at); }
NMG_ENTRY uint64_t nmg_get64(int64_t at) { return ld_shared_u64(smem_base() + (smem)at); }

NMG_ENTRY void nmg_wait_warp(void) { warp_sync(); }
NMG_ENTRY void nmg_wait_block(void) { block_sync(); }
