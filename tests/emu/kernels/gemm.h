// The parameters of gemm_sm80.c.
#ifndef NM_TESTS_EMU_GEMM_H
#define NM_TESTS_EMU_GEMM_H

#include "runtime/emu/prims.h"

typedef struct gemm_params {
    const u16 *a, *b; // bf16 [m, k], [k, n]
    float *c;         // [m, n]
    int m, n, k;
} gemm_params;

#ifndef __NVPTX__
void gemm_sm80(const void *params);
#endif

#endif
