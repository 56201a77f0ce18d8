// Conversions, by the bits (IEEE 754; bf16: the upper half of an f32).
#include "runtime/foreign/convert.h"

#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float read_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }

static uint16_t write_bf16(float x)
{
    uint32_t bits = bits_of(x), half = bits >> 16;
    if ((bits & 0x7FFFFFFF) > 0x7F800000) // a NaN must not lose all of its fraction
        return (uint16_t)(half & 0x7F ? half : half | 0x40);
    return (uint16_t)((bits + 0x7FFF + (half & 1)) >> 16);
}

// 1 sign, 5 exponent (bias 15), 10 fraction. A subnormal is fraction * 2^-24.
static float read_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3FF;
    if (exponent == 31)
        return float_of(sign | 0x7F800000 | fraction << 13);
    if (exponent)
        return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    float x = (float)fraction * 0x1p-24f;
    return sign ? -x : x;
}

static uint16_t write_f16(float x)
{
    uint32_t bits = bits_of(x), size = bits & 0x7FFFFFFF;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (size > 0x7F800000)
        return (uint16_t)(sign | 0x7C00 | (size >> 13 & 0x3FF ? size >> 13 & 0x3FF : 0x200));
    if (size >= 0x477FF000) // 65520 and more
        return (uint16_t)(sign | 0x7C00);
    if (size >= 0x38800000) // 2^-14 and more: normal
        return (uint16_t)(sign | (size - 0x38000000 + 0xFFF + (size >> 13 & 1)) >> 13);
    // Adding 0.5 leaves a multiple of 2^-24, rounded as every sum is.
    return (uint16_t)(sign | (bits_of(float_of(size) + 0.5f) - 0x3F000000));
}

// --- by the file's word ------------------------------------------------------------------------

bool nmrt_convert_knows(const char *dtype, int64_t *bytes)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } known[] = {{"F64", 8}, {"F32", 4}, {"BF16", 2}, {"F16", 2}};
    for (int i = 0; i < 4; i++)
        if (strcmp(dtype, known[i].name) == 0) {
            *bytes = known[i].bytes;
            return true;
        }
    return false;
}

// A file's numbers lie at any byte, so they are copied out before they are numbers.
#define READ(type, value)                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type x;                                                                                    \
        memcpy(&x, (const char *)from + i * step * (int64_t)sizeof x, sizeof x);                   \
        to[i] = (value);                                                                           \
    }
#define WRITE(type, value)                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type x = (value);                                                                          \
        memcpy((char *)to + i * step * (int64_t)sizeof x, &x, sizeof x);                           \
    }

void nmrt_convert_read(const char *dtype, const void *from, int64_t step, float *to, int64_t n)
{
    if (dtype[0] == 'B')
        READ(uint16_t, read_bf16(x))
    else if (strcmp(dtype, "F16") == 0)
        READ(uint16_t, read_f16(x))
    else if (strcmp(dtype, "F32") == 0)
        READ(float, x)
    else
        READ(double, (float)x)
}

void nmrt_convert_write(const char *dtype, void *to, int64_t step, const float *from, int64_t n)
{
    if (dtype[0] == 'B')
        WRITE(uint16_t, write_bf16(from[i]))
    else if (strcmp(dtype, "F16") == 0)
        WRITE(uint16_t, write_f16(from[i]))
    else if (strcmp(dtype, "F32") == 0)
        WRITE(float, from[i])
    else
        WRITE(double, (double)from[i])
}
