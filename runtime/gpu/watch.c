// How far a GPU has come in NCCL's work, and who is missed there. NCCL waits for ever, and the
// host is elsewhere: it waits for the stream, or stands in a launch because the queue is full. So a
// launch writes where it is to a word of host memory, before and behind, by a copy of four bytes in
// its stream, which may stand in a CUDA graph, too. A thread reads the word, tells the flight
// recorder (runtime/flight.h) which meetings of which groups the GPU has come to, and ends the
// run where others do not come.
//
// A run is one launch, or one of a graph that holds many. word[0] is 2 r + 1 while run r is under
// way and 2 r behind it, modulo the ring; word[1] is where a graph is: 2 i + 1 in its launch i,
// 2 i + 2 behind it. What may be written lies in a table on the GPU.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/flight.h"
#include "runtime/gpu/nccl.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS = 4096, VALUES = 1 << 16, MOST_DEEDS = VALUES / 2 - 1, PAUSE_US = 100000 };
static const double LONGEST = 0.2; // seconds counted at once: not those while all were suspended

typedef struct run {
    nmrt_gpu_deed one;
    const nmrt_gpu_deeds *graph; // instead; NULL: one
} run;

typedef struct place { // what the words say
    int64_t run;
    bool inside; // not behind it
    int moment;  // of its graph
} place;

typedef struct nmrt_gpu_watch {
    _Atomic int32_t *word;    // [2], pinned
    void *table;              // device memory: [VALUES] 0, 1, 2, ...
    nmrt_gpu_deeds *captured; // of the graph that is being captured; NULL: none
    pthread_t thread;
    bool started;
    atomic_bool ends;
    pthread_mutex_t lock; // of what follows
    run ring[RUNS];
    int64_t n, counted; // runs that were issued, from 1 on; that are done and counted
    int64_t *meetings;  // [nccl.n_peers] that the counted runs came to
    // of the thread
    int64_t *begun; // [nccl.n_peers] and those that have begun since
    place seen;
    double waited; // seconds in the launch that it stands in
} nmrt_gpu_watch;

// --- the words -----------------------------------------------------------------------------------

static void write_word(nmrt_device *d, int word, int64_t value, CUstream stream)
{
    nmrt_gpu_watch *w = d->nccl->watch;
    CUdeviceptr from = (CUdeviceptr)(uintptr_t)w->table + (CUdeviceptr)value * 4;
    nmrt_gpu_must(d, d->api->cuMemcpyDtoHAsync((void *)(uintptr_t)&w->word[word], from, 4, stream),
                  "cannot mark a collective");
}

// False: they change at this moment.
static bool read_words(const nmrt_gpu_watch *w, place *p)
{
    int32_t first = atomic_load(&w->word[0]);
    p->moment = atomic_load(&w->word[1]);
    p->inside = first % 2;
    p->run = w->counted + (first / 2 - w->counted % RUNS + RUNS) % RUNS;
    return first == atomic_load(&w->word[0]);
}

// --- counting ------------------------------------------------------------------------------------

static void count_deed(const nmrt_gpu_deed *deed, int64_t *meetings)
{
    if (deed->peers >= 0)
        meetings[deed->peers]++;
}

// The first n of a run.
static void count_deeds(const run *r, int n, int64_t *meetings)
{
    if (!r->graph && n)
        count_deed(&r->one, meetings);
    for (int i = 0; r->graph && i < r->graph->n && i < n; i++)
        count_deed(&r->graph->at[i], meetings);
}

// Holds the lock. Counts the runs that are done.
static void count_runs(nmrt_gpu_watch *w, const place *p)
{
    while (w->counted < p->run - p->inside) {
        count_deeds(&w->ring[(w->counted + 1) % RUNS], MOST_DEEDS, w->meetings);
        w->counted++;
    }
}

static bool stands(const nmrt_gpu_watch *w, const place *p)
{
    return p->inside && (!w->ring[p->run % RUNS].graph || p->moment % 2);
}

// Holds the lock. How many launches of its run the GPU has begun, and the last of them; NULL: none.
static const nmrt_gpu_deed *last_deed(const nmrt_gpu_watch *w, const place *p, int *begun)
{
    const run *r = &w->ring[p->run % RUNS];
    int n = !p->run ? 0 : r->graph ? r->graph->n : 1;
    *begun = p->inside && r->graph ? (p->moment + 1) / 2 : n;
    if (!*begun)
        return NULL;
    return r->graph ? &r->graph->at[*begun - 1] : &r->one;
}

// --- what launches do ----------------------------------------------------------------------------

// There is room for runs that the GPU is far from; the thread is slower than launches, at times.
static int64_t add_run(nmrt_gpu_watch *w, const run *r)
{
    place p;
    pthread_mutex_lock(&w->lock);
    while (w->n - w->counted >= RUNS - 2) {
        if (read_words(w, &p))
            count_runs(w, &p);
        pthread_mutex_unlock(&w->lock);
        usleep(w->n - w->counted >= RUNS - 2 ? 100 : 0);
        pthread_mutex_lock(&w->lock);
    }
    int64_t number = ++w->n;
    w->ring[number % RUNS] = *r;
    pthread_mutex_unlock(&w->lock);
    return number;
}

static nmrt_status add_deed(nmrt_gpu_deeds *all, const nmrt_gpu_deed *deed, nmrt_error *e)
{
    if (all->n == all->room) {
        int room = all->room ? 2 * all->room : 64;
        nmrt_gpu_deed *at = realloc(all->at, (size_t)room * sizeof *at);
        if (!at)
            return nmrt_fail(e, NMRT_WORLD, "no memory for the collectives of a CUDA graph");
        all->at = at;
        all->room = room;
    }
    if (all->n == MOST_DEEDS)
        return nmrt_fail(e, NMRT_WORLD,
                         "more than %d launches of collectives in a CUDA graph; --graphs 0 does "
                         "without",
                         MOST_DEEDS);
    all->at[all->n++] = *deed;
    return NMRT_OK;
}

int64_t nmrt_gpu_watch_begin(nmrt_device *d, const nmrt_gpu_deed *deed)
{
    nmrt_gpu_watch *w = d->nccl->watch;
    nmrt_error e;
    if (!w->captured) {
        int64_t number = add_run(w, &(run){.one = *deed});
        write_word(d, 0, 2 * (number % RUNS) + 1, d->nccl->stream);
        return number;
    }
    if (add_deed(w->captured, deed, &e) != NMRT_OK)
        nmrt_gpu_die(d, &e);
    write_word(d, 1, 2 * w->captured->n - 1, d->nccl->stream);
    return w->captured->n;
}

void nmrt_gpu_watch_end(nmrt_device *d, int64_t number)
{
    bool captured = d->nccl->watch->captured != NULL;
    write_word(d, captured, 2 * (captured ? number : number % RUNS), d->nccl->stream);
}

void nmrt_gpu_watch_capture(nmrt_device *d, nmrt_gpu_deeds *deeds)
{
    d->nccl->watch->captured = deeds;
}

int64_t nmrt_gpu_watch_graph(nmrt_device *d, const nmrt_gpu_deeds *deeds)
{
    int64_t number = add_run(d->nccl->watch, &(run){.graph = deeds});
    write_word(d, 1, 0, d->stream);
    write_word(d, 0, 2 * (number % RUNS) + 1, d->stream);
    return number;
}

void nmrt_gpu_watch_graph_end(nmrt_device *d, int64_t number)
{
    write_word(d, 0, 2 * (number % RUNS), d->stream);
}

// --- the thread ----------------------------------------------------------------------------------

typedef struct look { // what the thread finds
    place place;
    bool stands;        // in a launch
    nmrt_gpu_deed deed; // that one, or the last; name NULL: none
} look;

// Tells the recorder how often the GPU has come to each group, too.
static bool find_place(nmrt_device *d, look *l)
{
    nmrt_gpu_nccl *t = d->nccl;
    nmrt_gpu_watch *w = t->watch;
    int begun;
    pthread_mutex_lock(&w->lock);
    bool known = read_words(w, &l->place);
    if (known) {
        count_runs(w, &l->place);
        const nmrt_gpu_deed *deed = last_deed(w, &l->place, &begun);
        l->stands = stands(w, &l->place);
        l->deed = deed ? *deed : (nmrt_gpu_deed){0};
        memcpy(w->begun, w->meetings, (size_t)t->n_peers * sizeof *w->begun);
        if (l->place.inside)
            count_deeds(&w->ring[l->place.run % RUNS], begun, w->begun);
    }
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; known && i < t->n_peers; i++)
        nmrt_flight_attend(d->comm->flight, &t->peers[i].group, w->begun[i]);
    return known;
}

// What it stands in, or was in last.
static void note(nmrt_device *d, const look *l)
{
    nmrt_gpu_watch *w = d->nccl->watch;
    const nmrt_gpu_deed *deed = &l->deed;
    const nmrt_note what = {deed->verb, deed->name, deed->where, -1, deed->peer, deed->bytes};
    bool meets = deed->peers >= 0;
    if (!deed->name)
        return;
    nmrt_flight_enter(d->comm->flight, &what, meets ? &d->nccl->peers[deed->peers].group : NULL,
                      meets ? w->begun[deed->peers] : 0);
    if (!l->stands)
        nmrt_flight_leave(d->comm->flight);
}

static nmrt_status look_for_others(nmrt_device *d, const nmrt_gpu_deed *deed, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    for (int i = 0; i < t->n_peers; i++) {
        ncclResult_t said = ncclSuccess;
        ncclResult_t r = d->api->ncclCommGetAsyncError(t->peers[i].comm, &said);
        NMRT_TRY(nmrt_gpu_nccl_check(d, r != ncclSuccess ? r : said, deed->name, deed->where, e));
    }
    return nmrt_flight_look(d->comm->flight, t->watch->waited, e);
}

static void look_at(nmrt_device *d, double seconds)
{
    nmrt_gpu_watch *w = d->nccl->watch;
    nmrt_error e;
    look l;
    if (!find_place(d, &l))
        return;
    bool same = l.place.run == w->seen.run && l.place.inside == w->seen.inside &&
                l.place.moment == w->seen.moment;
    w->seen = l.place;
    w->waited = same && l.stands ? w->waited + (seconds < LONGEST ? seconds : LONGEST) : 0;
    if (!same)
        note(d, &l);
    else if (l.stands && look_for_others(d, &l.deed, &e) != NMRT_OK)
        nmrt_gpu_die(d, &e);
}

static void *watch(void *device)
{
    nmrt_device *d = device;
    double before = nmrt_seconds();
    while (!atomic_load(&d->nccl->watch->ends)) {
        usleep(PAUSE_US);
        double now = nmrt_seconds();
        look_at(d, now - before);
        before = now;
    }
    return NULL;
}

// --- open and close ------------------------------------------------------------------------------

static nmrt_status take_words(nmrt_device *d, nmrt_gpu_watch *w, nmrt_error *e)
{
    int32_t value[VALUES];
    void *at = NULL;
    for (int i = 0; i < VALUES; i++)
        value[i] = i;
    NMRT_TRY(nmrt_gpu_alloc(d, sizeof value, &w->table, e));
    nmrt_gpu_copy_in(d, w->table, value, sizeof value);
    NMRT_TRY(nmrt_gpu_check(d, d->api->cuMemHostAlloc(&at, 2 * sizeof *w->word, 0),
                            "cannot get pinned memory", e));
    w->word = at;
    atomic_store(&w->word[0], 0);
    atomic_store(&w->word[1], 0);
    return nmrt_gpu_check(d, d->api->cuStreamSynchronize(d->stream), "a copy to the GPU failed", e);
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
    if (!w || !(w->meetings = calloc(2 * n, sizeof *w->meetings)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for the collectives");
    w->begun = w->meetings + n;
    pthread_mutex_init(&w->lock, NULL);
    NMRT_TRY(take_words(d, w, e));
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
        look_at(d, 0);
    }
    nmrt_gpu_free(d, w->table, sizeof(int32_t[VALUES]));
    if (w->word)
        d->api->cuMemFreeHost((void *)(uintptr_t)w->word);
    free(w->meetings);
    free(w);
    d->nccl->watch = NULL;
}
