// Traces as a device meets them: spans of several threads at once, spans with known times from a
// source that is asked when the step has ended, nothing outside the steps, and nothing at all
// without a trace.
#include "runtime/trace.h"

#include "runtime/file.h"
#include "runtime/json.h"
#include "tests/runtime/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, SPANS = 3000 };

static const nmrt_span kernel = {.kind = NMRT_SPAN_KERNEL,
                                 .name = "map.x",
                                 .where = "models/a.nm:3, std.nm:7",
                                 .number = {{"indices", 12}}};

static nmrt_status open_trace(nmrt_trace **t, nmrt_comm *comm, const char *path, const char *steps)
{
    static nmrt_mesh mesh;
    nmrt_error e;
    bool any;
    for (int i = 0; i < NMDRV_N_AXES; i++)
        mesh.size[i] = 1;
    nmrt_trace_request q = {path, steps, 1, 9, &mesh};
    NMRT_TRY(nmrt_trace_new(t, comm, &e));
    return nmrt_trace_open(*t, &q, &any, &e);
}

// How many events of the file have this name.
static int count(const char *path, const char *name)
{
    nmrt_error e;
    nmrt_map map;
    nm_json doc;
    char has[100];
    int n = 0;
    CHECK(nmrt_map_open(&map, path, &e) == NMRT_OK);
    if (nmrt_json_parse(&doc, (const char *)map.at, map.n, &e) == NMRT_OK) {
        for (int i = nm_json_first(&doc, 0); i >= 0; i = doc.node[i].next)
            n += nm_json_string(&doc, nm_json_get(&doc, i, "name"), has, sizeof has) &&
                 strcmp(has, name) == 0;
        nm_json_release(&doc);
    } else
        n = -1;
    nmrt_map_close(&map);
    return n;
}

static void *add_many(void *track)
{
    for (int i = 0; i < SPANS; i++)
        nmrt_trace_end(track, nmrt_trace_begin(track, "map.x"), &kernel);
    return NULL;
}

static void add_from_threads(nmrt_trace *t)
{
    pthread_t thread[THREADS];
    nmrt_track *shared = nmrt_trace_track(t, NMRT_TRACK_THREADS, "shared");
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, add_many, shared) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

// A stream whose kernels take 1 us each.
static void collect(void *track)
{
    nmrt_span s = {.kind = NMRT_SPAN_KERNEL, .name = "late", .where = "a.nm:1"};
    for (int i = 0; i < 5; i++) {
        s.begin = nmrt_trace_now() + 1000 * i;
        s.end = s.begin + 1000;
        nmrt_trace_add(track, &s);
    }
}

static void test_step(const char *path)
{
    nmrt_trace *t;
    nmrt_error e;
    nmrt_comm comm = nmrt_comm_single();
    CHECK(open_trace(&t, &comm, path, "2-3") == NMRT_OK);
    nmrt_trace_source(t, collect, nmrt_trace_track(t, NMRT_TRACK_STREAMS, "stream 0"));
    for (int step = 1; step <= 4; step++) {
        nmrt_trace_step(t, step);
        CHECK(nmrt_trace_runs(t) == (step == 2 || step == 3));
        nmrt_trace_number(t, "loss", 2.5);
        add_from_threads(t);
        CHECK(nmrt_trace_step_done(t) == (step == 3));
    }
    CHECK(!nmrt_trace_runs(t));
    nmrt_trace_source(t, NULL, NULL);
    CHECK(nmrt_trace_finish(t, &e) == NMRT_OK && nmrt_trace_finish(t, &e) == NMRT_OK);
    nmrt_trace_close(t);
    CHECK(count(path, "map.x a.nm:3") == 2 * THREADS * SPANS);
    CHECK(count(path, "late a.nm:1") == 2 * 5);
    CHECK(count(path, "loss") == 2);
    CHECK(count(path, "step 2") == 1 && count(path, "step 3") == 1 && count(path, "step 1") == 0);
}

static void test_nothing(void)
{
    nmrt_error e;
    CHECK(nmrt_trace_begin(NULL, "x") == 0 && !nmrt_trace_runs(NULL));
    CHECK(!nmrt_trace_track(NULL, NMRT_TRACK_FILES, "x") && !nmrt_trace_steps(NULL));
    nmrt_trace_end(NULL, 0, &kernel);
    nmrt_trace_add(NULL, &kernel);
    nmrt_trace_source(NULL, collect, NULL);
    nmrt_trace_step(NULL, 1);
    nmrt_trace_number(NULL, "loss", 1);
    CHECK(!nmrt_trace_step_done(NULL) && nmrt_trace_finish(NULL, &e) == NMRT_OK);
    nmrt_trace_close(NULL);
}

// What a step that failed has left is written, without the array's end.
static void test_failed_step(const char *path)
{
    nmrt_trace *t;
    nmrt_error e;
    nmrt_map map;
    nmrt_comm comm = nmrt_comm_single();
    CHECK(open_trace(&t, &comm, path, NULL) == NMRT_OK);
    nmrt_trace_step(t, 3);
    add_many(nmrt_trace_steps(t));
    nmrt_trace_close(t);
    CHECK(nmrt_map_open(&map, path, &e) == NMRT_OK);
    CHECK(map.n > SPANS * 50 && map.at[map.n - 1] == '}');
    nmrt_map_close(&map);
}

int main(void)
{
    char path[] = "/tmp/trace_test.XXXXXX";
    close(mkstemp(path));
    test_step(path);
    test_nothing();
    test_failed_step(path);
    unlink(path);
    return check_result();
}
