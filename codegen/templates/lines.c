// Algorithms along one dim, a line at a time: running sums, and the k largest.
#include "codegen/templates/simd.h"

// Of floats, or of integers, which wrap around.
#define RUNNING_SUM(name, type, load, store)                                                       \
    NMK_ENTRY void name(const void *env, int64_t n, int64_t reverse, load *get, store *put,        \
                        int64_t from, int64_t to)                                                  \
    {                                                                                              \
        for (int64_t line = from; line < to; line++) {                                             \
            type sum = 0;                                                                          \
            for (int64_t t = 0; t < n; t++) {                                                      \
                int64_t i = reverse ? n - 1 - t : t;                                               \
                sum += get(env, line, i);                                                          \
                put(env, line, i, sum);                                                            \
            }                                                                                      \
        }                                                                                          \
    }
RUNNING_SUM(nmk_cumsum, float, nmk_line_load, nmk_line_store)
RUNNING_SUM(nmk_cumsum_u32, uint32_t, nmk_line_load_u32, nmk_line_store_u32)

typedef struct best { // the largest so far, largest first
    float value[NMK_MAX_K];
    int32_t at[NMK_MAX_K];
} best;

// x, found at i, moves up past all that are less: of equals the first stays first. NaN is less than
// all.
NMK_INLINE void insert(best *b, int64_t n, float x, int32_t i)
{
    int64_t r = n;
    for (; r > 0 && (x > b->value[r - 1] || (x == x && b->value[r - 1] != b->value[r - 1])); r--) {
        b->value[r] = b->value[r - 1];
        b->at[r] = b->at[r - 1];
    }
    b->value[r] = x;
    b->at[r] = i;
}

NMK_ENTRY void nmk_top_k(const void *env, int64_t n, int64_t k, nmk_line_load *get,
                         nmk_pick *pick_one, int64_t from, int64_t to)
{
    for (int64_t line = from; line < to; line++) {
        best b;
        for (int64_t i = 0; i < n; i++) {
            float x = get(env, line, i);
            if (i < k)
                insert(&b, i, x, (int32_t)i);
            else if (!(x <= b.value[k - 1]) && x == x)
                insert(&b, k - 1, x, (int32_t)i);
        }
        for (int64_t r = 0; r < k; r++)
            pick_one(env, line, r, b.value[r], b.at[r]);
    }
}
