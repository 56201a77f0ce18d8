// Captures and graphs. A graph keeps the works of each captured stream in a lane, in order; between
// lanes, records and awaits of events order them as they did in the capture. A launch copies all
// works, with new marks: the first lane's into the stream, each other one's into a stream that ends
// with them. One capture at a time, as nemocc needs no more.
#include "runtime/emu/driver.h"

#include <stdlib.h>
#include <string.h>

typedef struct lane {
    nmemu_queue queue;
    int works;              // that do something
    int known[NMEMU_LANES]; // works of each lane that come before what this one does next
} lane;

struct CUgraph_st {
    int refs, n_lanes, n_marks;
    lane lane[NMEMU_LANES];
    CUstream origin;
    bool open, relaxed;
    CUresult spoilt;
};

struct CUgraphExec_st {
    CUgraph graph;
    nmemu_mark *last; // the end of the launch before; NULL: none
};

// --- capturing -----------------------------------------------------------------------------------

static bool join(CUgraph g, CUstream s)
{
    if (g->n_lanes == NMEMU_LANES)
        return false;
    s->graph = g;
    s->lane = g->n_lanes++;
    return true;
}

void nmemu_capture_add(CUstream s, nmemu_work *w)
{
    lane *l = &s->graph->lane[s->lane];
    nmemu_queue_add(&l->queue, w);
    if (!w->kind->orders)
        l->known[s->lane] = ++l->works;
}

void nmemu_capture_record(CUstream s, nmemu_mark *m)
{
    m->captured = true;
    m->graph = s->graph;
    m->index = s->graph->n_marks++;
    memcpy(m->known, s->graph->lane[s->lane].known, sizeof m->known);
}

CUresult nmemu_capture_wait(CUstream s, const nmemu_mark *m)
{
    CUgraph g = m->graph;
    if (!g || !g->open)
        return nmemu_say(CUDA_ERROR_CAPTURED_EVENT,
                         "the event was recorded in a capture that is over");
    if (!s->graph && !join(g, s))
        return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "more than %d streams in a capture",
                         NMEMU_LANES);
    int *known = g->lane[s->lane].known;
    for (int i = 0; i < NMEMU_LANES; i++)
        known[i] = m->known[i] > known[i] ? m->known[i] : known[i];
    return CUDA_SUCCESS;
}

CUresult nmemu_capture_spoil(CUgraph g, const char *why)
{
    g->spoilt = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    return nmemu_say(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "%s", why);
}

CUresult nmemu_check_unsafe(void)
{
    CUgraph g = nmemu_drv.capture;
    if (!g || g->relaxed)
        return CUDA_SUCCESS;
    return nmemu_capture_spoil(g, "not while a stream is being captured");
}

// --- graphs --------------------------------------------------------------------------------------

static void forget_marks(nmemu_queue *q)
{
    for (nmemu_work *w = q->first; w; w = w->next)
        if (nmemu_recorded(w))
            nmemu_recorded(w)->graph = NULL; // an event may outlive the graph
}

static void graph_drop(CUgraph g)
{
    if (--g->refs)
        return;
    for (int i = 0; i < g->n_lanes; i++) {
        forget_marks(&g->lane[i].queue);
        nmemu_queue_free(&g->lane[i].queue);
    }
    free(g);
}

static CUresult begin(CUstream s, CUstreamCaptureMode mode)
{
    CUresult r = nmemu_check_sync(s);
    if (r)
        return r;
    if (nmemu_drv.capture)
        return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "a second capture at a time is not emulated");
    CUgraph g = calloc(1, sizeof *g);
    if (!g)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    g->refs = 1;
    g->open = true;
    g->relaxed = mode == CU_STREAM_CAPTURE_MODE_RELAXED;
    g->origin = s;
    nmemu_drv.capture = g;
    join(g, s);
    return CUDA_SUCCESS;
}

static CUresult begin_capture(CUstream s, CUstreamCaptureMode mode)
{
    CUresult r = nmemu_call("cuStreamBeginCapture");
    return nmemu_done(r ? r : begin(s, mode));
}

// Does the first lane wait for all that the others do?
static bool is_joined(const struct CUgraph_st *g)
{
    for (int i = 1; i < g->n_lanes; i++)
        if (g->lane[0].known[i] < g->lane[i].works)
            return false;
    return true;
}

static void close_capture(CUgraph g)
{
    g->open = false;
    nmemu_drv.capture = NULL;
    for (CUstream s = nmemu_drv.streams; s; s = s->next)
        if (s->graph == g)
            s->graph = NULL;
}

static CUresult end(CUstream s, CUgraph *graph)
{
    *graph = NULL;
    CUresult r = nmemu_check_stream(s);
    if (r)
        return r;
    CUgraph g = s->graph;
    if (!g || g->origin != s)
        return nmemu_say(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture did not begin here");
    close_capture(g);
    if (g->spoilt)
        r = nmemu_say(g->spoilt, "a call that the capture forbids has spoilt it");
    else if (!is_joined(g))
        r = nmemu_say(CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
                      "a stream has work that the first one does not wait for");
    if (r)
        graph_drop(g);
    else
        *graph = g;
    return r;
}

static CUresult end_capture(CUstream s, CUgraph *graph)
{
    CUresult r = nmemu_call("cuStreamEndCapture");
    return nmemu_done(r ? r : end(s, graph));
}

static CUresult instantiate(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    if (flags)
        return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "flags 0x%llx are not emulated", flags);
    *exec = calloc(1, sizeof **exec);
    if (!*exec)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    (*exec)->graph = graph;
    graph->refs++;
    return CUDA_SUCCESS;
}

static CUresult graph_instantiate(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    CUresult r = nmemu_call("cuGraphInstantiate");
    return nmemu_done(r ? r : instantiate(exec, graph, flags));
}

// What is destroyed goes, also where the call tells that something else has failed before.
static CUresult graph_destroy(CUgraph graph)
{
    CUresult r = nmemu_call("cuGraphDestroy");
    graph_drop(graph);
    return nmemu_done(r);
}

static CUresult exec_destroy(CUgraphExec exec)
{
    CUresult r = nmemu_call("cuGraphExecDestroy");
    graph_drop(exec->graph);
    nmemu_mark_drop(exec->last);
    free(exec);
    return nmemu_done(r);
}

// --- launches ------------------------------------------------------------------------------------

typedef struct launching {
    CUgraph graph;
    CUstream stream[NMEMU_LANES];
    const nmemu_work *next[NMEMU_LANES]; // of each lane, to be issued
    nmemu_mark **mark;                   // [n_marks]
} launching;

// The lane whose next work was captured first; -1: all are issued.
static int first_lane(const launching *l)
{
    int best = -1;
    for (int i = 0; i < l->graph->n_lanes; i++)
        if (l->next[i] && (best < 0 || l->next[i]->number < l->next[best]->number))
            best = i;
    return best;
}

static CUresult issue_copy(const launching *l, int i)
{
    const nmemu_work *from = l->next[i];
    nmemu_work *w = malloc(from->bytes);
    if (w) {
        memcpy(w, from, from->bytes);
        if (w->kind->copied)
            w->kind->copied(w, l->mark);
        if (nmemu_recorded(w))
            nmemu_recorded(w)->stream = l->stream[i];
    }
    return nmemu_enqueue(l->stream[i], w);
}

static CUresult issue_all(launching *l)
{
    int i;
    CUresult r = CUDA_SUCCESS;
    for (int k = 0; k < l->graph->n_lanes; k++)
        l->next[k] = l->graph->lane[k].queue.first;
    while (!r && (i = first_lane(l)) >= 0) {
        r = issue_copy(l, i);
        l->next[i] = l->next[i]->next;
    }
    return r;
}

static CUresult prepare(launching *l, CUstream s)
{
    int n = l->graph->n_marks;
    bool ok = (l->mark = calloc((size_t)n + 1, sizeof *l->mark)) != NULL;
    for (int i = 0; ok && i < n; i++)
        ok = (l->mark[i] = nmemu_mark_new()) != NULL;
    l->stream[0] = s;
    for (int i = 1; ok && i < l->graph->n_lanes; i++)
        ok = (l->stream[i] = nmemu_stream_new(s->context)) != NULL;
    return ok ? CUDA_SUCCESS : nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
}

static void finish(launching *l)
{
    for (int i = 0; l->mark && i < l->graph->n_marks; i++)
        nmemu_mark_drop(l->mark[i]);
    free(l->mark);
    for (int i = 1; i < l->graph->n_lanes; i++)
        if (l->stream[i])
            nmemu_stream_end(l->stream[i]);
}

// Behind the launch before, wherever that was.
static CUresult follow(CUgraphExec exec, CUstream s)
{
    nmemu_mark *m = exec->last;
    return !m || m->done ? CUDA_SUCCESS : nmemu_enqueue(s, nmemu_await_new(m));
}

static CUresult mark_end(CUgraphExec exec, CUstream s)
{
    nmemu_mark_drop(exec->last);
    if (!(exec->last = nmemu_mark_new()))
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    exec->last->stream = s;
    return nmemu_enqueue(s, nmemu_record_new(exec->last));
}

static CUresult launch(CUgraphExec exec, CUstream s)
{
    CUresult r = nmemu_check_stream(s);
    if (!r && s->graph)
        r = nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "a graph inside of a graph is not emulated");
    if (r)
        return r;
    launching l = {.graph = exec->graph};
    r = prepare(&l, s);
    r = r ? r : follow(exec, s);
    r = r ? r : issue_all(&l);
    finish(&l);
    return r ? r : mark_end(exec, s);
}

static CUresult graph_launch(CUgraphExec exec, CUstream s)
{
    CUresult r = nmemu_call("cuGraphLaunch");
    return nmemu_done(r ? r : launch(exec, s));
}

void nmemu_fill_graphs(nmrt_gpu_api *t)
{
    t->cuStreamBeginCapture = begin_capture;
    t->cuStreamEndCapture = end_capture;
    t->cuGraphInstantiateWithFlags = graph_instantiate;
    t->cuGraphLaunch = graph_launch;
    t->cuGraphExecDestroy = exec_destroy;
    t->cuGraphDestroy = graph_destroy;
}
