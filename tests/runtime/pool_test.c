// The thread pool: every index once, whatever the counts, for many small jobs in a row.
#include "runtime/pool.h"

#include "tests/runtime/check.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_uchar seen[10000];
static atomic_int calls;

static void mark(const nmdrv_sym *sym, void *const *arg, int64_t from, int64_t to, void *scratch)
{
    (void)sym, (void)arg;
    CHECK((uintptr_t)scratch % 64 == 0);
    memset(scratch, 1, 100);
    atomic_fetch_add(&calls, 1);
    for (int64_t i = from; i < to; i++)
        atomic_fetch_add(&seen[i], 1);
}

static void test_count(nmrt_pool *pool, int64_t count, int64_t grain)
{
    const nmdrv_kernel kernel = {.name = "mark", .where = "", .fn = mark, .grain = grain};
    memset(seen, 0, sizeof seen);
    nmrt_pool_run(pool, &kernel, NULL, count, NULL);
    for (int64_t i = 0; i < 10000; i++)
        CHECK(seen[i] == (i < count));
}

// A kernel whose calls are dear gets few of them, but every thread one.
static void test_chunk(nmrt_pool *pool, int threads, int64_t count, int want)
{
    const nmdrv_kernel kernel = {.name = "mark", .where = "", .fn = mark, .grain = 1, .chunk = 6};
    atomic_store(&calls, 0);
    nmrt_pool_run(pool, &kernel, NULL, count, NULL);
    CHECK(atomic_load(&calls) == (threads == 1 ? 1 : want));
}

int main(void)
{
    for (int threads = 1; threads <= 5; threads++) {
        nmrt_pool *pool;
        nmrt_error e;
        CHECK(nmrt_pool_new(&pool, threads, 100, &e) == NMRT_OK);
        for (int64_t count = 0; count <= 200; count++)
            test_count(pool, count, 1 + count % 3);
        test_count(pool, 10000, 1);
        usleep(20000); // asleep by now
        test_count(pool, 9999, 7);
        test_chunk(pool, threads, threads, threads);
        test_chunk(pool, threads, 7 * threads, threads);
        test_chunk(pool, threads, 18 * threads, 3 * threads);
        test_chunk(pool, threads, 600 * threads, 4 * threads);
        nmrt_pool_free(pool);
    }
    return check_result();
}
