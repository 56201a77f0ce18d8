// What the threads of a team tell each other, in words of 32 or 64 bits: codegen/team.h is written
// with it.
#ifndef NM_CODEGEN_TEMPLATES_GPU_TEAM_H
#define NM_CODEGEN_TEMPLATES_GPU_TEAM_H

#include <stdint.h>

// The v of lane ^ mask of the warp; all its lanes say it.
uint32_t nmg_swap32(uint32_t v, int64_t mask);
uint64_t nmg_swap64(uint64_t v, int64_t mask);
// The block's dynamic shared memory, `at` bytes from its begin.
void nmg_put32(int64_t at, uint32_t v);
void nmg_put64(int64_t at, uint64_t v);
uint32_t nmg_get32(int64_t at);
uint64_t nmg_get64(int64_t at);
// All threads of the warp, of the block: what they have written before, all see behind it.
void nmg_wait_warp(void);
void nmg_wait_block(void);

#endif
