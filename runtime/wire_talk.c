// What the threads of the ranks' health say to each other: frames of a kind, a length and bytes.
// wire_health.c has the kinds, by direction. Any bytes may come: what is no frame ends the
// connection.
#include "runtime/wire_health.h"

#include "runtime/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 20 }; // of a frame

typedef struct frame {
    uint32_t kind, bytes;
} frame;

static void miss(nmrt_peer *p, const char *how)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->how = how;
    p->gone = nmrt_seconds();
}

// Frames are small: a connection that takes none at once takes none.
void nmrt_health_tell(nmrt_peer *p, uint32_t kind, const void *at, size_t n)
{
    frame f = {kind, (uint32_t)n};
    if (p->fd < 0)
        return;
    double until = nmrt_seconds() + 0.2;
    if (!nmrt_socket_send(p->fd, &f, sizeof f, until) || !nmrt_socket_send(p->fd, at, n, until))
        miss(p, "its connection failed");
}

static void take_verdict(nmrt_health *h, bool final, const char *at, size_t n)
{
    nmrt_verdict v;
    if (n != sizeof v)
        return;
    memcpy(&v, at, sizeof v);
    v.why[sizeof v.why - 1] = 0;
    if (final)
        nmrt_health_decide(h, &v);
    else
        nmrt_recorder_fail(h->recorder, (nmrt_failure)v.kind, v.rank, v.why);
}

static bool take_frame(nmrt_health *h, int from, uint32_t kind, const char *at, size_t n)
{
    nmrt_peer *p = &h->peer[from];
    switch (kind) {
    case NMRT_SAY_GROUP: return nmrt_mirror_take_group(&p->mirror, h->recorder, at, n);
    case NMRT_SAY_STATE: return nmrt_mirror_take_state(&p->mirror, h->recorder, from, at, n);
    case NMRT_SAY_FAIL: take_verdict(h, false, at, n); return true;
    case NMRT_SAY_VERDICT: take_verdict(h, true, at, n); return true;
    case NMRT_SAY_BYE: p->bye = true; return true;
    case NMRT_SAY_PULSE: return true;
    default: return false;
    }
}

static void take_frames(nmrt_health *h, int from)
{
    nmrt_peer *p = &h->peer[from];
    size_t at = 0;
    frame f;
    for (; p->in.n - at >= sizeof f; at += sizeof f + f.bytes) {
        memcpy(&f, p->in.at + at, sizeof f);
        bool good = f.bytes <= MOST_BYTES;
        if (good && p->in.n - at - sizeof f < f.bytes)
            break;
        if (!good || !take_frame(h, from, f.kind, p->in.at + at + sizeof f, f.bytes)) {
            miss(p, "it sent what is no message");
            return;
        }
    }
    memmove(p->in.at, p->in.at + at, p->in.n - at);
    p->in.n -= at;
}

void nmrt_health_hear(nmrt_health *h, int from)
{
    nmrt_peer *p = &h->peer[from];
    char bytes[16384];
    ssize_t n = p->fd < 0 ? -1 : recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) {
        p->silence = 0;
        nmrt_text_add_bytes(&p->in, bytes, (size_t)n);
        take_frames(h, from);
    } else if (p->fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
        miss(p, "its connection closed");
}

// --- what a rank tells ---------------------------------------------------------------------------

static void tell_groups(nmrt_health *h)
{
    nmrt_peer *self = &h->peer[h->rank];
    for (int n = nmrt_journal_groups(h->journal); h->told < n; h->told++) {
        nmrt_text group = {0};
        nmrt_journal_add_group(h->journal, h->told, &group);
        nmrt_mirror_take_group(&self->mirror, h->recorder, group.at, group.n);
        if (h->rank)
            nmrt_health_tell(&h->peer[0], NMRT_SAY_GROUP, group.at, group.n);
        nmrt_text_release(&group);
    }
}

// The own state goes into the own recorder as that of others does.
void nmrt_health_tell_state(nmrt_health *h, double seconds)
{
    nmrt_peer *self = &h->peer[h->rank];
    nmrt_text state = {0};
    do
        tell_groups(h);
    while (!nmrt_journal_add_state(h->journal, h->told, seconds, &state));
    nmrt_mirror_take_state(&self->mirror, h->recorder, h->rank, state.at, state.n);
    if (h->rank)
        nmrt_health_tell(&h->peer[0], NMRT_SAY_STATE, state.at, state.n);
    nmrt_text_release(&state);
}

void nmrt_health_tell_all(nmrt_health *h, uint32_t kind, const void *at, size_t n)
{
    for (int i = 1; i < h->ranks; i++)
        nmrt_health_tell(&h->peer[i], kind, at, n);
}
