// Messages between pipeline stages by NCCL. Each channel, which is one direction of one kind, has a
// communicator of two ranks and a stream of its own, since NCCL promises no buffer: a send may wait
// until the other rank receives, and a rank of 1F1B sends forward before it receives what it sends
// for. On one stream, or on one communicator, whose calls NCCL puts in a row, both ranks would wait
// for each other.
//
// On both sides a message passes through the channel's room: a send is a copy there on the kernels'
// stream, a receive a copy from there. So kernels wait for a message only where the room is full or
// empty, and never for what the other rank does with it; and a receive stands in its stream before
// the kernels come to it. That is at least the room for one message on a channel with which
// nmrt_actions_check has run the lists.
#include "runtime/gpu/nccl.h"

#include <stdlib.h>

enum { PARCELS = 64, LINE = 64 };

typedef struct parcel { // a message that may be under way
    int64_t from, to;   // its bytes of the room
    CUevent gone;       // they are free again; NULL: there was no message yet
} parcel;

typedef struct nmrt_gpu_channel {
    struct nmrt_gpu_channel *next;
    nmrt_channel is;
    ncclComm_t comm;
    CUstream stream;
    nmrt_gpu_lane *lane;
    CUevent passed; // from one stream to the other
    int64_t at, n;  // of the room, where the next message begins, if it fits; messages so far
    int n_parcels;
    parcel *parcel; // of the last messages, a ring; as many as a micro-batch has, or more
} channel;

static nmrt_status check(const nmrt_device *d, ncclResult_t r, const nmrt_message *m, nmrt_error *e)
{
    return nmrt_gpu_nccl_check(d, r, m->what, m->where, e);
}

// --- a message -----------------------------------------------------------------------------------

static void mark(nmrt_device *d, CUevent *event, CUstream stream)
{
    CUresult r = *event ? CUDA_SUCCESS : d->api->cuEventCreate(event, CU_EVENT_DISABLE_TIMING);
    if (r == CUDA_SUCCESS)
        r = d->api->cuEventRecord(*event, stream);
    nmrt_gpu_must(d, r, "cannot mark a message");
}

static void wait_for(nmrt_device *d, CUstream stream, CUevent event)
{
    nmrt_gpu_must(d, d->api->cuStreamWaitEvent(stream, event, 0), "cannot wait for a message");
}

// What `to` is given next comes behind what `from` has by now.
static void pass_on(nmrt_device *d, channel *c, CUstream from, CUstream to)
{
    mark(d, &c->passed, from);
    wait_for(d, to, c->passed);
}

static void copy(nmrt_device *d, void *to, const void *from, int64_t bytes)
{
    CUresult r = d->api->cuMemcpyDtoDAsync((CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from,
                                           (size_t)bytes, d->stream);
    nmrt_gpu_must(d, r, "a copy of a message failed");
}

// Bytes of the room, which who fills it gets when messages that were there are gone. The host waits
// for an old message where there are too many for the ring: that is one of an earlier micro-batch,
// for which there would be no room either.
static parcel *take_room(nmrt_device *d, channel *c, int64_t bytes)
{
    int64_t from = c->at + bytes <= c->is.bytes ? c->at : 0, to = from + bytes;
    parcel *p = &c->parcel[c->n++ % c->n_parcels];
    if (p->gone)
        nmrt_gpu_must(d, d->api->cuEventSynchronize(p->gone), "a message failed");
    for (const parcel *o = c->parcel; o < c->parcel + c->n_parcels; o++)
        if (o->gone && o->from < to && from < o->to)
            wait_for(d, c->is.sends ? d->stream : c->stream, o->gone);
    p->from = from;
    p->to = to;
    c->at = (to + LINE - 1) / LINE * LINE;
    return p;
}

static channel *find(const nmrt_device *d, const nmrt_message *m, bool sends)
{
    channel *c = d->channels;
    while (c && (c->is.peer != m->peer || c->is.tag != m->tag || c->is.sends != sends))
        c = c->next;
    return c;
}

// NCCL's part: on the channel's stream, from the room or into it.
static nmrt_status enqueue(nmrt_device *d, channel *c, const parcel *p, const nmrt_message *m,
                           nmrt_error *e)
{
    char *at = c->is.room + p->from;
    size_t n = (size_t)m->bytes;
    const nmrt_gpu_deed deed = {
        c->is.sends ? "send to" : "receive from", m->what, m->where, -1, m->peer, m->bytes};
    int64_t number = nmrt_gpu_lane_begin(d, c->lane, &deed);
    int64_t begin = nmrt_gpu_trace_begin(d, c->stream);
    ncclResult_t r = c->is.sends ? d->api->ncclSend(at, n, ncclInt8, 1, c->comm, c->stream)
                                 : d->api->ncclRecv(at, n, ncclInt8, 0, c->comm, c->stream);
    NMRT_TRY(check(d, r, m, e));
    nmrt_span span = nmrt_message_span(m, c->is.sends);
    nmrt_gpu_trace_end(d, c->stream, begin, &span);
    nmrt_gpu_lane_end(d, c->lane, number);
    return NMRT_OK;
}

static nmrt_status begin(nmrt_device *d, const nmrt_message *m, bool sends, channel **c, parcel **p,
                         nmrt_error *e)
{
    *c = find(d, m, sends);
    if (!*c || m->bytes > (*c)->is.bytes)
        return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): %s rank %d with %lld bytes", m->what, m->where,
                         *c ? "the channel has no room for a message of" : "there is no channel to",
                         m->peer, (long long)m->bytes);
    *p = take_room(d, *c, m->bytes);
    return NMRT_OK;
}

nmrt_status nmrt_gpu_nccl_send(nmrt_device *d, const nmrt_message *m, const void *at, nmrt_error *e)
{
    channel *c;
    parcel *p;
    NMRT_TRY(begin(d, m, true, &c, &p, e));
    copy(d, c->is.room + p->from, at, m->bytes);
    pass_on(d, c, d->stream, c->stream);
    NMRT_TRY(enqueue(d, c, p, m, e));
    mark(d, &p->gone, c->stream);
    return NMRT_OK;
}

nmrt_status nmrt_gpu_nccl_receive(nmrt_device *d, const nmrt_message *m, void *at, nmrt_error *e)
{
    channel *c;
    parcel *p;
    NMRT_TRY(begin(d, m, false, &c, &p, e));
    NMRT_TRY(enqueue(d, c, p, m, e));
    pass_on(d, c, c->stream, d->stream);
    copy(d, at, c->is.room + p->from, m->bytes);
    mark(d, &p->gone, d->stream);
    return NMRT_OK;
}

// --- open and close ------------------------------------------------------------------------------

// The sender's id is both's; the run's communicator hands it over.
static nmrt_status join(nmrt_device *d, channel *c, nmrt_error *e)
{
    ncclUniqueId id = {{0}};
    const nmrt_message m = {c->is.peer, c->is.tag, sizeof id, c->is.name, "the id of its ranks"};
    if (c->is.sends) {
        NMRT_TRY(check(d, d->api->ncclGetUniqueId(&id), &m, e));
        NMRT_TRY(d->comm->send(d->comm, m.peer, m.tag, &id, m.bytes, m.what, m.where, e));
    } else {
        NMRT_TRY(d->comm->recv(d->comm, m.peer, m.tag, &id, m.bytes, m.what, m.where, e));
    }
    return check(d, d->api->ncclCommInitRank(&c->comm, 2, id, c->is.sends ? 0 : 1), &m, e);
}

static nmrt_status open_stream(nmrt_device *d, channel *c, nmrt_error *e)
{
    CUresult r = d->api->cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING);
    NMRT_TRY(nmrt_gpu_check(d, r, "cannot make a stream", e));
    nmrt_gpu_trace_stream(d, c->stream, c->is.name);
    pass_on(d, c, d->stream, c->stream); // the room is being filled with zeros
    return nmrt_gpu_lane_open(d, c->stream, &c->lane, e);
}

static void close_channel(nmrt_device *d, channel *c)
{
    if (c->comm)
        d->api->ncclCommDestroy(c->comm);
    for (int i = 0; c->parcel && i < c->n_parcels; i++)
        if (c->parcel[i].gone)
            d->api->cuEventDestroy(c->parcel[i].gone);
    nmrt_gpu_lane_close(d, c->lane);
    if (c->passed)
        d->api->cuEventDestroy(c->passed);
    if (c->stream)
        d->api->cuStreamDestroy(c->stream);
    free(c->parcel);
    free(c);
}

nmrt_status nmrt_gpu_open_channel(nmrt_device *d, const nmrt_channel *is, nmrt_error *e)
{
    if (!d->nccl)
        return NMRT_OK;
    channel *c = calloc(1, sizeof *c);
    if (!c)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the messages");
    c->is = *is;
    c->next = d->channels;
    d->channels = c;
    c->n_parcels = is->messages > PARCELS ? is->messages : PARCELS;
    if (!(c->parcel = calloc((size_t)c->n_parcels, sizeof *c->parcel)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the messages");
    NMRT_TRY(open_stream(d, c, e));
    NMRT_TRY(join(d, c, e));
    return nmrt_gpu_watch_add(d, c->lane, c->comm, e);
}

void nmrt_gpu_close_channels(nmrt_device *d)
{
    for (channel *c; (c = d->channels);) {
        d->channels = c->next;
        close_channel(d, c);
    }
}
