// The matrix product of gpu kernels, for what is no call of a library: hooks in front of it and
// behind it, any way for operands to lie. Codegen includes this header, too.
#ifndef NM_CODEGEN_TEMPLATES_GPU_GEMM_H
#define NM_CODEGEN_TEMPLATES_GPU_GEMM_H

#include "codegen/templates/template.h"

enum {
    NMG_GEMM_THREADS = 256, // of a block
    NMG_GEMM_TILE = 64,     // rows and columns of the result that a block makes
    NMG_GEMM_SHARED = NMG_GEMM_TILE * (NMG_GEMM_TILE + 4) * 4, // bytes of dynamic shared memory
};

// c[b, m, n] = sum over k of a[b, m, k] * b[b, n, k], where hooks load and store as template.h says
// (their j is 0). Range: tiles of the result, B * ceil(M / TILE) * ceil(N / TILE), n fastest, one a
// block. along: which index of an operand is contiguous (NMK_ALONG_*), so that neighbours read
// neighbours. A sum runs over k in increasing order; K = 0 stores 0.
void nmg_gemm(const void *env, int64_t a_along, int64_t b_along, int64_t M, int64_t N, int64_t K,
              nmk_load *a, nmk_load *b, nmk_store *c, int64_t tile);
// The same where all that the hooks load is bf16: on tensor cores, which add up 16 of k at a time.
void nmg_gemm_bf16(const void *env, int64_t a_along, int64_t b_along, int64_t M, int64_t N,
                   int64_t K, nmk_load *a, nmk_load *b, nmk_store *c, int64_t tile);

#endif
