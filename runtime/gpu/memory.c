// Memory of a GPU. Everything is in the order of the kernels' stream. What comes from the host goes
// through pinned memory in two parts, so that the host goes on while one is read; what goes to the
// host is waited for.
#include "runtime/gpu/gpu.h"

#include <stdio.h>
#include <string.h>

static CUdeviceptr address(const void *at) { return (CUdeviceptr)(uintptr_t)at; }

// --- from the host -------------------------------------------------------------------------------

nmrt_status nmrt_gpu_ring_open(nmrt_device *d, nmrt_error *e)
{
    nmrt_gpu_ring *r = &d->ring;
    void *at = NULL;
    CUresult result = d->api->cuMemHostAlloc(&at, NMRT_GPU_RING * NMRT_GPU_RING_BYTES, 0);
    NMRT_TRY(nmrt_gpu_check(d, result, "cannot get pinned memory", e));
    r->at = at;
    for (int i = 0; i < NMRT_GPU_RING; i++) {
        result = d->api->cuEventCreate(&r->read[i], CU_EVENT_DISABLE_TIMING);
        NMRT_TRY(nmrt_gpu_check(d, result, "cannot make an event", e));
    }
    return NMRT_OK;
}

void nmrt_gpu_ring_close(nmrt_device *d)
{
    for (int i = 0; i < NMRT_GPU_RING; i++)
        if (d->ring.read[i])
            d->api->cuEventDestroy(d->ring.read[i]);
    if (d->ring.at)
        d->api->cuMemFreeHost(d->ring.at);
}

// The other part, once the copies from it are done.
static void turn_ring(nmrt_device *d)
{
    nmrt_gpu_ring *r = &d->ring;
    nmrt_gpu_must(d, d->api->cuEventRecord(r->read[r->part], d->stream), "cannot mark a copy");
    r->part = (r->part + 1) % NMRT_GPU_RING;
    r->used = 0;
    nmrt_gpu_must(d, d->api->cuEventSynchronize(r->read[r->part]), "a copy to the GPU failed");
}

void nmrt_gpu_copy_in(nmrt_device *d, void *at, const void *host, int64_t bytes)
{
    nmrt_gpu_ring *r = &d->ring;
    for (int64_t done = 0, n; done < bytes; done += n) {
        if (r->used == NMRT_GPU_RING_BYTES)
            turn_ring(d);
        char *from = r->at + (int64_t)r->part * NMRT_GPU_RING_BYTES + r->used;
        n = NMRT_GPU_RING_BYTES - r->used;
        n = bytes - done < n ? bytes - done : n;
        memcpy(from, (const char *)host + done, (size_t)n);
        r->used += n;
        CUresult result =
            d->api->cuMemcpyHtoDAsync(address(at) + (CUdeviceptr)done, from, (size_t)n, d->stream);
        nmrt_gpu_must(d, result, "a copy to the GPU failed");
    }
}

void nmrt_gpu_copy_out(nmrt_device *d, void *host, const void *at, int64_t bytes)
{
    if (!bytes)
        return;
    nmrt_gpu_must(d, d->api->cuMemcpyDtoHAsync(host, address(at), (size_t)bytes, d->stream),
                  "a copy from the GPU failed");
    nmrt_gpu_must(d, d->api->cuStreamSynchronize(d->stream), "a copy from the GPU failed");
}

// --- buffers -------------------------------------------------------------------------------------

void nmrt_gpu_fill(nmrt_device *d, void *at, int64_t bytes, uint32_t pattern)
{
    CUresult r = CUDA_SUCCESS;
    if (bytes % 4 == 0 && address(at) % 4 == 0 && bytes)
        r = d->api->cuMemsetD32Async(address(at), pattern, (size_t)bytes / 4, d->stream);
    else if (bytes)
        r = d->api->cuMemsetD8Async(address(at), 0, (size_t)bytes, d->stream); // zeros alone
    nmrt_gpu_must(d, r, "filling a buffer failed");
}

nmrt_status nmrt_gpu_alloc(nmrt_device *d, int64_t bytes, void **at, nmrt_error *e)
{
    CUdeviceptr p = 0;
    size_t available = 0, total = 0;
    char tried[128];
    CUresult r = d->api->cuMemAlloc(&p, bytes > 0 ? (size_t)bytes : 1);
    if (r != CUDA_SUCCESS)
        d->api->cuMemGetInfo(&available, &total);
    snprintf(tried, sizeof tried, "cannot get %s of the GPU's memory, of which %s are free",
             nmrt_bytes(bytes).s, nmrt_bytes((int64_t)available).s);
    NMRT_TRY(nmrt_gpu_check(d, r, tried, e));
    *at = (void *)(uintptr_t)p;
    nmrt_gpu_fill(d, *at, bytes, 0);
    return NMRT_OK;
}

void nmrt_gpu_free(nmrt_device *d, void *at, int64_t bytes)
{
    (void)bytes;
    if (at)
        d->api->cuMemFree(address(at));
}

void nmrt_gpu_set_name(nmrt_device *d, void *at, const char *name)
{
    d->api->name(address(at), name);
}
