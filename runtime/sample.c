// Choosing a token: softmax at a temperature, cut to the smallest set of probability top_p
// (Holtzman et al. 2019, "The Curious Case of Neural Text Degeneration"), one draw by inversion.
#include "runtime/generate.h"

#include "runtime/permute.h"

#include <math.h>
#include <stdlib.h>

typedef struct choice {
    int token;
    double p;
} choice;

static int likelier_first(const void *a, const void *b)
{
    const choice *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? 1 : -1;
    return x->token - y->token;
}

static int likeliest(const double *logit, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logit[i] > logit[best])
            best = i;
    return best;
}

int nmrt_sample(const nmrt_sampler *s, const double *logit, int n, uint64_t index)
{
    choice c[256];
    int best = likeliest(logit, n), kept = 0;
    double sum = 0, all = 0;
    if (s->temperature <= 0)
        return best;
    for (int i = 0; i < n; i++) {
        c[i] = (choice){i, exp((logit[i] - logit[best]) / s->temperature)};
        all += c[i].p;
    }
    qsort(c, (size_t)n, sizeof *c, likelier_first);
    while (kept < n && (kept == 0 || sum < s->top_p * all))
        sum += c[kept++].p;
    double draw = (double)(nmrt_mix(nmrt_mix(s->seed) ^ index) >> 11) * 0x1p-53 * sum;
    for (int i = 0; i < kept; i++)
        if ((draw -= c[i].p) < 0)
            return c[i].token;
    return c[kept - 1].token;
}
