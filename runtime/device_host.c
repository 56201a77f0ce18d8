// The host device: anonymous memory in huge pages where the kernel has them, launches on the pool.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/comm_queue.h"
#include "runtime/cpu.h"
#include "runtime/device.h"
#include "runtime/exchange.h"
#include "runtime/pool.h"
#include "runtime/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct nmrt_device {
    const nmdrv_program *program;
    nmrt_pool *pool;
    nmrt_comm *comm;          // NULL: one rank alone
    nmrt_exchanges exchanges; // where there is a comm
    nmrt_queue *queue;        // where that has several ranks
    int64_t *ticket;          // likewise: of the launch that a row ended; 0: none
    nmrt_launch launch;       // collectives that wait for the ones that follow at once
    nmrt_track *track;
};

static void host_close(nmrt_device *d)
{
    if (!d)
        return;
    nmrt_queue_free(d->queue);
    if (d->comm)
        d->comm->pool = NULL;
    nmrt_exchanges_release(&d->exchanges);
    free(d->ticket);
    nmrt_pool_free(d->pool);
    free(d);
}

// The threads help the communicator with large sums.
static nmrt_status join_ranks(nmrt_device *d, const nmrt_device_request *request, nmrt_error *e)
{
    if (!request->comm || !request->mesh)
        return NMRT_OK;
    d->comm = request->comm;
    d->comm->pool = d->pool;
    NMRT_TRY(nmrt_exchanges_init(&d->exchanges, request->mesh, e));
    if (d->comm->ranks == 1)
        return NMRT_OK;
    d->ticket = calloc((size_t)d->program->n_collectives + 1, sizeof *d->ticket);
    return d->ticket ? nmrt_queue_new(&d->queue, d->comm, e)
                     : nmrt_fail(e, NMRT_WORLD, "no memory for the collectives");
}

static void trace(nmrt_device *d, nmrt_trace *t)
{
    d->track = nmrt_trace_steps(t);
    if (d->queue)
        nmrt_queue_trace(d->queue, t);
    nmrt_pool_trace(d->pool, t);
}

static nmrt_status host_open(nmrt_device **device, const nmrt_device_request *request,
                             nmrt_error *e)
{
    nmrt_device *d = *device = calloc(1, sizeof *d);
    if (!d)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the device");
    d->program = request->program;
    nmrt_cpu_flush_denormals();
    // the peak kernel leaves one vector there, also if no kernel of the program wants scratch
    int64_t scratch = request->program->scratch > 64 ? request->program->scratch : 64;
    nmrt_status status = nmrt_pool_new(&d->pool, request->threads, scratch, e);
    if (status == NMRT_OK)
        status = join_ranks(d, request, e);
    if (status == NMRT_OK)
        trace(d, request->trace);
    if (status != NMRT_OK) {
        host_close(d);
        *device = NULL;
    }
    return status;
}

static int64_t read_number(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    char line[256];
    long long value = -1;
    size_t n = strlen(key);
    while (value < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0 && sscanf(line + n, " %lld", &value) != 1)
            value = -1;
    fclose(f);
    return value;
}

// The machine's memory, or the container's where that is less.
static nmrt_memory_info host_memory_info(void)
{
    int64_t total = read_number("/proc/meminfo", "MemTotal:"),
            free_now = read_number("/proc/meminfo", "MemAvailable:");
    nmrt_memory_info m = {total > 0 ? total * 1024 : 0, free_now > 0 ? free_now * 1024 : 0};
    int64_t limit = read_number("/sys/fs/cgroup/memory.max", ""),
            used = read_number("/sys/fs/cgroup/memory.current", "");
    if (limit > 0 && limit < m.total) {
        m.total = limit;
        int64_t left = limit - (used > 0 ? used : 0);
        if (left > 0 && left < m.available)
            m.available = left;
    }
    return m;
}

static nmrt_status host_alloc(nmrt_device *d, int64_t bytes, void **at, nmrt_error *e)
{
    if (d->comm && d->comm->alloc)
        return d->comm->alloc(d->comm, bytes, at, e);
    size_t n = bytes > 0 ? (size_t)bytes : 1;
    void *p =
        mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return nmrt_fail_errno(e, "cannot get %lld bytes of memory", (long long)bytes);
    madvise(p, n, MADV_HUGEPAGE); // only faster if it is granted
    *at = p;
    return NMRT_OK;
}

static void host_free(nmrt_device *d, void *at, int64_t bytes)
{
    if (d->comm && d->comm->alloc)
        d->comm->free(d->comm, at, bytes);
    else if (at)
        munmap(at, bytes > 0 ? (size_t)bytes : 1);
}

static void host_copy(nmrt_device *d, void *to, const void *from, int64_t bytes)
{
    (void)d;
    memcpy(to, from, (size_t)bytes);
}

static void host_fill(nmrt_device *d, void *at, int64_t bytes, uint32_t pattern)
{
    (void)d;
    if (!pattern)
        memset(at, 0, (size_t)bytes);
    else
        for (int64_t i = 0; i < bytes / 4; i++)
            ((uint32_t *)at)[i] = pattern;
}

static void host_poison_scratch(nmrt_device *d, uint32_t pattern)
{
    nmrt_pool_fill_scratch(d->pool, pattern);
}

static void call_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    nmrt_device *d = f->device;
    const nmdrv_kernel *k = &d->program->kernel[kernel];
    nmrt_comm_moved(d->comm);
    int64_t begin = nmrt_trace_begin(d->track, k->name);
    nmrt_pool_run(d->pool, k, f->sym, count, arg);
    nmrt_trace_end(d->track, begin,
                   &(nmrt_span){.kind = NMRT_SPAN_KERNEL,
                                .name = k->name,
                                .where = k->where,
                                .number = {{"indices", count}}});
}

static void end_copy(nmrt_device *d, int64_t begin, const char *what, int64_t bytes)
{
    nmrt_trace_end(
        d->track, begin,
        &(nmrt_span){.kind = NMRT_SPAN_COPY, .name = what, .number = {{"bytes", bytes}}});
}

static void call_fill(nmdrv_frame *f, void *dst, int64_t bytes)
{
    nmrt_device *d = f->device;
    nmrt_comm_moved(d->comm);
    int64_t begin = nmrt_trace_begin(d->track, "fill");
    memset(dst, 0, (size_t)bytes);
    end_copy(d, begin, "fill", bytes);
}

static void call_copy(nmdrv_frame *f, void *dst, const void *src, int64_t bytes)
{
    nmrt_device *d = f->device;
    nmrt_comm_moved(d->comm);
    int64_t begin = nmrt_trace_begin(d->track, "copy");
    memmove(dst, src, (size_t)bytes);
    end_copy(d, begin, "copy", bytes);
}

// --- collectives -------------------------------------------------------------------------------

// In the middle of a function nobody can take a failure: it is the end of all ranks. One of a
// launch under way was the first.
static _Noreturn void end_all(nmrt_device *d, const nmrt_error *e)
{
    nmrt_error first;
    bool failed = d->queue && nmrt_queue_settle(d->queue, &first) != NMRT_OK;
    nmrt_comm_die(d->comm, failed ? &first : e);
}

// Of the whole batch, which this row ends; or fills, and then a later row's ticket is for it, too.
static nmrt_status launch_batch(nmrt_device *d, int64_t row, nmrt_error *e)
{
    const nmdrv_collective *c = &d->program->collective[row];
    int n = d->launch.n;
    d->launch.n = 0;
    if (!nmrt_launch_is_async(d->program, row))
        return nmrt_queue_run(d->queue, d->launch.x, n, e);
    if (d->ticket[row])
        return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): begun again before it was waited for", c->name,
                         c->where);
    int64_t ticket;
    NMRT_TRY(nmrt_queue_start(d->queue, d->launch.x, n, &ticket, e));
    d->ticket[row] = c->more ? 0 : ticket;
    return NMRT_OK;
}

// Those that follow each other at once wait for the last of them.
static void *call_collective(nmdrv_frame *f, int64_t collective, const int64_t *geometry, void *out,
                             void *in)
{
    nmrt_device *d = f->device;
    nmrt_error e;
    if (!d->comm)
        return in;
    nmrt_launch_when when = nmrt_launch_add(&d->launch, &d->exchanges, collective, f->sym, geometry,
                                            (nmrt_operands){out, in}, &e);
    if (when == NMRT_LAUNCH_NOTHING)
        return in;
    if (when == NMRT_LAUNCH_FAILED ||
        (when == NMRT_LAUNCH_NOW && launch_batch(d, collective, &e) != NMRT_OK))
        end_all(d, &e);
    return out;
}

static void call_wait(nmdrv_frame *f, int64_t collective)
{
    nmrt_device *d = f->device;
    nmrt_error e;
    if (!d->ticket || !d->ticket[collective])
        return;
    if (nmrt_queue_wait(d->queue, d->ticket[collective], &e) != NMRT_OK)
        nmrt_comm_die(d->comm, &e);
    d->ticket[collective] = 0;
}

static void host_end_call(nmrt_device *d, const nmdrv_func *func)
{
    const nmrt_exchange *left = d->queue ? nmrt_queue_left(d->queue) : NULL;
    nmrt_error e;
    if (!left)
        return;
    nmrt_fail(&e, NMRT_CORRUPT, "%s has returned without waiting for %s (%s)", func->name,
              left->name, left->where);
    end_all(d, &e);
}

static const nmdrv_calls host_calls = {call_launch,     call_fill, call_copy,
                                       call_collective, call_wait, NULL};

// The best of many runs of about a millisecond: the first ones wake the threads and raise the
// clock, others meet a neighbour on the processor.
static double host_peak(nmrt_device *d)
{
    const nmdrv_kernel kernel = {
        .name = "peak", .where = "", .fn = nmrt_cpu_peak_kernel, .grain = 1};
    int64_t count = 64 * nmrt_pool_threads(d->pool);
    double best = 0, end = nmrt_seconds() + 0.2;
    for (double start; (start = nmrt_seconds()) < end;) {
        nmrt_pool_run(d->pool, &kernel, NULL, count, NULL);
        double flops = (double)NMRT_PEAK_FLOPS * (double)count / (nmrt_seconds() - start);
        best = flops > best ? flops : best;
    }
    return best;
}

static void host_run(nmrt_device *d, const nmdrv_func *func, nmdrv_frame *frame)
{
    (void)d;
    func->run(frame);
}

static int host_sharers(int local_ranks) { return local_ranks; }

static nmrt_status host_send(nmrt_device *d, const nmrt_message *m, const void *at, nmrt_error *e)
{
    int64_t begin = nmrt_trace_begin(d->track, m->what);
    nmrt_span span = nmrt_message_span(m, true);
    nmrt_status status =
        d->comm->send(d->comm, m->peer, m->tag, at, m->bytes, m->what, m->where, e);
    nmrt_trace_end(d->track, begin, &span);
    return status;
}

static nmrt_status host_receive(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e)
{
    int64_t begin = nmrt_trace_begin(d->track, m->what);
    nmrt_span span = nmrt_message_span(m, false);
    nmrt_status status =
        d->comm->recv(d->comm, m->peer, m->tag, at, m->bytes, m->what, m->where, e);
    nmrt_trace_end(d->track, begin, &span);
    return status;
}

static void host_describe(nmrt_device *d, nmrt_text *out)
{
    int n = nmrt_pool_threads(d->pool);
    nmrt_text_add(out, "%d thread%s, %s", n, n == 1 ? "" : "s", d->program->cpu);
}

const nmrt_device_ops nmrt_device_host = {
    .name = "host",
    .flavour = NMDRV_HOST,
    .open = host_open,
    .close = host_close,
    .memory_info = host_memory_info,
    .sharers = host_sharers,
    .alloc = host_alloc,
    .free = host_free,
    .copy_in = host_copy,
    .copy_out = host_copy,
    .fill = host_fill,
    .poison_scratch = host_poison_scratch,
    .calls = &host_calls,
    .run = host_run,
    .end_call = host_end_call,
    .send = host_send,
    .receive = host_receive,
    .peak = host_peak,
    .describe = host_describe,
};
