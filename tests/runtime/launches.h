// A rank's body: launches through the queue, interleaved with collectives that are done at once,
// give the bits that the same collectives give one by one. For any communicator.
#ifndef NMRT_TEST_LAUNCHES_H
#define NMRT_TEST_LAUNCHES_H

#include "runtime/comm_queue.h"

#include "tests/runtime/ranks.h"

#include <stdlib.h>

enum { LAUNCHES = 3 * NMRT_QUEUE_PLACES, BATCH = 3, MOST_WORDS = 40000 };

typedef struct launch_bench {
    nmrt_comm *c;
    nmrt_queue *q;
    int all[8], even[4];
    float *in, *out, *plain; // [LAUNCHES][words]; out: of the queue
    int64_t words;           // of a launch
} launch_bench;

static inline nmrt_status launch_memory(nmrt_comm *c, float **at, int64_t words, nmrt_error *e)
{
    void *given = NULL;
    nmrt_status status = NMRT_OK;
    if (c->alloc)
        status = c->alloc(c, words * 4, &given, e);
    else
        given = calloc((size_t)words, 4);
    *at = given;
    return status;
}

static inline void launch_memory_free(nmrt_comm *c, float *at, int64_t words)
{
    if (c->free)
        c->free(c, at, words * 4);
    else
        free(at);
}

static inline nmrt_group launch_group(const launch_bench *b, bool all)
{
    int world = b->c->ranks;
    nmrt_group g = {.n = all ? world : (world + 1) / 2, .rank = all ? b->all : b->even, .me = -1};
    for (int i = 0; i < g.n; i++)
        g.me = g.rank[i] == b->c->rank ? i : g.me;
    g.id = nmrt_group_id(g.rank, g.n);
    return g;
}

// The i-th launch: of all ranks or of the even ones, of words or of many lines, of one or several.
// Returns how many; 0: this rank has no part in it.
static inline int make_launch(const launch_bench *b, int i, float *out, nmrt_exchange x[BATCH])
{
    static const nmdrv_collective_kind kinds[] = {NMDRV_ALL_REDUCE, NMDRV_REDUCE_SCATTER,
                                                  NMDRV_ALL_GATHER, NMDRV_ROTATE};
    static const char *const names[] = {"all_reduce.x", "reduce_scatter.x", "all_gather.x",
                                        "rotate.x"};
    nmrt_group g = launch_group(b, i % 5 != 3);
    int n = 1 + i % BATCH;
    int64_t words = i % 2 ? 12 : b->words / n;
    bool flat = i % 4 == 0 || i % 4 == 3;
    for (int k = 0; k < n; k++)
        x[k] = (nmrt_exchange){.kind = kinds[i % 4],
                               .dtype = NMDRV_F32,
                               .group = g,
                               .outer = flat ? words : 1,
                               .len = flat ? 1 : words / g.n,
                               .inner = 1,
                               .out = out + i * b->words + k * words,
                               .in = b->in + i * b->words + k * words,
                               .name = names[i % 4],
                               .where = "t.nm:1"};
    return g.me < 0 || g.n == 1 ? 0 : n;
}

static inline void run_plainly(launch_bench *b)
{
    nmrt_error e;
    nmrt_exchange x[BATCH];
    for (int i = 0; i < LAUNCHES; i++)
        CHECK(nmrt_comm_run_all(b->c, x, make_launch(b, i, b->plain, x), &e) == NMRT_OK);
}

// Every seventh is done at once; others stay under way, more of them than the queue has places, and
// are waited for later, not in their order.
static inline void run_queued(launch_bench *b)
{
    nmrt_error e;
    nmrt_exchange x[BATCH];
    int64_t ticket[LAUNCHES] = {0};
    for (int i = 0; i < LAUNCHES; i++) {
        int n = make_launch(b, i, b->out, x);
        if (n && i % 7 == 6)
            CHECK(nmrt_queue_run(b->q, x, n, &e) == NMRT_OK);
        else if (n)
            CHECK(nmrt_queue_start(b->q, x, n, &ticket[i], &e) == NMRT_OK && ticket[i] > 0);
        memset(x, 0xFF, sizeof x); // the queue has its own
        if (i % 11 == 10)
            CHECK(nmrt_queue_wait(b->q, ticket[i - 5], &e) == NMRT_OK);
    }
    for (int i = LAUNCHES - 1; i >= 0; i--)
        CHECK(nmrt_queue_wait(b->q, ticket[i], &e) == NMRT_OK);
    CHECK(!nmrt_queue_left(b->q));
}

static inline nmrt_status check_launches(nmrt_comm *c, int64_t words, nmrt_error *e)
{
    launch_bench b = {.c = c, .words = words};
    int64_t total = LAUNCHES * words;
    for (int i = 0; i < c->ranks; i++)
        b.all[i] = i, b.even[i / 2] = i - i % 2;
    NMRT_TRY(launch_memory(c, &b.in, total, e));
    NMRT_TRY(launch_memory(c, &b.out, total, e));
    NMRT_TRY(launch_memory(c, &b.plain, total, e));
    for (int64_t i = 0; i < total; i++)
        b.in[i] = (float)((i * 2654435761u + (unsigned)c->rank * 40503u) % 20011) / 7 - 1e3f;
    run_plainly(&b);
    NMRT_TRY(nmrt_queue_new(&b.q, c, e));
    run_queued(&b);
    nmrt_queue_free(b.q);
    CHECK(memcmp(b.out, b.plain, (size_t)total * 4) == 0);
    launch_memory_free(c, b.in, total);
    launch_memory_free(c, b.out, total);
    launch_memory_free(c, b.plain, total);
    return NMRT_OK;
}

// arg: how many threads a rank has.
static inline nmrt_status launch_checks(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    nmrt_comm c;
    int threads = *(const int *)arg;
    NMRT_TRY(nmrt_comm_open(&c, r, "auto", e));
    if (threads > 1)
        NMRT_TRY(nmrt_pool_new(&c.pool, threads, 64, e));
    nmrt_status status = check_launches(&c, MOST_WORDS, e);
    c.one_thread = true;
    if (status == NMRT_OK)
        status = check_launches(&c, 64, e);
    CHECK(c.waited > 0);
    nmrt_pool_free(c.pool);
    c.close(&c);
    return status == NMRT_OK ? checked(e) : status;
}

#endif
