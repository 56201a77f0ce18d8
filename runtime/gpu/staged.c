// Collectives and messages through host memory, where there is no NCCL: what a member gives is
// copied to the host, the run's communicator does its work there, and the result is copied back.
// The host memory is pinned where the driver can, so copies are asynchronous, on a stream beside
// the kernels'. A launch that may go on beside kernels is left alone once its operands are on their
// way, and the host comes back to it where it is waited for, or where one that has to be done at
// once follows: in the order of the calls, which is the same on all ranks.
#include "runtime/gpu/gpu.h"

#include "runtime/clock.h"
#include "runtime/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, LAUNCHES = 8, FIRST_BYTES = 1 << 16 };

typedef struct launch { // whose operands are on their way to the host
    int64_t row, bytes; // that it was launched by; of the memory
    int n;
    nmrt_exchange on_gpu[NMRT_MAX_BATCH], on_host[NMRT_MAX_BATCH];
    CUevent given; // they are there
} launch;

typedef struct nmrt_gpu_staged {
    char *at; // host memory, in which the communicator can work
    int64_t bytes, used;
    bool is_pinned;
    CUstream stream;
    CUevent ready, taken;    // the kernels' stream has come to a launch; nothing is read from `at`
    launch launch[LAUNCHES]; // [first, first + n) of a ring
    int first, n;
} staged;

static CUdeviceptr address(const void *at) { return (CUdeviceptr)(uintptr_t)at; }

static void must(nmrt_device *d, CUresult r)
{
    nmrt_gpu_must(d, r, "a copy through host memory failed");
}

// --- host memory ---------------------------------------------------------------------------------

static void drop_memory(nmrt_device *d)
{
    staged *s = d->staged;
    if (!s->at)
        return;
    if (!d->comm->alloc) {
        d->api->cuMemFreeHost(s->at);
    } else {
        if (s->is_pinned)
            d->api->cuMemHostUnregister(s->at);
        d->comm->free(d->comm, s->at, s->bytes);
    }
    s->at = NULL;
    s->bytes = 0;
}

// Of the communicator, if it needs its own.
static nmrt_status take_memory(nmrt_device *d, int64_t bytes, nmrt_error *e)
{
    staged *s = d->staged;
    void *at = NULL;
    if (d->comm->alloc) {
        NMRT_TRY(d->comm->alloc(d->comm, bytes, &at, e));
        s->is_pinned = d->api->cuMemHostRegister(at, (size_t)bytes, 0) == CUDA_SUCCESS;
    } else {
        CUresult r = d->api->cuMemHostAlloc(&at, (size_t)bytes, 0);
        NMRT_TRY(nmrt_gpu_check(d, r, "cannot get pinned memory", e));
        s->is_pinned = true;
    }
    s->at = at;
    s->bytes = bytes;
    return NMRT_OK;
}

// Memory for so many bytes more, behind those that launches have; twice as much as before where
// that does not do, once they are done.
static nmrt_status need_memory(nmrt_device *d, int64_t bytes, nmrt_error *e);

// --- a launch of collectives ---------------------------------------------------------------------

static int64_t bytes_of(const nmrt_exchange *x, int64_t elements)
{
    return elements * nmrt_dtype(x->dtype)->bits / 8;
}

static int64_t lines_of(int64_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

static int64_t bytes_in(const nmrt_exchange *x) { return bytes_of(x, nmrt_exchange_in(x)); }

static int64_t bytes_out(const nmrt_exchange *x) { return bytes_of(x, nmrt_exchange_out(x)); }

static int64_t bytes_of_all(const nmrt_exchange *x, int n)
{
    int64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += lines_of(bytes_in(&x[i])) + lines_of(bytes_out(&x[i]));
    return bytes;
}

// The launch as it is on the host.
static void place_all(launch *l, const nmrt_exchange *x, char *at)
{
    for (int i = 0; i < l->n; i++) {
        l->on_gpu[i] = l->on_host[i] = x[i];
        l->on_host[i].in = at;
        at += lines_of(bytes_in(&x[i]));
        l->on_host[i].out = at;
        at += lines_of(bytes_out(&x[i]));
    }
}

// Operands start for the host when kernels have made them.
static void give(nmrt_device *d, launch *l)
{
    staged *s = d->staged;
    must(d, d->api->cuEventRecord(s->ready, d->stream));
    must(d, d->api->cuStreamWaitEvent(s->stream, s->ready, 0));
    for (int i = 0; i < l->n; i++)
        if (bytes_in(&l->on_gpu[i]))
            must(d, d->api->cuMemcpyDtoHAsync((void *)(uintptr_t)l->on_host[i].in,
                                              address(l->on_gpu[i].in),
                                              (size_t)bytes_in(&l->on_gpu[i]), s->stream));
    must(d, d->api->cuEventRecord(l->given, s->stream));
}

// Results start for the GPU; kernels that come now wait for them.
static void take(nmrt_device *d, const launch *l)
{
    staged *s = d->staged;
    for (int i = 0; i < l->n; i++)
        if (bytes_out(&l->on_gpu[i]))
            must(d, d->api->cuMemcpyHtoDAsync(address(l->on_gpu[i].out), l->on_host[i].out,
                                              (size_t)bytes_out(&l->on_gpu[i]), s->stream));
    must(d, d->api->cuEventRecord(s->taken, s->stream));
    must(d, d->api->cuStreamWaitEvent(d->stream, s->taken, 0));
}

static nmrt_status finish_first(nmrt_device *d, nmrt_error *e)
{
    staged *s = d->staged;
    launch *l = &s->launch[s->first];
    nmrt_track *track = nmrt_gpu_trace_steps(d);
    int64_t begin = nmrt_trace_begin(track, l->on_gpu->name);
    double start = nmrt_seconds();
    must(d, d->api->cuEventSynchronize(l->given));
    NMRT_TRY(nmrt_comm_run_all(d->comm, l->on_host, l->n, e));
    take(d, l);
    s->first = (s->first + 1) % LAUNCHES;
    s->used = --s->n ? s->used : 0;
    d->comm->waited += nmrt_seconds() - start;
    nmrt_trace_end(track, begin,
                   &(nmrt_span){.kind = NMRT_SPAN_COLLECTIVE,
                                .name = l->on_gpu->name,
                                .where = l->on_gpu->where,
                                .number = {{"collectives", l->n}, {"bytes", l->bytes}}});
    return NMRT_OK;
}

static nmrt_status finish_all(nmrt_device *d, nmrt_error *e)
{
    while (d->staged->n)
        NMRT_TRY(finish_first(d, e));
    return NMRT_OK;
}

static nmrt_status need_memory(nmrt_device *d, int64_t bytes, nmrt_error *e)
{
    staged *s = d->staged;
    if (s->used + bytes <= s->bytes)
        return NMRT_OK;
    int64_t n = 2 * s->bytes > s->used + bytes ? 2 * s->bytes : s->used + bytes;
    NMRT_TRY(finish_all(d, e));
    must(d, d->api->cuStreamSynchronize(s->stream));
    must(d, d->api->cuStreamSynchronize(d->stream));
    drop_memory(d);
    return take_memory(d, n, e);
}

static bool is_under_way(const staged *s, int64_t row)
{
    for (int i = 0; i < s->n; i++)
        if (s->launch[(s->first + i) % LAUNCHES].row == row)
            return true;
    return false;
}

nmrt_status nmrt_gpu_staged_launch(nmrt_device *d, int64_t row, const nmrt_exchange *x, int n,
                                   nmrt_error *e)
{
    staged *s = d->staged;
    if (is_under_way(s, row))
        return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): begun again before it was waited for", x->name,
                         x->where);
    if (s->n == LAUNCHES)
        NMRT_TRY(finish_all(d, e));
    NMRT_TRY(need_memory(d, bytes_of_all(x, n), e));
    launch *l = &s->launch[(s->first + s->n++) % LAUNCHES];
    l->row = row;
    l->n = n;
    l->bytes = bytes_of_all(x, n);
    place_all(l, x, s->at + s->used);
    s->used += l->bytes;
    give(d, l);
    return nmrt_launch_is_async(d->program, row) ? NMRT_OK : finish_all(d, e);
}

nmrt_status nmrt_gpu_staged_wait(nmrt_device *d, int64_t row, nmrt_error *e)
{
    while (is_under_way(d->staged, row))
        NMRT_TRY(finish_first(d, e));
    return NMRT_OK;
}

int64_t nmrt_gpu_staged_left(const nmrt_device *d)
{
    return d->staged->n ? d->staged->launch[d->staged->first].row : -1;
}

// --- messages ------------------------------------------------------------------------------------

nmrt_status nmrt_gpu_staged_send(nmrt_device *d, const nmrt_message *m, const void *at,
                                 nmrt_error *e)
{
    NMRT_TRY(need_memory(d, m->bytes, e));
    nmrt_gpu_copy_out(d, d->staged->at, at, m->bytes);
    return d->comm->send(d->comm, m->peer, m->tag, d->staged->at, m->bytes, m->what, m->where, e);
}

nmrt_status nmrt_gpu_staged_receive(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e)
{
    staged *s = d->staged;
    NMRT_TRY(need_memory(d, m->bytes, e));
    must(d, d->api->cuEventSynchronize(s->taken)); // of the message or launch before
    NMRT_TRY(d->comm->recv(d->comm, m->peer, m->tag, s->at, m->bytes, m->what, m->where, e));
    if (m->bytes)
        must(d, d->api->cuMemcpyHtoDAsync(address(at), s->at, (size_t)m->bytes, d->stream));
    must(d, d->api->cuEventRecord(s->taken, d->stream));
    return NMRT_OK;
}

// --- open and close ------------------------------------------------------------------------------

static nmrt_status open_stream(nmrt_device *d, nmrt_error *e)
{
    staged *s = d->staged;
    CUresult r = d->api->cuStreamCreate(&s->stream, CU_STREAM_NON_BLOCKING);
    if (r == CUDA_SUCCESS)
        r = d->api->cuEventCreate(&s->ready, CU_EVENT_DISABLE_TIMING);
    if (r == CUDA_SUCCESS)
        r = d->api->cuEventCreate(&s->taken, CU_EVENT_DISABLE_TIMING);
    for (int i = 0; i < LAUNCHES && r == CUDA_SUCCESS; i++)
        r = d->api->cuEventCreate(&s->launch[i].given, CU_EVENT_DISABLE_TIMING);
    return nmrt_gpu_check(d, r, "cannot make a stream", e);
}

nmrt_status nmrt_gpu_staged_open(nmrt_device *d, const char *why, nmrt_error *e)
{
    if (!(d->staged = calloc(1, sizeof *d->staged)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the collectives");
    NMRT_TRY(open_stream(d, e));
    NMRT_TRY(take_memory(d, FIRST_BYTES, e));
    size_t n = strlen(d->title);
    snprintf(d->title + n, sizeof d->title - n, ", collectives through %s host memory as %s",
             d->staged->is_pinned ? "pinned" : "pageable", why);
    return NMRT_OK;
}

void nmrt_gpu_staged_close(nmrt_device *d)
{
    staged *s = d->staged;
    if (!s)
        return;
    if (s->stream)
        d->api->cuStreamSynchronize(s->stream);
    drop_memory(d);
    for (int i = 0; i < LAUNCHES; i++)
        if (s->launch[i].given)
            d->api->cuEventDestroy(s->launch[i].given);
    if (s->ready)
        d->api->cuEventDestroy(s->ready);
    if (s->taken)
        d->api->cuEventDestroy(s->taken);
    if (s->stream)
        d->api->cuStreamDestroy(s->stream);
    free(s);
    d->staged = NULL;
}
