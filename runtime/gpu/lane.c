// Where the GPU is in a stream of NCCL's launches, written by the stream itself: before and behind
// each launch stands a copy of four bytes to a word of pinned memory, which the host can read
// whatever it stands in, and which may stand in a CUDA graph, too.
//
// A run is one launch, or one of a graph that holds many. word[0] is 2 r + 1 while run r is under
// way and 2 r behind it, modulo the ring; word[1] is where a graph is: 2 i + 1 in its launch i,
// 2 i + 2 behind it. What may be written lies in a table on the GPU.
#define _GNU_SOURCE
#include "runtime/gpu/nccl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS = 4096, VALUES = 1 << 16, MOST_DEEDS = VALUES / 2 - 1 };

typedef struct run {
    nmrt_gpu_deed one;
    const nmrt_gpu_deeds *graph; // instead; NULL: one
} run;

struct nmrt_gpu_lane {
    CUstream stream;
    _Atomic int32_t *word;    // [2], pinned
    nmrt_gpu_deeds *captured; // of the graph that is being captured; NULL: none
    pthread_mutex_t lock;     // of what follows
    run ring[RUNS];
    int64_t n, counted; // runs that were issued, from 1 on; that are done and counted
    int64_t *meetings;  // [n_collectives]: of each of nccl.peers, that the counted runs came to
};

// --- the words -----------------------------------------------------------------------------------

typedef struct place { // what they say
    int64_t run;
    bool inside; // not behind it
    int moment;  // of its graph
} place;

static void write_word(nmrt_device *d, const nmrt_gpu_lane *l, int word, int64_t value,
                       CUstream stream)
{
    CUdeviceptr from = (CUdeviceptr)(uintptr_t)d->nccl->table + (CUdeviceptr)value * 4;
    CUresult r = d->api->cuMemcpyDtoHAsync((void *)(uintptr_t)&l->word[word], from, 4, stream);
    nmrt_gpu_must(d, r, "cannot mark a launch");
}

// False: they change at this moment.
static bool read_words(const nmrt_gpu_lane *l, place *p)
{
    int32_t first = atomic_load(&l->word[0]);
    p->moment = atomic_load(&l->word[1]);
    p->inside = first % 2;
    p->run = l->counted + (first / 2 - l->counted % RUNS + RUNS) % RUNS;
    return first == atomic_load(&l->word[0]);
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
static void count_runs(nmrt_gpu_lane *l, const place *p)
{
    while (l->counted < p->run - p->inside) {
        count_deeds(&l->ring[(l->counted + 1) % RUNS], MOST_DEEDS, l->meetings);
        l->counted++;
    }
}

static bool stands(const nmrt_gpu_lane *l, const place *p)
{
    return p->inside && (!l->ring[p->run % RUNS].graph || p->moment % 2);
}

// Holds the lock. How many launches of its run the GPU has begun, and the last of them; NULL: none.
static const nmrt_gpu_deed *last_deed(const nmrt_gpu_lane *l, const place *p, int *begun)
{
    const run *r = &l->ring[p->run % RUNS];
    int n = !p->run ? 0 : r->graph ? r->graph->n : 1;
    *begun = p->inside && r->graph ? (p->moment + 1) / 2 : n;
    if (!*begun)
        return NULL;
    return r->graph ? &r->graph->at[*begun - 1] : &r->one;
}

// --- what launches do ----------------------------------------------------------------------------

// There is room for runs that the GPU is far from; the thread is slower than launches, at times.
static int64_t add_run(nmrt_gpu_lane *l, const run *r)
{
    place p;
    pthread_mutex_lock(&l->lock);
    while (l->n - l->counted >= RUNS - 2) {
        if (read_words(l, &p))
            count_runs(l, &p);
        pthread_mutex_unlock(&l->lock);
        usleep(l->n - l->counted >= RUNS - 2 ? 100 : 0);
        pthread_mutex_lock(&l->lock);
    }
    int64_t number = ++l->n;
    l->ring[number % RUNS] = *r;
    pthread_mutex_unlock(&l->lock);
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

int64_t nmrt_gpu_lane_begin(nmrt_device *d, nmrt_gpu_lane *l, const nmrt_gpu_deed *deed)
{
    nmrt_error e;
    if (!l->captured) {
        int64_t number = add_run(l, &(run){.one = *deed});
        write_word(d, l, 0, 2 * (number % RUNS) + 1, l->stream);
        return number;
    }
    if (add_deed(l->captured, deed, &e) != NMRT_OK)
        nmrt_gpu_die(d, &e);
    write_word(d, l, 1, 2 * l->captured->n - 1, l->stream);
    return l->captured->n;
}

void nmrt_gpu_lane_end(nmrt_device *d, nmrt_gpu_lane *l, int64_t number)
{
    bool captured = l->captured != NULL;
    write_word(d, l, captured, 2 * (captured ? number : number % RUNS), l->stream);
}

void nmrt_gpu_lane_capture(nmrt_gpu_lane *l, nmrt_gpu_deeds *deeds) { l->captured = deeds; }

int64_t nmrt_gpu_lane_graph(nmrt_device *d, nmrt_gpu_lane *l, const nmrt_gpu_deeds *deeds)
{
    int64_t number = add_run(l, &(run){.graph = deeds});
    write_word(d, l, 1, 0, d->stream);
    write_word(d, l, 0, 2 * (number % RUNS) + 1, d->stream);
    return number;
}

void nmrt_gpu_lane_graph_end(nmrt_device *d, nmrt_gpu_lane *l, int64_t number)
{
    write_word(d, l, 0, 2 * (number % RUNS), d->stream);
}

// --- what the GPU has come to --------------------------------------------------------------------

// Holds the lock.
static void look(nmrt_gpu_lane *l, const place *p, nmrt_gpu_standing *s, int64_t *meetings, int n)
{
    int begun;
    count_runs(l, p);
    const nmrt_gpu_deed *deed = last_deed(l, p, &begun);
    *s = (nmrt_gpu_standing){.run = p->run, .moment = p->moment, .stands = stands(l, p)};
    if (deed)
        s->deed = *deed;
    for (int i = 0; i < n; i++)
        meetings[i] += l->meetings[i];
    if (p->inside)
        count_deeds(&l->ring[p->run % RUNS], begun, meetings);
}

bool nmrt_gpu_lane_look(nmrt_gpu_lane *l, nmrt_gpu_standing *s, int64_t *meetings, int n)
{
    place p;
    pthread_mutex_lock(&l->lock);
    bool known = read_words(l, &p);
    if (known)
        look(l, &p, s, meetings, n);
    pthread_mutex_unlock(&l->lock);
    return known;
}

// --- open and close ------------------------------------------------------------------------------

nmrt_status nmrt_gpu_lanes_open(nmrt_device *d, nmrt_error *e)
{
    int32_t value[VALUES];
    for (int i = 0; i < VALUES; i++)
        value[i] = i;
    NMRT_TRY(nmrt_gpu_alloc(d, sizeof value, &d->nccl->table, e));
    nmrt_gpu_copy_in(d, d->nccl->table, value, sizeof value);
    return nmrt_gpu_check(d, d->api->cuStreamSynchronize(d->stream), "a copy to the GPU failed", e);
}

void nmrt_gpu_lanes_close(nmrt_device *d)
{
    nmrt_gpu_free(d, d->nccl->table, sizeof(int32_t[VALUES]));
}

nmrt_status nmrt_gpu_lane_open(nmrt_device *d, CUstream stream, nmrt_gpu_lane **lane, nmrt_error *e)
{
    size_t n = (size_t)d->program->n_collectives + 1;
    void *at = NULL;
    nmrt_gpu_lane *l = *lane = calloc(1, sizeof *l);
    if (!l || !(l->meetings = calloc(n, sizeof *l->meetings)))
        return nmrt_fail(e, NMRT_WORLD, "no memory for launches of collectives");
    l->stream = stream;
    pthread_mutex_init(&l->lock, NULL);
    CUresult r = d->api->cuMemHostAlloc(&at, 2 * sizeof *l->word, 0);
    NMRT_TRY(nmrt_gpu_check(d, r, "cannot get pinned memory", e));
    l->word = at;
    atomic_store(&l->word[0], 0);
    atomic_store(&l->word[1], 0);
    return NMRT_OK;
}

void nmrt_gpu_lane_close(nmrt_device *d, nmrt_gpu_lane *l)
{
    if (!l)
        return;
    if (l->word)
        d->api->cuMemFreeHost((void *)(uintptr_t)l->word);
    free(l->meetings);
    free(l);
}
