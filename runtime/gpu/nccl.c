// Collectives by NCCL: a communicator for each group of ranks, made when the group first meets,
// with an id that the run's own communicator hands round. They run on a stream of their own, in the
// order of their calls, so that no two groups can wait for each other: it waits for what the
// kernels' stream has, and that waits for it where a result is read.
#define _GNU_SOURCE
#include "runtime/gpu/gpu.h"

#include "runtime/clock.h"
#include "runtime/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 256, BUSY = 2000, PAUSE_US = 50, WATCHED = 256 };

typedef struct peers {
    int64_t group; // nmrt_group.id
    ncclComm_t comm;
} peers;

typedef struct watched { // a launch, while the host may wait for it; events are made once
    CUevent begun, done;
    int64_t row;
} watched;

typedef struct nmrt_gpu_nccl {
    CUstream stream;
    CUevent ready;   // what the last launch waited for is done
    CUevent *done;   // [n_collectives] of the launch that the row ended; NULL: not made yet
    bool *under_way; // [n_collectives] a wait follows
    peers *peers;
    int n_peers;
    char *scratch; // device memory, for what does not lie as NCCL wants it
    int64_t scratch_bytes;
    watched watched[WATCHED]; // launches [n_done, n_begun), a ring; when it is full, no more
    int64_t n_begun, n_done;
    double timeout, stuck; // seconds; when the others were first missed, 0: they are not
} nmrt_gpu_nccl;

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
    peers *all = realloc(t->peers, (size_t)(t->n_peers + 1) * sizeof *all);
    if (!all)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a group of ranks");
    t->peers = all;
    NMRT_TRY(share_id(d, x, &id, e));
    NMRT_TRY(check(d, d->api->ncclCommInitRank(comm, x->group.n, id, x->group.me), x->name,
                   x->where, e));
    t->peers[t->n_peers++] = (peers){x->group.id, *comm};
    return NMRT_OK;
}

// --- how operands lie ----------------------------------------------------------------------------

static int64_t bytes_of(const nmrt_exchange *x, int64_t elements)
{
    return elements * nmrt_dtype(x->dtype)->bits / 8;
}

// NCCL has members' blocks one behind the other; the larger side has them within each of `outer`.
static bool is_mixed(const nmrt_exchange *x)
{
    bool blocks = x->kind == NMDRV_REDUCE_SCATTER || x->kind == NMDRV_ALL_GATHER;
    return blocks && (x->outer > 1 || x->piece);
}

static int64_t larger_bytes(const nmrt_exchange *x)
{
    return bytes_of(x, x->outer * x->len * x->inner * x->group.n);
}

static int64_t scratch_of(const nmrt_exchange *x)
{
    return is_mixed(x) ? (larger_bytes(x) + LINE - 1) / LINE * LINE : 0;
}

static void copy(nmrt_device *d, char *to, const char *from, int64_t bytes)
{
    nmrt_gpu_must(d,
                  d->api->cuMemcpyDtoDAsync((CUdeviceptr)(uintptr_t)to,
                                            (CUdeviceptr)(uintptr_t)from, (size_t)bytes,
                                            d->nccl->stream),
                  "a copy on the GPU failed");
}

typedef struct blocks { // members' blocks, one behind the other, and the whole that they are parts
                        // of
    char *apart, *whole;
    bool joins; // the whole is written
} blocks;

// Member i's rows [from, from + n) of the whole, which begin at row `at` of its block.
static void copy_rows(nmrt_device *d, const nmrt_exchange *x, const blocks *b, int i, int64_t at,
                      nmrt_piece rows)
{
    int64_t width = bytes_of(x, x->inner), all = x->len * x->group.n;
    for (int64_t o = 0; o < x->outer && rows.n; o++) {
        char *apart = b->apart + ((i * x->outer + o) * x->len + at) * width,
             *whole = b->whole + (o * all + rows.from) * width;
        copy(d, b->joins ? whole : apart, b->joins ? apart : whole, rows.n * width);
    }
}

static void rearrange(nmrt_device *d, const nmrt_exchange *x, const blocks *b)
{
    for (int i = 0; i < x->group.n; i++) {
        nmrt_piece all = {i * x->len, x->len};
        const nmrt_piece *p = x->piece ? &x->piece[(ptrdiff_t)2 * i] : &all;
        copy_rows(d, x, b, i, 0, p[0]);
        if (x->piece)
            copy_rows(d, x, b, i, p[0].n, p[1]);
    }
}

static nmrt_status need_scratch(nmrt_device *d, const nmrt_exchange *x, int n, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    int64_t bytes = 0;
    void *at = NULL;
    for (int i = 0; i < n; i++)
        bytes += scratch_of(&x[i]);
    if (bytes <= t->scratch_bytes)
        return NMRT_OK;
    nmrt_gpu_must(d, d->api->cuStreamSynchronize(t->stream), "a collective failed");
    nmrt_gpu_free(d, t->scratch, t->scratch_bytes);
    t->scratch = NULL;
    t->scratch_bytes = 0;
    NMRT_TRY(nmrt_gpu_alloc(d, bytes, &at, e));
    nmrt_gpu_must(d, d->api->cuStreamSynchronize(d->stream), "filling a buffer failed");
    t->scratch = at;
    t->scratch_bytes = bytes;
    return NMRT_OK;
}

// --- launches that are watched -------------------------------------------------------------------

static void drop_done(nmrt_device *d)
{
    nmrt_gpu_nccl *t = d->nccl;
    while (t->n_done < t->n_begun &&
           d->api->cuEventQuery(t->watched[t->n_done % WATCHED].done) == CUDA_SUCCESS) {
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
static watched *begin_watch(nmrt_device *d, int64_t row)
{
    nmrt_gpu_nccl *t = d->nccl;
    if (t->n_begun - t->n_done == WATCHED)
        drop_done(d);
    if (t->n_begun - t->n_done == WATCHED)
        return NULL;
    watched *w = &t->watched[t->n_begun % WATCHED];
    w->row = row;
    mark(d, &w->begun);
    return w;
}

static void end_watch(nmrt_device *d, watched *w)
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
    size_t bytes = (size_t)bytes_of(x, x->outer);
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
                                  (size_t)bytes_of(x, (int64_t)n), ncclInt8, comm, s);
    case NMDRV_ROTATE: return rotate(d, x, comm);
    default: return ncclInvalidUsage;
    }
}

// Of those that do not lie as NCCL has them: takes the operands apart before, or joins the results
// behind.
static void rearrange_all(nmrt_device *d, const nmrt_exchange *x, int n, nmdrv_collective_kind kind)
{
    char *scratch = d->nccl->scratch;
    for (int i = 0; i < n; i++) {
        bool joins = x[i].kind == NMDRV_ALL_GATHER;
        char *whole = joins ? x[i].out : (char *)(uintptr_t)x[i].in;
        if (is_mixed(&x[i]) && x[i].kind == kind)
            rearrange(d, &x[i], &(blocks){scratch, whole, joins});
        scratch += scratch_of(&x[i]);
    }
}

static nmrt_status enqueue_all(nmrt_device *d, const nmrt_exchange *x, int n,
                               const ncclComm_t *comm, nmrt_error *e)
{
    char *scratch = d->nccl->scratch;
    ncclResult_t r = d->api->ncclGroupStart();
    for (int i = 0; i < n && r == ncclSuccess; i++) {
        r = enqueue(d, &x[i], comm[i], is_mixed(&x[i]) ? scratch : NULL);
        scratch += scratch_of(&x[i]);
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
    return need_scratch(d, x, n, e);
}

static nmrt_status run(nmrt_device *d, int64_t row, const nmrt_exchange *x, int n, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    ncclComm_t comm[NMRT_MAX_BATCH];
    NMRT_TRY(prepare(d, x, n, comm, e));
    nmrt_gpu_must(d, d->api->cuEventRecord(t->ready, d->stream), "cannot mark a kernel");
    nmrt_gpu_must(d, d->api->cuStreamWaitEvent(t->stream, t->ready, 0), "cannot wait for a kernel");
    watched *w = begin_watch(d, row);
    int64_t begin = nmrt_gpu_trace_begin(d, t->stream), bytes = 0;
    rearrange_all(d, x, n, NMDRV_REDUCE_SCATTER);
    NMRT_TRY(enqueue_all(d, x, n, comm, e));
    rearrange_all(d, x, n, NMDRV_ALL_GATHER);
    end_watch(d, w);
    for (int i = 0; i < n; i++)
        bytes += bytes_of(&x[i], nmrt_exchange_in(&x[i]));
    nmrt_gpu_trace_end(d, t->stream, begin,
                       &(nmrt_span){.kind = NMRT_SPAN_COLLECTIVE,
                                    .name = x->name,
                                    .where = x->where,
                                    .number = {{"collectives", n}, {"bytes", bytes}}});
    return NMRT_OK;
}

static bool is_async(const nmdrv_program *p, int64_t row)
{
    while (p->collective[row].more)
        row++;
    return p->collective[row].async;
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
    if (is_async(d->program, row))
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
    const watched *w = &t->watched[t->n_done % WATCHED];
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

void nmrt_gpu_nccl_sync(nmrt_device *d)
{
    nmrt_error e;
    CUresult r;
    d->nccl->stuck = 0;
    for (int64_t i = 0; (r = d->api->cuStreamQuery(d->stream)) == CUDA_ERROR_NOT_READY; i++) {
        if (i < BUSY)
            continue;
        usleep(PAUSE_US);
        if (i % BUSY == 0 && look_for_others(d, &e) != NMRT_OK)
            nmrt_gpu_die(d, &e);
    }
    nmrt_gpu_must(d, r, "the GPU's work failed");
}

// --- open and close ------------------------------------------------------------------------------

static nmrt_status gather_uuids(nmrt_device *d, CUuuid *all, int *rank, nmrt_error *e)
{
    CUuuid mine;
    int n = d->comm->ranks;
    NMRT_TRY(nmrt_gpu_check(d, d->api->cuDeviceGetUuid(&mine, d->id), "cannot name the GPU", e));
    for (int i = 0; i < n; i++)
        rank[i] = i;
    nmrt_exchange x = {.kind = NMDRV_ALL_GATHER,
                       .dtype = NMDRV_U8,
                       .group = {n, d->comm->rank, rank, nmrt_group_id(rank, n)},
                       .outer = 1,
                       .len = 1,
                       .inner = sizeof mine,
                       .out = all,
                       .in = &mine,
                       .name = "names of GPUs",
                       .where = ""};
    return d->comm->run(d->comm, &x, e);
}

// NCCL wants a GPU of its own for each rank.
static nmrt_status find_shared(nmrt_device *d, bool *shared, nmrt_error *e)
{
    size_t n = (size_t)d->comm->ranks;
    CUuuid *all = calloc(n, sizeof *all);
    int *rank = calloc(n, sizeof *rank);
    nmrt_status status = all && rank ? gather_uuids(d, all, rank, e)
                                     : nmrt_fail(e, NMRT_WORLD, "no memory for names of GPUs");
    *shared = false;
    for (size_t i = 0; status == NMRT_OK && i < n; i++)
        *shared = *shared || ((int)i != d->comm->rank &&
                              memcmp(&all[i], &all[d->comm->rank], sizeof *all) == 0);
    free(all);
    free(rank);
    return status;
}

// Why this rank cannot have NCCL; NULL: it can. An emulated GPU is shared by nobody.
static nmrt_status find_obstacle(nmrt_device *d, const char **why, nmrt_error *e)
{
    nmrt_error missing;
    bool shared = false;
    *why = NULL;
    if (d->libraries) {
        NMRT_TRY(find_shared(d, &shared, e));
        if (shared)
            *why = "ranks share a GPU";
        else if (nmrt_gpu_load(d->libraries, NMRT_GPU_NCCL, &missing) != NMRT_OK)
            *why = "libnccl.so.2 is not found";
    } else if (!d->api->ncclCommInitRank) {
        *why = "NCCL is not emulated";
    }
    return NMRT_OK;
}

static nmrt_status open_nccl(nmrt_device *d, nmrt_error *e)
{
    size_t n = (size_t)d->program->n_collectives + 1;
    nmrt_gpu_nccl *t = d->nccl = calloc(1, sizeof *t);
    if (t) {
        t->done = calloc(n, sizeof(CUevent));
        t->under_way = calloc(n, sizeof *t->under_way);
    }
    if (!t || !t->done || !t->under_way)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the collectives");
    CUresult r = d->api->cuStreamCreate(&t->stream, CU_STREAM_NON_BLOCKING);
    if (r == CUDA_SUCCESS)
        r = d->api->cuEventCreate(&t->ready, CU_EVENT_DISABLE_TIMING);
    nmrt_gpu_trace_stream(d, t->stream, "collectives");
    return nmrt_gpu_check(d, r, "cannot make a stream", e);
}

nmrt_status nmrt_gpu_nccl_open(nmrt_device *d, const nmrt_device_request *request, nmrt_error *e)
{
    const char *why = "--collectives says so";
    if (strcmp(request->collectives, "host") != 0)
        NMRT_TRY(find_obstacle(d, &why, e));
    bool other = why != NULL;
    NMRT_TRY(nmrt_comm_any(d->comm, &other, e));
    if (other && strcmp(request->collectives, "nccl") == 0)
        return nmrt_fail(e, NMRT_WORLD, "--collectives nccl: %s",
                         why ? why : "another rank has no NCCL");
    if (other) {
        snprintf(d->title + strlen(d->title), sizeof d->title - strlen(d->title),
                 ", collectives through host memory as %s", why ? why : "another rank has no NCCL");
        return NMRT_OK;
    }
    NMRT_TRY(open_nccl(d, e));
    d->nccl->timeout = request->timeout;
    return NMRT_OK;
}

void nmrt_gpu_nccl_close(nmrt_device *d)
{
    nmrt_gpu_nccl *t = d->nccl;
    if (!t)
        return;
    for (int i = 0; i < t->n_peers; i++)
        d->api->ncclCommDestroy(t->peers[i].comm);
    for (int64_t i = 0; t->done && i < d->program->n_collectives; i++)
        if (t->done[i])
            d->api->cuEventDestroy(t->done[i]);
    for (int i = 0; i < WATCHED; i++) {
        if (t->watched[i].begun)
            d->api->cuEventDestroy(t->watched[i].begun);
        if (t->watched[i].done)
            d->api->cuEventDestroy(t->watched[i].done);
    }
    nmrt_gpu_free(d, t->scratch, t->scratch_bytes);
    if (t->ready)
        d->api->cuEventDestroy(t->ready);
    if (t->stream)
        d->api->cuStreamDestroy(t->stream);
    free(t->peers);
    free(t->done);
    free(t->under_way);
    free(t);
    d->nccl = NULL;
}
