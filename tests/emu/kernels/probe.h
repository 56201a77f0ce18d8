// Kernels that try one group of primitives each: what they read and what they leave for
// prims_test.c to compare.
#ifndef NM_TESTS_EMU_PROBE_H
#define NM_TESTS_EMU_PROBE_H

#include "runtime/emu/prims.h"

enum { PROBE_BAR = 0, PROBE_A = 1024, PROBE_B = 16384 }; // offsets in shared memory

typedef struct probe_where_params {
    u32 (*out)[9]; // a row a thread of the grid
} probe_where_params;

typedef struct probe_shared_params {
    u32 *out; // [4 * threads]: the words that were stored, reversed
} probe_shared_params;

typedef struct probe_warp_params {
    const u32 *v;   // [threads]
    u32 (*out)[16]; // a row a thread
} probe_warp_params;

typedef struct probe_numbers_params {
    const float *x; // [threads]
    float (*f)[8];
    u32 (*u)[8];
} probe_numbers_params;

typedef struct probe_atomics_params {
    u32 *sum, *ring, *max, *last, *lock; // one each
    u64 *sum64, *product64;
    float *sum_f32;
    u32 *ticket;   // [blocks * threads]: old values of sum
    u32 *plain;    // counted under `lock`
    const u32 *in; // [4 * threads], copied by 16 bytes
    u32 *copy;
} probe_atomics_params;

typedef struct probe_matrix_params {
    const u16 *m;   // [4][8][8]
    u32 (*out)[15]; // a row a lane: x1, x2, x4; the same transposed; movmatrix of the first
    u16 *stored;    // [4][4][8][8]: stmatrix x4, x4_trans, x2, x2_trans; sm_90
} probe_matrix_params;

typedef struct probe_mma_params {
    const u16 *a_bf16, *b_bf16, *a_f16, *b_f16; // [16][16], [16][8]
    const float *a_tf32, *b_tf32;               // [16][8], [8][8]
    float *d_bf16, *d_f16, *d_tf32;             // [16][8]
} probe_mma_params;

typedef struct probe_copies_params {
    const u32 *in;
    u32 *out;
    const tmap *from[6], *to[6]; // of rank 1..5; of boxes that reach out of the tensor
    int at[5];
} probe_copies_params;

typedef struct probe_wgmma_params {
    const tmap *a, *b_k,
        *b_mn; // a[64][16], b[n][16], b[16][n]; boxes of 16 elements; swizzle of 32 bytes
    const u32 *a_registers; // [128][4]
    float *d_k, *d_mn;      // [64][n]
} probe_wgmma_params;

typedef struct probe_layout_params {
    const tmap *a, *b; // boxes of w / 2 elements
    float *d;          // [64][64]
    int w;             // the swizzle's width in bytes; 16: none
    int a_mn, b_mn;    // which operand is stored along m or n
} probe_layout_params;

#ifndef __NVPTX__
#define PROBE(name) void probe_##name(const void *params);
PROBE(where)
PROBE(shared)
PROBE(warp)
PROBE(numbers)
PROBE(atomics)
PROBE(matrix)
PROBE(mma)
PROBE(cp_async)
PROBE(elect)
PROBE(stmatrix)
PROBE(tma)
PROBE(bulk)
PROBE(layout)
PROBE(wgmma_16)
PROBE(wgmma_32)
PROBE(wgmma_64)
PROBE(wgmma_80)
PROBE(wgmma_96)
PROBE(wgmma_128)
PROBE(wgmma_192)
PROBE(wgmma_256)
#undef PROBE
#endif

#endif
