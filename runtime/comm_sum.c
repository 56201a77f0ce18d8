// Sums and maxima of members' buffers, in the members' order: blocks that stay in the first cache,
// one operand after the other, so the order of additions of an element is fixed and loops are
// plain.
#include "runtime/comm.h"

#include "runtime/dtype.h"

#include <string.h>

enum { BLOCK = 1024 };

static float widen_bf16(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

// To the nearest, ties to even; a NaN stays one.
static uint16_t narrow_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

#define SAME(x) (x)
// A maximum with a NaN is a NaN. Sums of integers wrap: `sum` is their unsigned type.
#define REDUCE(name, type, wide, sum, load, store)                                                 \
    static void reduce_##name(bool max, void *out, const void *const *in, int n, int64_t at,       \
                              int64_t count)                                                       \
    {                                                                                              \
        wide acc[BLOCK];                                                                           \
        const type *first = (const type *)in[0] + at;                                              \
        for (int64_t i = 0; i < count; i++)                                                        \
            acc[i] = load(first[i]);                                                               \
        for (int k = 1; k < n; k++) {                                                              \
            const type *x = (const type *)in[k] + at;                                              \
            if (max)                                                                               \
                for (int64_t i = 0; i < count; i++) {                                              \
                    wide v = load(x[i]);                                                           \
                    acc[i] = v > acc[i] || v != v ? v : acc[i];                                    \
                }                                                                                  \
            else                                                                                   \
                for (int64_t i = 0; i < count; i++)                                                \
                    acc[i] = (wide)((sum)acc[i] + (sum)load(x[i]));                                \
        }                                                                                          \
        for (int64_t i = 0; i < count; i++)                                                        \
            ((type *)out)[i] = store(acc[i]);                                                      \
    }

REDUCE(f64, double, double, double, SAME, SAME)
REDUCE(f32, float, float, float, SAME, SAME)
REDUCE(bf16, uint16_t, float, float, widen_bf16, narrow_bf16)
REDUCE(i64, int64_t, int64_t, uint64_t, SAME, SAME)
REDUCE(i32, int32_t, int32_t, uint32_t, SAME, SAME)
REDUCE(i16, int16_t, int16_t, uint16_t, SAME, SAME)
REDUCE(i8, int8_t, int8_t, uint8_t, SAME, SAME)
REDUCE(u8, uint8_t, uint8_t, uint8_t, SAME, SAME)

typedef void reduce_block(bool max, void *out, const void *const *in, int n, int64_t at,
                          int64_t count);

static reduce_block *find(nmdrv_dtype dtype, bool max)
{
    switch (dtype) {
    case NMDRV_F64: return reduce_f64;
    case NMDRV_F32: return reduce_f32;
    case NMDRV_BF16: return reduce_bf16;
    case NMDRV_I64: return reduce_i64;
    case NMDRV_I32: return reduce_i32;
    case NMDRV_I16: return reduce_i16;
    case NMDRV_I8: return reduce_i8;
    case NMDRV_U8: return reduce_u8;
    case NMDRV_BOOL: return max ? reduce_u8 : NULL;
    default: return NULL;
    }
}

bool nmrt_reduce(nmdrv_dtype dtype, bool max, void *out, const void *const *in, int n, int64_t at,
                 int64_t count)
{
    reduce_block *reduce = find(dtype, max);
    int64_t size = nmrt_dtype(dtype)->bits / 8;
    for (int64_t i = 0; reduce && i < count; i += BLOCK)
        reduce(max, (char *)out + i * size, in, n, at + i, count - i < BLOCK ? count - i : BLOCK);
    return reduce != NULL;
}
