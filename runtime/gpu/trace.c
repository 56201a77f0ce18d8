// What a GPU does in a traced step, by its own clock: an event before and one behind each piece of
// work on a stream. The first of a step is waited for, so its moment is known in both clocks; when
// the step has ended, all others are counted from it.
#include "runtime/gpu/gpu.h"

#include <stdlib.h>

enum { STREAMS = 8 };

typedef struct traced { // a piece of work
    nmrt_span span;
    nmrt_track *track;
    int64_t begin, end; // events
} traced;

struct nmrt_gpu_trace {
    nmrt_trace *trace;
    CUstream stream[STREAMS];
    nmrt_track *track[STREAMS];
    int n_streams;
    CUevent *event; // [n_events], the first `used` of them in this step
    int64_t n_events, used;
    traced *work; // [n_work]
    int64_t n_work, room;
    int64_t zero; // when event 0 was; 0: the step has none yet
};

// --- while a step runs ---------------------------------------------------------------------------

static int find_stream(const nmrt_gpu_trace *t, CUstream stream)
{
    int i = 0;
    while (i < t->n_streams && t->stream[i] != stream)
        i++;
    return i < t->n_streams ? i : -1;
}

// The next event, recorded now. -1: no memory.
static int64_t mark(nmrt_device *d, CUstream stream)
{
    nmrt_gpu_trace *t = d->trace;
    if (t->used == t->n_events) {
        CUevent *at = realloc(t->event, (size_t)(2 * t->n_events + 64) * sizeof *at);
        if (!at)
            return -1;
        t->event = at;
        for (int64_t n = 2 * t->n_events + 64; t->n_events < n; t->n_events++)
            nmrt_gpu_must(d, d->api->cuEventCreate(&t->event[t->n_events], CU_EVENT_DEFAULT),
                          "cannot make an event");
    }
    nmrt_gpu_must(d, d->api->cuEventRecord(t->event[t->used], stream), "cannot mark a moment");
    return t->used++;
}

static void set_zero(nmrt_device *d, CUstream stream)
{
    nmrt_gpu_trace *t = d->trace;
    int64_t first = mark(d, stream);
    if (first < 0)
        return;
    nmrt_gpu_must(d, d->api->cuEventSynchronize(t->event[first]), "cannot wait for a moment");
    t->zero = nmrt_trace_now();
}

bool nmrt_gpu_traces(const nmrt_device *d) { return d->trace && nmrt_trace_runs(d->trace->trace); }

int64_t nmrt_gpu_trace_begin(nmrt_device *d, CUstream stream)
{
    nmrt_gpu_trace *t = d->trace;
    if (!nmrt_gpu_traces(d) || find_stream(t, stream) < 0)
        return -1;
    if (!t->zero)
        set_zero(d, stream);
    return t->zero ? mark(d, stream) : -1;
}

static bool has_room(nmrt_gpu_trace *t)
{
    if (t->n_work < t->room)
        return true;
    int64_t room = 2 * t->room + 256;
    traced *at = realloc(t->work, (size_t)room * sizeof *at);
    if (!at)
        return false;
    t->work = at;
    t->room = room;
    return true;
}

void nmrt_gpu_trace_end(nmrt_device *d, CUstream stream, int64_t begin, const nmrt_span *span)
{
    nmrt_gpu_trace *t = d->trace;
    int64_t end = begin < 0 ? -1 : mark(d, stream);
    if (end >= 0 && has_room(t))
        t->work[t->n_work++] = (traced){*span, t->track[find_stream(t, stream)], begin, end};
}

// --- when it has ended ---------------------------------------------------------------------------

static int64_t time_of(nmrt_device *d, int64_t event)
{
    const nmrt_gpu_trace *t = d->trace;
    float ms = 0;
    nmrt_gpu_must(d, d->api->cuEventElapsedTime(&ms, t->event[0], t->event[event]),
                  "cannot ask for a time");
    return t->zero + (int64_t)(1e6 * (double)ms);
}

static void collect(void *device)
{
    nmrt_device *d = device;
    nmrt_gpu_trace *t = d->trace;
    for (int i = 0; i < t->n_streams; i++)
        nmrt_gpu_must(d, d->api->cuStreamSynchronize(t->stream[i]), "the GPU's work failed");
    for (int64_t i = 0; i < t->n_work; i++) {
        traced *w = &t->work[i];
        w->span.begin = time_of(d, w->begin);
        w->span.end = time_of(d, w->end);
        nmrt_trace_add(w->track, &w->span);
    }
    t->n_work = t->used = t->zero = 0;
}

nmrt_track *nmrt_gpu_trace_steps(const nmrt_device *d)
{
    return d->trace ? nmrt_trace_steps(d->trace->trace) : NULL;
}

// --- open and close ------------------------------------------------------------------------------

nmrt_status nmrt_gpu_trace_open(nmrt_device *d, nmrt_trace *trace, nmrt_error *e)
{
    if (!trace)
        return NMRT_OK;
    d->trace = calloc(1, sizeof *d->trace);
    if (!d->trace)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the trace");
    d->trace->trace = trace;
    nmrt_trace_source(trace, collect, d);
    return NMRT_OK;
}

void nmrt_gpu_trace_stream(nmrt_device *d, CUstream stream, const char *name)
{
    nmrt_gpu_trace *t = d->trace;
    if (!t || t->n_streams == STREAMS)
        return;
    t->stream[t->n_streams] = stream;
    t->track[t->n_streams++] = nmrt_trace_track(t->trace, NMRT_TRACK_STREAMS, name);
}

void nmrt_gpu_trace_close(nmrt_device *d)
{
    nmrt_gpu_trace *t = d->trace;
    if (!t)
        return;
    nmrt_trace_source(t->trace, NULL, NULL);
    for (int64_t i = 0; i < t->n_events; i++)
        d->api->cuEventDestroy(t->event[i]);
    free(t->event);
    free(t->work);
    free(t);
    d->trace = NULL;
}
