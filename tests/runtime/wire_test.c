// The communicator of ranks that share no memory, over TCP on this machine's loopback: the same
// collectives to the last bit as forked ranks; who dies, stalls or diverges is named on a rank that
// is left, and all end; ranks that cannot meet say why.
#include "runtime/wire.h"

#include "tests/runtime/collectives.h"
#include "tests/runtime/launches.h"

#include <signal.h>
#include <sys/wait.h>

enum { WORLD = 4, LARGE = 700001 };

// --- processes -----------------------------------------------------------------------------------

typedef struct launch {
    int world, port;
    double timeout;
    int code[8]; // -1: killed by a signal
    char said[8192];
    pid_t pid[8];
    FILE *err;
} launch;

// All at once, so that they differ.
static void choose_ports(launch *l, int n)
{
    nmrt_error e;
    int fd[16];
    for (int i = 0; i < n; i++) {
        CHECK(nmrt_socket_listen(0, &fd[i], &e) == NMRT_OK);
        l[i].port = nmrt_socket_port(fd[i]);
    }
    for (int i = 0; i < n; i++)
        close(fd[i]);
}

static nmrt_ranks rank_of(const launch *l, int rank)
{
    return (nmrt_ranks){.start = NMRT_START_TORCHRUN,
                        .rank = rank,
                        .world = l->world,
                        .local_rank = rank,
                        .local_ranks = l->world,
                        .address = "127.0.0.1",
                        .port = l->port,
                        .timeout = l->timeout,
                        .program = "test"};
}

typedef void change_rank(nmrt_ranks *r); // what one rank has otherwise

static pid_t start_rank(const launch *l, int rank, change_rank *change, nmrt_rank_body *body,
                        void *arg, int out)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    nmrt_ranks r = rank_of(l, rank);
    dup2(out, STDERR_FILENO);
    if (change)
        change(&r);
    exit(nmrt_ranks_run(&r, body, arg));
}

static void begin(launch *l, change_rank *change, nmrt_rank_body *body, void *arg)
{
    l->err = tmpfile();
    failures_before = check_failures;
    fflush(NULL);
    for (int i = 0; i < l->world; i++)
        l->pid[i] = start_rank(l, i, change, body, arg, fileno(l->err));
}

static int code_of(pid_t pid)
{
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A stopped rank ends by none but us, and after the others.
static void end(launch *l)
{
    int stopped = -1;
    for (int i = 0; i < l->world; i++) {
        siginfo_t info = {0};
        waitid(P_PID, (id_t)l->pid[i], &info, WEXITED | WSTOPPED | WNOWAIT);
        if (info.si_code == CLD_STOPPED)
            stopped = i;
        else
            l->code[i] = code_of(l->pid[i]);
    }
    if (stopped >= 0) {
        kill(l->pid[stopped], SIGKILL);
        l->code[stopped] = code_of(l->pid[stopped]);
    }
    rewind(l->err);
    l->said[fread(l->said, 1, sizeof l->said - 1, l->err)] = 0;
    fclose(l->err);
}

static void run(launch *l, nmrt_rank_body *body, void *arg)
{
    choose_ports(l, 1);
    begin(l, NULL, body, arg);
    end(l);
}

// --- collectives ---------------------------------------------------------------------------------

static void test_collectives(void)
{
    static const int worlds[] = {2, 3, 5, 8};
    for (size_t k = 0; k < sizeof worlds / sizeof *worlds; k++) {
        launch l = {.world = worlds[k], .timeout = 60};
        run(&l, all_checks, &(int){1 + (l.world == 3)}); // with threads
        for (int i = 0; i < l.world; i++)
            CHECK(l.code[i] == 0);
        CHECK(l.said[0] == 0);
    }
}

static void test_launches(void)
{
    launch l = {.world = 3, .timeout = 60};
    run(&l, launch_checks, &(int){2});
    for (int i = 0; i < l.world; i++)
        CHECK(l.code[i] == 0);
    CHECK(l.said[0] == 0);
}

// Sums whose order shows, and blocks that go in many chunks: the same bits as forked ranks have.
static uint64_t sum_bits(nmrt_comm *c, nmdrv_collective_kind kind, float *in, float *out)
{
    nmrt_error e;
    int rank[WORLD] = {0, 1, 2, 3};
    uint64_t h = 0xCBF29CE484222325u;
    nmrt_exchange x = {.kind = kind,
                       .dtype = NMDRV_F32,
                       .group = {WORLD, c->rank, rank, nmrt_group_id(rank, WORLD)},
                       .outer = kind == NMDRV_ALL_REDUCE ? LARGE : 7,
                       .len = LARGE / 7,
                       .inner = 1,
                       .out = out,
                       .in = in,
                       .name = "test.large",
                       .where = "t.nm:1"};
    int64_t n = nmrt_exchange_out(&x);
    CHECK(c->run(c, &x, &e) == NMRT_OK);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof bits);
        h = (h ^ bits) * 0x100000001B3u;
    }
    return h;
}

static nmrt_status large_sums(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    nmrt_comm c;
    void *in, *out;
    size_t bytes = (size_t)LARGE * WORLD * sizeof(float);
    uint64_t *bits = arg; // [WORLD][3], shared
    NMRT_TRY(nmrt_comm_open(&c, r, "auto", e));
    if (c.alloc) {
        NMRT_TRY(c.alloc(&c, (int64_t)bytes, &in, e));
        NMRT_TRY(c.alloc(&c, (int64_t)bytes, &out, e));
    } else {
        in = malloc(bytes), out = malloc(bytes);
    }
    for (int64_t i = 0; i < (int64_t)LARGE * WORLD; i++)
        ((float *)in)[i] =
            (float)((i * 2654435761u + (unsigned)r->rank * 40503u) % 20011) / 7 - 1e3f;
    for (int kind = NMDRV_ALL_REDUCE; kind <= NMDRV_ALL_GATHER; kind++)
        bits[r->rank * 3 + kind] = sum_bits(&c, (nmdrv_collective_kind)kind, in, out);
    if (!c.alloc)
        free(in), free(out);
    c.close(&c);
    return checked(e);
}

static void test_same_bits(void)
{
    nmrt_local *shared; // only for memory that processes share
    nmrt_error e;
    launch l = {.world = WORLD, .timeout = 60};
    CHECK(nmrt_local_new(&shared, 1, 1, &e) == NMRT_OK);
    enum { N = WORLD * 3 };
    uint64_t *forked = (uint64_t *)shared->arenas, *sent = forked + N;
    CHECK(run_ranks(WORLD, 60, 0, large_sums, forked, NULL) == 0);
    run(&l, large_sums, sent);
    CHECK(l.code[0] == 0 && l.code[3] == 0);
    CHECK(memcmp(forked, sent, N * sizeof *sent) == 0 && *forked != 0);
    nmrt_local_free(shared);
}

// --- what goes wrong -----------------------------------------------------------------------------

typedef enum {
    NOTHING,
    KILLED,
    FIRST_KILLED,
    STOPPED,
    STUCK,
    WORKS,
    LATE_SENDER,
    ENDS_EARLY,
    FAILS,
    ALL_FAIL,
    DIVERGE,
    WRONG_SIZE,
    CYCLE,
    KILLED_UNDER_WAY,
    WORKS_UNDER_WAY,
    DIVERGE_UNDER_WAY
} trouble;

static int64_t word = 1, sums[2];

static nmrt_exchange sum_of(const nmrt_comm *c, const char *name, const char *where,
                            const int *rank, int n)
{
    nmrt_exchange x = {.kind = NMDRV_ALL_REDUCE,
                       .dtype = NMDRV_I64,
                       .group = {n, 0, rank, nmrt_group_id(rank, n)},
                       .outer = 1,
                       .out = &sums[0],
                       .in = &word,
                       .name = name,
                       .where = where};
    for (int i = 0; i < n; i++)
        x.group.me = rank[i] == c->rank ? i : x.group.me;
    return x;
}

static nmrt_status reduce(nmrt_comm *c, const char *name, const char *where, const int *rank, int n,
                          nmrt_error *e)
{
    nmrt_exchange x = sum_of(c, name, where, rank, n);
    return c->run(c, &x, e);
}

static const int everyone[WORLD] = {0, 1, 2, 3};

// For longer than the timeout.
static void work(nmrt_comm *c)
{
    for (int i = 0; i < 75; i++) {
        usleep(100000);
        nmrt_comm_moved(c);
    }
}

// Two launches that go on while everybody works.
static nmrt_status launch_both(nmrt_comm *c, nmrt_queue *q, trouble what, nmrt_error *e)
{
    bool one = c->rank == 2;
    int64_t ticket;
    nmrt_exchange x[] = {sum_of(c, "reduce_scatter.grad.q.w", "t.nm:20", everyone, WORLD),
                         sum_of(c, "all_gather.x", "t.nm:3", everyone, WORLD)};
    x[1].out = &sums[1];
    if (one && what == KILLED_UNDER_WAY)
        raise(SIGKILL);
    if (one && what == WORKS_UNDER_WAY)
        work(c);
    int first = one && what == DIVERGE_UNDER_WAY;
    NMRT_TRY(nmrt_queue_start(q, &x[first], 1, &ticket, e));
    NMRT_TRY(nmrt_queue_start(q, &x[!first], 1, &ticket, e));
    if (!one && what == WORKS_UNDER_WAY)
        work(c);
    return nmrt_queue_wait(q, ticket, e);
}

static nmrt_status go_under_way(nmrt_comm *c, trouble what, nmrt_error *e)
{
    nmrt_queue *q;
    NMRT_TRY(nmrt_queue_new(&q, c, e));
    nmrt_status status = launch_both(c, q, what, e);
    nmrt_queue_free(q);
    return status;
}

static nmrt_status go_wrong(nmrt_comm *c, trouble what, nmrt_error *e)
{
    static const int pair[3][2] = {{0, 1}, {1, 2}, {0, 2}};
    bool one = c->rank == (what == FIRST_KILLED ? 0 : 2);
    if (what >= KILLED_UNDER_WAY)
        return go_under_way(c, what, e);
    if (one && what == FIRST_KILLED)
        sleep(2); // until all others stand in the operation
    if (one && (what == KILLED || what == FIRST_KILLED))
        raise(SIGKILL);
    if (one && what == STOPPED)
        raise(SIGSTOP);
    if (one && what == STUCK)
        sleep(25);
    if (one && what == WORKS)
        work(c);
    if (what == LATE_SENDER && c->rank == 1)
        sleep(25);
    if (what == LATE_SENDER && c->rank == 0)
        return c->recv(c, 1, 0, &word, 8, "forward.x", "t.nm:7", e);
    if (one && what == ENDS_EARLY)
        return NMRT_OK;
    if (one && what == FAILS)
        return nmrt_fail(e, NMRT_WORLD, "the disk is full");
    if (what == ALL_FAIL)
        return nmrt_fail(e, NMRT_USAGE, "seq is wrong");
    if (one && what == DIVERGE)
        return reduce(c, "all_gather.x", "t.nm:3", everyone, WORLD, e);
    if (what == WRONG_SIZE && c->rank == 0)
        return c->recv(c, 1, 0, &word, 8, "forward.x", "t.nm:7", e);
    if (what == WRONG_SIZE && c->rank == 1)
        NMRT_TRY(c->send(c, 0, 0, &word, 4, "forward.x", "t.nm:7", e));
    if (what == CYCLE && c->rank < 3)
        return reduce(c, "all_gather.a", "t.nm:3", pair[c->rank], 2, e);
    return reduce(c, "reduce_scatter.grad.q.w", "t.nm:20", everyone, WORLD, e);
}

static nmrt_status troubled(nmrt_ranks *r, void *arg, nmrt_error *e)
{
    nmrt_comm c;
    NMRT_TRY(nmrt_comm_open(&c, r, "tcp", e));
    nmrt_status status = reduce(&c, "all_reduce.norm", "t.nm:11", everyone, WORLD, e);
    usleep(1300000); // rank 0 hears of it
    if (status == NMRT_OK)
        status = go_wrong(&c, *(const trouble *)arg, e);
    if (status != NMRT_OK)
        c.abort(&c, status, e);
    c.close(&c);
    return status;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

typedef struct expected { // all but `lost` end with `code`, and one rank says `text`
    trouble what;
    int lost, code;
    const char *text;
} expected;

#define Q_W  "reduce_scatter grad.q.w (t.nm:20)"
#define LAST "its last operation was all_reduce norm (t.nm:11)"

static const expected troubles[] = {
    {NOTHING, -1, 0, ""},
    {KILLED, 2, 1,
     "error: rank 2 is gone (its connection closed) while the others wait in " Q_W "; " LAST},
    {FIRST_KILLED, 0, 1,
     "error: rank 0 is gone (its connection closed); rank 2's last operation is " Q_W},
    {STOPPED, 2, 1,
     "error: rank 2 has not entered " Q_W " for 3 s (no sign of life: stopped, or cut off); " LAST},
    {WORKS, -1, 0, ""},
    {WORKS_UNDER_WAY, -1, 0, ""},
    {STUCK, 2, 1, "error: rank 2 has not entered " Q_W " for 3 s (stuck); " LAST},
    {LATE_SENDER, 1, 1,
     "error: rank 0 waits for forward.x (t.nm:7) from rank 1, which has not sent it for 3 s "
     "(stuck); " LAST},
    {ENDS_EARLY, 2, 1,
     "error: rank 2 is gone (ended with code 0) while the others wait in " Q_W "; " LAST},
    {FAILS, 2, 1, "error: rank 2: the disk is full\n"},
    {ALL_FAIL, -1, 2, "error: seq is wrong\n"},
    {DIVERGE, -1, 1, "in all_gather x (t.nm:3)"},
    {WRONG_SIZE, -1, 1,
     "forward.x (t.nm:7): rank 1 sent 4 bytes, and rank 0 wants 8: they diverge"},
    {CYCLE, -1, 1, ": they diverge\n"},
    {KILLED_UNDER_WAY, 2, 1,
     "error: rank 2 is gone (its connection closed) while the others wait in " Q_W "; " LAST},
    {DIVERGE_UNDER_WAY, -1, 1, "in all_gather x (t.nm:3)"},
};
enum { TROUBLES = sizeof troubles / sizeof *troubles, AT_ONCE = 6 };

static void check_trouble(const launch *l, const expected *x)
{
    int before = check_failures;
    for (int i = 0; i < WORLD; i++)
        if (i != x->lost)
            CHECK(l->code[i] == x->code);
        else // who has ended well does not know what it left behind
            CHECK((l->code[i] == 0) == (x->what == ENDS_EARLY));
    CHECK(is_in(x->text, l->said));
    CHECK(x->what == FIRST_KILLED || lines(l->said) == (x->code != 0));
    if (before != check_failures)
        fprintf(stderr, "  trouble %d: codes %d %d %d %d: %s", (int)x->what, l->code[0], l->code[1],
                l->code[2], l->code[3], l->said);
}

// They mostly wait, so some go at once.
static void test_troubles(void)
{
    static launch l[TROUBLES];
    for (int i = 0; i < TROUBLES; i++)
        l[i] = (launch){.world = WORLD, .timeout = 3};
    choose_ports(l, TROUBLES);
    for (int first = 0; first < TROUBLES; first += AT_ONCE) {
        int past = first + AT_ONCE < TROUBLES ? first + AT_ONCE : TROUBLES;
        for (int i = first; i < past; i++)
            begin(&l[i], NULL, troubled, (void *)(uintptr_t)&troubles[i].what);
        for (int i = first; i < past; i++) {
            end(&l[i]);
            check_trouble(&l[i], &troubles[i]);
        }
    }
}

// --- meeting -------------------------------------------------------------------------------------

static void other_program(nmrt_ranks *r) { r->program = r->rank == 2 ? "other" : "test"; }
static void other_world(nmrt_ranks *r) { r->world -= r->rank == 2; }
static void same_rank(nmrt_ranks *r) { r->rank = r->rank == 3 ? 2 : r->rank; }
static void no_such_host(nmrt_ranks *r)
{
    if (r->rank)
        snprintf(r->address, sizeof r->address, "no-such-host.invalid");
}

static void other_port(nmrt_ranks *r)
{
    if (r->rank == 2) // nobody is on port 1
        r->port = 1;
}

typedef struct meeting {
    change_rank *change;
    const char *text, *more;
} meeting;
static const meeting meetings[] = {
    {other_program, "rank 2 runs another program than rank 0: other, not test", ""},
    {other_world, "rank 2 is one of 3 ranks, and rank 0 one of 4", ""},
    {same_rank, "two processes say that they are rank 2", ""},
    {no_such_host, "cannot find the host 'no-such-host.invalid' of rank 0",
     "ranks 1, 2, 3 have not come to rank 0 for 2 s"},
    {other_port, "rank 2 has not come to rank 0 for 2 s",
     "rank 2 cannot reach rank 0 at 127.0.0.1, port 1, for 2 s"},
};
enum { MEETINGS = sizeof meetings / sizeof *meetings };

static void test_meetings(void)
{
    static launch l[MEETINGS];
    trouble what = NOTHING;
    for (int i = 0; i < MEETINGS; i++)
        l[i] = (launch){.world = WORLD, .timeout = 2};
    choose_ports(l, MEETINGS);
    for (int i = 0; i < MEETINGS; i++)
        begin(&l[i], meetings[i].change, troubled, &what);
    for (int i = 0; i < MEETINGS; i++) {
        end(&l[i]);
        for (int k = 0; k < WORLD; k++)
            CHECK(l[i].code[k] != 0);
        CHECK(is_in(meetings[i].text, l[i].said) && is_in(meetings[i].more, l[i].said));
    }
}

static void test_port_in_use(void)
{
    int fd;
    nmrt_error e;
    nmrt_comm c;
    launch l = {.world = 2, .timeout = 2};
    CHECK(nmrt_socket_listen(0, &fd, &e) == NMRT_OK);
    l.port = nmrt_socket_port(fd);
    nmrt_ranks r = rank_of(&l, 0);
    CHECK(nmrt_comm_open(&c, &r, "tcp", &e) == NMRT_WORLD);
    CHECK(is_in("is in use on the host of rank 0: choose another MASTER_PORT", e.text));
    close(fd);
}

// Where rank 0 is, by what launchers say.
static void find(nmrt_start start, int local_ranks, const char *host, int port)
{
    bool agent = getenv("TORCHELASTIC_USE_AGENT_STORE") != NULL;
    nmrt_ranks r = {.start = start, .world = 4, .local_ranks = local_ranks, .port = port - agent};
    nmrt_error e;
    char found[NMRT_HOST];
    int at;
    CHECK(nmrt_wire_find(&r, found, &at, &e) == (host ? NMRT_OK : NMRT_USAGE));
    CHECK(is_in(host ? host : "set MASTER_ADDR", host ? found : e.text));
    CHECK(!port || !host || at == port);
}

static void test_finding(void)
{
    find(NMRT_START_MPI, 4, "127.0.0.1", 0);
    find(NMRT_START_MPI, 2, NULL, 0);
    find(NMRT_START_TORCHRUN, 4, "127.0.0.1", 29500);
    setenv("TORCHELASTIC_USE_AGENT_STORE", "True", 1); // its agent has the port itself
    find(NMRT_START_TORCHRUN, 4, "127.0.0.1", 29501);
    unsetenv("TORCHELASTIC_USE_AGENT_STORE");
    setenv("SLURM_NODELIST", "node[03-07,9],login", 1);
    find(NMRT_START_SLURM, 2, "node03", 31000);
    setenv("SLURM_STEP_NODELIST", "alpha,beta", 1);
    find(NMRT_START_SLURM, 2, "alpha", 31000);
    unsetenv("SLURM_NODELIST"), unsetenv("SLURM_STEP_NODELIST");
    find(NMRT_START_SLURM, 2, NULL, 0);
}

int main(void)
{
    test_finding();
    test_collectives();
    test_launches();
    test_same_bits();
    test_troubles();
    test_meetings();
    test_port_in_use();
    return check_result();
}
