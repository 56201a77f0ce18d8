// Collectives by NCCL: a communicator for each group of ranks, made when the group first meets,
// with an id that the run's own communicator hands round. They run on a stream of their own, in the
// order of their calls, so that no two groups can wait for each other: it waits for what the
// kernels' stream has, and that waits for it where a result is read.
#define _GNU_SOURCE
#include "runtime/gpu/nccl.h"

#include "runtime/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY = 2000, PAUSE_US = 50 };

static const nmdrv_collective *row_of(const nmrt_device *d, int64_t row)
{
    return &d->program->collective[row];
}

static nmrt_status check(const nmrt_device *d, ncclResult_t r, const char *name, const char *where,
                         nmrt_error *e)
{
    const char *more = r == ncclSuccess || !d->api->message ? NULL : d->api->message();
    if (r == ncclSuccess)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_WORLD, "%s (%s): NCCL: %s%s%s", name, where,
                     d->api->ncclGetErrorString(r), more ? ": " : "", more ? more : "");
}

// --- groups --------------------------------------------------------------------------------------

// The first member's id is everyone's: the others offer zeros, and the largest wins.
static nmrt_status share_id(nmrt_device *d, const nmrt_exchange *of, ncclUniqueId *id,
                            nmrt_error *e)
{
    ncclUniqueId mine = {{0}};
    if (!of->group.me)
        NMRT_TRY(check(d, d->api->ncclGetUniqueId(&mine), of->name, of->where, e));
    nmrt_exchange x = {.kind = NMDRV_ALL_REDUCE,
                       .dtype = NMDRV_U8,
                       .max = true,
                       .group = of->group,
                       .outer = sizeof mine,
                       .len = 1,
                       .inner = 1,
                       .out = id,
                       .in = &mine,
                       .name = of->name,
                       .where = of->where};
    return d->comm->run(d->comm, &x, e);
}

static nmrt_status find_peers(nmrt_device *d, const nmrt_exchange *x, ncclComm_t *comm,
                              nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    ncclUniqueId id;
    for (int i = 0; i < t->n_peers; i++)
        if (t->peers[i].group == x->group.id) {
            *comm = t->peers[i].comm;
            return NMRT_OK;
        }
    nmrt_gpu_peers *all = realloc(t->peers, (size_t)(t->n_peers + 1) * sizeof *all);
    if (!all)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a group of ranks");
    t->peers = all;
    NMRT_TRY(share_id(d, x, &id, e));
    NMRT_TRY(check(d, d->api->ncclCommInitRank(comm, x->group.n, id, x->group.me), x->name,
                   x->where, e));
    t->peers[t->n_peers++] = (nmrt_gpu_peers){x->group.id, *comm};
    return NMRT_OK;
}

// --- launches that are watched -------------------------------------------------------------------

static void drop_done(nmrt_device *d)
{
    nmrt_gpu_nccl *t = d->nccl;
    while (t->n_done < t->n_begun &&
           d->api->cuEventQuery(t->watched[t->n_done % NMRT_GPU_WATCHED].done) == CUDA_SUCCESS) {
        t->n_done++;
        t->stuck = 0;
    }
}

static void mark(nmrt_device *d, CUevent *event)
{
    CUresult r = *event ? CUDA_SUCCESS : d->api->cuEventCreate(event, CU_EVENT_DISABLE_TIMING);
    if (r == CUDA_SUCCESS)
        r = d->api->cuEventRecord(*event, d->nccl->stream);
    nmrt_gpu_must(d, r, "cannot mark a collective");
}

// NULL: so many are under way that this one is not watched.
static nmrt_gpu_watched *begin_watch(nmrt_device *d, int64_t row)
{
    nmrt_gpu_nccl *t = d->nccl;
    if (t->n_begun - t->n_done == NMRT_GPU_WATCHED)
        drop_done(d);
    if (t->n_begun - t->n_done == NMRT_GPU_WATCHED)
        return NULL;
    nmrt_gpu_watched *w = &t->watched[t->n_begun % NMRT_GPU_WATCHED];
    w->row = row;
    mark(d, &w->begun);
    return w;
}

static void end_watch(nmrt_device *d, nmrt_gpu_watched *w)
{
    if (!w)
        return;
    mark(d, &w->done);
    d->nccl->n_begun++;
}

// --- a launch ------------------------------------------------------------------------------------

// -1: NCCL has no such type. What is not added may be bytes.
static ncclDataType_t type_of(const nmrt_exchange *x)
{
    switch (x->dtype) {
    case NMDRV_F64: return ncclFloat64;
    case NMDRV_F32: return ncclFloat32;
    case NMDRV_BF16: return ncclBfloat16;
    case NMDRV_F16: return ncclFloat16;
    case NMDRV_I64: return ncclInt64;
    case NMDRV_I32: return ncclInt32;
    case NMDRV_I8: return ncclInt8;
    case NMDRV_U8:
    case NMDRV_BOOL: return ncclUint8;
    default: return -1;
    }
}

static ncclResult_t rotate(nmrt_device *d, const nmrt_exchange *x, ncclComm_t comm)
{
    int n = x->group.n, me = x->group.me;
    size_t bytes = (size_t)nmrt_gpu_bytes_of(x, x->outer);
    ncclResult_t r =
        d->api->ncclSend(x->in, bytes, ncclInt8, (me + n - 1) % n, comm, d->nccl->stream);
    if (r != ncclSuccess)
        return r;
    return d->api->ncclRecv(x->out, bytes, ncclInt8, (me + 1) % n, comm, d->nccl->stream);
}

// One of a group of calls. scratch: of a mixed one.
static ncclResult_t enqueue(nmrt_device *d, const nmrt_exchange *x, ncclComm_t comm, char *scratch)
{
    const nmrt_gpu_api *api = d->api;
    CUstream s = d->nccl->stream;
    size_t n = (size_t)(x->outer * x->len * x->inner);
    ncclRedOp_t op = x->max ? ncclMax : ncclSum;
    switch (x->kind) {
    case NMDRV_ALL_REDUCE: return api->ncclAllReduce(x->in, x->out, n, type_of(x), op, comm, s);
    case NMDRV_REDUCE_SCATTER:
        return api->ncclReduceScatter(scratch ? scratch : x->in, x->out, n, type_of(x), op, comm,
                                      s);
    case NMDRV_ALL_GATHER:
        return api->ncclAllGather(x->in, scratch ? scratch : x->out,
                                  (size_t)nmrt_gpu_bytes_of(x, (int64_t)n), ncclInt8, comm, s);
    case NMDRV_ROTATE: return rotate(d, x, comm);
    default: return ncclInvalidUsage;
    }
}

// Of those that do not lie as NCCL has them: takes the operands apart before, or joins the results
// behind.
static nmrt_status enqueue_all(nmrt_device *d, const nmrt_exchange *x, int n,
                               const ncclComm_t *comm, nmrt_error *e)
{
    char *scratch = d->nccl->scratch;
    ncclResult_t r = d->api->ncclGroupStart();
    for (int i = 0; i < n && r == ncclSuccess; i++) {
        r = enqueue(d, &x[i], comm[i], nmrt_gpu_is_mixed(&x[i]) ? scratch : NULL);
        scratch += nmrt_gpu_pack_bytes(&x[i]);
    }
    ncclResult_t end = d->api->ncclGroupEnd();
    return check(d, r != ncclSuccess ? r : end, x->name, x->where, e);
}

static nmrt_status prepare(nmrt_device *d, const nmrt_exchange *x, int n, ncclComm_t *comm,
                           nmrt_error *e)
{
    for (int i = 0; i < n; i++) {
        bool adds = x[i].kind == NMDRV_ALL_REDUCE || x[i].kind == NMDRV_REDUCE_SCATTER;
        NMRT_TRY(nmrt_exchange_check(&x[i], e));
        if (adds && type_of(&x[i]) < 0)
            return nmrt_exchange_refuse(&x[i], "NCCL has no sum of", e);
        NMRT_TRY(find_peers(d, &x[i], &comm[i], e));
    }
    return nmrt_gpu_pack_room(d, x, n, e);
}

static nmrt_status run(nmrt_device *d, int64_t row, const nmrt_exchange *x, int n, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    ncclComm_t comm[NMRT_MAX_BATCH];
    NMRT_TRY(prepare(d, x, n, comm, e));
    nmrt_gpu_must(d, d->api->cuEventRecord(t->ready, d->stream), "cannot mark a kernel");
    nmrt_gpu_must(d, d->api->cuStreamWaitEvent(t->stream, t->ready, 0), "cannot wait for a kernel");
    nmrt_gpu_watched *w = begin_watch(d, row);
    int64_t begin = nmrt_gpu_trace_begin(d, t->stream), bytes = 0;
    nmrt_gpu_pack(d, x, n, NMDRV_REDUCE_SCATTER);
    NMRT_TRY(enqueue_all(d, x, n, comm, e));
    nmrt_gpu_pack(d, x, n, NMDRV_ALL_GATHER);
    end_watch(d, w);
    for (int i = 0; i < n; i++)
        bytes += nmrt_gpu_bytes_of(&x[i], nmrt_exchange_in(&x[i]));
    nmrt_gpu_trace_end(d, t->stream, begin,
                       &(nmrt_span){.kind = NMRT_SPAN_COLLECTIVE,
                                    .name = x->name,
                                    .where = x->where,
                                    .number = {{"collectives", n}, {"bytes", bytes}}});
    return NMRT_OK;
}

static void wait_for(nmrt_device *d, int64_t row)
{
    nmrt_gpu_must(d, d->api->cuStreamWaitEvent(d->stream, d->nccl->done[row], 0),
                  "cannot wait for a collective");
}

nmrt_status nmrt_gpu_nccl_launch(nmrt_device *d, int64_t row, const nmrt_exchange *x, int n,
                                 nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    const nmdrv_collective *c = row_of(d, row);
    if (t->under_way[row])
        return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): begun again before it was waited for", c->name,
                         c->where);
    NMRT_TRY(run(d, row, x, n, e));
    mark(d, &t->done[row]);
    if (nmrt_launch_is_async(d->program, row))
        t->under_way[row] = !c->more; // a later launch's event is for this one, too
    else
        wait_for(d, row);
    return NMRT_OK;
}

void nmrt_gpu_nccl_wait(nmrt_device *d, int64_t row)
{
    nmrt_gpu_nccl *t = d->nccl;
    if (!t->under_way[row])
        return;
    t->under_way[row] = false;
    wait_for(d, row);
}

int64_t nmrt_gpu_nccl_left(const nmrt_device *d)
{
    for (int64_t i = 0; i < d->program->n_collectives; i++)
        if (d->nccl->under_way[i])
            return i;
    return -1;
}

// --- the host waits ------------------------------------------------------------------------------

// NCCL waits for ever. Where this rank's part has begun and the others' do not come, it is over.
static nmrt_status look_for_others(nmrt_device *d, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    drop_done(d);
    const nmrt_gpu_watched *w = &t->watched[t->n_done % NMRT_GPU_WATCHED];
    if (t->n_done == t->n_begun)
        return NMRT_OK;
    const nmdrv_collective *c = row_of(d, w->row);
    for (int i = 0; i < t->n_peers; i++) {
        ncclResult_t said = ncclSuccess;
        ncclResult_t r = d->api->ncclCommGetAsyncError(t->peers[i].comm, &said);
        NMRT_TRY(check(d, r != ncclSuccess ? r : said, c->name, c->where, e));
    }
    bool waits = d->api->cuEventQuery(w->begun) == CUDA_SUCCESS;
    double now = nmrt_seconds();
    t->stuck = !waits ? 0 : t->stuck > 0 ? t->stuck : now;
    if (waits && now - t->stuck > t->timeout)
        return nmrt_fail(e, NMRT_WORLD, "other ranks have not come to %s (%s) for %.0f s", c->name,
                         c->where, t->timeout);
    return NMRT_OK;
}

static CUresult ask(const nmrt_device *d, CUevent event)
{
    return event ? d->api->cuEventQuery(event) : d->api->cuStreamQuery(d->stream);
}

void nmrt_gpu_nccl_sync(nmrt_device *d, CUevent event)
{
    nmrt_error e;
    CUresult r;
    d->nccl->stuck = 0;
    for (int64_t i = 0; (r = ask(d, event)) == CUDA_ERROR_NOT_READY; i++) {
        if (i < BUSY)
            continue;
        usleep(PAUSE_US);
        if (i % BUSY == 0 && look_for_others(d, &e) != NMRT_OK)
            nmrt_gpu_die(d, &e);
    }
    nmrt_gpu_must(d, r, "the GPU's work failed");
}
