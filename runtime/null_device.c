#include "runtime/null_device.h"

#include <stdlib.h>

static void null_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    (void)f, (void)kernel, (void)count, (void)arg;
}

static void null_fill(nmdrv_frame *f, void *dst, int64_t bytes) { (void)f, (void)dst, (void)bytes; }

static void null_copy(nmdrv_frame *f, void *dst, const void *src, int64_t bytes)
{
    (void)f, (void)dst, (void)src, (void)bytes;
}

static void null_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *geometry, void *c,
                         const void *a, const void *b, void *bias, void *aux, const float *a_scale,
                         const float *b_scale)
{
    (void)f, (void)product, (void)geometry, (void)c, (void)a, (void)b, (void)bias, (void)aux;
    (void)a_scale, (void)b_scale;
}

static void null_wait(nmdrv_frame *f, int64_t collective) { (void)f, (void)collective; }

nmdrv_calls nmrt_null_calls(nmrt_collective_fn *collective)
{
    return (nmdrv_calls){null_launch, null_fill, null_copy, collective, null_wait, null_product};
}

nmrt_status nmrt_null_run(const nmdrv_func *func, const nmdrv_sym *sym, const nmdrv_calls *calls,
                          void *of, nmrt_error *e)
{
    void **buf = calloc((size_t)func->n_bufs + 1, sizeof *buf); // nobody looks behind them
    nmdrv_frame frame = {sym, buf, calls, of};
    if (!buf)
        return nmrt_fail(e, NMRT_WORLD, "no memory to look at %s", func->name);
    func->run(&frame);
    free(buf);
    return NMRT_OK;
}

int64_t nmrt_larger_side(const nmdrv_collective *c, const int64_t *geometry, int64_t members)
{
    if (c->kind == NMDRV_ALL_REDUCE || c->kind == NMDRV_ROTATE)
        return geometry[0];
    int64_t n = geometry[0] * geometry[1] * geometry[2];
    return c->kind == NMDRV_ALL_TO_ALL ? n : n * members;
}

static nmrt_status null_open(nmrt_device **device, const nmrt_device_request *request,
                             nmrt_error *e)
{
    (void)request;
    *device = NULL;
    return nmrt_fail(e, NMRT_USAGE,
                     "--device null counts what a step of train would do; it runs nothing");
}

static nmrt_memory_info null_memory_info(void) { return (nmrt_memory_info){0}; }

static int null_sharers(int local_ranks) { return local_ranks; }

const nmrt_device_ops nmrt_device_null = {
    .name = "null",
    .flavour = NMDRV_GPU,
    .open = null_open,
    .memory_info = null_memory_info,
    .sharers = null_sharers,
};
