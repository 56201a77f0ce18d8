// What an op of one's own (an `extern` of a model, ir/extern.h) is written in: one C file for
// processors and for GPUs. #include "nemocc/op.h".
//
//     void NAME(const T *in..., T *out..., T *scratch..., int64_t extent...)
//
// On a processor a thread calls the function for a part of the independent dims' indices. On a GPU
// all threads of a block (a whole number of warps) call it together for one index: what is not
// dealt to lanes is computed by all of them alike, and OP_EACH deals. On a processor there is one
// lane.
//
//     OP_EACH(i, n) y[i] = ...;         // each i in [0, n) by one lane
//     op_sync();                        // what lanes wrote before, all lanes read behind it
//     float s = op_sum(part);           // over all lanes, the same bits in each; op_max likewise
//
// All lanes come to op_sync, op_sum and op_max, or none. A function has no way to fail: what the
// data should not be shows as NaN. It keeps nothing between calls.
#ifndef NEMOCC_OP_H
#define NEMOCC_OP_H

#include <stdint.h>

// To a few units in the last place, and the same on every machine; docs/ops.md has the ops.
#ifdef NM_OP_LOADED // by the interpreter, which has the C library's
#include <math.h>
#include <stdlib.h>
#define op_exp  exp
#define op_log  log
#define op_tanh tanh
#define op_erf  erf
#define op_sin  sin
#define op_cos  cos
#define op_pow  pow
#define op_sqrt sqrt
#ifdef NM_OP_F64 // where it is to be compared with difference quotients
#define float double
#endif
#else
float nmk_expf(float), nmk_logf(float), nmk_tanhf(float), nmk_erff(float), nmk_sinf(float),
    nmk_cosf(float), nmk_powf(float, float), nmk_sqrtf(float);
#define op_exp  nmk_expf
#define op_log  nmk_logf
#define op_tanh nmk_tanhf
#define op_erf  nmk_erff
#define op_sin  nmk_sinf
#define op_cos  nmk_cosf
#define op_pow  nmk_powf
#define op_sqrt nmk_sqrtf
#endif

#ifdef NM_OP_GPU
#include <nemocc/prims.h>

static inline int64_t op_lane(void) { return (int64_t)tid(); }
static inline int64_t op_lanes(void) { return (int64_t)ntid(); }
static inline void op_sync(void) { block_sync(); }

static inline float op_reduce_(float x, int is_max)
{
    smem part = smem_base();
    for (u32 far = 16; far; far /= 2) {
        float y = shfl_xor_f32(x, far);
        x = is_max ? (y > x ? y : x) : x + y;
    }
    block_sync(); // all have read what the last sum left
    if (laneid() == 0)
        st_shared_f32(part + tid() / 32 * 4, x);
    block_sync();
    float all = ld_shared_f32(part);
    for (u32 w = 1; w < ntid() / 32; w++) {
        float y = ld_shared_f32(part + 4 * w);
        all = is_max ? (y > all ? y : all) : all + y;
    }
    return all;
}
static inline float op_sum(float x) { return op_reduce_(x, 0); }
static inline float op_max(float x) { return op_reduce_(x, 1); }
#else
static inline int64_t op_lane(void) { return 0; }
static inline int64_t op_lanes(void) { return 1; }
static inline void op_sync(void) {}
static inline float op_sum(float x) { return x; }
static inline float op_max(float x) { return x; }
#endif

#define OP_EACH(i, n) for (int64_t i = op_lane(); i < (n); i += op_lanes())

#endif
