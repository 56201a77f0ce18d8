// A blend of data sets: from which of them each sample of a run comes, by Megatron's greedy rule
// (build_blending_indices in megatron/core/datasets/helpers.cpp): always from the one that is
// furthest behind its weight, the first of equals.
#ifndef NMRT_CORPUS_BLEND_H
#define NMRT_CORPUS_BLEND_H

#include "runtime/status.h"

#include <stdint.h>

enum { NMRT_BLEND_STRIDE = 1024, NMRT_BLEND_MOST = 32766 };

typedef struct nmrt_blend { // zero-initialised: nothing
    int n;
    double *weight; // [n], their sum is 1
    int64_t size;   // samples
    int64_t *mark;  // [size / NMRT_BLEND_STRIDE + 1, n]: how many each has given before every so
                    // many-th sample
    int64_t *count; // [n], scratch
} nmrt_blend;

typedef struct nmrt_blended { // a sample of the run
    int from;                 // data set
    int64_t index;            // of its samples
} nmrt_blended;

// weight[n]: above 0, of any sum.
nmrt_status nmrt_blend_init(nmrt_blend *b, const double *weight, int n, int64_t size,
                            nmrt_error *e);
void nmrt_blend_release(nmrt_blend *b);
nmrt_blended nmrt_blend_get(const nmrt_blend *b, int64_t i); // not by two threads at once

// Divides by their sum, in numpy's order of additions, on which the last bits depend.
void nmrt_blend_normalise(double *weight, int64_t n);
// How many samples a data set of this weight has to have for `samples` of the blend: half a percent
// more than its share. `share`: without that.
int64_t nmrt_blend_share(double weight, int64_t samples);
int64_t nmrt_blend_need(double weight, int64_t samples);

#endif
