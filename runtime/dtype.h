// The dtypes of the driver ABI: names, sizes, and what safetensors calls them.
#ifndef NMRT_DTYPE_H
#define NMRT_DTYPE_H

#include "runtime/driver_abi.h"

typedef struct nmrt_dtype_info {
    const char *name, *safetensors; // safetensors NULL: it has no word for it
    int bits;
} nmrt_dtype_info;

const nmrt_dtype_info *nmrt_dtype(int64_t dtype);

#endif
