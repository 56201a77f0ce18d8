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
// wire_talk.c has the frames, wire_verdict.c how rank 0 judges; here are the calls of the rank, and
// the thread. After a verdict every operation fails. Who does not come out of its step to see it is
// ended.
#define _GNU_SOURCE
#include "runtime/wire_health.h"

#include "runtime/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const double BEAT = 1, GRACE = 3, LEAVE = 2, LONGEST = 1.5; // seconds

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
    h->asked = (nmrt_verdict){.kind = (int32_t)kind, .rank = rank};
    if (rank >= 0 && kind == NMRT_FAILED_RANK)
        snprintf(h->asked.why, sizeof h->asked.why, "rank %d: %.900s", rank, why);
    else
        snprintf(h->asked.why, sizeof h->asked.why, "%.990s", why);
    atomic_store(&h->asked_fail, true);
    wake(h);
    wait_for(&h->failed, 2 * NMRT_TELL); // the thread decides alone after TELL
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
            nmrt_health_hear(h, i);
}

static void count_silence(nmrt_health *h, double seconds)
{
    double counted = seconds < LONGEST ? seconds : LONGEST; // not while this rank was suspended
    for (int i = 0; i < h->ranks; i++)
        if (i != h->rank && h->peer[i].fd >= 0) {
            h->peer[i].silence += counted;
            nmrt_recorder_set_silent(h->recorder, i, h->peer[i].silence > NMRT_SILENT);
        }
}

static void beat(nmrt_health *h, double seconds)
{
    nmrt_health_tell_state(h, seconds);
    count_silence(h, seconds);
    if (h->rank)
        return;
    nmrt_health_tell_all(h, NMRT_SAY_PULSE, NULL, 0);
    nmrt_recorder_watch(h->recorder, seconds < LONGEST ? seconds : LONGEST);
    nmrt_health_look_for_stalled(h);
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
            nmrt_health_follow(h);
        else
            nmrt_health_judge(h);
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
        if (h->peer[i].fd < 0 || h->peer[i].silence > NMRT_SILENT)
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
