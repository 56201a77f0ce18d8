// h[t] = a[t] * h[t - 1] + x[t] along seq, with h[-1] = 0: a linear recurrence, one for each index
// of batch and of d. On a GPU a block has an index of batch, and lanes share out d.
#include "nemocc/op.h"

void recur(const float *a, const float *x, float *h, int64_t batch, int64_t seq, int64_t d)
{
    for (int64_t b = 0; b < batch; b++)
        OP_EACH(i, d)
        {
            float last = 0;
            for (int64_t t = 0; t < seq; t++) {
                int64_t at = (b * seq + t) * d + i;
                h[at] = last = a[at] * last + x[at];
            }
        }
}

// With g[t] = dh[t] + a[t + 1] * g[t + 1], what the loss gains through h[t] and all behind it:
// dx[t] = g[t] and da[t] = g[t] * h[t - 1].
void recur_grad(const float *a, const float *x, const float *h, const float *dh, float *da,
                float *dx, int64_t batch, int64_t seq, int64_t d)
{
    (void)x;
    for (int64_t b = 0; b < batch; b++)
        OP_EACH(i, d)
        {
            float g = 0;
            for (int64_t t = seq - 1; t >= 0; t--) {
                int64_t at = (b * seq + t) * d + i;
                g = dh[at] + (t + 1 < seq ? a[at + d] * g : 0);
                dx[at] = g;
                da[at] = t ? g * h[at - d] : 0;
            }
        }
}
