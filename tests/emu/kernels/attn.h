// The parameters of the attention kernels. All maps are {head size, length, heads, batch},
// innermost first.
#ifndef NM_TESTS_EMU_ATTN_H
#define NM_TESTS_EMU_ATTN_H

#include "runtime/emu/prims.h"

#ifndef HD // the head size that a kernel is compiled for: 64 or 128
#define HD 128
#endif
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)

typedef struct attn_fwd_params {
    const tmap *q, *k, *v,
        *out;   // boxes {64, 64, 1, 1} of queries and output, {64, 128, 1, 1} of keys and values
    float *lse; // [batch, heads, len]
    int len, heads, kv_heads, causal;
    float scale; // log2(e) / sqrt(head size)
} attn_fwd_params;

typedef struct attn_bwd_params {
    const tmap *q, *k, *v, *out_grad, *dk, *dv; // boxes {64, 64, 1, 1}
    const float *lse, *delta;                   // [batch, heads, len]; delta = sum(dO * O)
    float *dq; // [batch, heads, ceil(len / 64)][tile]: see attn_bwd.c
    int len, heads, kv_heads, causal;
    float scale; // 1 / sqrt(head size)
} attn_bwd_params;

#ifndef __NVPTX__
void attn_fwd_64(const void *params);
void attn_fwd_128(const void *params);
void attn_bwd_64(const void *params);
void attn_bwd_128(const void *params);
#endif

#endif
