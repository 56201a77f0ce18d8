// Formats of 16 and 8 bits and tf32, and arithmetic that C cannot say. Conversions are exact to the
// bit; the approximations are more exact here than on a GPU, and keep subnormal numbers that it
// takes for zero.
#include "runtime/emu/block.h"

#include <math.h>
#include <string.h>

u32 nmemu_bits_of(float x)
{
    u32 bits;
    memcpy(&bits, &x, 4);
    return bits;
}

float nmemu_float_of(u32 bits)
{
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

u16 nmemu_to_bf16(float x)
{
    u32 u = nmemu_bits_of(x);
    return (u16)(x != x ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float nmemu_from_bf16(u16 h) { return nmemu_float_of((u32)h << 16); }

u16 nmemu_to_f16(float x)
{
    u32 u = nmemu_bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (x != x)
        return 0x7fff;
    if (a >= 0x477ff000) // 65520: rounds to infinity
        return (u16)(sign | 0x7c00);
    if (a <
        0x38800000) // below 2^-14: a multiple of 2^-24, which is the last bit of numbers around 0.5
        return (u16)(sign | (nmemu_bits_of(nmemu_float_of(a) + 0.5f) - nmemu_bits_of(0.5f)));
    return (u16)(sign | ((a + 0xfff + (a >> 13 & 1) - (112u << 23)) >> 13));
}

float nmemu_from_f16(u16 h)
{
    u32 sign = (u32)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    if (exponent == 31)
        return nmemu_float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0)
        return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    return nmemu_float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

float nmemu_from_e4m3(u8 b)
{
    int exponent = b >> 3 & 15, mantissa = b & 7;
    float x = exponent ? ldexpf((float)(8 + mantissa), exponent - 10) : (float)mantissa * 0x1p-9f;
    if ((b & 0x7f) == 0x7f)
        x = NAN;
    return b & 0x80 ? -x : x;
}

float nmemu_from_e5m2(u8 b) { return nmemu_from_f16((u16)(b << 8)); }

float nmemu_from_tf32(u32 u) { return nmemu_float_of(u & 0xffffe000); }

// --- the primitives ------------------------------------------------------------------------------

u32 tf32(float x) { return x != x ? 0x7fffffff : (nmemu_bits_of(x) + 0x1000) & 0xffffe000; }
u16 to_bf16(float x) { return nmemu_to_bf16(x); }
u16 to_f16(float x) { return nmemu_to_f16(x); }
float from_bf16(u16 h) { return nmemu_from_bf16(h); }
float from_f16(u16 h) { return nmemu_from_f16(h); }
u32 bf16x2(float lo, float hi) { return nmemu_to_bf16(lo) | (u32)nmemu_to_bf16(hi) << 16; }
u32 f16x2(float lo, float hi) { return nmemu_to_f16(lo) | (u32)nmemu_to_f16(hi) << 16; }

float ex2(float x) { return exp2f(x); }
float lg2(float x) { return log2f(x); }
float rcp(float x) { return 1 / x; }
float rsqrt(float x) { return 1 / sqrtf(x); }
float sqrt_fast(float x) { return sqrtf(x); }
float tanh_fast(float x) { return tanhf(x); }
