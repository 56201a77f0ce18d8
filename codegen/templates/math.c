// f32 functions without branches, tables or calls, so that a loop over them vectorises once they
// are inlined. None needs fma to be exact, and none minds if the compiler makes one. Each
// function's comment gives its largest error, in units of the last place, as
// tests/templates/math_test.c measures it at all vector lengths.
//
// Method: reduce the argument by a constant in two parts (Cody and Waite, "Software manual for the
// elementary functions", 1980), then a polynomial. Selects, never branches: both sides are
// computed, so both must be defined (a conversion to int of a float out of range is not).
#include "codegen/templates/simd.h"

typedef union word32 {
    float f;
    int32_t i;
} word32;
typedef union word64 {
    double f;
    int64_t i;
} word64;

NMK_INLINE float float_of(int32_t i) { return (word32){.i = i}.f; }
NMK_INLINE int32_t bits_of(float f) { return (word32){.f = f}.i; }
NMK_INLINE float magnitude(float x) { return __builtin_fabsf(x); }
NMK_INLINE float with_sign(float x, float of) { return __builtin_copysignf(x, of); }

#define INF  (__builtin_inff())
#define NAN_ (__builtin_nanf(""))

NMK_ENTRY float nmk_sqrtf(float x) { return __builtin_sqrtf(x); }
NMK_ENTRY float nmk_floorf(float x) { return __builtin_floorf(x); }

// --- exp and log -------------------------------------------------------------------------------

// 2^n * x: two powers, for the result may be subnormal or infinite.
NMK_INLINE float scale(float x, int32_t n)
{
    int32_t half = n >> 1;
    return x * float_of((half + 127) << 23) * float_of((n - half + 127) << 23);
}

// x = n ln 2 + r; e^r = 1 + r + r^2 p(r) for |r| <= ln 2 / 2. 1.0 ulp.
NMK_ENTRY float nmk_expf(float x)
{
    float t = x > -104.0f ? x : -104.0f; // also for NaN
    t = t < 89.0f ? t : 89.0f;
    float n = __builtin_roundevenf(t * 1.44269504f);
    float r = (t - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float y = scale(p * (r * r) + r + 1, (int32_t)n);
    return x != x ? x : y;
}

// x = 2^e m with m in [sqrt(1/2), sqrt(2)): x's exponent where 1 is sqrt(1/2).
NMK_INLINE float split_exponent(float x, int32_t *e)
{
    int32_t i = (int32_t)((uint32_t)bits_of(x) + (0x3f800000 - 0x3f3504f3)); // wraps for NaN
    *e = (i >> 23) - 127;
    return float_of((i & 0x007fffff) + 0x3f3504f3);
}

// log m = f - f^2 / 2 + s (f^2 / 2 + R(s^2)), f = m - 1, s = f / (2 + f): fdlibm's. 0.8 ulp.
NMK_ENTRY float nmk_logf(float x)
{
    int32_t e;
    float small = x < 0x1p-126f ? 0x1p23f : 1.0f;
    float f = split_exponent(x * small, &e) - 1;
    float n = (float)(e - (small != 1.0f ? 23 : 0));
    float s = f / (2 + f), z = s * s, w = z * z, half = 0.5f * f * f;
    float R = z * (0.66666662693f + w * 0.28498786688f) + w * (0.40000972152f + w * 0.24279078841f);
    float y = s * (half + R) + n * 9.0580006145e-6f - half + f + n * 6.9313812256e-1f;
    y = x == 0 ? -INF : y;
    y = x < 0 ? NAN_ : y;
    return x < INF ? y : x; // inf and NaN
}

// --- pow: in double, which has room for the error of the logarithm times y ---------------------

// log x for x > 0, good to 1e-12.
NMK_INLINE double log_wide(float x)
{
    int32_t e;
    float small = x < 0x1p-126f ? 0x1p23f : 1.0f;
    double f = (double)split_exponent(x * small, &e) - 1;
    double s = f / (2 + f), z = s * s;
    double p = 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    return 2 * (s + s * z * p) + (e - (small != 1.0f ? 23 : 0)) * 0.693147180559945309;
}

// e^x for |x| <= 200, good to 1e-11.
NMK_INLINE double exp_wide(double x)
{
    double n = __builtin_roundeven(x * 1.44269504088896341);
    double r = x - n * 0.693147180559945309;
    double p = 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r * r + r + 1;
    return p * (word64){.i = (int64_t)((int32_t)n + 1023) << 52}.f;
}

// 0.5 ulp.
NMK_ENTRY float nmk_powf(float x, float y)
{
    float a = magnitude(x);
    double l = a > 0 ? log_wide(a) : -(double)INF;
    l = a < INF ? l : (double)a;
    double t = (double)y * l;
    double bounded = t > -200 ? t : -200; // also for NaN
    bounded = bounded < 200 ? bounded : 200;
    float r = (float)exp_wide(bounded);
    r = t != t ? NAN_ : r;
    float half = 0.5f * y; // y is odd: whole, and its half is not; all from 2^24 on are even
    int32_t odd = __builtin_floorf(y) == y && __builtin_floorf(half) != half;
    r = odd && bits_of(x) < 0 ? -r : r;
    r = x < 0 && a < INF && __builtin_floorf(y) != y ? NAN_ : r;
    return y == 0 || x == 1 ? 1 : r;
}

// --- sin and cos -------------------------------------------------------------------------------

typedef struct turned { // x = quarter * pi / 2 + r
    float r;
    int32_t quarter;
} turned;

// In double: pi / 2 as 33 bits, which any quarter multiplies exactly, and the rest.
NMK_INLINE turned turn(float x)
{
    double t = magnitude(x) < 0x1p28f ? (double)x : 0;
    double n = __builtin_roundeven(t * 0.636619772367581343);
    double r = (t - n * 1.57079631090164185) - n * 1.58932547735281966e-8;
    return (turned){(float)r, (int32_t)n};
}

NMK_INLINE float sin_quarter(turned x, int32_t quarter)
{
    float r = x.r, z = r * r;
    float s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
    float c =
        ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
        0.5f * z + 1;
    float y = quarter & 1 ? c : s;
    return quarter & 2 ? -y : y;
}

// 1.6 ulp for |x| <= 10^6; good below 2^28, NaN beyond.
NMK_ENTRY float nmk_sinf(float x)
{
    turned t = turn(x);
    return magnitude(x) < 0x1p28f ? sin_quarter(t, t.quarter) : NAN_;
}
NMK_ENTRY float nmk_cosf(float x)
{
    turned t = turn(x);
    return magnitude(x) < 0x1p28f ? sin_quarter(t, t.quarter + 1) : NAN_;
}

// --- tanh and erf ------------------------------------------------------------------------------

// x + x^3 p(x^2) near 0, else 1 - 2 / (e^2x + 1): Cephes'. 1.3 ulp.
NMK_ENTRY float nmk_tanhf(float x)
{
    float a = magnitude(x), z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near = p * z * x + x, far = 1 - 2 / (nmk_expf(2 * a) + 1);
    return a < 0.625f ? near : with_sign(far, x);
}

// x + x p(x^2) near 0, else 1 - e^p(|x|): coefficients by N. Juffa. 1.2 ulp.
NMK_ENTRY float nmk_erff(float x)
{
    float a = magnitude(x), t = a < 4 ? a : 4, z = t * t;
    float q = (-1.72853470e-5f * t + 3.83197126e-4f) * z + (-3.88396438e-3f * t + 2.42546219e-2f);
    q = q * t - 1.06777877e-1f;
    q = q * t - 6.34846687e-1f;
    q = q * t - 1.28717512e-1f;
    q = q * t - t;
    float p = -5.96761703e-4f;
    p = p * z + 4.99119423e-3f;
    p = p * z - 2.67681349e-2f;
    p = p * z + 1.12819925e-1f;
    p = p * z - 3.76125336e-1f;
    p = p * z + 1.28379166e-1f;
    float y = a > 0.921875f ? with_sign(1 - nmk_expf(q), x) : p * x + x;
    return x != x ? x : y;
}

// --- gelu, the tanh form -----------------------------------------------------------------------

static const float gelu_scale = 0.7978845608028654f, gelu_cube = 0.044715f; // sqrt(2 / pi)

NMK_ENTRY float nmk_geluf(float x)
{
    return 0.5f * x * (1 + nmk_tanhf(gelu_scale * (x + gelu_cube * (x * x * x))));
}

NMK_ENTRY float nmk_gelu_gradf(float dy, float x)
{
    float t = nmk_tanhf(gelu_scale * (x + gelu_cube * (x * x * x)));
    float slope = gelu_scale + 3 * gelu_scale * gelu_cube * (x * x);
    return dy * (0.5f * (1 + t) + 0.5f * x * (1 - t * t) * slope);
}
