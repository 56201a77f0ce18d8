// Health of ranks that share no memory. A thread a rank keeps a connection to rank 0 and sends over
// it, once a second, what its rank is doing (wire_journal.h). Rank 0 writes that into its recorder,
// so the walk that finds who is behind is that of forked ranks, with the same sentences; and it
// tells everybody the verdict. Rank 0 itself gives signs of life, too: who misses them decides
// alone.
//
//     rank k -> 0   GROUP, STATE   what k does         0 -> k   PULSE      I live
//                   FAIL           k has failed                 VERDICT    the run has failed: why
//                   BYE            k is done                    BYE        all are done
//
// After a verdict every operation fails. Who does not come out of its step to see it is ended.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/wire.h"
#include "runtime/wire_journal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { GROUP = 1, STATE, FAIL, BYE, PULSE, VERDICT, MOST_FRAME = 1 << 20 };
// Seconds. A death is told when it is known who waits for the dead; NOTICE is the longest wait.
static const double BEAT = 1, NOTICE = 2.5, SILENT = 2.5, GRACE = 3, TELL = 3, LEAVE = 2,
                    LONGEST = 1.5;

typedef struct frame {
    uint32_t kind, bytes;
} frame;

typedef struct verdict { // of FAIL and VERDICT
    int32_t kind, rank;
    char why[1000];
} verdict;

typedef struct peer { // as this thread knows it; of others than rank 0, only peer[0] and itself
    int fd;           // -1: none
    bool bye;
    double silence;  // seconds without a frame
    double gone;     // since when it is missed; 0: it is not
    const char *how; // it went: "its connection closed"
    nmrt_text in;    // of frames to come
    nmrt_mirror mirror;
} peer;

struct nmrt_health {
    int ranks, rank;
    bool is_first_here; // of this machine's ranks
    double timeout;
    nmrt_journal *journal;
    pthread_t thread;
    int wake; // an eventfd
    // between the threads
    atomic_bool failed, asked_fail, leaves, may_leave, ends;
    verdict asked, final; // behind their flags
    atomic_bool alone;    // rank 0 did not tell it
    // of the thread
    peer *peer; // [ranks]
    nmrt_recorder *recorder;
    int told;                        // groups of ours that rank 0 knows
    bool said_bye, said_verdict;     // to rank 0; by rank 0
    double told_fail, decided, left; // when we told rank 0; the run failed; the last byes were sent
    struct pollfd *poll;             // [ranks + 1]
};

// --- the calls of the rank -----------------------------------------------------------------------

int64_t nmrt_health_enter(nmrt_health *h, const nmrt_note *note, const nmrt_group *group)
{
    return nmrt_journal_enter(h->journal, note, group);
}

void nmrt_health_leave(nmrt_health *h) { nmrt_journal_leave(h->journal); }
void nmrt_health_moved(nmrt_health *h) { nmrt_journal_moved(h->journal); }
nmrt_journal *nmrt_health_journal(nmrt_health *h) { return h->journal; }

_Atomic int64_t *nmrt_health_progress(nmrt_health *h) { return nmrt_journal_progress(h->journal); }
bool nmrt_health_has_failed(const nmrt_health *h) { return atomic_load(&h->failed); }
const char *nmrt_health_why(const nmrt_health *h) { return h->final.why; }

bool nmrt_health_speaks(const nmrt_health *h)
{
    return h->rank == 0 || h->is_first_here || atomic_load(&h->alone);
}

static void wake(nmrt_health *h)
{
    uint64_t one = 1;
    ssize_t n = write(h->wake, &one, sizeof one);
    (void)n; // full: it is awake
}

static bool wait_for(atomic_bool *flag, double seconds)
{
    double until = nmrt_seconds() + seconds;
    while (!atomic_load(flag) && nmrt_seconds() < until)
        usleep(2000);
    return atomic_load(flag);
}

void nmrt_health_fail(nmrt_health *h, nmrt_failure kind, int rank, const char *why)
{
    if (atomic_load(&h->failed) || atomic_load(&h->asked_fail))
        return;
    h->asked = (verdict){.kind = (int32_t)kind, .rank = rank};
    if (rank >= 0 && kind == NMRT_FAILED_RANK)
        snprintf(h->asked.why, sizeof h->asked.why, "rank %d: %.900s", rank, why);
    else
        snprintf(h->asked.why, sizeof h->asked.why, "%.990s", why);
    atomic_store(&h->asked_fail, true);
    wake(h);
    wait_for(&h->failed, 2 * TELL); // the thread decides alone after TELL
}

// --- frames --------------------------------------------------------------------------------------

static void miss(peer *p, const char *how)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->how = how;
    p->gone = nmrt_seconds();
}

// Frames are small: a connection that does not take one at once is lost.
static void tell(peer *p, uint32_t kind, const void *at, size_t n)
{
    frame f = {kind, (uint32_t)n};
    if (p->fd < 0)
        return;
    double until = nmrt_seconds() + 0.2;
    if (!nmrt_socket_send(p->fd, &f, sizeof f, until) || !nmrt_socket_send(p->fd, at, n, until))
        miss(p, "its connection failed");
}

static void fail_at_once(nmrt_health *h, const verdict *v)
{
    if (atomic_load(&h->failed))
        return;
    h->final = *v;
    h->final.why[sizeof h->final.why - 1] = 0;
    h->decided = nmrt_seconds();
    atomic_store(&h->failed, true);
}

static void take_verdict(nmrt_health *h, bool final, const char *at, size_t n)
{
    verdict v;
    if (n != sizeof v)
        return;
    memcpy(&v, at, sizeof v);
    v.why[sizeof v.why - 1] = 0;
    if (final)
        fail_at_once(h, &v);
    else
        nmrt_recorder_fail(h->recorder, (nmrt_failure)v.kind, v.rank, v.why);
}

static bool take_frame(nmrt_health *h, int from, uint32_t kind, const char *at, size_t n)
{
    peer *p = &h->peer[from];
    switch (kind) {
    case GROUP: return nmrt_mirror_take_group(&p->mirror, h->recorder, at, n);
    case STATE: return nmrt_mirror_take_state(&p->mirror, h->recorder, from, at, n);
    case FAIL: take_verdict(h, false, at, n); return true;
    case VERDICT: take_verdict(h, true, at, n); return true;
    case BYE: p->bye = true; return true;
    case PULSE: return true;
    default: return false;
    }
}

static void take_frames(nmrt_health *h, int from)
{
    peer *p = &h->peer[from];
    size_t at = 0;
    frame f;
    for (; p->in.n - at >= sizeof f; at += sizeof f + f.bytes) {
        memcpy(&f, p->in.at + at, sizeof f);
        bool good = f.bytes <= MOST_FRAME;
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

static void hear(nmrt_health *h, int from)
{
    peer *p = &h->peer[from];
    char bytes[16384];
    ssize_t n = p->fd < 0 ? -1 : recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) {
        p->silence = 0;
        nmrt_text_add_bytes(&p->in, bytes, (size_t)n);
        take_frames(h, from);
    } else if (p->fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
        miss(p, "its connection closed");
}

// --- once a second -------------------------------------------------------------------------------

static void tell_groups(nmrt_health *h)
{
    peer *self = &h->peer[h->rank];
    for (int n = nmrt_journal_groups(h->journal); h->told < n; h->told++) {
        nmrt_text group = {0};
        nmrt_journal_add_group(h->journal, h->told, &group);
        nmrt_mirror_take_group(&self->mirror, h->recorder, group.at, group.n);
        if (h->rank)
            tell(&h->peer[0], GROUP, group.at, group.n);
        nmrt_text_release(&group);
    }
}

// The own state goes into the own recorder as that of others does.
static void tell_state(nmrt_health *h, double seconds)
{
    peer *self = &h->peer[h->rank];
    nmrt_text state = {0};
    do
        tell_groups(h);
    while (!nmrt_journal_add_state(h->journal, h->told, seconds, &state));
    nmrt_mirror_take_state(&self->mirror, h->recorder, h->rank, state.at, state.n);
    if (h->rank)
        tell(&h->peer[0], STATE, state.at, state.n);
    nmrt_text_release(&state);
}

static void tell_all(nmrt_health *h, uint32_t kind, const void *at, size_t n)
{
    for (int i = 1; i < h->ranks; i++)
        tell(&h->peer[i], kind, at, n);
}

static void count_silence(nmrt_health *h, double seconds)
{
    double counted = seconds < LONGEST ? seconds : LONGEST; // not while this rank was suspended
    for (int i = 0; i < h->ranks; i++)
        if (i != h->rank && h->peer[i].fd >= 0) {
            h->peer[i].silence += counted;
            nmrt_recorder_set_silent(h->recorder, i, h->peer[i].silence > SILENT);
        }
}

// --- rank 0 judges -------------------------------------------------------------------------------

// Somebody has waited too long: for one who has left, or one who is behind.
static void blame(nmrt_health *h, int waiting)
{
    for (int i = 0; i < h->ranks; i++)
        if (h->peer[i].bye && nmrt_recorder_awaits(h->recorder, i))
            nmrt_recorder_mourn(h->recorder, i, "ended with code 0");
    nmrt_recorder_blame(h->recorder, waiting);
}

static void look_for_stalled(nmrt_health *h)
{
    char how[96];
    for (int i = 0; i < h->ranks; i++)
        if (nmrt_mirror_waited(&h->peer[i].mirror) > h->timeout && h->peer[i].silence < SILENT)
            blame(h, i);
    snprintf(how, sizeof how, "no sign of life for %g s: stopped, or cut off", h->timeout);
    for (int i = 1; i < h->ranks; i++)
        if (h->peer[i].silence > h->timeout + SILENT)
            nmrt_recorder_mourn(h->recorder, i, how);
}

// Does anyone wait for longer than this?
static bool is_late(const nmrt_health *h, double seconds)
{
    for (int i = 0; i < h->ranks; i++)
        if (nmrt_mirror_waited(&h->peer[i].mirror) > seconds)
            return true;
    return false;
}

// A rank that has said farewell, or is gone, while another waits for it. Who waits for whom costs
// a look at all ranks' groups: it is asked only of those that are gone, and of those that have
// said farewell once somebody has waited for long.
static void look_for_missed(nmrt_health *h)
{
    double now = nmrt_seconds();
    bool late = is_late(h, h->timeout / 2);
    for (int i = 0; i < h->ranks; i++) {
        peer *p = &h->peer[i];
        if (!p->how && (!p->bye || !late)) {
            p->gone = 0;
            continue;
        }
        bool awaited = nmrt_recorder_awaits(h->recorder, i);
        if (p->how && (awaited || now - p->gone > NOTICE))
            nmrt_recorder_mourn(h->recorder, i, p->how);
        else if (!p->how && p->bye && !awaited)
            p->gone = 0;
        else if (!p->how && p->bye && !p->gone)
            p->gone = now;
        else if (!p->how && p->bye && now - p->gone > NOTICE)
            nmrt_recorder_mourn(h->recorder, i, "ended with code 0");
    }
}

static bool have_all_left(const nmrt_health *h)
{
    for (int i = 0; i < h->ranks; i++)
        if (!h->peer[i].bye)
            return false;
    return true;
}

static void judge(nmrt_health *h)
{
    if (atomic_load(&h->asked_fail))
        nmrt_recorder_fail(h->recorder, (nmrt_failure)h->asked.kind, h->asked.rank, h->asked.why);
    h->peer[0].bye = atomic_load(&h->leaves);
    if (have_all_left(h) && !h->left) {
        tell_all(h, BYE, NULL, 0);
        h->left = nmrt_seconds();
        atomic_store(&h->may_leave, true);
    }
    if (!h->left)
        look_for_missed(h);
    if (nmrt_recorder_failure(h->recorder) == NMRT_FAILED_NOT || h->said_verdict || h->left)
        return;
    verdict v = {.kind = (int32_t)nmrt_recorder_failure(h->recorder),
                 .rank = nmrt_recorder_failed_rank(h->recorder)};
    snprintf(v.why, sizeof v.why, "%.990s", nmrt_recorder_why(h->recorder));
    tell_all(h, VERDICT, &v, sizeof v);
    h->said_verdict = true;
    fail_at_once(h, &v);
}

// --- the others ----------------------------------------------------------------------------------

static void decide_alone(nmrt_health *h, const char *what)
{
    verdict v = {.kind = NMRT_FAILED_LOST, .rank = -1};
    nmrt_title title = nmrt_recorder_title(h->recorder, h->rank);
    snprintf(v.why, sizeof v.why, "rank 0 %s; rank %d's last operation is %.400s", what, h->rank,
             title.at);
    atomic_store(&h->alone, true);
    fail_at_once(h, &v);
}

static void follow(nmrt_health *h)
{
    char what[96];
    peer *first = &h->peer[0];
    if (atomic_load(&h->asked_fail) && !h->told_fail) {
        tell(first, FAIL, &h->asked, sizeof h->asked);
        h->told_fail = nmrt_seconds();
    } else if (h->told_fail && !h->decided && nmrt_seconds() - h->told_fail > TELL) {
        atomic_store(&h->alone, true);
        fail_at_once(h, &h->asked);
    }
    if (atomic_load(&h->leaves) && !h->said_bye) {
        tell(first, BYE, NULL, 0);
        h->said_bye = true;
    }
    if (first->bye)
        atomic_store(&h->may_leave, true);
    else if (h->decided)
        return;
    else if (first->how) {
        snprintf(what, sizeof what, "is gone (%s)", first->how);
        tell_state(h, 0);
        decide_alone(h, what);
    } else if (first->silence > h->timeout + SILENT) {
        snprintf(what, sizeof what, "gives no sign of life for %g s (stopped, or cut off)",
                 h->timeout);
        decide_alone(h, what);
    }
}

// --- the thread ----------------------------------------------------------------------------------

// Who sits in a step, or sleeps, does not see that the run has failed.
static void end_if_stuck(nmrt_health *h)
{
    if (!h->decided || atomic_load(&h->leaves) || nmrt_seconds() - h->decided < GRACE)
        return;
    if (nmrt_health_speaks(h))
        fprintf(stderr, "error: %s\n", h->final.why);
    fflush(stderr);
    _exit(1);
}

static void listen_for(nmrt_health *h, double seconds)
{
    int n = 0, links = h->rank ? 1 : h->ranks;
    uint64_t count;
    for (int i = 0; i < links; i++)
        h->poll[i] = (struct pollfd){.fd = h->peer[i].fd, .events = POLLIN}; // below 0: ignored
    h->poll[links] = (struct pollfd){.fd = h->wake, .events = POLLIN};
    n = poll(h->poll, (nfds_t)links + 1, seconds > 0 ? (int)(seconds * 1000) + 1 : 0);
    if (n <= 0)
        return;
    if (h->poll[links].revents && read(h->wake, &count, sizeof count) < 0)
        return;
    for (int i = 0; i < links; i++)
        if (h->poll[i].revents)
            hear(h, i);
}

static void beat(nmrt_health *h, double seconds)
{
    tell_state(h, seconds);
    count_silence(h, seconds);
    if (h->rank)
        return;
    tell_all(h, PULSE, NULL, 0);
    nmrt_recorder_watch(h->recorder, seconds < LONGEST ? seconds : LONGEST);
    look_for_stalled(h);
}

static void *watch(void *arg)
{
    nmrt_health *h = arg;
    double last = nmrt_seconds();
    while (!atomic_load(&h->ends)) {
        double now = nmrt_seconds();
        if (now - last >= BEAT) {
            beat(h, now - last);
            last = now;
        }
        if (h->rank)
            follow(h);
        else
            judge(h);
        end_if_stuck(h);
        listen_for(h, last + BEAT - nmrt_seconds());
    }
    return NULL;
}

// --- open and close ------------------------------------------------------------------------------

static void release(nmrt_health *h)
{
    for (int i = 0; h->peer && i < h->ranks; i++) {
        if (h->peer[i].fd >= 0)
            close(h->peer[i].fd);
        nmrt_text_release(&h->peer[i].in);
        nmrt_mirror_release(&h->peer[i].mirror);
    }
    if (h->wake >= 0)
        close(h->wake);
    nmrt_journal_free(h->journal);
    free(h->recorder);
    free(h->peer);
    free(h->poll);
    free(h);
}

static bool make_parts(nmrt_health *h)
{
    size_t n = (nmrt_recorder_bytes(h->ranks) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, n);
    h->journal = nmrt_journal_new();
    h->peer = calloc((size_t)h->ranks, sizeof *h->peer);
    h->poll = calloc((size_t)h->ranks + 1, sizeof *h->poll);
    h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; h->peer && i < h->ranks; i++)
        h->peer[i].fd = -1;
    if (!memory || !h->journal || !h->peer || !h->poll || h->wake < 0) {
        free(memory);
        return false;
    }
    memset(memory, 0, n);
    h->recorder = nmrt_recorder_init(memory, h->ranks, h->timeout);
    return true;
}

// Signals are the rank's own thread's.
static int start_thread(nmrt_health *h)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&h->thread, NULL, watch, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

nmrt_status nmrt_health_open(nmrt_health **health, const nmrt_ranks *ranks, nmrt_roll *roll,
                             nmrt_error *e)
{
    nmrt_health *h = calloc(1, sizeof *h);
    if (!h)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the ranks' health");
    h->ranks = ranks->world;
    h->rank = ranks->rank;
    h->is_first_here = ranks->local_rank == 0;
    h->timeout = ranks->timeout;
    bool made = make_parts(h);
    for (int i = 0; made && i < h->ranks; i++) {
        h->peer[i].fd = roll->control[i];
        roll->control[i] = -1;
    }
    if (!made || start_thread(h)) {
        release(h);
        return nmrt_fail(e, NMRT_WORLD, "cannot start the thread of the ranks' health");
    }
    *health = h;
    return NMRT_OK;
}

// Until the others have read what was said: they close their ends then.
static void linger(nmrt_health *h)
{
    double until = nmrt_seconds() + LEAVE;
    for (int i = 0; i < (h->rank ? 1 : h->ranks); i++) {
        char byte[256];
        if (h->peer[i].fd < 0 || h->peer[i].silence > SILENT)
            continue;
        if (h->rank == 0)
            shutdown(h->peer[i].fd, SHUT_WR);
        while (nmrt_socket_recv(h->peer[i].fd, byte, 1, until))
            ;
    }
}

void nmrt_health_close(nmrt_health *h)
{
    atomic_store(&h->leaves, true);
    wake(h);
    while (!atomic_load(&h->may_leave) && !atomic_load(&h->failed))
        usleep(2000);
    atomic_store(&h->ends, true);
    wake(h);
    pthread_join(h->thread, NULL);
    if (h->rank == 0 || atomic_load(&h->failed))
        linger(h);
    release(h);
}
