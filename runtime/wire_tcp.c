// The transport over TCP: one connection for every pair of ranks, made at the start; the higher
// rank connects, the lower one accepts. Nothing blocks but the poll of `progress`.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SPARE_FILES = 64 };

typedef struct lane {        // with one peer
    int fd;                  // -1: lost, or oneself
    struct iovec out[2], in; // what is left of the transfers under way
} lane;

typedef struct tcp {
    nmrt_transport table; // first: a transport is its tcp
    int ranks, rank;
    lane *lane;          // [ranks]
    struct pollfd *poll; // [ranks]
    int *peer;           // [ranks] of each entry of poll
} tcp;

typedef struct greeting { // the first bytes of a connection
    uint64_t run;
    int64_t rank;
} greeting;

// --- transfers -----------------------------------------------------------------------------------

static size_t left_out(const lane *l) { return l->out[0].iov_len + l->out[1].iov_len; }

static void lose(lane *l)
{
    close(l->fd);
    l->fd = -1;
}

static void advance(struct iovec *v, size_t n)
{
    v->iov_base = (char *)v->iov_base + n;
    v->iov_len -= n;
}

static bool stalls(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

static bool push(lane *l)
{
    struct msghdr m = {.msg_iov = l->out, .msg_iovlen = 2};
    if (l->fd < 0 || !left_out(l))
        return false;
    ssize_t n = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && !stalls())
        lose(l);
    if (n <= 0)
        return false;
    size_t first = (size_t)n < l->out[0].iov_len ? (size_t)n : l->out[0].iov_len;
    advance(&l->out[0], first);
    advance(&l->out[1], (size_t)n - first);
    return true;
}

static bool pull(lane *l)
{
    if (l->fd < 0 || !l->in.iov_len)
        return false;
    ssize_t n = recv(l->fd, l->in.iov_base, l->in.iov_len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && !stalls()))
        lose(l);
    if (n <= 0)
        return false;
    advance(&l->in, (size_t)n);
    return true;
}

static void tcp_send(nmrt_transport *t, int to, const struct iovec part[2])
{
    lane *l = &((tcp *)t)->lane[to];
    l->out[0] = part[0];
    l->out[1] = part[1];
    push(l);
}

static void tcp_recv(nmrt_transport *t, int from, void *at, int64_t bytes)
{
    lane *l = &((tcp *)t)->lane[from];
    l->in = (struct iovec){at, (size_t)bytes};
    pull(l);
}

static bool tcp_is_sent(const nmrt_transport *t, int to)
{
    return !left_out(&((const tcp *)t)->lane[to]);
}

static bool tcp_is_received(const nmrt_transport *t, int from)
{
    return !((const tcp *)t)->lane[from].in.iov_len;
}

static bool tcp_is_lost(const nmrt_transport *t, int peer)
{
    return ((const tcp *)t)->lane[peer].fd < 0;
}

static bool tcp_progress(nmrt_transport *transport, int ms)
{
    tcp *t = (tcp *)transport;
    int n = 0;
    bool moved = false;
    for (int i = 0; i < t->ranks; i++) {
        const lane *l = &t->lane[i];
        int events = (l->in.iov_len ? POLLIN : 0) | (left_out(l) ? POLLOUT : 0);
        if (l->fd < 0 || !events)
            continue;
        t->peer[n] = i;
        t->poll[n++] = (struct pollfd){.fd = l->fd, .events = (short)events};
    }
    if (poll(t->poll, (nfds_t)n, ms) <= 0)
        return false;
    for (int i = 0; i < n; i++) {
        lane *l = &t->lane[t->peer[i]];
        if (t->poll[i].revents & (POLLIN | POLLHUP | POLLERR))
            moved |= pull(l);
        if (t->poll[i].revents & (POLLOUT | POLLHUP | POLLERR))
            moved |= push(l);
    }
    return moved;
}

static void tcp_close(nmrt_transport *transport, bool well)
{
    (void)well; // who left well has nothing under way
    tcp *t = (tcp *)transport;
    for (int i = 0; i < t->ranks; i++)
        if (t->lane[i].fd >= 0)
            close(t->lane[i].fd);
    free(t->lane);
    free(t->poll);
    free(t->peer);
    free(t);
}

// --- the start -----------------------------------------------------------------------------------

static nmrt_status call_peer(tcp *t, const nmrt_roll *roll, int peer, double until, nmrt_error *e)
{
    const greeting g = {roll->run, t->rank};
    int fd = t->lane[peer].fd = nmrt_socket_connect(&roll->place[peer], until);
    if (fd >= 0 && nmrt_socket_send(fd, &g, sizeof g, until))
        return NMRT_OK;
    return nmrt_fail_errno(e, "rank %d cannot reach rank %d", t->rank, peer);
}

static nmrt_status await_peers(tcp *t, const nmrt_roll *roll, int listener, double until,
                               nmrt_error *e)
{
    for (int missing = t->ranks - 1 - t->rank; missing > 0;) {
        greeting g;
        nmrt_place from;
        int fd = nmrt_socket_accept(listener, &from, until);
        if (fd < 0 && nmrt_seconds() >= until)
            return nmrt_fail(e, NMRT_WORLD, "%d of the ranks above %d cannot reach it", missing,
                             t->rank);
        if (fd < 0)
            continue;
        bool is_ours = nmrt_socket_recv(fd, &g, sizeof g, until) && g.run == roll->run &&
                       g.rank > t->rank && g.rank < t->ranks && t->lane[g.rank].fd < 0;
        if (is_ours)
            t->lane[g.rank].fd = fd;
        else
            close(fd);
        missing -= is_ours;
    }
    return NMRT_OK;
}

static void allow_files(int ranks)
{
    struct rlimit limit;
    rlim_t wanted = 2 * (rlim_t)ranks + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static nmrt_status new_tcp(tcp **t, const nmrt_ranks *ranks, nmrt_error *e)
{
    size_t n = (size_t)ranks->world;
    *t = calloc(1, sizeof **t);
    if (!*t)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the communicator");
    **t = (tcp){.table = {"tcp", false, tcp_send, tcp_recv, tcp_is_sent, tcp_is_received,
                          tcp_is_lost, tcp_progress, tcp_close},
                .ranks = ranks->world,
                .rank = ranks->rank,
                .lane = calloc(n, sizeof *(*t)->lane),
                .poll = calloc(n, sizeof *(*t)->poll),
                .peer = calloc(n, sizeof *(*t)->peer)};
    for (size_t i = 0; (*t)->lane && i < n; i++)
        (*t)->lane[i].fd = -1;
    if ((*t)->lane && (*t)->poll && (*t)->peer)
        return NMRT_OK;
    (*t)->ranks = (*t)->lane ? (*t)->ranks : 0;
    tcp_close(&(*t)->table, false);
    return nmrt_fail(e, NMRT_WORLD, "no memory for %d ranks", ranks->world);
}

static nmrt_status connect_all(tcp *t, const nmrt_ranks *ranks, nmrt_roll *roll, int listener,
                               nmrt_error *e)
{
    const nmrt_guest self = {.data_port = nmrt_socket_port(listener)};
    NMRT_TRY(nmrt_wire_meet(roll, ranks, &self, e));
    double until = nmrt_seconds() + ranks->timeout;
    for (int i = 0; i < t->rank; i++)
        NMRT_TRY(call_peer(t, roll, i, until, e));
    return await_peers(t, roll, listener, until, e);
}

nmrt_status nmrt_wire_tcp(nmrt_transport **transport, const nmrt_ranks *ranks, nmrt_roll *roll,
                          nmrt_error *e)
{
    tcp *t;
    int listener;
    allow_files(ranks->world);
    NMRT_TRY(nmrt_socket_listen(0, &listener, e));
    nmrt_status status = new_tcp(&t, ranks, e);
    if (status == NMRT_OK) {
        status = connect_all(t, ranks, roll, listener, e);
        *transport = &t->table;
        if (status != NMRT_OK)
            tcp_close(&t->table, false);
    }
    close(listener);
    if (status != NMRT_OK)
        nmrt_roll_release(roll);
    return status;
}
