// Collectives by NCCL. They run on a stream of their own, in the order of their calls, so that no
// two groups can wait for each other: it waits for what the kernels' stream has, and that waits for
// it where a result is read.
#include "runtime/gpu/nccl.h"

static const nmdrv_collective *row_of(const nmrt_device *d, int64_t row)
{
    return &d->program->collective[row];
}

nmrt_status nmrt_gpu_nccl_check(const nmrt_device *d, ncclResult_t r, const char *name,
                                const char *where, nmrt_error *e)
{
    const char *more = r == ncclSuccess || !d->api->message ? NULL : d->api->message();
    if (r == ncclSuccess)
        return NMRT_OK;
    return nmrt_fail(e, NMRT_WORLD, "%s (%s): NCCL: %s%s%s", name, where,
                     d->api->ncclGetErrorString(r), more ? ": " : "", more ? more : "");
}

// The place of its group in t->peers.
static nmrt_status find_peers(const nmrt_device *d, const nmrt_exchange *x, int *at, nmrt_error *e)
{
    const nmrt_gpu_nccl *t = d->nccl;
    for (*at = 0; *at < t->n_peers; ++*at)
        if (t->peers[*at].group.id == x->group.id)
            return NMRT_OK;
    return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): the memory plan does not know of it", x->name,
                     x->where);
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
static nmrt_status enqueue_all(nmrt_device *d, const nmrt_exchange *x, int n, const int *peers,
                               nmrt_error *e)
{
    char *scratch = d->nccl->scratch;
    ncclResult_t r = d->api->ncclGroupStart();
    for (int i = 0; i < n && r == ncclSuccess; i++) {
        ncclComm_t comm = d->nccl->peers[peers[i]].comm;
        r = enqueue(d, &x[i], comm, nmrt_exchange_apart(&x[i]) ? scratch : NULL);
        scratch += nmrt_exchange_apart(&x[i]);
    }
    ncclResult_t end = d->api->ncclGroupEnd();
    return nmrt_gpu_nccl_check(d, r != ncclSuccess ? r : end, x->name, x->where, e);
}

static nmrt_status prepare(nmrt_device *d, const nmrt_exchange *x, int n, int *peers, nmrt_error *e)
{
    for (int i = 0; i < n; i++) {
        bool adds = x[i].kind == NMDRV_ALL_REDUCE || x[i].kind == NMDRV_REDUCE_SCATTER;
        NMRT_TRY(nmrt_exchange_check(&x[i], e));
        if (adds && type_of(&x[i]) < 0)
            return nmrt_exchange_refuse(&x[i], "NCCL has no sum of", e);
        NMRT_TRY(find_peers(d, &x[i], &peers[i], e));
    }
    return nmrt_gpu_pack_check(d, x, n, e);
}

static nmrt_status enqueue_launch(nmrt_device *d, const nmrt_exchange *x, int n, const int *peers,
                                  nmrt_error *e)
{
    nmrt_gpu_pack(d, x, n, NMDRV_REDUCE_SCATTER);
    NMRT_TRY(enqueue_all(d, x, n, peers, e));
    nmrt_gpu_pack(d, x, n, NMDRV_ALL_GATHER);
    return NMRT_OK;
}

// A launch is named by its first row; all are of one group.
static nmrt_status run(nmrt_device *d, const nmrt_exchange *x, int n, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    int peers[NMRT_MAX_BATCH];
    int64_t bytes = 0;
    NMRT_TRY(prepare(d, x, n, peers, e));
    for (int i = 0; i < n; i++)
        bytes += nmrt_gpu_bytes_of(&x[i], nmrt_exchange_in(&x[i]));
    nmrt_gpu_must(d, d->api->cuEventRecord(t->ready, d->stream), "cannot mark a kernel");
    nmrt_gpu_must(d, d->api->cuStreamWaitEvent(t->stream, t->ready, 0), "cannot wait for a kernel");
    int64_t number = nmrt_gpu_lane_begin(
        d, t->lane, &(nmrt_gpu_deed){"", x->name, x->where, peers[0], -1, bytes});
    int64_t begin = nmrt_gpu_trace_begin(d, t->stream);
    NMRT_TRY(enqueue_launch(d, x, n, peers, e));
    nmrt_gpu_trace_end(d, t->stream, begin,
                       &(nmrt_span){.kind = NMRT_SPAN_COLLECTIVE,
                                    .name = x->name,
                                    .where = x->where,
                                    .number = {{"collectives", n}, {"bytes", bytes}}});
    nmrt_gpu_lane_end(d, t->lane, number);
    return NMRT_OK;
}

static void mark(nmrt_device *d, CUevent *event)
{
    CUresult r = *event ? CUDA_SUCCESS : d->api->cuEventCreate(event, CU_EVENT_DISABLE_TIMING);
    if (r == CUDA_SUCCESS)
        r = d->api->cuEventRecord(*event, d->nccl->stream);
    nmrt_gpu_must(d, r, "cannot mark a collective");
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
    NMRT_TRY(run(d, x, n, e));
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
