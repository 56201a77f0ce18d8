// Streams as queues of works, and the order in which they run. Nothing runs until somebody waits,
// asks, or has filled a queue; then one head after the other does, of those that are ready:
//   eager    the one that was issued first
//   lazy     what the waiter cannot do without: other streams stand still
//   random   any; and now and then one when another is issued, as on a GPU
// So a wait for an event that is missing shows as wrong numbers in one of them.
#include "runtime/emu/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// --- works and queues ----------------------------------------------------------------------------

void *nmemu_work_new(const nmemu_work_kind *kind, uint64_t bytes)
{
    nmemu_work *w = calloc(1, bytes);
    if (w)
        *w = (nmemu_work){.kind = kind, .bytes = bytes};
    return w;
}

void nmemu_work_free(nmemu_work *w)
{
    if (w && w->kind->drop)
        w->kind->drop(w);
    free(w);
}

void nmemu_queue_add(nmemu_queue *q, nmemu_work *w)
{
    w->next = NULL;
    if (q->last)
        q->last->next = w;
    else
        q->first = w;
    q->last = w;
    q->n++;
}

static nmemu_work *take(nmemu_queue *q)
{
    nmemu_work *w = q->first;
    q->first = w->next;
    if (!q->first)
        q->last = NULL;
    q->n--;
    return w;
}

void nmemu_queue_free(nmemu_queue *q)
{
    while (q->first)
        nmemu_work_free(take(q));
}

// --- streams -------------------------------------------------------------------------------------

CUstream nmemu_stream_new(CUcontext c)
{
    CUstream s = calloc(1, sizeof *s), *end = &nmemu_drv.streams;
    if (!s)
        return NULL;
    s->context = c;
    while (*end)
        end = &(*end)->next;
    return *end = s;
}

static void stream_free(CUstream s)
{
    CUstream *at = &nmemu_drv.streams;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    nmemu_queue_free(&s->queue);
    free(s);
}

void nmemu_stream_end(CUstream s)
{
    s->dies = true;
    if (!s->queue.n)
        stream_free(s);
}

void nmemu_drop_streams(CUcontext c)
{
    for (CUstream s = nmemu_drv.streams, next; s; s = next) {
        next = s->next;
        if (s->context == c)
            stream_free(s);
    }
}

CUresult nmemu_check_stream(CUstream s)
{
    if (!s)
        return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "the default stream is not emulated");
    for (CUstream t = nmemu_drv.streams; t; t = t->next)
        if (t == s && !t->dies)
            return CUDA_SUCCESS;
    return nmemu_say(CUDA_ERROR_INVALID_HANDLE, "there is no such stream");
}

CUresult nmemu_check_sync(CUstream s)
{
    CUresult r = nmemu_check_stream(s);
    if (r || !s->graph)
        return r;
    return nmemu_capture_spoil(s->graph, "the stream is being captured");
}

// --- which one is next ---------------------------------------------------------------------------

typedef struct goal { // what somebody waits for; all NULL: everything
    CUstream stream;
    int left; // works that may stay in it
    nmemu_mark *mark;
    CUcontext context;
} goal;

static bool is_ready(CUstream s)
{
    nmemu_work *w = s->queue.first;
    return w && (!w->kind->ready || w->kind->ready(w));
}

static CUstream oldest_ready(void)
{
    CUstream best = NULL;
    for (CUstream s = nmemu_drv.streams; s; s = s->next)
        if (is_ready(s) && (!best || s->queue.first->number < best->queue.first->number))
            best = s;
    return best;
}

static CUstream any_ready(void)
{
    CUstream best = NULL;
    uint64_t n = 0;
    for (CUstream s = nmemu_drv.streams; s; s = s->next)
        if (is_ready(s) && nmemu_draw() % ++n == 0)
            best = s;
    return best;
}

// What holds the goal up: the stream itself, or the one that has what its head waits for.
static CUstream needed(const goal *g)
{
    CUstream s = g->mark ? g->mark->stream : g->stream;
    while (s && !is_ready(s)) {
        nmemu_mark *m = s->queue.first ? nmemu_awaited(s->queue.first) : NULL;
        s = m ? m->stream : NULL;
    }
    return s ? s : oldest_ready();
}

static CUstream choose(const goal *g)
{
    switch (nmemu_drv.mode) {
    case NMEMU_EAGER: return oldest_ready();
    case NMEMU_LAZY: return needed(g);
    default: return any_ready();
    }
}

// --- running -------------------------------------------------------------------------------------

static bool is_idle(CUcontext c)
{
    for (CUstream s = nmemu_drv.streams; s; s = s->next)
        if (s->queue.n && (!c || s->context == c))
            return false;
    return true;
}

static bool is_reached(const goal *g)
{
    if (g->stream)
        return g->stream->queue.n <= g->left;
    return g->mark ? g->mark->done : is_idle(g->context);
}

static void run_head(CUstream s)
{
    nmemu_work *w = take(&s->queue);
    const char *wrong = w->kind->run(w);
    if (wrong) {
        snprintf(nmemu_drv.message, sizeof nmemu_drv.message, "%s", wrong);
        nmemu_drv.broken = CUDA_ERROR_LAUNCH_FAILED;
    }
    nmemu_work_free(w);
    if (s->dies && !s->queue.n)
        stream_free(s);
}

// Where other processes have to come first: gives them time.
static bool wait_for_peers(void)
{
    bool some = false;
    for (CUstream s = nmemu_drv.streams; s; s = s->next)
        some = some || (s->queue.first && s->queue.first->kind->peers);
    if (!some)
        return false;
    pthread_mutex_unlock(&nmemu_drv.lock);
    usleep(20);
    pthread_mutex_lock(&nmemu_drv.lock);
    return true;
}

static CUresult run_until(goal g)
{
    while (!nmemu_drv.broken && !is_reached(&g)) {
        CUstream s = choose(&g);
        if (s)
            run_head(s);
        else if (!wait_for_peers())
            return nmemu_say(CUDA_ERROR_UNKNOWN, "no stream can go on: a fault of the emulator");
    }
    return nmemu_drv.broken;
}

CUresult nmemu_wait_stream(CUstream s) { return run_until((goal){.stream = s}); }
CUresult nmemu_wait_mark(nmemu_mark *m) { return run_until((goal){.mark = m}); }
CUresult nmemu_wait_context(CUcontext c) { return run_until((goal){.context = c}); }

CUresult nmemu_poke(CUstream s)
{
    CUstream next = choose(&(goal){.stream = s});
    if (next)
        run_head(next);
    return nmemu_drv.broken;
}

static bool has_peers(void)
{
    for (CUstream s = nmemu_drv.streams; s; s = s->next)
        for (nmemu_work *w = s->queue.first; w; w = w->next)
            if (w->kind->peers)
                return true;
    return false;
}

void nmemu_poke_peers(void)
{
    CUstream s;
    while (!nmemu_drv.broken && has_peers() && (s = oldest_ready()))
        run_head(s);
}

// --- issuing -------------------------------------------------------------------------------------

CUresult nmemu_enqueue(CUstream s, nmemu_work *w)
{
    if (!w)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    w->context = s->context;
    w->number = nmemu_drv.issued++;
    if (s->graph) {
        nmemu_capture_add(s, w);
        return CUDA_SUCCESS;
    }
    CUresult r = CUDA_SUCCESS;
    if (s->queue.n >= NMEMU_QUEUE)
        r = run_until((goal){.stream = s, .left = NMEMU_QUEUE / 2});
    if (r) {
        nmemu_work_free(w);
        return r;
    }
    nmemu_queue_add(&s->queue, w);
    if (nmemu_drv.mode == NMEMU_RANDOM && nmemu_draw() % 4 == 0)
        return nmemu_poke(s);
    return CUDA_SUCCESS;
}

// --- the calls -----------------------------------------------------------------------------------

static CUresult create(CUstream *stream, unsigned int flags)
{
    if (flags > CU_STREAM_NON_BLOCKING)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "unknown flags 0x%x", flags);
    *stream = nmemu_stream_new(nmemu_context());
    return *stream ? CUDA_SUCCESS : nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
}

static CUresult stream_create(CUstream *stream, unsigned int flags)
{
    CUresult r = nmemu_call_in_context("cuStreamCreate");
    return nmemu_done(r ? r : create(stream, flags));
}

static CUresult destroy(CUstream s)
{
    CUresult r = nmemu_check_sync(s);
    if (!r)
        nmemu_stream_end(s);
    return r;
}

static CUresult stream_destroy(CUstream s)
{
    CUresult r = nmemu_call("cuStreamDestroy");
    return nmemu_done(r ? r : destroy(s));
}

static CUresult stream_synchronize(CUstream s)
{
    CUresult r = nmemu_call("cuStreamSynchronize");
    r = r ? r : nmemu_check_sync(s);
    return nmemu_done(r ? r : nmemu_wait_stream(s));
}

static CUresult query(CUstream s)
{
    if (!s->queue.n)
        return CUDA_SUCCESS;
    CUresult r = nmemu_poke(s);
    return r ? r : s->queue.n ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

static CUresult stream_query(CUstream s)
{
    CUresult r = nmemu_call("cuStreamQuery");
    r = r ? r : nmemu_check_sync(s);
    return nmemu_done(r ? r : query(s));
}

void nmemu_fill_streams(nmrt_gpu_api *t)
{
    t->cuStreamCreate = stream_create;
    t->cuStreamDestroy = stream_destroy;
    t->cuStreamSynchronize = stream_synchronize;
    t->cuStreamQuery = stream_query;
}
