// The dtypes of the driver ABI, in its order.
#include "runtime/dtype.h"

#include <stddef.h>

const nmrt_dtype_info *nmrt_dtype(int64_t dtype)
{
    static const nmrt_dtype_info table[] = {
        {"f64", "F64", 64},     {"f32", "F32", 32},     {"bf16", "BF16", 16}, {"f16", "F16", 16},
        {"e4m3", "F8_E4M3", 8}, {"e5m2", "F8_E5M2", 8}, {"i64", "I64", 64},   {"i32", "I32", 32},
        {"i16", "I16", 16},     {"i8", "I8", 8},        {"u8", "U8", 8},      {"u4", NULL, 4},
        {"bool", "BOOL", 8},
    };
    return &table[dtype];
}

bool nmrt_is_fp8(int64_t dtype) { return dtype == NMDRV_E4M3 || dtype == NMDRV_E5M2; }
