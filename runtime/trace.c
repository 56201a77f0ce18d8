// Tracks and their spans. A track is behind a lock of its own, which nobody else wants but the
// rank's thread when it writes; so threads do not wait for each other, and any may add to any
// track.
#define _GNU_SOURCE
#include "runtime/trace.h"

#include "runtime/agree.h"
#include "runtime/nvtx.h"
#include "runtime/trace_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct nmrt_track {
    nmrt_trace *trace;
    nmrt_track *next; // in the order of their making
    int place, id;
    char name[64];
    pthread_mutex_t lock;
    nmrt_span *span; // [n]: of the step that runs
    int64_t n, cap, lost;
    bool named; // in the file
};

struct nmrt_trace {
    atomic_bool runs;
    nmrt_comm *comm;
    const char *path;
    int64_t zero;        // file time 0, in the clock of spans
    int64_t first, last; // steps
    int64_t step, begin; // the one that runs, or ran last
    nmrt_track *track, **end, *steps;
    int n_tracks;
    nmrt_nvtx nvtx;
    void (*collect)(void *user);
    void *user;
    nmrt_text events; // not yet written
    nmrt_trace_file file;
    bool whole;         // the file
    nmrt_status status; // of what was written
    nmrt_error e;       // why not
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t = {0, 0};
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int64_t nmrt_trace_now(void) { return clock_ns(CLOCK_MONOTONIC); }

// --- adding --------------------------------------------------------------------------------------

bool nmrt_trace_runs(const nmrt_trace *t)
{
    return t && atomic_load_explicit(&t->runs, memory_order_relaxed);
}

int64_t nmrt_trace_begin(nmrt_track *track, const char *name)
{
    if (!track || !nmrt_trace_runs(track->trace))
        return 0;
    nmrt_nvtx_push(&track->trace->nvtx, name);
    return nmrt_trace_now();
}

void nmrt_trace_end(nmrt_track *track, int64_t begin, const nmrt_span *span)
{
    if (!begin)
        return;
    nmrt_span s = *span;
    s.begin = begin;
    s.end = nmrt_trace_now();
    nmrt_nvtx_pop(&track->trace->nvtx);
    nmrt_trace_add(track, &s);
}

static bool has_room(nmrt_track *track)
{
    if (track->n < track->cap)
        return true;
    int64_t cap = track->cap ? 2 * track->cap : 1024;
    nmrt_span *at = realloc(track->span, (size_t)cap * sizeof *at);
    if (!at)
        return false;
    track->span = at;
    track->cap = cap;
    return true;
}

void nmrt_trace_add(nmrt_track *track, const nmrt_span *span)
{
    if (!track)
        return;
    pthread_mutex_lock(&track->lock);
    if (has_room(track))
        track->span[track->n++] = *span;
    else
        track->lost++;
    pthread_mutex_unlock(&track->lock);
}

// --- tracks --------------------------------------------------------------------------------------

nmrt_track *nmrt_trace_track(nmrt_trace *t, int place, const char *name)
{
    nmrt_track *track = t ? calloc(1, sizeof *track) : NULL;
    if (!track)
        return NULL;
    track->trace = t;
    track->place = place;
    track->id = ++t->n_tracks;
    snprintf(track->name, sizeof track->name, "%s", name);
    pthread_mutex_init(&track->lock, NULL);
    *t->end = track;
    t->end = &track->next;
    return track;
}

nmrt_track *nmrt_trace_steps(nmrt_trace *t) { return t ? t->steps : NULL; }

void nmrt_trace_source(nmrt_trace *t, void (*collect)(void *user), void *user)
{
    if (!t)
        return;
    t->collect = collect;
    t->user = user;
}

// --- writing -------------------------------------------------------------------------------------

static nmrt_trace_row row_of(const nmrt_trace *t, int id)
{
    return (nmrt_trace_row){t->comm->rank, id, t->zero};
}

// Outer spans first, where several begin at once.
static int earlier(const void *a, const void *b)
{
    const nmrt_span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end < y->end) - (x->end > y->end);
}

static void print_spans(nmrt_trace *t, nmrt_track *track)
{
    nmrt_trace_row row = row_of(t, track->id);
    if (track->n && !track->named)
        nmrt_trace_print_track(&t->events, &row, track->place, track->name);
    track->named = track->named || track->n;
    qsort(track->span, (size_t)track->n, sizeof *track->span, earlier);
    for (int64_t i = 0; i < track->n; i++)
        nmrt_trace_print_span(&t->events, &row, &track->span[i]);
    track->n = 0;
}

static void fail_first(nmrt_trace *t, nmrt_status status, const nmrt_error *e)
{
    if (t->status == NMRT_OK && status != NMRT_OK) {
        t->status = status;
        t->e = *e;
    }
}

// A failure is told in the end: no step fails for it.
static void write_all(nmrt_trace *t)
{
    nmrt_error e;
    int64_t lost = 0;
    if (t->collect)
        t->collect(t->user);
    for (nmrt_track *track = t->track; track; track = track->next) {
        pthread_mutex_lock(&track->lock);
        if (track->n)
            print_spans(t, track);
        lost += track->lost;
        pthread_mutex_unlock(&track->lock);
    }
    fail_first(t, nmrt_trace_file_add(&t->file, &t->events, &e), &e);
    if (lost)
        fail_first(t, nmrt_fail(&e, NMRT_WORLD, "no memory for all spans of the trace"), &e);
    nmrt_text_release(&t->events);
    t->events = (nmrt_text){0};
}

void nmrt_trace_number(nmrt_trace *t, const char *name, double value)
{
    if (!nmrt_trace_runs(t))
        return;
    nmrt_trace_row row = row_of(t, 0);
    nmrt_trace_print_number(&t->events, &row, name, nmrt_trace_now(), value);
}

// --- steps ---------------------------------------------------------------------------------------

void nmrt_trace_step(nmrt_trace *t, int64_t step)
{
    if (!t || step < t->first || step > t->last)
        return;
    t->step = step;
    atomic_store(&t->runs, true);
    t->begin = nmrt_trace_begin(t->steps, "step");
}

static void end_step(nmrt_trace *t)
{
    nmrt_trace_end(
        t->steps, t->begin,
        &(nmrt_span){.kind = NMRT_SPAN_STEP, .name = "step", .number = {{"step", t->step}}});
    t->begin = 0;
    atomic_store(&t->runs, false);
}

bool nmrt_trace_step_done(nmrt_trace *t)
{
    if (!nmrt_trace_runs(t))
        return false;
    end_step(t);
    write_all(t);
    return t->step == t->last;
}

static nmrt_status join_files(nmrt_trace *t, nmrt_error *e)
{
    for (int rank = 1; rank < t->comm->ranks; rank++)
        NMRT_TRY(nmrt_trace_file_join(&t->file, t->path, rank, e));
    return nmrt_trace_file_end(&t->file, e);
}

nmrt_status nmrt_trace_finish(nmrt_trace *t, nmrt_error *e)
{
    if (!t || t->whole || t->file.fd < 0)
        return NMRT_OK;
    if (!t->step) { // the same on all ranks
        nmrt_trace_file_drop(&t->file);
        return NMRT_OK;
    }
    t->whole = true;
    write_all(t);
    if (t->status != NMRT_OK)
        *e = t->e;
    NMRT_TRY(nmrt_agree(t->comm, t->status, e));
    return nmrt_agree(t->comm, t->comm->rank ? NMRT_OK : join_files(t, e), e);
}

// --- open and close ------------------------------------------------------------------------------

bool nmrt_trace_parse(const char *steps, int64_t *first, int64_t *last)
{
    char *end, *second;
    *first = *last = strtoll(steps, &end, 10);
    if (*end == '-') {
        *last = strtoll(end + 1, &second, 10);
        end = second == end + 1 ? end : second;
    }
    return end != steps && !*end && *first > 0 && *last >= *first;
}

// Of those that this run does; false: none.
static bool find_steps(const nmrt_trace_request *q, int64_t *first, int64_t *last)
{
    int64_t third = q->first + 2;
    *first = *last = third < q->last ? third : q->last;
    if (q->steps)
        nmrt_trace_parse(q->steps, first, last);
    *first = *first > q->first ? *first : q->first;
    *last = *last < q->last ? *last : q->last;
    return *first <= *last;
}

// "rank 3: pp 1, tp 0": where it is on each axis of the mesh that has several.
static void name_rank(const nmrt_mesh *m, nmrt_text *out)
{
    static const struct {
        const char *name;
        int64_t axes;
    } flag[] = {
        {"pp", 1 << NMDRV_PP}, {"dp", NMRT_DP_AXES}, {"cp", NMRT_CP_AXES}, {"tp", NMRT_TP_AXES}};
    const char *before = ": ";
    nmrt_text_add(out, "rank %lld", (long long)m->rank);
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
        if (nmrt_mesh_ranks(m, flag[i].axes) > 1) {
            nmrt_text_add(out, "%s%s %lld", before, flag[i].name,
                          (long long)nmrt_mesh_index(m, flag[i].axes));
            before = ", ";
        }
}

static nmrt_status make_file(nmrt_trace *t, const nmrt_mesh *m, nmrt_error *e)
{
    nmrt_text name = {0};
    name_rank(m, &name);
    nmrt_trace_print_process(&t->events, t->comm->rank, name.failed ? "rank" : name.at);
    nmrt_text_release(&name);
    return nmrt_trace_file_create(&t->file, t->path, t->comm->rank, e);
}

// By how much the time of day is ahead of the spans' clock. Between two readings a thread may lose
// its processor: the pair that took the least time counts.
static int64_t time_of_day(void)
{
    int64_t best = INT64_MAX, ahead = 0;
    for (int i = 0; i < 8; i++) {
        int64_t before = nmrt_trace_now(), day = clock_ns(CLOCK_REALTIME),
                took = nmrt_trace_now() - before;
        ahead = took < best ? day - before - took / 2 : ahead;
        best = took < best ? took : best;
    }
    return ahead;
}

// Rank 0's moment of opening is everyone's time 0; clocks of several machines meet in the time of
// day.
static nmrt_status agree_on_time(nmrt_trace *t, nmrt_error *e)
{
    int64_t ahead = time_of_day();
    int64_t zero = nmrt_trace_now() + ahead;
    NMRT_TRY(nmrt_agree_on(t->comm, &zero, sizeof zero, e));
    t->zero = zero - ahead;
    return NMRT_OK;
}

nmrt_status nmrt_trace_new(nmrt_trace **trace, nmrt_comm *comm, nmrt_error *e)
{
    nmrt_trace *t = *trace = calloc(1, sizeof *t);
    if (!t)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the trace");
    t->comm = comm;
    t->end = &t->track;
    t->file.fd = -1;
    t->nvtx = nmrt_nvtx_open();
    t->steps = nmrt_trace_track(t, NMRT_TRACK_STEPS, "steps");
    return NMRT_OK;
}

nmrt_status nmrt_trace_open(nmrt_trace *t, const nmrt_trace_request *q, bool *any, nmrt_error *e)
{
    *any = t && find_steps(q, &t->first, &t->last); // the same on all ranks
    if (!*any)
        return NMRT_OK;
    t->path = q->path;
    NMRT_TRY(nmrt_agree(t->comm, make_file(t, q->mesh, e), e));
    return agree_on_time(t, e);
}

bool nmrt_trace_missed(const nmrt_trace *t, int64_t *first)
{
    if (!t || !t->path || t->step)
        return false;
    *first = t->first;
    return true;
}

void nmrt_trace_close(nmrt_trace *t)
{
    if (!t)
        return;
    if (nmrt_trace_runs(t))
        end_step(t);
    if (!t->step)
        nmrt_trace_file_drop(&t->file);
    if (t->file.fd >= 0 && !t->whole)
        write_all(t); // the failure that ended the run is the one to tell
    for (nmrt_track *track = t->track, *next; track; track = next) {
        next = track->next;
        pthread_mutex_destroy(&track->lock);
        free(track->span);
        free(track);
    }
    nmrt_text_release(&t->events);
    nmrt_trace_file_close(&t->file);
    free(t);
}
