// Sums and maxima over ranks: see reduce.h.
#include "runtime/emu/reduce.h"

#include "runtime/emu/prims.h"

uint64_t nmemu_nccl_bytes(ncclDataType_t type)
{
    switch (type) {
    case ncclInt8:
    case ncclUint8: return 1;
    case ncclBfloat16:
    case ncclFloat16: return 2;
    case ncclInt32:
    case ncclFloat32: return 4;
    case ncclInt64:
    case ncclFloat64: return 8;
    default: return 0;
    }
}

bool nmemu_reduces(ncclDataType_t type, ncclRedOp_t op)
{
    bool numbers = type == ncclFloat32 || type == ncclFloat64 || type == ncclBfloat16 ||
                   type == ncclInt32 || type == ncclInt64;
    return numbers && (op == ncclSum || op == ncclMax);
}

static double float_at(ncclDataType_t type, const void *from, uint64_t i)
{
    if (type == ncclFloat64)
        return ((const double *)from)[i];
    if (type == ncclFloat32)
        return ((const float *)from)[i];
    union {
        u32 bits;
        float value;
    } wide = {(u32)((const u16 *)from)[i] << 16};
    return wide.value;
}

static void reduce_float(ncclDataType_t type, bool max, int ranks, const void *const *from,
                         void *to, uint64_t i)
{
    double x = float_at(type, from[0], i);
    for (int r = 1; r < ranks; r++) {
        double y = float_at(type, from[r], i), sum = x + y;
        if (type != ncclFloat64)
            sum = (float)sum; // of two floats, it is rounded as one addition of floats
        x = !max ? sum : y > x || y != y ? y : x;
    }
    if (type == ncclFloat64)
        ((double *)to)[i] = x;
    else if (type == ncclFloat32)
        ((float *)to)[i] = (float)x;
    else
        ((u16 *)to)[i] = to_bf16((float)x);
}

static int64_t whole_at(ncclDataType_t type, const void *from, uint64_t i)
{
    return type == ncclInt64 ? ((const int64_t *)from)[i] : ((const int32_t *)from)[i];
}

static void reduce_whole(ncclDataType_t type, bool max, int ranks, const void *const *from,
                         void *to, uint64_t i)
{
    int64_t x = whole_at(type, from[0], i);
    for (int r = 1; r < ranks; r++) {
        int64_t y = whole_at(type, from[r], i);
        x = !max ? (int64_t)((uint64_t)x + (uint64_t)y) : y > x ? y : x;
    }
    if (type == ncclInt64)
        ((int64_t *)to)[i] = x;
    else
        ((int32_t *)to)[i] = (int32_t)x;
}

void nmemu_reduce(ncclDataType_t type, ncclRedOp_t op, int ranks, const void *const *from, void *to,
                  uint64_t n)
{
    bool whole = type == ncclInt32 || type == ncclInt64;
    for (uint64_t i = 0; i < n; i++)
        if (whole)
            reduce_whole(type, op == ncclMax, ranks, from, to, i);
        else
            reduce_float(type, op == ncclMax, ranks, from, to, i);
}
