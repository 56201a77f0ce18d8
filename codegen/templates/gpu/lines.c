// Algorithms along one dim, a line a warp: see lines.h.
#include "codegen/templates/gpu/lines.h"
#include "codegen/templates/gpu/gpu.h"

enum { WARP = 32 };

INLINE int64_t own_line(int64_t from) { return from + tid() / WARP; }

// --- running sums

// sum_below: the sum of x over this lane and those below.
#define RUNNING_SUM(name, type, sum_below, shfl_up, shfl_idx, load, store)                         \
    INLINE type sum_below(type x)                                                                  \
    {                                                                                              \
        UNROLL                                                                                     \
        for (u32 by = 1; by < WARP; by *= 2) {                                                     \
            type below = shfl_up(x, by);                                                           \
            x = laneid() >= by ? below + x : x;                                                    \
        }                                                                                          \
        return x;                                                                                  \
    }                                                                                              \
    NMG_ENTRY void name(const void *env, int64_t n, int64_t reverse, load *get, store *put,        \
                        int64_t from, int64_t to)                                                  \
    {                                                                                              \
        int64_t line = own_line(from);                                                             \
        if (line >= to)                                                                            \
            return;                                                                                \
        type before = 0;                                                                           \
        for (int64_t start = 0; start < n; start += WARP) {                                        \
            int64_t t = start + laneid(), i = reverse ? n - 1 - t : t;                             \
            type x = t < n ? get(env, line, i) : 0;                                                \
            type sum = before + sum_below(x);                                                      \
            if (t < n)                                                                             \
                put(env, line, i, sum);                                                            \
            before = shfl_idx(sum, WARP - 1);                                                      \
        }                                                                                          \
    }
RUNNING_SUM(nmg_cumsum, float, sum_below_f32, shfl_up_f32, shfl_idx_f32, nmk_line_load,
            nmk_line_store)
RUNNING_SUM(nmg_cumsum_u32, u32, sum_below_u32, shfl_up_u32, shfl_idx_u32, nmk_line_load_u32,
            nmk_line_store_u32)

// --- the k largest

typedef struct found { // an element of the line; at < 0: none
    float value;
    int32_t at;
} found;

// Largest first, of equals the first; NaN is less than all.
INLINE int precedes(found a, found b)
{
    int a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan)
        return b_nan;
    if (!a_nan && a.value != b.value)
        return a.value > b.value;
    return a.at < b.at;
}

INLINE found better(found a, found b)
{
    if (a.at < 0 || b.at < 0)
        return a.at < 0 ? b : a;
    return precedes(b, a) ? b : a;
}

// This lane's first behind `last`.
INLINE found next_of_lane(const void *env, nmk_line_load *get, int64_t line, int64_t n, found last)
{
    found best = {0, -1};
    for (int64_t i = laneid(); i < n; i += WARP) {
        found x = {get(env, line, i), (int32_t)i};
        if (last.at < 0 || precedes(last, x))
            best = better(best, x);
    }
    return best;
}

INLINE found best_of_warp(found x)
{
    UNROLL
    for (u32 mask = WARP / 2; mask; mask /= 2) {
        found y = {shfl_xor_f32(x.value, mask), (int32_t)shfl_xor_u32((u32)x.at, mask)};
        x = better(x, y);
    }
    return x;
}

NMG_ENTRY void nmg_top_k(const void *env, int64_t n, int64_t k, nmk_line_load *get,
                         nmk_pick *pick_one, int64_t from, int64_t to)
{
    int64_t line = own_line(from);
    if (line >= to)
        return;
    found last = {0, -1};
    for (int64_t r = 0; r < k; r++) {
        last = best_of_warp(next_of_lane(env, get, line, n, last));
        if (laneid() == 0)
            pick_one(env, line, r, last.value, last.at);
    }
}
