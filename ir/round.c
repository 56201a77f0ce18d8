// Rounding a double to a dtype: to nearest, ties to even, straight from the double, so that nothing
// is rounded twice. Formats below f32 as in the OCP 8-bit floating point specification and IEEE
// 754.
#include "ir/eval.h"

#include <math.h>

typedef struct format {
    int digits;   // of the significand, with the hidden one
    int smallest; // the exponent of the smallest subnormal
    double largest;
    bool saturates; // beyond the largest; else to infinity
} format;

static const format e4m3 = {4, -9, 448, true}, e5m2 = {3, -16, 57344, false};

static double round_float(double v, format f)
{
    int e;
    if (!isfinite(v) || v == 0)
        return f.saturates && isinf(v) ? copysign(f.largest, v) : v;
    frexp(v, &e); // |v| is in [2^(e-1), 2^e)
    int unit = e - f.digits > f.smallest ? e - f.digits : f.smallest;
    double r = ldexp(nearbyint(ldexp(v, -unit)), unit);
    if (fabs(r) <= f.largest)
        return r;
    return copysign(f.saturates ? f.largest : INFINITY, v);
}

// Two's complement, n bits.
static double wrap_int(double v, int n, bool is_signed)
{
    if (v >= 0x1p63 || v < -0x1p63)
        return 0;
    int64_t i = (int64_t)v;
    if (n == 64)
        return (double)i;
    uint64_t low = (uint64_t)i & ((1ull << n) - 1);
    if (is_signed && low >> (n - 1))
        return (double)((int64_t)low - (1ll << n));
    return (double)low;
}

double nm_round_to(nm_dtype dtype, double v)
{
    switch (dtype) {
    case NM_f64: return v;
    case NM_real:
    case NM_f32: return (double)(float)v;
    case NM_bf16: return round_float(v, (format){8, -133, 0x1.fep127, false});
    case NM_f16: return round_float(v, (format){11, -24, 65504, false});
    case NM_e4m3: return round_float(v, e4m3);
    case NM_e5m2: return round_float(v, e5m2);
    case NM_i64: return wrap_int(v, 64, true);
    case NM_i32: return wrap_int(v, 32, true);
    case NM_i16: return wrap_int(v, 16, true);
    case NM_i8: return wrap_int(v, 8, true);
    case NM_u8: return wrap_int(v, 8, false);
    case NM_u4: return wrap_int(v, 4, false);
    case NM_bool: return v != 0;
    case NM_N_DTYPES: break;
    }
    return v;
}

double nm_largest_of(nm_dtype dtype)
{
    if (dtype != NM_e4m3 && dtype != NM_e5m2)
        nm_bug("the largest number of %s", nm_dtype_table[dtype].name);
    return dtype == NM_e4m3 ? e4m3.largest : e5m2.largest;
}

double nm_floor_pow2(double v)
{
    int e;
    if (!isfinite(v) || fabs(v) < 0x1p-126)
        return isfinite(v) ? 0 : fabs(v);
    frexp(v, &e); // |v| is in [2^(e-1), 2^e)
    return ldexp(1, e - 1);
}
