// The emulated NCCL's calls: communicators of processes of this machine, groups, and what is
// refused. As on GPUs, ranks have to issue the same collectives of a communicator in one order.
#include "runtime/emu/peers.h"
#include "runtime/emu/reduce.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPEN_GROUPS = 8, PAUSE_US = 500 };

// --- groups --------------------------------------------------------------------------------------

typedef struct open_group { // messages of a group that go to one stream
    CUstream stream;
    nmemu_exchanging *work;
} open_group;

static _Thread_local int depth;
static _Thread_local open_group opened[OPEN_GROUPS];

static ncclResult_t refuse(const char *why) { return nmemu_say(ncclInvalidArgument, "%s", why); }

static ncclResult_t close_groups(void)
{
    ncclResult_t r = ncclSuccess;
    for (int i = 0; i < OPEN_GROUPS && opened[i].work; i++) {
        if (nmemu_enqueue(opened[i].stream, &opened[i].work->work))
            r = ncclUnhandledCudaError;
        opened[i] = (open_group){0};
    }
    return r;
}

static ncclResult_t group_start(void)
{
    depth++;
    return ncclSuccess;
}

static ncclResult_t group_end(void)
{
    ncclResult_t r = nmemu_call("ncclGroupEnd") ? ncclUnhandledCudaError : ncclSuccess;
    if (!depth)
        return nmemu_done(nmemu_say(ncclInvalidUsage, "no group was started"));
    ncclResult_t closed = --depth ? ncclSuccess : close_groups();
    return nmemu_done(r ? r : closed);
}

static open_group *group_of(ncclComm_t comm, CUstream stream)
{
    for (int i = 0; i < OPEN_GROUPS; i++) {
        open_group *g = &opened[i];
        if (g->work && (g->stream != stream || g->work->comm != comm))
            continue;
        if (!g->work && (g->work = nmemu_work_new(&nmemu_exchanges, sizeof *g->work))) {
            g->work->comm = comm;
            g->stream = stream;
        }
        return g->work ? g : NULL;
    }
    return NULL;
}

// --- the calls -----------------------------------------------------------------------------------

static ncclResult_t check(ncclComm_t comm, CUstream s, const void *in, uint64_t in_bytes,
                          const void *out, uint64_t out_bytes)
{
    if (nmemu_check_stream(s))
        return ncclInvalidArgument;
    if (in_bytes > NMEMU_BOX_BYTES || out_bytes > NMEMU_BOX_BYTES)
        return refuse("more than 4 GiB");
    if (nmemu_is_over(comm))
        return nmemu_say(ncclRemoteError, "a rank has left the communicator");
    if (nmemu_check_device(s->context, "what is sent", in, in_bytes) ||
        nmemu_check_device(s->context, "the place of the result", out, out_bytes))
        return ncclInvalidArgument;
    return ncclSuccess;
}

static ncclResult_t collect(const nmemu_collecting *as, CUstream s)
{
    uint64_t width = nmemu_nccl_bytes(as->type);
    if (!width || (as->kind != NMEMU_ALL_GATHER && !nmemu_reduces(as->type, as->op)))
        return refuse("this type or operation is not emulated");
    ncclResult_t r =
        check(as->comm, s, as->in, nmemu_given(as) * width, as->out, nmemu_taken(as) * width);
    nmemu_collecting *k = r || !as->n ? NULL : nmemu_work_new(&nmemu_collects, sizeof *k);
    if (r || !as->n)
        return r;
    if (k) {
        nmemu_work head = k->work;
        *k = *as;
        k->work = head;
        k->in_graph = s->graph != NULL;
        k->comm->graphs += k->in_graph;
    }
    return nmemu_enqueue(s, (nmemu_work *)k) ? ncclUnhandledCudaError : ncclSuccess;
}

static ncclResult_t call_collect(const nmemu_collecting *k, CUstream s)
{
    ncclResult_t r = nmemu_call(nmemu_collective_name((nmemu_collective)k->kind))
                         ? ncclUnhandledCudaError
                         : ncclSuccess;
    return nmemu_done(r ? r : collect(k, s));
}

static ncclResult_t reduce(nmemu_collective kind, const void *send, void *receive, size_t n,
                           ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, CUstream s)
{
    nmemu_collecting k = {
        .comm = comm, .kind = kind, .type = type, .op = op, .in = send, .out = receive, .n = n};
    return call_collect(&k, s);
}

static ncclResult_t all_reduce(const void *send, void *receive, size_t n, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, CUstream s)
{
    return reduce(NMEMU_ALL_REDUCE, send, receive, n, type, op, comm, s);
}

static ncclResult_t reduce_scatter(const void *send, void *receive, size_t n, ncclDataType_t type,
                                   ncclRedOp_t op, ncclComm_t comm, CUstream s)
{
    return reduce(NMEMU_REDUCE_SCATTER, send, receive, n, type, op, comm, s);
}

static ncclResult_t all_gather(const void *send, void *receive, size_t n, ncclDataType_t type,
                               ncclComm_t comm, CUstream s)
{
    nmemu_collecting k = {
        .comm = comm, .kind = NMEMU_ALL_GATHER, .type = type, .in = send, .out = receive, .n = n};
    return call_collect(&k, s);
}

static ncclResult_t add_message(const nmemu_message *p, ncclComm_t comm, CUstream s)
{
    if (p->peer < 0 || p->peer >= comm->n)
        return refuse("there is no such peer");
    ncclResult_t r = check(comm, s, p->at, p->bytes, p->at, p->bytes);
    open_group *g = r ? NULL : group_of(comm, s);
    if (r)
        return r;
    if (!g || g->work->n == NMEMU_MESSAGES)
        return nmemu_say(ncclInternalError, "no memory, or too many messages in a group");
    g->work->message[g->work->n++] = *p;
    return depth ? ncclSuccess : close_groups();
}

static ncclResult_t message(const char *call, const nmemu_message *p, ncclComm_t comm, CUstream s)
{
    ncclResult_t r = nmemu_call(call) ? ncclUnhandledCudaError : ncclSuccess;
    return nmemu_done(r ? r : add_message(p, comm, s));
}

static ncclResult_t send_to(const void *from, size_t n, ncclDataType_t type, int peer,
                            ncclComm_t comm, CUstream s)
{
    nmemu_message p = {
        .peer = peer, .sends = true, .at = (char *)from, .bytes = n * nmemu_nccl_bytes(type)};
    return message("ncclSend", &p, comm, s);
}

static ncclResult_t receive_from(void *to, size_t n, ncclDataType_t type, int peer, ncclComm_t comm,
                                 CUstream s)
{
    nmemu_message p = {.peer = peer, .at = to, .bytes = n * nmemu_nccl_bytes(type)};
    return message("ncclRecv", &p, comm, s);
}

// --- communicators -------------------------------------------------------------------------------

// Other ranks may wait for what stands in this one's queues while its host waits for something
// else, where a GPU would go on.
static void *go_on(void *unused)
{
    for (;;) {
        usleep(PAUSE_US);
        pthread_mutex_lock(&nmemu_drv.lock);
        nmemu_poke_peers();
        pthread_mutex_unlock(&nmemu_drv.lock);
    }
    return unused;
}

static bool start_going_on(void)
{
    static bool started;
    pthread_t thread;
    if (!started && !pthread_create(&thread, NULL, go_on, NULL)) {
        pthread_detach(thread);
        started = true;
    }
    return started;
}

static ncclResult_t get_unique_id(ncclUniqueId *id)
{
    nmemu_boxes_id made;
    memset(id, 0, sizeof *id);
    if (!nmemu_boxes_make(&made))
        return ncclSystemError;
    memcpy(id->internal, &made, sizeof made);
    return ncclSuccess;
}

static void wait_for_all(ncclComm_t c)
{
    atomic_fetch_add(&c->boxes.shared->joined, 1);
    while (atomic_load(&c->boxes.shared->joined) < c->n && !nmemu_is_over(c)) {
        pthread_mutex_unlock(&nmemu_drv.lock);
        usleep(PAUSE_US);
        pthread_mutex_lock(&nmemu_drv.lock);
    }
}

// Before 2.30 never, and then only where the environment says so, as NCCL does.
static ncclResult_t check_devices(const struct ncclComm *c)
{
    const char *shares = getenv("NCCL_MULTI_RANK_GPU_ENABLE");
    const nmemu_shared *s = c->boxes.shared;
    if (nmemu_drv.nccl >= 23000 && shares && strcmp(shares, "1") == 0)
        return ncclSuccess;
    for (int r = 0; r < c->n; r++)
        if (r != c->me && s->rank[r].device == s->rank[c->me].device)
            return nmemu_say(ncclInvalidUsage, "ranks %d and %d are both on device %d", c->me, r,
                             s->rank[r].device);
    return ncclSuccess;
}

static void leave(ncclComm_t comm)
{
    if (comm->id.pid == getpid())
        close(comm->id.fd); // all have joined
    nmemu_boxes_leave(&comm->boxes);
    if (!comm->graphs) // they name it
        free(comm);
}

static ncclResult_t join(ncclComm_t *comm, int n, const ncclUniqueId *id, int rank)
{
    if (n < 1 || n > NMEMU_RANKS || rank < 0 || rank >= n)
        return refuse("a communicator has 1 to 16 ranks here");
    ncclComm_t c = calloc(1, sizeof *c);
    if (!c)
        return ncclSystemError;
    c->n = n;
    c->me = rank;
    memcpy(&c->id, id->internal, sizeof c->id);
    if (!nmemu_boxes_join(&c->boxes, &c->id, n) || !start_going_on()) {
        nmemu_boxes_leave(&c->boxes);
        free(c);
        return nmemu_say(ncclSystemError, "the maker of the id is gone, or on another machine");
    }
    c->boxes.shared->rank[rank].device = nmemu_context()->ordinal;
    wait_for_all(c);
    ncclResult_t r = check_devices(c);
    if (r)
        leave(c);
    else
        *comm = c;
    return r;
}

static ncclResult_t init_rank(ncclComm_t *comm, int n, ncclUniqueId id, int rank)
{
    ncclResult_t r =
        nmemu_call_in_context("ncclCommInitRank") ? ncclUnhandledCudaError : ncclSuccess;
    return nmemu_done(r ? r : join(comm, n, &id, rank));
}

static ncclResult_t comm_destroy(ncclComm_t comm)
{
    ncclResult_t r = nmemu_call("ncclCommDestroy") ? ncclUnhandledCudaError : ncclSuccess;
    if (!r && comm->graphs)
        return nmemu_done(nmemu_say(ncclInvalidUsage, "a graph holds calls of the communicator: "
                                                      "NCCL would wait until it is destroyed"));
    if (!r && nmemu_wait_context(NULL))
        r = ncclUnhandledCudaError;
    leave(comm);
    return nmemu_done(r);
}

// Works of it that still stand in queues end without a result.
static ncclResult_t comm_abort(ncclComm_t comm)
{
    nmemu_call("ncclCommAbort");
    atomic_store(&comm->boxes.shared->aborted, true);
    if (!nmemu_drv.broken)
        nmemu_wait_context(NULL);
    leave(comm);
    return nmemu_done(ncclSuccess);
}

static ncclResult_t async_error(ncclComm_t comm, ncclResult_t *error)
{
    *error = nmemu_is_over(comm) ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

static ncclResult_t version(int *v)
{
    *v = nmemu_drv.nccl;
    return ncclSuccess;
}

static const char *error_string(ncclResult_t r)
{
    static const char *const text[] = {
        "no error",         "a CUDA call failed", "a system call failed", "internal error",
        "invalid argument", "invalid usage",      "a rank has left",      "in progress"};
    return r >= 0 && r < (int)(sizeof text / sizeof *text) ? text[r] : "unknown result";
}

void nmemu_fill_nccl(nmrt_gpu_api *t)
{
    t->ncclGetVersion = version;
    t->ncclGetErrorString = error_string;
    t->ncclGetUniqueId = get_unique_id;
    t->ncclCommInitRank = init_rank;
    t->ncclCommDestroy = comm_destroy;
    t->ncclCommAbort = comm_abort;
    t->ncclCommGetAsyncError = async_error;
    t->ncclGroupStart = group_start;
    t->ncclGroupEnd = group_end;
    t->ncclAllReduce = all_reduce;
    t->ncclReduceScatter = reduce_scatter;
    t->ncclAllGather = all_gather;
    t->ncclSend = send_to;
    t->ncclRecv = receive_from;
}
