// cuTensorMapEncodeTiled, as far as nemocc uses it: whole elements, no interleaving, zeros outside.
#include "runtime/emu/driver.h"

#include <string.h>

static int element_bytes(CUtensorMapDataType type)
{
    switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8: return 1;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16: return 2;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32: return 4;
    default: return 0;
    }
}

static const char *refuse_steps(uint32_t rank, const uint32_t *steps)
{
    for (uint32_t i = 0; i < rank; i++)
        if (steps[i] != 1)
            return "an element stride that is not 1 is not emulated";
    return NULL;
}

// The order of the swizzles is the same as nmemu_tensor's.
static const char *write_map(CUtensorMap *map, int bytes, uint32_t rank, void *at,
                             const uint64_t *extents, const uint64_t *strides, const uint32_t *box,
                             CUtensorMapSwizzle swizzle)
{
    nmemu_tensor t = {
        .base = at, .element_bytes = bytes, .rank = (int)rank, .swizzle = (int)swizzle};
    if (rank < 1 || rank > 5)
        return "rank is 1..5";
    memcpy(t.dim, extents, rank * sizeof *extents);
    memcpy(t.stride, strides, (rank - 1) * sizeof *strides);
    memcpy(t.box, box, rank * sizeof *box);
    return nmemu_tensor_map(map, &t);
}

static CUresult encode(CUtensorMap *map, CUtensorMapDataType type, uint32_t rank, void *at,
                       const uint64_t *extents, const uint64_t *strides, const uint32_t *box,
                       const uint32_t *steps, CUtensorMapInterleave interleave,
                       CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                       CUtensorMapFloatOOBfill fill)
{
    CUresult r = nmemu_call("cuTensorMapEncodeTiled");
    int bytes = element_bytes(type);
    (void)promotion; // of speed alone
    if (!r && (!bytes || interleave || fill))
        r = nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "such a tensor map is not emulated");
    if (r)
        return nmemu_done(r);
    const char *refused = refuse_steps(rank <= 5 ? rank : 0, steps);
    refused = refused ? refused : write_map(map, bytes, rank, at, extents, strides, box, swizzle);
    return nmemu_done(refused ? nmemu_say(CUDA_ERROR_INVALID_VALUE, "%s", refused) : CUDA_SUCCESS);
}

void nmemu_fill_maps(nmrt_gpu_api *t) { t->cuTensorMapEncodeTiled = encode; }
