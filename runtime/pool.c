// The work-sharing thread pool. One atomic word (job number, chunks left) is all that threads race
// for: whoever decrements it by compare-and-swap owns a chunk. A thread that read the fields of an
// older job fails its swap, as the number moved on, so a job needs no lock and nobody has to show
// up for a job that others finished. Waiters spin for some microseconds, then sleep on a futex.
#define _GNU_SOURCE
#include "runtime/pool.h"

#include "runtime/cpu.h"
#include "runtime/trace.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPIN = 4000, CHUNKS_PER_THREAD = 4, LINE = 64 };

typedef struct worker {
    nmrt_pool *pool;
    pthread_t thread;
    void *scratch;
    bool started;
    nmrt_track *track;
} worker;

struct nmrt_pool {
    _Alignas(LINE) atomic_uint_fast64_t left; // job number << 32 | chunks not yet taken
    _Alignas(LINE) atomic_uint done;          // chunks of the job that are finished
    atomic_uint waiting;                      // the caller sleeps on `done`
    _Alignas(LINE) atomic_uint bell;          // rung when there is a job, or the end
    atomic_uint sleepers;
    atomic_bool quit;
    // The job. Relaxed atomics, as a late thread may read them while the next job is written.
    _Alignas(LINE) _Atomic(const nmdrv_kernel *) kernel;
    _Atomic(const nmdrv_sym *) sym;
    _Atomic(void *const *) arg;
    _Atomic int64_t count, n_chunks;
    uint32_t job;
    int threads;
    int64_t scratch;
    worker *worker; // [threads]; 0 is the caller
};

static void futex_wait(atomic_uint *word, unsigned seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Indices [from, to) of chunk k of n: as even as whole numbers allow.
static int64_t chunk_start(int64_t count, int64_t n, int64_t k)
{
    return count / n * k + (k < count % n ? k : count % n);
}

// The indices of one chunk, or all.
typedef struct share {
    const nmdrv_kernel *kernel;
    const nmdrv_sym *sym;
    void *const *arg;
    int64_t from, to;
} share;

static void run_share(const worker *w, const share *s)
{
    int64_t begin = nmrt_trace_begin(w->track, s->kernel->name);
    s->kernel->fn(s->sym, s->arg, s->from, s->to, w->scratch);
    nmrt_trace_end(w->track, begin,
                   &(nmrt_span){.kind = NMRT_SPAN_SHARE,
                                .name = s->kernel->name,
                                .where = s->kernel->where,
                                .number = {{"from", s->from}, {"indices", s->to - s->from}}});
}

static bool take_chunk(nmrt_pool *p, const worker *w)
{
    uint64_t word = atomic_load_explicit(&p->left, memory_order_acquire);
    for (;;) {
        uint64_t left = word & UINT32_MAX;
        if (!left)
            return false;
        const nmdrv_kernel *kernel = atomic_load_explicit(&p->kernel, memory_order_relaxed);
        const nmdrv_sym *sym = atomic_load_explicit(&p->sym, memory_order_relaxed);
        void *const *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
        int64_t count = atomic_load_explicit(&p->count, memory_order_relaxed);
        int64_t n = atomic_load_explicit(&p->n_chunks, memory_order_relaxed);
        if (!atomic_compare_exchange_weak_explicit(&p->left, &word, word - 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        int64_t k = n - (int64_t)left;
        run_share(
            w, &(share){kernel, sym, arg, chunk_start(count, n, k), chunk_start(count, n, k + 1)});
        unsigned done = atomic_fetch_add(&p->done, 1) + 1;
        if (done == (unsigned)n && atomic_load(&p->waiting))
            futex_wake(&p->done, 1);
        return true;
    }
}

static void wait_for_bell(nmrt_pool *p, unsigned seen)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&p->bell, memory_order_acquire) != seen)
            return;
        relax();
    }
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->bell) == seen)
        futex_wait(&p->bell, seen);
    atomic_fetch_sub(&p->sleepers, 1);
}

static void *work(void *user)
{
    worker *w = user;
    nmrt_pool *p = w->pool;
    nmrt_cpu_flush_denormals();
    while (!atomic_load(&p->quit)) {
        unsigned bell = atomic_load(&p->bell);
        while (take_chunk(p, w))
            ;
        if (!atomic_load(&p->quit))
            wait_for_bell(p, bell);
    }
    return NULL;
}

static void wait_until_done(nmrt_pool *p, unsigned n)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&p->done, memory_order_acquire) == n)
            return;
        relax();
    }
    atomic_store(&p->waiting, 1);
    for (unsigned seen; (seen = atomic_load(&p->done)) != n;)
        futex_wait(&p->done, seen);
    atomic_store(&p->waiting, 0);
}

// How many chunks a job is cut into: as many for each thread, where there are enough.
static int64_t chunks_of(const nmrt_pool *p, const nmdrv_kernel *kernel, int64_t count)
{
    int64_t grain = kernel->grain > 0 ? kernel->grain : 1, n = count / grain;
    int64_t each = CHUNKS_PER_THREAD;
    if (kernel->chunk > 0 && count / kernel->chunk / p->threads < each)
        each = count / kernel->chunk / p->threads;
    int64_t most = p->threads * (each > 0 ? each : 1);
    return n < most ? n : most;
}

void nmrt_pool_run(nmrt_pool *p, const nmdrv_kernel *kernel, const nmdrv_sym *sym, int64_t count,
                   void *const *arg)
{
    if (count <= 0)
        return;
    int64_t n = chunks_of(p, kernel, count);
    if (n <= 1 || p->threads == 1) {
        run_share(&p->worker[0], &(share){kernel, sym, arg, 0, count});
        return;
    }
    atomic_store_explicit(&p->kernel, kernel, memory_order_relaxed);
    atomic_store_explicit(&p->sym, sym, memory_order_relaxed);
    atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&p->count, count, memory_order_relaxed);
    atomic_store_explicit(&p->n_chunks, n, memory_order_relaxed);
    atomic_store(&p->done, 0);
    atomic_store(&p->left, (uint64_t)++p->job << 32 | (uint64_t)n);
    atomic_fetch_add(&p->bell, 1);
    if (atomic_load(&p->sleepers))
        futex_wake(&p->bell, INT_MAX);
    while (take_chunk(p, &p->worker[0]))
        ;
    wait_until_done(p, (unsigned)n);
}

static nmrt_status start_worker(nmrt_pool *p, int i, nmrt_error *e)
{
    worker *w = &p->worker[i];
    w->pool = p;
    w->scratch = aligned_alloc(LINE, (size_t)(p->scratch + LINE) / LINE * LINE);
    if (!w->scratch)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the scratch of %d threads", p->threads);
    memset(w->scratch, 0, (size_t)(p->scratch + LINE) / LINE * LINE);
    w->started = i == 0 || pthread_create(&w->thread, NULL, work, w) == 0;
    if (!w->started)
        return nmrt_fail(e, NMRT_WORLD, "cannot start %d threads; try --threads %d", p->threads, i);
    return NMRT_OK;
}

nmrt_status nmrt_pool_new(nmrt_pool **pool, int threads, int64_t scratch, nmrt_error *e)
{
    nmrt_pool *p = *pool = aligned_alloc(LINE, (sizeof *p + LINE - 1) / LINE * LINE);
    if (!p)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %d threads", threads);
    memset(p, 0, sizeof *p);
    p->threads = threads;
    p->scratch = scratch;
    p->worker = calloc((size_t)threads, sizeof *p->worker);
    nmrt_status status =
        p->worker ? NMRT_OK : nmrt_fail(e, NMRT_WORLD, "no memory for %d threads", threads);
    for (int i = 0; i < threads && status == NMRT_OK; i++)
        status = start_worker(p, i, e);
    if (status != NMRT_OK) {
        nmrt_pool_free(p);
        *pool = NULL;
    }
    return status;
}

void nmrt_pool_free(nmrt_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    atomic_fetch_add(&p->bell, 1);
    futex_wake(&p->bell, INT_MAX);
    for (int i = 0; p->worker && i < p->threads; i++) {
        if (i > 0 && p->worker[i].started)
            pthread_join(p->worker[i].thread, NULL);
        free(p->worker[i].scratch);
    }
    free(p->worker);
    free(p);
}

void nmrt_pool_trace(nmrt_pool *p, nmrt_trace *trace)
{
    for (int i = 0; i < p->threads; i++) {
        char name[32];
        snprintf(name, sizeof name, "thread %d", i);
        p->worker[i].track = nmrt_trace_track(trace, NMRT_TRACK_THREADS, name);
    }
}

int nmrt_pool_threads(const nmrt_pool *p) { return p->threads; }

void nmrt_pool_fill_scratch(nmrt_pool *p, uint32_t pattern)
{
    for (int i = 0; i < p->threads; i++)
        for (int64_t k = 0; k < p->scratch / 4; k++)
            ((uint32_t *)p->worker[i].scratch)[k] = pattern;
}
