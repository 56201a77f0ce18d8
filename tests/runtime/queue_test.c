// Launches of collectives under way beside the rank's own thread, over shared memory: same bits,
// nobody waits who need not, and whoever dies, stalls, diverges or computes is told apart as
// without a queue. And the host device on top of it: rows, waits, and a wait that is missing.
#include "runtime/device.h"

#include "tests/runtime/launches.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

static void test_same_bits(void)
{
    for (int world = 2; world <= 5; world++)
        CHECK(run_ranks(world, 60, 0, launch_checks, &(int){1 + world % 2}, NULL) == 0);
}

// --- one launch ----------------------------------------------------------------------------------

static const int everyone[] = {0, 1, 2, 3};

typedef struct rig {
    nmrt_comm c;
    nmrt_queue *q;
    int64_t in, out[8];
} rig;

static nmrt_status start(rig *g, const char *name, int place, int64_t *ticket, nmrt_error *e)
{
    nmrt_exchange x = {.kind = NMDRV_ALL_REDUCE,
                       .dtype = NMDRV_I64,
                       .group = {4, g->c.rank, everyone, nmrt_group_id(everyone, 4)},
                       .outer = 1,
                       .out = &g->out[place],
                       .in = &g->in,
                       .name = name,
                       .where = "t.nm:20"};
    return nmrt_queue_start(g->q, &x, 1, ticket, e);
}

static nmrt_status open_rig(rig *g, nmrt_ranks *r, nmrt_error *e)
{
    int64_t ticket;
    g->in = r->rank + 1;
    NMRT_TRY(nmrt_comm_open(&g->c, r, "local", e));
    NMRT_TRY(nmrt_queue_new(&g->q, &g->c, e));
    NMRT_TRY(start(g, "all_reduce.norm", 0, &ticket, e));
    CHECK(nmrt_queue_left(g->q) != NULL);
    NMRT_TRY(nmrt_queue_wait(g->q, ticket, e));
    CHECK(nmrt_queue_left(g->q) == NULL && g->out[0] == 10);
    return NMRT_OK;
}

static void close_rig(rig *g)
{
    nmrt_queue_free(g->q);
    g->c.close(&g->c);
}

// Rank 0 starts, and only when it has, the others do: a start that waited would wait for ever.
static nmrt_status start_first(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    rig g;
    int64_t ticket;
    atomic_int *begun = arg;
    NMRT_TRY(open_rig(&g, r, e));
    while (r->rank && !atomic_load(begun))
        usleep(1000);
    NMRT_TRY(start(&g, "all_reduce.a", 1, &ticket, e));
    atomic_store(begun, 1);
    NMRT_TRY(nmrt_queue_settle(g.q, e));
    CHECK(g.out[1] == 10);
    close_rig(&g);
    return checked(e);
}

static void test_start(void)
{
    atomic_int *begun =
        mmap(NULL, sizeof *begun, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(run_ranks(4, 20, 0, start_first, begun, NULL) == 0);
    munmap(begun, sizeof *begun);
}

// --- what goes wrong -----------------------------------------------------------------------------

typedef enum { NOTHING, KILLED, STOPPED, STUCK, STUCK_LATER, WORKS, ALL_WORK, DIVERGE } trouble;

// For longer than the timeout.
static void work(nmrt_comm *c)
{
    for (int i = 0; i < 15; i++) {
        usleep(100000);
        nmrt_comm_moved(c);
    }
}

static nmrt_status go_wrong(rig *g, trouble what, nmrt_error *e)
{
    bool one = g->c.rank == 2;
    int64_t a, b;
    const char *name[] = {"all_reduce.a", "all_reduce.b"};
    if (one && what == KILLED)
        raise(SIGKILL);
    if (one && what == STOPPED)
        raise(SIGSTOP);
    if (one && what == STUCK)
        sleep(20);
    if (one && what == WORKS)
        work(&g->c);
    bool swapped = one && what == DIVERGE;
    NMRT_TRY(start(g, name[swapped], 1, &a, e));
    if (one && what == STUCK_LATER)
        sleep(20);
    NMRT_TRY(start(g, name[!swapped], 2, &b, e));
    if (what == ALL_WORK || (what == KILLED && !one))
        work(&g->c);
    NMRT_TRY(nmrt_queue_wait(g->q, b, e));
    CHECK(g->out[1] == 10 && g->out[2] == 10);
    NMRT_TRY(nmrt_queue_wait(g->q, a, e));
    return NMRT_OK;
}

static nmrt_status troubled(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    rig g;
    NMRT_TRY(open_rig(&g, r, e));
    NMRT_TRY(go_wrong(&g, *(const trouble *)arg, e));
    close_rig(&g);
    return checked(e);
}

#define A    "all_reduce a (t.nm:20)"
#define B    "all_reduce b (t.nm:20)"
#define LAST "its last operation was all_reduce "

static void test(trouble what, const char *text)
{
    char said[4096];
    CHECK(run_ranks(4, 1, 0, troubled, &what, said) == (*text != 0));
    CHECK(is_in(text, said));
    CHECK(*text || !*said);
    CHECK(!*said || strchr(said, '\n') == said + strlen(said) - 1); // said once
}

static void test_troubles(void)
{
    test(NOTHING, "");
    test(KILLED, "error: rank 2 is gone (killed by signal 9) while the others wait in " A "; " LAST
                 "norm (t.nm:20)\n");
    test(STOPPED, "error: rank 2 has not entered " A " for 1 s (stopped); " LAST);
    test(STUCK, "error: rank 2 has not entered " A " for 1 s (stuck); " LAST);
    test(STUCK_LATER, "error: rank 2 has not entered " B " for 1 s (stuck); " LAST "a (t.nm:20)\n");
    test(WORKS, "");
    test(ALL_WORK, "");
    test(DIVERGE, "error: rank 0 is in " A ", rank 2 in " B ": they diverge\n");
}

// --- the device ----------------------------------------------------------------------------------

enum { FIRST, LAST_ASYNC, AT_ONCE, ALONE, LONG, N_ROWS = LONG + NMRT_MAX_BATCH + 2, ROOM = 128 };

#define REDUCE(name, axes, more, async)                                                            \
    name, "t.nm:7", NMDRV_ALL_REDUCE, NMDRV_I64, 0, axes, -1, 0, 0, more, async
static nmdrv_collective rows[N_ROWS] = {
    [FIRST] = {REDUCE("all_reduce.first", 1 << NMDRV_CPR, 1, 0)},
    [LAST_ASYNC] = {REDUCE("all_reduce.last", 1 << NMDRV_CPR, 0, 1)},
    [AT_ONCE] = {REDUCE("all_reduce.at_once", 1 << NMDRV_CPR, 0, 0)},
    [ALONE] = {REDUCE("all_reduce.alone", 1 << NMDRV_PP, 0, 1)},
};
static const nmdrv_func func = {.name = "train.micro"};

typedef struct machine {
    nmrt_comm c;
    nmdrv_frame frame;
    int64_t *in, *out; // [ROOM]
} machine;

// A launch of more rows than one batch has.
static nmdrv_program make_program(void)
{
    for (int i = LONG; i < N_ROWS; i++)
        rows[i] = (nmdrv_collective){
            REDUCE("all_reduce.long", 1 << NMDRV_CPR, i + 1 < N_ROWS, i + 1 == N_ROWS)};
    return (nmdrv_program){.n_collectives = N_ROWS, .collective = rows};
}

static void call(machine *m, int row)
{
    int64_t one = 1;
    void *given = m->frame.call->collective(&m->frame, row, &one, &m->out[row], &m->in[row]);
    CHECK(given == (row == ALONE ? &m->in[row] : &m->out[row]));
}

static void call_all(machine *m, trouble what)
{
    call(m, FIRST);
    call(m, LAST_ASYNC);
    call(m, AT_ONCE);
    CHECK(m->out[AT_ONCE] == 3 * AT_ONCE); // and what went before it
    for (int i = LONG; i < N_ROWS; i++)
        call(m, i);
    if (what == STUCK_LATER) // begun again
        call(m, LAST_ASYNC);
    m->frame.call->wait(&m->frame, LAST_ASYNC);
    m->frame.call->wait(&m->frame, ALONE);
    call(m, ALONE);
    m->frame.call->wait(&m->frame, ALONE);
    if (what == NOTHING)
        m->frame.call->wait(&m->frame, N_ROWS - 1);
    nmrt_device_host.end_call(m->frame.device, &func);
    for (int i = 0; i < N_ROWS; i++)
        CHECK(m->out[i] == (i == ALONE ? 0 : 3 * i));
}

static nmrt_status run_device(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    machine m = {.frame.call = nmrt_device_host.calls};
    nmdrv_program program = make_program();
    nmrt_mesh mesh = {
        .program = &program, .index[NMDRV_CPR] = r->rank, .world = 2, .rank = r->rank};
    nmrt_device *device;
    for (int a = 0; a < NMDRV_N_AXES; a++)
        mesh.size[a] = a == NMDRV_CPR ? 2 : 1;
    NMRT_TRY(nmrt_comm_open(&m.c, r, "local", e));
    NMRT_TRY(nmrt_device_host.open(
        &device,
        &(nmrt_device_request){.program = &program, .threads = 1, .mesh = &mesh, .comm = &m.c}, e));
    NMRT_TRY(nmrt_device_host.alloc(device, ROOM * 8, (void **)&m.in, e));
    NMRT_TRY(nmrt_device_host.alloc(device, ROOM * 8, (void **)&m.out, e));
    for (int i = 0; i < ROOM; i++)
        m.in[i] = (r->rank + 1) * i;
    m.frame.device = device;
    for (int turn = 0; turn < 3; turn++) {
        memset(m.out, 0, ROOM * 8);
        NMRT_TRY(m.c.barrier(&m.c, e));
        call_all(&m, *(const trouble *)arg);
    }
    nmrt_device_host.close(device);
    m.c.close(&m.c);
    return checked(e);
}

static void test_device(void)
{
    char said[4096];
    trouble nothing = NOTHING, missing = WORKS, again = STUCK_LATER;
    CHECK(run_ranks(2, 60, 0, run_device, &nothing, NULL) == 0);
    CHECK(run_ranks(2, 60, 0, run_device, &missing, said) == 1);
    CHECK(is_in("train.micro has returned without waiting for all_reduce.long (t.nm:7)\n", said));
    CHECK(run_ranks(2, 60, 0, run_device, &again, said) == 1);
    CHECK(is_in("all_reduce.last (t.nm:7): begun again before it was waited for\n", said));
}

int main(void)
{
    test_same_bits();
    test_start();
    test_troubles();
    test_device();
    return check_result();
}
