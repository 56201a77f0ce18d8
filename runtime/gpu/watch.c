// Who is missed in NCCL's launches. NCCL waits for ever, and the host is elsewhere: it waits for a
// stream, or stands in a launch because the GPU's queue is full. So a thread looks at where the
// streams are (lane.c), tells the flight recorder (runtime/flight.h) which meetings of which groups
// the GPU has come to and in which launch it stands, and ends the run where others do not come.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/flight.h"
#include "runtime/gpu/nccl.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAUSE_US = 100000, LANES = 16 };
static const double LONGEST = 0.2; // seconds counted at once: not those while all were suspended

typedef struct nmrt_gpu_watch {
    pthread_t thread;
    bool started;
    atomic_bool ends;
    nmrt_gpu_lane *lane[LANES];
    ncclComm_t comm[LANES]; // of the lane's messages; NULL: its launches are of nccl.peers
    atomic_int n_lanes;
    // of the thread
    int64_t *meetings; // [nccl.n_peers] that the GPU has come to
    int at;            // the lane in which it stood, and where
    nmrt_gpu_standing seen;
    double waited; // seconds there
} nmrt_gpu_watch;

// The first lane that stands in a launch, else the first; -1: one moves at this moment.
static int find_standing(nmrt_device *d, nmrt_gpu_standing *found)
{
    nmrt_gpu_nccl *t = d->nccl;
    nmrt_gpu_watch *w = t->watch;
    int at = 0;
    memset(w->meetings, 0, (size_t)t->n_peers * sizeof *w->meetings);
    for (int i = 0; i < atomic_load(&w->n_lanes); i++) {
        nmrt_gpu_standing s;
        if (!nmrt_gpu_lane_look(w->lane[i], &s, w->meetings, t->n_peers))
            return -1;
        if (!i || (s.stands && !found->stands)) {
            *found = s;
            at = i;
        }
    }
    for (int i = 0; i < t->n_peers; i++)
        nmrt_flight_attend(d->comm->flight, &t->peers[i].group, w->meetings[i]);
    return at;
}

// What it stands in, or was in last.
static void note(nmrt_device *d, const nmrt_gpu_standing *s)
{
    const nmrt_gpu_deed *deed = &s->deed;
    const nmrt_note what = {deed->verb, deed->name, deed->where, -1, deed->peer, deed->bytes};
    bool meets = deed->peers >= 0;
    if (!deed->name)
        return;
    nmrt_flight_enter(d->comm->flight, &what, meets ? &d->nccl->peers[deed->peers].group : NULL,
                      meets ? d->nccl->watch->meetings[deed->peers] : 0);
    if (!s->stands)
        nmrt_flight_leave(d->comm->flight);
}

static nmrt_status ask_nccl(nmrt_device *d, ncclComm_t comm, const nmrt_gpu_deed *deed,
                            nmrt_error *e)
{
    ncclResult_t said = ncclSuccess, r = d->api->ncclCommGetAsyncError(comm, &said);
    return nmrt_gpu_nccl_check(d, r != ncclSuccess ? r : said, deed->name, deed->where, e);
}

static nmrt_status look_for_others(nmrt_device *d, const nmrt_gpu_deed *deed, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    for (int i = 0; i < t->n_peers; i++)
        NMRT_TRY(ask_nccl(d, t->peers[i].comm, deed, e));
    if (t->watch->comm[t->watch->at])
        NMRT_TRY(ask_nccl(d, t->watch->comm[t->watch->at], deed, e));
    return nmrt_flight_look(d->comm->flight, t->watch->waited, e);
}

static void look(nmrt_device *d, double seconds)
{
    nmrt_gpu_watch *w = d->nccl->watch;
    nmrt_gpu_standing s;
    nmrt_error e;
    int at = find_standing(d, &s);
    if (at < 0)
        return;
    bool same = at == w->at && s.run == w->seen.run && s.moment == w->seen.moment &&
                s.stands == w->seen.stands;
    w->at = at;
    w->seen = s;
    w->waited = same && s.stands ? w->waited + (seconds < LONGEST ? seconds : LONGEST) : 0;
    if (!same)
        note(d, &s);
    else if (s.stands && look_for_others(d, &s.deed, &e) != NMRT_OK)
        nmrt_gpu_die(d, &e);
}

static void *watch(void *device)
{
    nmrt_device *d = device;
    double before = nmrt_seconds();
    while (!atomic_load(&d->nccl->watch->ends)) {
        usleep(PAUSE_US);
        double now = nmrt_seconds();
        look(d, now - before);
        before = now;
    }
    return NULL;
}

// --- open and close ------------------------------------------------------------------------------

nmrt_status nmrt_gpu_watch_add(nmrt_device *d, nmrt_gpu_lane *lane, ncclComm_t comm, nmrt_error *e)
{
    nmrt_gpu_watch *w = d->nccl->watch;
    int n = atomic_load(&w->n_lanes);
    if (n == LANES)
        return nmrt_fail(e, NMRT_WORLD, "more than %d streams of NCCL's launches", LANES);
    w->lane[n] = lane;
    w->comm[n] = comm;
    atomic_store(&w->n_lanes, n + 1); // the thread sees it whole
    return NMRT_OK;
}

// Signals are the rank's own thread's.
static bool start(nmrt_device *d, nmrt_gpu_watch *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, NULL, watch, d) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w->started;
}

nmrt_status nmrt_gpu_watch_start(nmrt_device *d, nmrt_error *e)
{
    size_t n = (size_t)d->program->n_collectives + 1;
    nmrt_gpu_watch *w = d->nccl->watch = calloc(1, sizeof *w);
    if (!w || !(w->meetings = calloc(n, sizeof *w->meetings)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the collectives");
    NMRT_TRY(nmrt_gpu_watch_add(d, d->nccl->lane, NULL, e));
    return start(d, w)
               ? NMRT_OK
               : nmrt_fail(e, NMRT_WORLD, "cannot start a thread that watches the collectives");
}

// All that was enqueued is done: the last look tells so, for those who still wait for this rank.
void nmrt_gpu_watch_stop(nmrt_device *d)
{
    nmrt_gpu_watch *w = d->nccl->watch;
    if (!w)
        return;
    atomic_store(&w->ends, true);
    if (w->started) {
        pthread_join(w->thread, NULL);
        look(d, 0);
    }
    free(w->meetings);
    free(w);
    d->nccl->watch = NULL;
}
