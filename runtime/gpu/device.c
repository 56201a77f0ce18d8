// The devices cuda and emu: one file, two tables of functions. Work is enqueued in order on one
// stream and never waited for before the host reads what it gave.
#include "runtime/gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- open and close ------------------------------------------------------------------------------

static void gpu_close(nmrt_device *d)
{
    if (!d)
        return;
    if (d->context) {
        if (d->stream)
            d->api->cuStreamSynchronize(d->stream);
        nmrt_gpu_nccl_stop(d);
        nmrt_gpu_graphs_close(d);
        nmrt_gpu_trace_close(d);
        nmrt_gpu_close_channels(d);
        nmrt_gpu_nccl_close(d);
        nmrt_gpu_staged_close(d);
        nmrt_gpu_products_close(d);
        nmrt_gpu_ring_close(d);
        nmrt_gpu_close_image(d);
        if (d->stream)
            d->api->cuStreamDestroy(d->stream);
        d->api->cuDevicePrimaryCtxRelease(d->id);
    }
    nmrt_gpu_leave_ranks(d);
    free(d->libraries);
    free(d);
}

static nmrt_status find_device(nmrt_device *d, int local_rank, nmrt_error *e)
{
    const nmrt_gpu_api *api = d->api;
    int n = 0, major = 0, minor = 0;
    NMRT_TRY(nmrt_gpu_check(d, api->cuInit(0), "the GPU's driver does not start", e));
    NMRT_TRY(nmrt_gpu_check(d, api->cuDeviceGetCount(&n), "cannot count the GPUs", e));
    if (!n)
        return nmrt_fail(e, NMRT_WORLD, "the driver has no GPU; run with --device host");
    NMRT_TRY(nmrt_gpu_check(d, api->cuDeviceGet(&d->id, local_rank % n), "cannot get a GPU", e));
    CUresult r = api->cuDeviceGetName(d->title, (int)sizeof d->title / 4, d->id);
    if (r == CUDA_SUCCESS)
        r = api->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d->id);
    if (r == CUDA_SUCCESS)
        r = api->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d->id);
    d->capability = 10 * major + minor;
    return nmrt_gpu_check(d, r, "cannot ask the GPU what it is", e);
}

static nmrt_status open_context(nmrt_device *d, nmrt_error *e)
{
    CUresult r = d->api->cuDevicePrimaryCtxRetain(&d->context, d->id);
    NMRT_TRY(nmrt_gpu_check(d, r, "cannot use the GPU", e));
    NMRT_TRY(nmrt_gpu_check(d, d->api->cuCtxSetCurrent(d->context), "cannot use the GPU", e));
    r = d->api->cuStreamCreate(&d->stream, CU_STREAM_NON_BLOCKING);
    return nmrt_gpu_check(d, r, "cannot make a stream", e);
}

static void tell_unordered(nmrt_device *d)
{
    const nmdrv_program *p = d->program;
    bool any = false;
    for (int64_t i = 0; i < p->n_kernels; i++)
        any = any || p->kernel[i].unordered;
    if (any)
        snprintf(d->title + strlen(d->title), sizeof d->title - strlen(d->title),
                 ", sums of attention's gradient in no fixed order");
}

static nmrt_status open_parts(nmrt_device *d, const nmrt_device_request *request, nmrt_error *e)
{
    NMRT_TRY(find_device(d, request->local_rank, e));
    NMRT_TRY(open_context(d, e));
    NMRT_TRY(nmrt_gpu_trace_open(d, request->trace, e));
    nmrt_gpu_trace_stream(d, d->stream, "stream");
    NMRT_TRY(nmrt_gpu_ring_open(d, e));
    NMRT_TRY(nmrt_gpu_open_image(d, e));
    tell_unordered(d);
    if (request->graphs)
        NMRT_TRY(nmrt_gpu_graphs_open(d, e));
    NMRT_TRY(nmrt_gpu_join_ranks(d, request, e));
    return nmrt_gpu_products_open(d, request, e);
}

static nmrt_status finish_open(nmrt_device **device, const nmrt_device_request *request,
                               nmrt_error *e)
{
    nmrt_device *d = *device;
    d->program = request->program;
    d->tf32 = request->tf32;
    d->fast_accum = request->fast_accum;
    nmrt_status status = d->api ? open_parts(d, request, e) : NMRT_WORLD;
    if (status != NMRT_OK) {
        gpu_close(d);
        *device = NULL;
    }
    return status;
}

static nmrt_status gpu_furnish(nmrt_device *d, const nmrt_device_room *room, nmrt_error *e)
{
    nmrt_gpu_products_furnish(d, room->products);
    return d->nccl ? nmrt_gpu_nccl_furnish(d, room, e) : NMRT_OK;
}

static nmrt_status cuda_open(nmrt_device **device, const nmrt_device_request *request,
                             nmrt_error *e)
{
    nmrt_device *d = *device = calloc(1, sizeof *d);
    if (!d || !(d->libraries = calloc(1, sizeof *d->libraries))) {
        free(d);
        *device = NULL;
        return nmrt_fail(e, NMRT_WORLD, "no memory for the device");
    }
    if (nmrt_gpu_load(d->libraries, NMRT_GPU_CUDA, e) == NMRT_OK)
        d->api = &d->libraries->api;
    return finish_open(device, request, e);
}

static nmrt_status emu_open(nmrt_device **device, const nmrt_device_request *request, nmrt_error *e)
{
    nmrt_device *d = *device = NULL;
    if (!nmrt_gpu_emulator)
        return nmrt_fail(e, NMRT_USAGE,
                         "this binary was compiled without the target emu: compile it with "
                         "--target emu");
    d = *device = calloc(1, sizeof *d);
    if (!d)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the device");
    d->api = nmrt_gpu_emulator(e);
    return finish_open(device, request, e);
}

// --- calls ---------------------------------------------------------------------------------------

static void end_copy(nmrt_device *d, int64_t begin, const char *what, int64_t bytes)
{
    nmrt_gpu_trace_end(
        d, d->stream, begin,
        &(nmrt_span){.kind = NMRT_SPAN_COPY, .name = what, .number = {{"bytes", bytes}}});
}

static void gpu_fill(nmdrv_frame *f, void *dst, int64_t bytes)
{
    nmrt_device *d = f->device;
    nmrt_comm_moved(d->comm);
    int64_t begin = nmrt_gpu_trace_begin(d, d->stream);
    nmrt_gpu_fill(d, dst, bytes, 0);
    end_copy(d, begin, "fill", bytes);
}

static void gpu_copy(nmdrv_frame *f, void *dst, const void *src, int64_t bytes)
{
    nmrt_device *d = f->device;
    nmrt_comm_moved(d->comm);
    int64_t begin = nmrt_gpu_trace_begin(d, d->stream);
    if (bytes && dst != src)
        nmrt_gpu_must(d,
                      d->api->cuMemcpyDtoDAsync((CUdeviceptr)(uintptr_t)dst,
                                                (CUdeviceptr)(uintptr_t)src, (size_t)bytes,
                                                d->stream),
                      "a copy on the GPU failed");
    end_copy(d, begin, "copy", bytes);
}

static const nmdrv_calls gpu_calls = {nmrt_gpu_launch,     gpu_fill,      gpu_copy,
                                      nmrt_gpu_collective, nmrt_gpu_wait, nmrt_gpu_product};

// --- what it is ----------------------------------------------------------------------------------

static void gpu_poison_scratch(nmrt_device *d, uint32_t pattern) { (void)d, (void)pattern; }

static void gpu_describe(nmrt_device *d, nmrt_text *out) { nmrt_text_add(out, "%s", d->title); }

// Multiply-adds of a multiprocessor in a cycle, dense: in f32 by its ordinary units, in bf16 by its
// tensor cores with sums in f32. A row is for later chips of its major number, too.
static const struct {
    int capability, f32, bf16;
} rates[] = {{120, 128, 512}, {100, 128, 4096}, {90, 128, 2048}, {86, 128, 512}, {80, 64, 1024}};

// GeForce cards have half of their chip's tensor cores where sums are f32. 0: not known.
static int rate_of(const nmrt_device *d, bool bf16)
{
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (d->capability >= rates[i].capability && d->capability / 10 == rates[i].capability / 10)
            return !bf16                         ? rates[i].f32
                   : strstr(d->title, "GeForce") ? rates[i].bf16 / 2
                                                 : rates[i].bf16;
    return 0;
}

// 0: it is not known; nobody wants to know an emulator's.
static double gpu_peak(nmrt_device *d)
{
    if (!d->libraries)
        return 0;
    int processors = 0, khz = 0;
    bool bf16 = strcmp(d->program->precision, "f32") != 0;
    d->api->cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, d->id);
    d->api->cuDeviceGetAttribute(&khz, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, d->id);
    return 2e3 * processors * khz * rate_of(d, bf16);
}

// Of the first GPU, asked without a context; the others are taken to be like it.
static nmrt_memory_info cuda_memory_info(void)
{
    nmrt_gpu_libraries l = {0};
    nmrt_error e;
    CUdevice id;
    size_t total = 0;
    if (nmrt_gpu_load(&l, NMRT_GPU_CUDA, &e) == NMRT_OK && l.api.cuInit(0) == CUDA_SUCCESS &&
        l.api.cuDeviceGet(&id, 0) == CUDA_SUCCESS)
        l.api.cuDeviceTotalMem(&total, id);
    return (nmrt_memory_info){(int64_t)total, (int64_t)total};
}

static int cuda_sharers(int local_ranks)
{
    nmrt_gpu_libraries l = {0};
    nmrt_error e;
    int n = 0;
    if (nmrt_gpu_load(&l, NMRT_GPU_CUDA, &e) == NMRT_OK && l.api.cuInit(0) == CUDA_SUCCESS)
        l.api.cuDeviceGetCount(&n);
    return n ? (local_ranks + n - 1) / n : local_ranks;
}

// The emulator's memory is this machine's.
static nmrt_memory_info emu_memory_info(void) { return nmrt_device_host.memory_info(); }

static int emu_sharers(int local_ranks) { return local_ranks; }

// clang-format off
#define GPU_DEVICE(title, opens, memory, shares, names)                                            \
    {                                                                                              \
        .name = title,                                                                             \
        .flavour = NMDRV_GPU,                                                                      \
        .open = opens,                                                                             \
        .close = gpu_close,                                                                        \
        .memory_info = memory,                                                                     \
        .sharers = shares,                                                                         \
        .alloc = nmrt_gpu_alloc,                                                                   \
        .set_name = names,                                                                         \
        .free = nmrt_gpu_free,                                                                     \
        .furnish = gpu_furnish,                                                                    \
        .copy_in = nmrt_gpu_copy_in,                                                               \
        .copy_out = nmrt_gpu_copy_out,                                                             \
        .fill = nmrt_gpu_fill,                                                                     \
        .poison_scratch = gpu_poison_scratch,                                                      \
        .calls = &gpu_calls,                                                                       \
        .run = nmrt_gpu_run,                                                                       \
        .end_call = nmrt_gpu_end_call,                                                             \
        .open_channel = nmrt_gpu_open_channel,                                                     \
        .send = nmrt_gpu_send,                                                                     \
        .receive = nmrt_gpu_receive,                                                               \
        .peak = gpu_peak,                                                                          \
        .describe = gpu_describe,                                                                  \
    }
// clang-format on

const nmrt_device_ops nmrt_device_cuda =
    GPU_DEVICE("cuda", cuda_open, cuda_memory_info, cuda_sharers, NULL);
const nmrt_device_ops nmrt_device_emu =
    GPU_DEVICE("emu", emu_open, emu_memory_info, emu_sharers, nmrt_gpu_set_name);
