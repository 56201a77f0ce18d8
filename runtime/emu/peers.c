// Collectives and messages between processes of this machine, in stream order. A collective's part
// is put into this rank's box when the work comes to the head of its stream; it runs when all have
// done so. Messages of a group are one work, which ends when all of them have passed: a message
// that is sent stands in its stream until it is taken, as NCCL promises no buffer.
#include "runtime/emu/peers.h"

#include "runtime/emu/reduce.h"

#include <stdio.h>
#include <string.h>

bool nmemu_is_over(const struct ncclComm *c) { return atomic_load(&c->boxes.shared->aborted); }

// --- collectives ---------------------------------------------------------------------------------

static bool all_done(const struct ncclComm *c, uint64_t turn)
{
    for (int r = 0; r < c->n; r++)
        if (atomic_load(&c->boxes.shared->rank[r].done) < turn)
            return false;
    return true;
}

static bool all_posted(const struct ncclComm *c, uint64_t turn)
{
    for (int r = 0; r < c->n; r++)
        if (atomic_load(&c->boxes.shared->rank[r].posted) < turn)
            return false;
    return true;
}

const char *nmemu_collective_name(nmemu_collective kind)
{
    static const char *const names[] = {"ncclAllReduce", "ncclReduceScatter", "ncclAllGather"};
    return names[kind];
}

uint64_t nmemu_given(const nmemu_collecting *k)
{
    return k->kind == NMEMU_REDUCE_SCATTER ? k->n * (uint64_t)k->comm->n : k->n;
}

uint64_t nmemu_taken(const nmemu_collecting *k)
{
    return k->kind == NMEMU_ALL_GATHER ? k->n * (uint64_t)k->comm->n : k->n;
}

static void post(nmemu_collecting *k)
{
    ncclComm_t c = k->comm;
    nmemu_shared *s = c->boxes.shared;
    memcpy(nmemu_box(&c->boxes, c->me, c->me), k->in, nmemu_given(k) * nmemu_nccl_bytes(k->type));
    uint64_t what[] = {(uint64_t)k->kind, (uint64_t)k->type, (uint64_t)k->op, k->n, k->captured};
    memcpy(s->rank[c->me].what, what, sizeof what);
    k->turn = ++c->turn;
    atomic_store(&s->rank[c->me].posted, k->turn);
}

static bool may_collect(nmemu_work *w)
{
    nmemu_collecting *k = (nmemu_collecting *)w;
    if (nmemu_is_over(k->comm))
        return true;
    if (!k->turn && !all_done(k->comm, k->comm->turn))
        return false; // somebody still reads what was posted before
    if (!k->turn)
        post(k);
    return all_posted(k->comm, k->turn);
}

// Do all ranks mean the same? NULL: yes.
static const char *differs(const nmemu_collecting *k)
{
    static const char *const in_graph[] = {"", " in a graph"};
    static char text[512];
    const nmemu_shared *s = k->comm->boxes.shared;
    const uint64_t *mine = s->rank[k->comm->me].what;
    for (int r = 0; r < k->comm->n; r++) {
        const uint64_t *it = s->rank[r].what;
        if (memcmp(it, mine, sizeof s->rank[r].what) == 0)
            continue;
        snprintf(text, sizeof text,
                 "rank %d does %s (type %lu, operation %lu, %lu elements)%s, rank %d %s (%lu, %lu, "
                 "%lu)%s",
                 k->comm->me, nmemu_collective_name((nmemu_collective)mine[0]), mine[1], mine[2],
                 mine[3], in_graph[mine[4]], r, nmemu_collective_name((nmemu_collective)it[0]),
                 it[1], it[2], it[3], in_graph[it[4] & 1]);
        return text;
    }
    return NULL;
}

static void combine(const nmemu_collecting *k)
{
    const struct ncclComm *c = k->comm;
    const void *from[NMEMU_RANKS];
    uint64_t width = nmemu_nccl_bytes(k->type), skip = k->kind == NMEMU_REDUCE_SCATTER ? k->n : 0;
    for (int r = 0; r < c->n; r++)
        from[r] = nmemu_box(&c->boxes, r, r) + (uint64_t)c->me * skip * width;
    if (k->kind != NMEMU_ALL_GATHER) {
        nmemu_reduce(k->type, k->op, c->n, from, k->out, k->n);
        return;
    }
    for (int r = 0; r < c->n; r++)
        memcpy((char *)k->out + (uint64_t)r * k->n * width, from[r], k->n * width);
}

static const char *do_collect(nmemu_work *w)
{
    nmemu_collecting *k = (nmemu_collecting *)w;
    if (nmemu_is_over(k->comm))
        return NULL; // the communicator tells of it
    const char *wrong = differs(k);
    if (!wrong)
        combine(k);
    atomic_store(&k->comm->boxes.shared->rank[k->comm->me].done, k->turn);
    return wrong;
}

static void leave_graph(nmemu_work *w, nmemu_mark *const *fresh)
{
    nmemu_collecting *k = (nmemu_collecting *)w;
    (void)fresh;
    k->in_graph = false;
    k->captured = true;
}

static void drop_collect(nmemu_work *w)
{
    const nmemu_collecting *k = (nmemu_collecting *)w;
    if (k->in_graph)
        k->comm->graphs--;
}

const nmemu_work_kind nmemu_collects = {.ready = may_collect,
                                        .run = do_collect,
                                        .copied = leave_graph,
                                        .drop = drop_collect,
                                        .peers = true};

// --- messages ------------------------------------------------------------------------------------

static void try_send(nmemu_exchanging *k, nmemu_message *p)
{
    const struct ncclComm *c = k->comm;
    nmemu_shared *s = c->boxes.shared;
    if (!p->number) {
        memcpy(nmemu_box(&c->boxes, c->me, p->peer), p->at, p->bytes);
        s->pair[c->me][p->peer].bytes = p->bytes;
        p->number = atomic_fetch_add(&s->pair[c->me][p->peer].sent, 1) + 1;
    }
    p->done = atomic_load(&s->pair[c->me][p->peer].received) == p->number;
}

static void try_receive(nmemu_exchanging *k, nmemu_message *p)
{
    const struct ncclComm *c = k->comm;
    nmemu_shared *s = c->boxes.shared;
    uint64_t received = atomic_load(&s->pair[p->peer][c->me].received);
    if (atomic_load(&s->pair[p->peer][c->me].sent) == received)
        return;
    if (s->pair[p->peer][c->me].bytes != p->bytes)
        k->wrong = "ncclRecv: the peer sends another number of bytes";
    else
        memcpy(p->at, nmemu_box(&c->boxes, p->peer, c->me), p->bytes);
    atomic_store(&s->pair[p->peer][c->me].received, received + 1);
    p->done = true;
}

static bool may_exchange(nmemu_work *w)
{
    nmemu_exchanging *k = (nmemu_exchanging *)w;
    bool all = true;
    for (int i = 0; i < k->n && !nmemu_is_over(k->comm); i++) {
        nmemu_message *p = &k->message[i];
        bool first = true; // messages to one peer, and from one, pass in order
        for (int j = 0; j < i; j++)
            if (!k->message[j].done && k->message[j].peer == p->peer &&
                k->message[j].sends == p->sends)
                first = false;
        if (!p->done && first)
            (p->sends ? try_send : try_receive)(k, p);
        all = all && p->done;
    }
    return all;
}

static const char *do_exchange(nmemu_work *w) { return ((nmemu_exchanging *)w)->wrong; }

const nmemu_work_kind nmemu_exchanges = {.ready = may_exchange, .run = do_exchange, .peers = true};
