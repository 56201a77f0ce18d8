// Failures of a GPU in words.
#include "runtime/gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>

// Of a kernel, told by whatever is called next: the context is lost.
static bool is_kernels(CUresult result) { return result >= 700 && result < 800; }

static nmrt_status say_kernel(const nmrt_device *d, const char *name, const char *text,
                              nmrt_error *e)
{
    if (d->last_graph)
        return nmrt_fail(e, NMRT_WORLD,
                         "a kernel of %s, or one before it, failed: %s (%s); with --graphs 0, and "
                         "CUDA_LAUNCH_BLOCKING=1 in the environment, this names it",
                         d->last_graph->name, text, name);
    if (!d->last)
        return nmrt_fail(e, NMRT_WORLD, "a kernel failed: %s (%s)", text, name);
    return nmrt_fail(e, NMRT_WORLD,
                     "%s (%s), or a kernel before it, failed: %s (%s); with CUDA_LAUNCH_BLOCKING=1 "
                     "in the environment this names the one that did",
                     d->last->name, d->last->where, text, name);
}

nmrt_status nmrt_gpu_check(const nmrt_device *d, CUresult result, const char *tried, nmrt_error *e)
{
    const char *name = NULL, *text = NULL, *more = NULL;
    if (result == CUDA_SUCCESS)
        return NMRT_OK;
    more = d->api->message ? d->api->message() : NULL;
    if (more)
        return nmrt_fail(e, NMRT_WORLD, "%s", more);
    if (d->api->cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
        name = "an unknown error";
    if (d->api->cuGetErrorString(result, &text) != CUDA_SUCCESS || !text)
        text = "the driver does not say why";
    if (is_kernels(result))
        return say_kernel(d, name, text, e);
    return nmrt_fail(e, NMRT_WORLD, "%s: %s (%s)", tried, text, name);
}

void nmrt_gpu_die(nmrt_device *d, const nmrt_error *e)
{
    nmrt_comm alone = nmrt_comm_single();
    nmrt_comm_die(d->comm ? d->comm : &alone, e);
}

void nmrt_gpu_must(nmrt_device *d, CUresult result, const char *tried)
{
    nmrt_error e;
    if (nmrt_gpu_check(d, result, tried, &e) != NMRT_OK)
        nmrt_gpu_die(d, &e);
}
