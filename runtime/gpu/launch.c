// Launches: a kernel's parameter, with the tensor maps of those that the copy engine reads for.
#include "runtime/gpu/gpu.h"

#include <stdio.h>
#include <string.h>

// --- tensor maps ---------------------------------------------------------------------------------

static int64_t number(nmdrv_number n, void *const *arg)
{
    return n.arg < 0 ? n.value : (int64_t)(intptr_t)arg[n.arg];
}

static CUtensorMapDataType type_of(int64_t dtype)
{
    switch (dtype) {
    case NMDRV_F32: return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case NMDRV_BF16: return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case NMDRV_F16: return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    default: return CU_TENSOR_MAP_DATA_TYPE_UINT8;
    }
}

static CUtensorMapSwizzle swizzle_of(int64_t bytes)
{
    switch (bytes) {
    case 32: return CU_TENSOR_MAP_SWIZZLE_32B;
    case 64: return CU_TENSOR_MAP_SWIZZLE_64B;
    case 128: return CU_TENSOR_MAP_SWIZZLE_128B;
    default: return CU_TENSOR_MAP_SWIZZLE_NONE;
    }
}

static CUresult encode(const nmrt_device *d, const nmdrv_map *m, void *const *arg, CUtensorMap *to)
{
    uint64_t extent[NMDRV_MAP_RANK], stride[NMDRV_MAP_RANK];
    uint32_t box[NMDRV_MAP_RANK], step[NMDRV_MAP_RANK];
    for (int64_t i = 0; i < m->rank; i++) {
        extent[i] = (uint64_t)number(m->extent[i], arg);
        stride[i] = (uint64_t)number(m->stride[i], arg);
        box[i] = (uint32_t)m->box[i];
        step[i] = 1;
    }
    return d->api->cuTensorMapEncodeTiled(
        to, type_of(m->dtype), (uint32_t)m->rank, (char *)arg[m->arg] + number(m->offset, arg),
        extent, stride + 1, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(m->swizzle),
        CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

// --- the parameter -------------------------------------------------------------------------------

enum { MAP_WORDS = sizeof(CUtensorMap) / sizeof(int64_t) };

nmdrv_form nmrt_gpu_form(const nmrt_device *d, const nmdrv_kernel *k)
{
    if (d->sm90a && k->sm90a)
        return *k->sm90a;
    return (nmdrv_form){k->block, k->threads, k->per_block, k->shared, -1, 0, NULL};
}

// Words before the first tensor map.
static int64_t maps_at(const nmdrv_kernel *k)
{
    int64_t words = 1 + k->n_args + 5 * k->n_syms;
    return (words + MAP_WORDS - 1) / MAP_WORDS * MAP_WORDS;
}

int64_t nmrt_gpu_words(const nmdrv_kernel *k)
{
    return maps_at(k) + (k->sm90a ? k->sm90a->n_maps * MAP_WORDS : 0);
}

static void must(nmrt_device *d, CUresult r, const nmdrv_kernel *k, const char *what)
{
    char tried[512];
    if (r == CUDA_SUCCESS)
        return;
    snprintf(tried, sizeof tried, "%s (%s): %s is refused", k->name, k->where, what);
    nmrt_gpu_must(d, r, tried);
}

static void fill_words(nmrt_device *d, const nmdrv_kernel *k, const nmdrv_form *form, int64_t count,
                       void *const *arg)
{
    int64_t *words = d->words;
    words[0] = count;
    memcpy(words + 1, arg, (size_t)k->n_args * sizeof *words);
    if (k->syms_at >= 0)
        memcpy(words + 1 + k->n_args, arg[k->syms_at], (size_t)k->n_syms * sizeof(nmdrv_sym));
    for (int64_t i = 0; i < form->n_maps; i++) {
        CUtensorMap map;
        must(d, encode(d, &form->map[i], arg, &map), k, "a tensor map");
        memcpy(words + maps_at(k) + i * MAP_WORDS, &map, sizeof map);
    }
}

// --- launches ------------------------------------------------------------------------------------

// The parameter is copied by the driver before it returns.
void nmrt_gpu_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    nmrt_device *d = f->device;
    const nmdrv_kernel *k = &d->program->kernel[kernel];
    nmdrv_form form = nmrt_gpu_form(d, k);
    void *params[] = {d->words};
    nmrt_comm_moved(d->comm);
    if (form.count_at >= 0)
        count = (int64_t)(intptr_t)arg[form.count_at];
    if (count <= 0)
        return;
    d->last = k;
    d->last_graph = NULL;
    fill_words(d, k, &form, count, arg);
    int64_t blocks = (count + form.per_block - 1) / form.per_block;
    int64_t begin = nmrt_gpu_trace_begin(d, d->stream);
    must(d,
         d->api->cuLaunchKernel(d->function[kernel], (unsigned)blocks, 1, 1, (unsigned)form.threads,
                                1, 1, (unsigned)form.shared, d->stream, params, NULL),
         k, "a launch");
    nmrt_gpu_trace_end(d, d->stream, begin,
                       &(nmrt_span){.kind = NMRT_SPAN_KERNEL,
                                    .name = k->name,
                                    .where = k->where,
                                    .number = {{"indices", count}, {"blocks", blocks}}});
}
