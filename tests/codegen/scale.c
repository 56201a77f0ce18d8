// For tests: y[i, j] = times * x[i, j] * w[j], with an operand that lacks an independent dim, so
// that its gradient is a sum over it.
#include "nemocc/op.h"

void scale(const float *x, const float *w, double times, float *y, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < n; i++)
        OP_EACH(j, m)
    y[i * m + j] = (float)times * x[i * m + j] * w[j];
}

void scale_grad(const float *x, const float *w, double times, const float *y, const float *dy,
                float *dx, float *dw, int64_t n, int64_t m)
{
    (void)y;
    OP_EACH(j, m)
    {
        float sum = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t at = i * m + j;
            dx[at] = (float)times * dy[at] * w[j];
            sum += (float)times * dy[at] * x[at];
        }
        dw[j] = sum;
    }
}
