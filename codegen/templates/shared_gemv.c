// The matrix product for few rows: what sees no hook.
#include "codegen/templates/gemm.h"

float nmk_gemv_inner(const float *a, const float *b, int64_t n)
{
    vf sum[4] = {{0}};
    for (int64_t i = 0; i < n; i += GEMV_STEP)
        NMK_UNROLL for (int u = 0; u < 4; u++) sum[u] +=
            load(a + i + u * VL) * load(b + i + u * VL);
    vf all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    float s = 0;
    NMK_UNROLL for (int l = 0; l < VL; l++) s += all[l];
    return s;
}

void nmk_gemv_lines(int64_t rows, int64_t n, const float *a, const float *const *b,
                    const float *const *next, float *c)
{
    for (int64_t m = 0; m < rows; m++, a += GEMV_LINES, c += GEMV_STRETCH)
        for (int64_t i = 0; i < n; i += VL) {
            vf sum = load(c + i);
            NMK_UNROLL for (int p = 0; p < GEMV_LINES; p++)
            {
                __builtin_prefetch(next[p] + i, 0, 2);
                sum += splat(a[p]) * load(b[p] + i);
            }
            store(c + i, sum);
        }
}
