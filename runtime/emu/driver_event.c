// Events. What an event stands for is a mark: the end of what a stream held when it was recorded.
// Each record makes a new mark, and a wait keeps the one that it was given, so an event may be
// recorded again at once.
#include "runtime/emu/driver.h"

#include <stdlib.h>
#include <time.h>

// --- marks, and the works that do and await them -------------------------------------------------

typedef struct marking {
    nmemu_work work;
    nmemu_mark *mark;
} marking;

nmemu_mark *nmemu_mark_new(void)
{
    nmemu_mark *m = calloc(1, sizeof *m);
    if (m)
        m->refs = 1;
    return m;
}

nmemu_mark *nmemu_mark_keep(nmemu_mark *m)
{
    m->refs++;
    return m;
}

void nmemu_mark_drop(nmemu_mark *m)
{
    if (m && --m->refs == 0)
        free(m);
}

static const char *do_mark(nmemu_work *w)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    nmemu_mark *m = ((marking *)w)->mark;
    m->done = true;
    m->stream = NULL;
    m->when = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    return NULL;
}

static bool is_marked(nmemu_work *w) { return ((marking *)w)->mark->done; }

static const char *pass(nmemu_work *w)
{
    (void)w;
    return NULL;
}

static void use_fresh(nmemu_work *w, nmemu_mark *const *fresh)
{
    marking *k = (marking *)w;
    k->mark = nmemu_mark_keep(fresh[k->mark->index]);
}

static void drop_mark(nmemu_work *w)
{
    nmemu_mark *m = ((marking *)w)->mark;
    if (nmemu_recorded(w) && m->stream)
        do_mark(w); // its stream ends: nobody shall wait for ever
    nmemu_mark_drop(m);
}

static const nmemu_work_kind records = {
    .run = do_mark, .copied = use_fresh, .drop = drop_mark, .orders = true};
static const nmemu_work_kind awaits = {
    .ready = is_marked, .run = pass, .copied = use_fresh, .drop = drop_mark, .orders = true};

static nmemu_work *new_marking(const nmemu_work_kind *kind, nmemu_mark *m)
{
    marking *k = nmemu_work_new(kind, sizeof *k);
    if (k)
        k->mark = nmemu_mark_keep(m);
    return (nmemu_work *)k;
}

nmemu_work *nmemu_record_new(nmemu_mark *m) { return new_marking(&records, m); }
nmemu_work *nmemu_await_new(nmemu_mark *m) { return new_marking(&awaits, m); }

nmemu_mark *nmemu_recorded(const nmemu_work *w)
{
    return w->kind == &records ? ((const marking *)w)->mark : NULL;
}

nmemu_mark *nmemu_awaited(const nmemu_work *w)
{
    return w->kind == &awaits ? ((const marking *)w)->mark : NULL;
}

// --- the calls -----------------------------------------------------------------------------------

static CUresult create(CUevent *event, unsigned int flags)
{
    if (flags & ~(unsigned)CU_EVENT_DISABLE_TIMING)
        return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "flags 0x%x are not emulated", flags);
    *event = calloc(1, sizeof **event);
    if (!*event)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    (*event)->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    return CUDA_SUCCESS;
}

static CUresult event_create(CUevent *event, unsigned int flags)
{
    CUresult r = nmemu_call_in_context("cuEventCreate");
    return nmemu_done(r ? r : create(event, flags));
}

static CUresult event_destroy(CUevent event)
{
    CUresult r = nmemu_call("cuEventDestroy");
    if (!r) {
        nmemu_mark_drop(event->mark);
        free(event);
    }
    return nmemu_done(r);
}

static CUresult record(CUevent event, CUstream s)
{
    CUresult r = nmemu_check_stream(s);
    nmemu_mark *m = r ? NULL : nmemu_mark_new();
    if (!m)
        return r ? r : nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    if (s->graph)
        nmemu_capture_record(s, m);
    else
        m->stream = s;
    nmemu_mark_drop(event->mark);
    event->mark = m;
    return nmemu_enqueue(s, nmemu_record_new(m));
}

static CUresult event_record(CUevent event, CUstream s)
{
    CUresult r = nmemu_call("cuEventRecord");
    return nmemu_done(r ? r : record(event, s));
}

static CUresult await(CUstream s, CUevent event)
{
    CUresult r = nmemu_check_stream(s);
    nmemu_mark *m = event->mark;
    if (r || !m) // an event that was never recorded is no reason to wait
        return r;
    if (m->captured)
        r = nmemu_capture_wait(s, m);
    else if (s->graph)
        r = nmemu_say(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                      "a captured stream may not wait for what is outside of its capture");
    return r || m->done ? r : nmemu_enqueue(s, nmemu_await_new(m));
}

static CUresult stream_wait_event(CUstream s, CUevent event, unsigned int flags)
{
    CUresult r = nmemu_call("cuStreamWaitEvent");
    if (!r && flags)
        r = nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "flags 0x%x are not emulated", flags);
    return nmemu_done(r ? r : await(s, event));
}

// Is it one that the host may wait for?
static CUresult check_host(CUevent event)
{
    if (event->mark && event->mark->captured)
        return nmemu_say(CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture");
    return CUDA_SUCCESS;
}

static CUresult event_synchronize(CUevent event)
{
    CUresult r = nmemu_call("cuEventSynchronize");
    r = r ? r : check_host(event);
    if (!r && event->mark) {
        nmemu_mark *m = nmemu_mark_keep(event->mark);
        r = nmemu_wait_mark(m);
        nmemu_mark_drop(m);
    }
    return nmemu_done(r);
}

static CUresult query(CUevent event)
{
    CUresult r = check_host(event);
    if (!r && event->mark && !event->mark->done)
        r = nmemu_poke(event->mark->stream);
    if (!r && event->mark && !event->mark->done)
        r = CUDA_ERROR_NOT_READY;
    return r;
}

static CUresult event_query(CUevent event)
{
    CUresult r = nmemu_call("cuEventQuery");
    return nmemu_done(r ? r : query(event));
}

static CUresult elapsed(float *milliseconds, CUevent start, CUevent end)
{
    if (!start->timed || !end->timed)
        return nmemu_say(CUDA_ERROR_INVALID_HANDLE, "an event was made without timing");
    if (!start->mark || !end->mark || start->mark->captured || end->mark->captured)
        return nmemu_say(CUDA_ERROR_INVALID_HANDLE, "an event was not recorded");
    if (!start->mark->done || !end->mark->done)
        return CUDA_ERROR_NOT_READY;
    *milliseconds = (float)(1e3 * (end->mark->when - start->mark->when));
    return CUDA_SUCCESS;
}

static CUresult event_elapsed(float *milliseconds, CUevent start, CUevent end)
{
    CUresult r = nmemu_call("cuEventElapsedTime");
    return nmemu_done(r ? r : elapsed(milliseconds, start, end));
}

void nmemu_fill_events(nmrt_gpu_api *t)
{
    t->cuEventCreate = event_create;
    t->cuEventDestroy = event_destroy;
    t->cuEventRecord = event_record;
    t->cuEventSynchronize = event_synchronize;
    t->cuEventQuery = event_query;
    t->cuEventElapsedTime = event_elapsed;
    t->cuStreamWaitEvent = stream_wait_event;
}
