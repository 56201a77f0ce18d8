// The greedy rule. Which data set a sample comes from depends on all samples before it, so counts
// are kept every 1024 samples, and what follows a mark is gone through again.
#include "runtime/corpus/blend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double SURPLUS = 0.005;

// The sum as numpy's pairwise one: below 8 numbers from left to right, up to 128 in eight partial
// sums, above in halves.
static double sum(const double *x, int64_t n)
{
    if (n > 128) {
        int64_t half = n / 2 - n / 2 % 8;
        return sum(x, half) + sum(x + half, n - half);
    }
    double r[8] = {0}, all = 0;
    int64_t i = n < 8 ? 0 : n - n % 8;
    for (int64_t k = 0; k < i; k++)
        r[k % 8] = k < 8 ? x[k] : r[k % 8] + x[k];
    all = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++)
        all += x[i];
    return all;
}

void nmrt_blend_normalise(double *weight, int64_t n)
{
    double all = sum(weight, n);
    for (int64_t i = 0; i < n; i++)
        weight[i] /= all;
}

int64_t nmrt_blend_share(double weight, int64_t samples)
{
    return (int64_t)ceil((double)samples * weight);
}

int64_t nmrt_blend_need(double weight, int64_t samples)
{
    return (int64_t)ceil((double)nmrt_blend_share(weight, samples) * (1 + SURPLUS));
}

// Of the data set that sample i comes from, where each has given count[] before.
static int furthest_behind(const nmrt_blend *b, const int64_t *count, int64_t i)
{
    double at = i > 1 ? (double)i : 1, most = 0;
    int from = -1;
    for (int k = 0; k < b->n; k++) {
        double behind = b->weight[k] * at - (double)count[k];
        if (from < 0 || behind > most) {
            most = behind;
            from = k;
        }
    }
    return from;
}

static void fill_marks(nmrt_blend *b)
{
    memset(b->count, 0, (size_t)b->n * sizeof *b->count);
    for (int64_t i = 0; i <= b->size; i++) {
        if (i % NMRT_BLEND_STRIDE == 0)
            memcpy(&b->mark[i / NMRT_BLEND_STRIDE * b->n], b->count,
                   (size_t)b->n * sizeof *b->count);
        b->count[furthest_behind(b, b->count, i)]++;
    }
}

nmrt_status nmrt_blend_init(nmrt_blend *b, const double *weight, int n, int64_t size, nmrt_error *e)
{
    size_t marks = (size_t)(size / NMRT_BLEND_STRIDE + 1) * (size_t)n;
    *b = (nmrt_blend){.n = n, .size = size};
    b->weight = malloc((size_t)n * sizeof *b->weight);
    b->count = malloc((size_t)n * sizeof *b->count);
    b->mark = malloc(marks * sizeof *b->mark);
    if (!b->weight || !b->count || !b->mark) {
        nmrt_blend_release(b);
        return nmrt_fail(e, NMRT_WORLD, "no memory for the order of a blend of %d data sets", n);
    }
    memcpy(b->weight, weight, (size_t)n * sizeof *weight);
    nmrt_blend_normalise(b->weight, n);
    fill_marks(b);
    return NMRT_OK;
}

void nmrt_blend_release(nmrt_blend *b)
{
    free(b->weight);
    free(b->count);
    free(b->mark);
    *b = (nmrt_blend){0};
}

nmrt_blended nmrt_blend_get(const nmrt_blend *b, int64_t i)
{
    int64_t mark = i / NMRT_BLEND_STRIDE;
    memcpy(b->count, &b->mark[mark * b->n], (size_t)b->n * sizeof *b->count);
    for (int64_t k = mark * NMRT_BLEND_STRIDE; k < i; k++)
        b->count[furthest_behind(b, b->count, k)]++;
    int from = furthest_behind(b, b->count, i);
    return (nmrt_blended){from, b->count[from]};
}
