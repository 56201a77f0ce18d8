// Forked ranks when things go wrong: whoever dies, stalls, diverges or fails is named once, with
// the operation and the model's line, all end, and --restart starts them again. And who am I, by
// what launchers set.
#include "tests/runtime/ranks.h"

#include "runtime/stop.h"

#include <signal.h>
#include <stdlib.h>

// --- operations --------------------------------------------------------------------------------

static nmrt_status reduce(nmrt_comm *c, const char *name, const char *where, const int *rank, int n,
                          nmrt_error *e)
{
    int64_t in = 1, out;
    nmrt_exchange x = {.kind = NMDRV_ALL_REDUCE,
                       .dtype = NMDRV_I64,
                       .group = {n, 0, rank, nmrt_group_id(rank, n)},
                       .outer = 1,
                       .out = &out,
                       .in = &in,
                       .name = name,
                       .where = where};
    for (int i = 0; i < n; i++)
        x.group.me = rank[i] == c->rank ? i : x.group.me;
    NMRT_TRY(c->run(c, &x, e));
    CHECK(out == n);
    return NMRT_OK;
}

static const int everyone[] = {0, 1, 2, 3};

static nmrt_status first_step(nmrt_comm *c, nmrt_error *e)
{
    NMRT_TRY(reduce(c, "all_reduce.loss", "t.nm:9", everyone, 4, e));
    return reduce(c, "all_reduce.norm", "t.nm:11", everyone, 4, e);
}

static nmrt_status second_step(nmrt_comm *c, nmrt_error *e)
{
    return reduce(c, "reduce_scatter.grad.q.w", "t.nm:20", everyone, 4, e);
}

// --- what goes wrong ---------------------------------------------------------------------------

typedef enum {
    NOTHING,
    KILLED,
    STOPPED,
    STUCK,
    CRASHES,
    ENDS_EARLY,
    FAILS,
    ALL_FAIL,
    OTHER_NAME,
    CYCLE,
    CHAIN,
    NO_SENDER,
    LATE_SENDER,
    WORKS,
    WRONG_SIZE,
    KILLED_ONCE,
    ASKED_TO_STOP,
} trouble;

static nmrt_status wait_in_a_cycle(nmrt_comm *c, nmrt_error *e)
{
    static const int pair[3][2] = {{0, 1}, {1, 2}, {0, 2}};
    static const char *const name[] = {"all_gather.a", "all_gather.b", "all_gather.c"};
    return c->rank == 3 ? NMRT_OK : reduce(c, name[c->rank], "t.nm:3", pair[c->rank], 2, e);
}

// 0 waits for 1, who waits for 2, who sleeps.
static nmrt_status wait_in_a_chain(nmrt_comm *c, nmrt_error *e)
{
    static const int first[] = {0, 1}, second[] = {1, 2};
    if (c->rank == 2)
        sleep(20);
    return c->rank == 0   ? reduce(c, "all_gather.a", "t.nm:3", first, 2, e)
           : c->rank == 1 ? reduce(c, "all_gather.b", "t.nm:4", second, 2, e)
                          : NMRT_OK;
}

static nmrt_status step_until_asked(nmrt_comm *c, nmrt_error *e)
{
    bool stop = false;
    if (c->rank == 2)
        kill(getppid(), SIGTERM);
    while (!stop) {
        usleep(1000);
        stop = nmrt_stop_asked();
        NMRT_TRY(nmrt_comm_any(c, &stop, e));
    }
    return NMRT_OK;
}

static void crash(void)
{
    signal(SIGSEGV, SIG_DFL); // not a sanitizer's report
    raise(SIGSEGV);
}

// For longer than the timeout.
static void work(nmrt_comm *c)
{
    for (int i = 0; i < 30; i++) {
        usleep(100000);
        nmrt_comm_moved(c);
    }
}

static nmrt_status go_wrong(nmrt_comm *c, const nmrt_ranks *r, trouble what, nmrt_error *e)
{
    bool one = c->rank == 2;
    int64_t word = 0;
    switch (what) {
    case KILLED_ONCE:
        if (r->attempt > 0)
            break; // fall through to the end: a run that goes well
        // fallthrough
    case KILLED:
        if (one)
            raise(SIGKILL);
        break;
    case STOPPED:
        if (one)
            raise(SIGSTOP);
        break;
    case STUCK:
        if (one)
            sleep(20);
        break;
    case CRASHES:
        if (one)
            crash();
        break;
    case ENDS_EARLY: return one ? NMRT_OK : second_step(c, e);
    case FAILS:
        if (one)
            return nmrt_fail(e, NMRT_WORLD, "the disk is full");
        break;
    case ALL_FAIL: return nmrt_fail(e, NMRT_USAGE, "seq is wrong\nbatch is wrong");
    case OTHER_NAME:
        if (one)
            return reduce(c, "all_gather.x", "t.nm:3", everyone, 4, e);
        break;
    case CYCLE: return wait_in_a_cycle(c, e);
    case CHAIN: return wait_in_a_chain(c, e);
    case NO_SENDER:
        return c->rank ? second_step(c, e) : c->recv(c, 1, 0, &word, 8, "forward.x", "t.nm:7", e);
    case LATE_SENDER:
        if (c->rank == 1)
            sleep(20);
        return c->rank ? second_step(c, e) : c->recv(c, 1, 0, &word, 8, "forward.x", "t.nm:7", e);
    case WORKS:
        if (one)
            work(c);
        break;
    case WRONG_SIZE:
        return c->rank == 1   ? c->send(c, 0, 0, &word, 4, "forward.x", "t.nm:7", e)
               : c->rank == 0 ? c->recv(c, 1, 0, &word, 8, "forward.x", "t.nm:7", e)
                              : NMRT_OK;
    case ASKED_TO_STOP: return step_until_asked(c, e);
    case NOTHING: break;
    }
    return second_step(c, e);
}

static nmrt_status body(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    nmrt_comm c;
    NMRT_TRY(nmrt_comm_open(&c, r, "local", e));
    nmrt_stop_install();
    nmrt_status status = first_step(&c, e);
    if (status == NMRT_OK)
        status = go_wrong(&c, r, *(const trouble *)arg, e);
    c.close(&c);
    return status == NMRT_OK ? checked(e) : status;
}

// --- what is said ------------------------------------------------------------------------------

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test(trouble what, int code, const char *text)
{
    char said[4096];
    CHECK(run_ranks(4, 1, 0, body, &what, said) == code);
    CHECK(is_in(text, said));
    CHECK(lines(said) == lines(text));
}

#define Q_W  "reduce_scatter grad.q.w (t.nm:20)"
#define LAST "its last operation was all_reduce norm (t.nm:11)"

static void test_troubles(void)
{
    test(NOTHING, 0, "");
    test(KILLED, 1,
         "error: rank 2 is gone (killed by signal 9) while the others wait in " Q_W "; " LAST "\n");
    test(CRASHES, 1,
         "error: rank 2 is gone (killed by signal 11) while the others wait in " Q_W "; " LAST
         "\n");
    test(ENDS_EARLY, 1,
         "error: rank 2 is gone (ended with code 0) while the others wait in " Q_W "; " LAST "\n");
    test(STOPPED, 1, "error: rank 2 has not entered " Q_W " for 1 s (stopped); " LAST "\n");
    test(STUCK, 1, "error: rank 2 has not entered " Q_W " for 1 s (stuck); " LAST "\n");
    test(CHAIN, 1,
         "error: rank 2 has not entered all_gather b (t.nm:4) for 1 s (stuck); " LAST "\n");
    test(NO_SENDER, 1,
         "error: rank 0 is in receive from rank 1 forward.x (t.nm:7), rank 1 in " Q_W
         ": they diverge\n");
    test(LATE_SENDER, 1,
         "error: rank 0 waits for forward.x (t.nm:7) from rank 1, which has not sent it for 1 s "
         "(stuck); " LAST "\n");
    test(WORKS, 0, "");
    test(OTHER_NAME, 1,
         "error: rank 0 is in " Q_W ", rank 2 in all_gather x (t.nm:3): they diverge\n");
    test(CYCLE, 1, ": they diverge\n");
    test(FAILS, 1, "error: rank 2: the disk is full\n");
    test(ALL_FAIL, 2, "error: seq is wrong\nerror: batch is wrong\n");
    test(WRONG_SIZE, 1,
         "error: rank 0: forward.x: rank 1 sent 4 bytes, and rank 0 wants 8: they diverge\n");
    test(ASKED_TO_STOP, 0, "\nstopping; a second signal exits without saving\n");
}

static void test_restart(void)
{
    char said[4096];
    trouble once = KILLED_ONCE, always = KILLED;
    CHECK(run_ranks(4, 1, 2, body, &once, said) == 0);
    CHECK(is_in("starting the ranks again, 1 of 2 times\n", said) && lines(said) == 2);
    CHECK(run_ranks(4, 1, 2, body, &always, said) == 1);
    CHECK(is_in("starting the ranks again, 2 of 2 times\n", said) && lines(said) == 5);
    trouble fails = FAILS; // as it would again
    CHECK(run_ranks(4, 1, 2, body, &fails, said) == 1 && lines(said) == 1);
}

// --- launchers ---------------------------------------------------------------------------------

static const char *const variables[] = {"RANK",
                                        "WORLD_SIZE",
                                        "LOCAL_RANK",
                                        "LOCAL_WORLD_SIZE",
                                        "MASTER_ADDR",
                                        "MASTER_PORT",
                                        "OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_LOCAL_RANK",
                                        "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "MPI_LOCALRANKID",
                                        "MPI_LOCALNRANKS",
                                        "SLURM_PROCID",
                                        "SLURM_STEP_ID",
                                        "SLURM_NTASKS",
                                        "SLURM_STEP_NUM_TASKS",
                                        "SLURM_LOCALID",
                                        "SLURM_NTASKS_PER_NODE",
                                        "SLURM_STEP_TASKS_PER_NODE",
                                        "SLURM_LAUNCH_NODE_IPADDR"};

// Sets only these: "RANK=3 WORLD_SIZE=8".
static nmrt_status find_with(const char *setting, nmrt_ranks *r, nmrt_error *e)
{
    char text[512], *rest = text;
    snprintf(text, sizeof text, "%s", setting);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    for (char *word; (word = strtok_r(rest, " ", &rest));) {
        char *value = strchr(word, '=');
        *value++ = 0;
        setenv(word, value, 1);
    }
    return nmrt_ranks_find(r, e);
}

static void test_launchers(void)
{
    nmrt_ranks r;
    nmrt_error e;
    CHECK(find_with("", &r, &e) == NMRT_OK && r.start == NMRT_START_PLAIN && r.world == 1);
    CHECK(find_with("RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=10.0.0.1 "
                    "MASTER_PORT=29500",
                    &r, &e) == NMRT_OK);
    CHECK(r.start == NMRT_START_TORCHRUN && r.rank == 5 && r.world == 8 && r.local_rank == 1);
    CHECK(r.local_ranks == 4 && r.port == 29500 && strcmp(r.address, "10.0.0.1") == 0);
    CHECK(find_with("OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=2 "
                    "OMPI_COMM_WORLD_LOCAL_SIZE=4 SLURM_PROCID=0 SLURM_NTASKS=1",
                    &r, &e) == NMRT_OK);
    CHECK(r.start == NMRT_START_MPI && r.rank == 2 && r.world == 4 && r.local_ranks == 4);
    CHECK(find_with("PMI_RANK=1 PMI_SIZE=2", &r, &e) == NMRT_OK && r.start == NMRT_START_MPI);
    CHECK(find_with("SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=4 SLURM_NTASKS=16 SLURM_LOCALID=1 "
                    "SLURM_STEP_TASKS_PER_NODE=2(x2)",
                    &r, &e) == NMRT_OK);
    CHECK(r.start == NMRT_START_SLURM && r.world == 4 && r.local_ranks == 2 && r.rank == 3);
    CHECK(find_with("PMI_RANK=3 PMI_SIZE=4 SLURM_PROCID=3 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 "
                    "SLURM_NTASKS=4 SLURM_LOCALID=1 SLURM_STEP_TASKS_PER_NODE=2(x2)",
                    &r, &e) == NMRT_OK);
    CHECK(r.start == NMRT_START_SLURM && r.rank == 3 && r.local_rank == 1 && r.local_ranks == 2);
    CHECK(find_with("PMI_RANK=3 PMI_SIZE=4 SLURM_PROCID=1 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 "
                    "MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2",
                    &r, &e) == NMRT_OK);
    CHECK(r.start == NMRT_START_MPI && r.rank == 3 && r.world == 4 && r.local_rank == 1);
    CHECK(find_with("RANK=0 WORLD_SIZE=1", &r, &e) == NMRT_OK && r.start == NMRT_START_PLAIN);
    CHECK(find_with("RANK=8 WORLD_SIZE=8", &r, &e) == NMRT_USAGE);
    CHECK(is_in("RANK=8 and WORLD_SIZE=8 contradict", e.text));
    CHECK(find_with("RANK=x WORLD_SIZE=8", &r, &e) == NMRT_USAGE && is_in("RANK=x", e.text));
    find_with("", &r, &e);
}

// A communicator that is not there is an error that says so.
static void test_choice(void)
{
    nmrt_comm c;
    nmrt_error e;
    nmrt_ranks r = {.start = NMRT_START_TORCHRUN, .world = 2, .local_ranks = 1};
    CHECK(nmrt_comm_open(&c, &r, "local", &e) == NMRT_USAGE &&
          is_in("not for those of torchrun", e.text));
    r.world = 1;
    CHECK(nmrt_comm_open(&c, &r, "auto", &e) == NMRT_OK && strcmp(c.name, "single") == 0);
}

int main(void)
{
    test_launchers();
    test_choice();
    test_troubles();
    test_restart();
    return check_result();
}
