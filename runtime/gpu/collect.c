// Collectives and messages of ranks whose memory is a GPU's: by NCCL where it can be had (nccl.c,
// message.c), else through host memory (staged.c).
#include "runtime/gpu/gpu.h"

// --- collectives ---------------------------------------------------------------------------------

static nmrt_status launch(nmrt_device *d, int64_t row, nmrt_error *e)
{
    int n = d->launch.n;
    d->launch.n = 0;
    return d->nccl ? nmrt_gpu_nccl_launch(d, row, d->launch.x, n, e)
                   : nmrt_gpu_staged_launch(d, row, d->launch.x, n, e);
}

// NCCL wants all ranks of a group to capture a collective, or none: ranks of other stages make
// other calls.
static bool is_capturable(const nmrt_device *d, int64_t collective)
{
    int64_t axes = d->program->collective[collective].axes;
    bool spans = axes >> NMDRV_PP & 1 && d->exchanges.mesh->size[NMDRV_PP] > 1;
    return d->nccl && !spans;
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
    d->n_apart += !is_capturable(d, collective);
    if (when == NMRT_LAUNCH_FAILED ||
        (when == NMRT_LAUNCH_NOW && launch(d, collective, &e) != NMRT_OK))
        nmrt_gpu_die(d, &e);
    return out;
}

void nmrt_gpu_wait(nmdrv_frame *f, int64_t collective)
{
    nmrt_device *d = f->device;
    nmrt_error e;
    if (d->nccl)
        nmrt_gpu_nccl_wait(d, collective);
    else if (d->staged && nmrt_gpu_staged_wait(d, collective, &e) != NMRT_OK)
        nmrt_gpu_die(d, &e);
}

void nmrt_gpu_end_call(nmrt_device *d, const nmdrv_func *func)
{
    int64_t left = d->nccl ? nmrt_gpu_nccl_left(d) : d->staged ? nmrt_gpu_staged_left(d) : -1;
    nmrt_error e;
    if (left < 0)
        return;
    nmrt_fail(&e, NMRT_CORRUPT, "%s has returned without waiting for %s (%s)", func->name,
              d->program->collective[left].name, d->program->collective[left].where);
    nmrt_gpu_die(d, &e);
}

// --- messages ------------------------------------------------------------------------------------

nmrt_status nmrt_gpu_send(nmrt_device *d, const nmrt_message *m, const void *at, nmrt_error *e)
{
    nmrt_track *track = nmrt_gpu_trace_steps(d);
    if (d->nccl)
        return nmrt_gpu_nccl_send(d, m, at, e);
    int64_t begin = nmrt_trace_begin(track, m->what);
    nmrt_span span = nmrt_message_span(m, true);
    nmrt_status status = nmrt_gpu_staged_send(d, m, at, e);
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
    nmrt_status status = nmrt_gpu_staged_receive(d, m, at, e);
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

void nmrt_gpu_leave_ranks(nmrt_device *d) { nmrt_exchanges_release(&d->exchanges); }
