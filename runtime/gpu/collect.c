// Collectives and messages of ranks whose memory is a GPU's. Collectives are NCCL's where it can be
// had (nccl.c). Else, and for messages, through host memory: what a member gives is copied to the
// host, the communicator does its work there, and the result is copied back. The rank stands still
// meanwhile.
#include "runtime/gpu/gpu.h"

#include "runtime/clock.h"
#include "runtime/dtype.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 64 };

// --- host memory ---------------------------------------------------------------------------------

static void drop_stage(nmrt_device *d)
{
    if (d->stage.at && d->comm && d->comm->alloc)
        d->comm->free(d->comm, d->stage.at, d->stage.bytes);
    else
        free(d->stage.at);
    d->stage = (nmrt_gpu_stage){0};
}

// Memory that the communicator can work in, twice as much as before where it does not do.
static nmrt_status need_stage(nmrt_device *d, int64_t bytes, nmrt_error *e)
{
    int64_t n = 2 * d->stage.bytes > bytes ? 2 * d->stage.bytes : bytes;
    void *at = NULL;
    if (bytes <= d->stage.bytes)
        return NMRT_OK;
    drop_stage(d);
    if (d->comm->alloc)
        NMRT_TRY(d->comm->alloc(d->comm, n, &at, e));
    else if (!(at = malloc((size_t)n)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for collectives");
    d->stage = (nmrt_gpu_stage){at, n};
    return NMRT_OK;
}

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

// The batch as it is on the host.
static void place_all(const nmrt_exchange *x, int n, char *stage, nmrt_exchange *on_host)
{
    for (int i = 0; i < n; i++) {
        on_host[i] = x[i];
        on_host[i].in = stage;
        stage += lines_of(bytes_in(&x[i]));
        on_host[i].out = stage;
        stage += lines_of(bytes_out(&x[i]));
    }
}

static nmrt_status run_staged(nmrt_device *d, const nmrt_exchange *x, int n, nmrt_error *e)
{
    nmrt_exchange on_host[NMRT_MAX_BATCH];
    nmrt_track *track = nmrt_gpu_trace_steps(d);
    int64_t begin = nmrt_trace_begin(track, x->name);
    double start = nmrt_seconds();
    NMRT_TRY(need_stage(d, bytes_of_all(x, n), e));
    place_all(x, n, d->stage.at, on_host);
    for (int i = 0; i < n; i++)
        nmrt_gpu_copy_out(d, (void *)(uintptr_t)on_host[i].in, x[i].in, bytes_in(&x[i]));
    NMRT_TRY(nmrt_comm_run_all(d->comm, on_host, n, e));
    for (int i = 0; i < n; i++)
        nmrt_gpu_copy_in(d, x[i].out, on_host[i].out, bytes_out(&x[i]));
    d->comm->waited += nmrt_seconds() - start;
    nmrt_trace_end(track, begin,
                   &(nmrt_span){.kind = NMRT_SPAN_COLLECTIVE,
                                .name = x->name,
                                .where = x->where,
                                .number = {{"collectives", n}, {"bytes", bytes_of_all(x, n)}}});
    return NMRT_OK;
}

static nmrt_status launch(nmrt_device *d, int64_t row, nmrt_error *e)
{
    int n = d->launch.n;
    d->launch.n = 0;
    return d->nccl ? nmrt_gpu_nccl_launch(d, row, d->launch.x, n, e)
                   : run_staged(d, d->launch.x, n, e);
}

// Those that follow each other at once are one launch.
void *nmrt_gpu_collective(nmdrv_frame *f, int64_t collective, const int64_t *geometry, void *out,
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
    d->n_collectives++;
    if (when == NMRT_LAUNCH_FAILED ||
        (when == NMRT_LAUNCH_NOW && launch(d, collective, &e) != NMRT_OK))
        nmrt_gpu_die(d, &e);
    return out;
}

// Through host memory, a launch is done when its start returns.
void nmrt_gpu_wait(nmdrv_frame *f, int64_t collective)
{
    nmrt_device *d = f->device;
    if (d->nccl)
        nmrt_gpu_nccl_wait(d, collective);
}

void nmrt_gpu_end_call(nmrt_device *d, const nmdrv_func *func)
{
    int64_t left = d->nccl ? nmrt_gpu_nccl_left(d) : -1;
    nmrt_error e;
    if (left < 0)
        return;
    nmrt_fail(&e, NMRT_CORRUPT, "%s has returned without waiting for %s (%s)", func->name,
              d->program->collective[left].name, d->program->collective[left].where);
    nmrt_gpu_die(d, &e);
}

// --- messages ------------------------------------------------------------------------------------

static nmrt_status send_staged(nmrt_device *d, const nmrt_message *m, const void *at, nmrt_error *e)
{
    NMRT_TRY(need_stage(d, m->bytes, e));
    nmrt_gpu_copy_out(d, d->stage.at, at, m->bytes);
    return d->comm->send(d->comm, m->peer, m->tag, d->stage.at, m->bytes, m->what, m->where, e);
}

static nmrt_status receive_staged(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e)
{
    NMRT_TRY(need_stage(d, m->bytes, e));
    NMRT_TRY(d->comm->recv(d->comm, m->peer, m->tag, d->stage.at, m->bytes, m->what, m->where, e));
    nmrt_gpu_copy_in(d, at, d->stage.at, m->bytes);
    return NMRT_OK;
}

nmrt_status nmrt_gpu_send(nmrt_device *d, const nmrt_message *m, const void *at, nmrt_error *e)
{
    nmrt_track *track = nmrt_gpu_trace_steps(d);
    if (d->nccl)
        return nmrt_gpu_nccl_send(d, m, at, e);
    int64_t begin = nmrt_trace_begin(track, m->what);
    nmrt_span span = nmrt_message_span(m, true);
    nmrt_status status = send_staged(d, m, at, e);
    nmrt_trace_end(track, begin, &span);
    return status;
}

nmrt_status nmrt_gpu_receive(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e)
{
    nmrt_track *track = nmrt_gpu_trace_steps(d);
    if (d->nccl)
        return nmrt_gpu_nccl_receive(d, m, at, e);
    int64_t begin = nmrt_trace_begin(track, m->what);
    nmrt_span span = nmrt_message_span(m, false);
    nmrt_status status = receive_staged(d, m, at, e);
    nmrt_trace_end(track, begin, &span);
    return status;
}

// --- open and close ------------------------------------------------------------------------------

nmrt_status nmrt_gpu_join_ranks(nmrt_device *d, const nmrt_device_request *request, nmrt_error *e)
{
    if (!request->comm || !request->mesh)
        return NMRT_OK;
    d->comm = request->comm;
    NMRT_TRY(nmrt_exchanges_init(&d->exchanges, request->mesh, e));
    return d->comm->ranks > 1 ? nmrt_gpu_nccl_open(d, request, e) : NMRT_OK;
}

void nmrt_gpu_leave_ranks(nmrt_device *d)
{
    drop_stage(d);
    nmrt_exchanges_release(&d->exchanges);
}
