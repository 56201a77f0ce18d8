// A ring of launches between two threads, behind one lock. Numbers count launches from the first:
// `started` is the caller's, `done` the thread's. While the caller stands still for a launch, its
// pool is idle, so the thread has it for that launch and those before.
#define _GNU_SOURCE
#include "runtime/comm_queue.h"

#include "runtime/clock.h"
#include "runtime/cpu.h"
#include "runtime/dtype.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = NMRT_QUEUE_PLACES };

typedef struct launch {
    int n;
    int64_t queued; // when; 0: nothing is traced
    nmrt_exchange x[NMRT_MAX_BATCH];
} launch;

struct nmrt_queue {
    nmrt_comm *comm;           // the caller's
    int64_t seen;              // launches that the caller has waited for; its own
    nmrt_track *track, *steps; // of launches; of the caller
    bool threaded;
    pthread_t thread;
    nmrt_comm inside; // the thread's: with the pool only while that is lent
    pthread_mutex_t lock;
    pthread_cond_t come, gone; // there is a launch, or the end; a launch is done
    // behind the lock
    int64_t started, done;
    int64_t awaited; // the caller stands still until so many are done
    bool ends;
    nmrt_status status; // of the first launch that failed, and why
    nmrt_error why;
    launch at[PLACES];
};

// --- what both trace -----------------------------------------------------------------------------

static int64_t bytes_of(const nmrt_exchange *x, int n)
{
    int64_t bits = 0;
    for (int i = 0; i < n; i++)
        bits += nmrt_exchange_in(&x[i]) * nmrt_dtype(x[i].dtype)->bits;
    return bits / 8;
}

// A launch is named by its first row.
static void end_launch(const nmrt_queue *q, int64_t begin, int64_t queued, const nmrt_exchange *x,
                       int n)
{
    if (begin)
        nmrt_trace_end(q->track, begin,
                       &(nmrt_span){.kind = NMRT_SPAN_COLLECTIVE,
                                    .name = x->name,
                                    .where = x->where,
                                    .number = {{"collectives", n},
                                               {"bytes", bytes_of(x, n)},
                                               {"ns_in_queue", queued ? begin - queued : 0}}});
}

static void end_wait(const nmrt_queue *q, int64_t begin, const nmrt_exchange *x)
{
    nmrt_trace_end(q->steps, begin,
                   &(nmrt_span){.kind = NMRT_SPAN_WAIT, .name = x->name, .where = x->where});
}

// --- the thread ----------------------------------------------------------------------------------

// Holds the lock but while the launch runs.
static void run_next(nmrt_queue *q)
{
    const launch *l = &q->at[q->done % PLACES];
    if (q->status == NMRT_OK) {
        nmrt_error e;
        q->inside.pool = q->done < q->awaited ? q->comm->pool : NULL;
        pthread_mutex_unlock(&q->lock);
        int64_t begin = nmrt_trace_begin(q->track, l->x->name);
        nmrt_status status = nmrt_comm_run_all(&q->inside, l->x, l->n, &e);
        end_launch(q, begin, l->queued, l->x, l->n);
        pthread_mutex_lock(&q->lock);
        q->status = status;
        if (status != NMRT_OK)
            q->why = e;
    }
    q->done++;
    pthread_cond_signal(&q->gone);
}

static void *work(void *arg)
{
    nmrt_queue *q = arg;
    nmrt_cpu_flush_denormals(); // sums as in every other thread
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->done == q->started && !q->ends)
            pthread_cond_wait(&q->come, &q->lock);
        if (q->done == q->started)
            break;
        run_next(q);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

// Signals are the rank's own thread's.
static nmrt_status need_thread(nmrt_queue *q, nmrt_error *e)
{
    sigset_t all, before;
    if (q->threaded)
        return NMRT_OK;
    q->inside = *q->comm;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    q->threaded = pthread_create(&q->thread, NULL, work, q) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!q->threaded)
        return nmrt_fail(e, NMRT_WORLD, "cannot start the thread of collectives");
    pthread_setname_np(q->thread, "collectives"); // for who looks with top or a debugger
    return NMRT_OK;
}

// --- the caller ----------------------------------------------------------------------------------

// Holds the lock. Until `count` launches are done, which the pool helps with.
static nmrt_status stand_still(nmrt_queue *q, int64_t count, nmrt_error *e)
{
    if (q->done < count) {
        const nmrt_exchange *x = q->at[(count - 1) % PLACES].x;
        int64_t begin = nmrt_trace_begin(q->steps, x->name);
        double start = nmrt_seconds();
        q->awaited = count;
        while (q->done < count)
            pthread_cond_wait(&q->gone, &q->lock);
        q->comm->waited += nmrt_seconds() - start;
        end_wait(q, begin, x);
    }
    if (q->status != NMRT_OK)
        *e = q->why;
    return q->status;
}

nmrt_status nmrt_queue_wait(nmrt_queue *q, int64_t ticket, nmrt_error *e)
{
    pthread_mutex_lock(&q->lock);
    nmrt_status status = stand_still(q, ticket, e);
    pthread_mutex_unlock(&q->lock);
    q->seen = ticket > q->seen ? ticket : q->seen;
    return status;
}

nmrt_status nmrt_queue_settle(nmrt_queue *q, nmrt_error *e)
{
    return nmrt_queue_wait(q, q->started, e);
}

static nmrt_status run_here(nmrt_queue *q, const nmrt_exchange *x, int n, nmrt_error *e)
{
    int64_t stands = nmrt_trace_begin(q->steps, x->name),
            begin = nmrt_trace_begin(q->track, x->name);
    double start = nmrt_seconds();
    nmrt_status status = nmrt_comm_run_all(q->comm, x, n, e);
    q->comm->waited += nmrt_seconds() - start;
    end_launch(q, begin, 0, x, n);
    end_wait(q, stands, x);
    return status;
}

nmrt_status nmrt_queue_start(nmrt_queue *q, const nmrt_exchange *x, int n, int64_t *ticket,
                             nmrt_error *e)
{
    if (q->comm->one_thread) {
        *ticket = q->seen = q->done = ++q->started;
        return run_here(q, x, n, e);
    }
    NMRT_TRY(need_thread(q, e));
    pthread_mutex_lock(&q->lock);
    nmrt_status status = stand_still(q, q->started - PLACES + 1, e);
    if (status == NMRT_OK) {
        launch *l = &q->at[q->started % PLACES];
        l->n = n;
        l->queued = q->track ? nmrt_trace_now() : 0;
        memcpy(l->x, x, (size_t)n * sizeof *x);
        *ticket = ++q->started;
        pthread_cond_signal(&q->come);
    }
    pthread_mutex_unlock(&q->lock);
    return status;
}

nmrt_status nmrt_queue_run(nmrt_queue *q, const nmrt_exchange *x, int n, nmrt_error *e)
{
    int64_t ticket;
    if (q->seen == q->started && q->status == NMRT_OK)
        return run_here(q, x, n, e);
    NMRT_TRY(nmrt_queue_start(q, x, n, &ticket, e));
    return nmrt_queue_wait(q, ticket, e);
}

const nmrt_exchange *nmrt_queue_left(const nmrt_queue *q)
{
    const launch *l = &q->at[(q->started + PLACES - 1) % PLACES];
    return q->seen < q->started ? &l->x[l->n - 1] : NULL;
}

// --- open and close ------------------------------------------------------------------------------

nmrt_status nmrt_queue_new(nmrt_queue **queue, nmrt_comm *comm, nmrt_error *e)
{
    nmrt_queue *q = *queue = calloc(1, sizeof *q);
    if (!q)
        return nmrt_fail(e, NMRT_WORLD, "no memory for launches of collectives");
    q->comm = comm;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->come, NULL);
    pthread_cond_init(&q->gone, NULL);
    return NMRT_OK;
}

void nmrt_queue_trace(nmrt_queue *q, nmrt_trace *trace)
{
    q->track = nmrt_trace_track(trace, NMRT_TRACK_COLLECTIVES, "collectives");
    q->steps = nmrt_trace_steps(trace);
}

void nmrt_queue_free(nmrt_queue *q)
{
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    q->ends = true;
    pthread_cond_signal(&q->come);
    pthread_mutex_unlock(&q->lock);
    if (q->threaded)
        pthread_join(q->thread, NULL);
    pthread_cond_destroy(&q->gone);
    pthread_cond_destroy(&q->come);
    pthread_mutex_destroy(&q->lock);
    free(q);
}
