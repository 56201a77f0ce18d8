// The dtypes of the driver ABI: names, sizes, and what safetensors calls them.
#ifndef NMRT_DTYPE_H
#define NMRT_DTYPE_H

#include "runtime/driver_abi.h"

#include <stdbool.h>

typedef struct nmrt_dtype_info {
    const char *name, *safetensors; // safetensors NULL: it has no word for it
    int bits;
} nmrt_dtype_info;

const nmrt_dtype_info *nmrt_dtype(int64_t dtype);
bool nmrt_is_fp8(int64_t dtype); // e4m3 or e5m2

#endif
