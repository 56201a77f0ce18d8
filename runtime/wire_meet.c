// The ranks find each other. Rank 0 listens where launchers say; everybody else connects, says who
// it is and of which program, and waits; when all have come, rank 0 sends each the table of places.
// A place is the address that rank 0 saw, with the port that the guest named. These connections
// stay: health goes over them.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/hash.h"
#include "runtime/text.h"
#include "runtime/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROGRAM = 64, PLACES = 8, DEFAULT_PORT = 29500, PORTS = 20000 };
static const double POLITE = 5,         // seconds that a guest has for its words
    AGAIN = 0.1,                        // until the next try to connect
    MARGIN = 3;                         // rank 0 speaks first
static const char magic[8] = "nemocc1"; // and the order of bytes, by what follows

typedef struct hello {
    char magic[8];
    int32_t ranks, rank, data_port;
    char program[PROGRAM];
    uint64_t run;
} hello;

typedef struct answer { // then, where why is "", place[ranks]
    char magic[8], why[512];
    uint64_t run;
    int32_t data_port; // of rank 0
} answer;

// --- where rank 0 is -----------------------------------------------------------------------------

static const char *value_of(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

// The first host of a Slurm list: "node[03-07,9],x" is node03.
static bool first_of(const char *list, char host[NMRT_HOST])
{
    size_t n = strcspn(list, "[,"), digits = list[n] == '[' ? strcspn(list + n + 1, "-,]") : 0;
    if (n + digits == 0 || n + digits >= NMRT_HOST)
        return false;
    snprintf(host, NMRT_HOST, "%.*s%.*s", (int)n, list, (int)digits, digits ? list + n + 1 : "");
    return true;
}

// Jobs of one host that nobody gave a port get ports of their own, by their names.
static int port_of_job(void)
{
    static const char *const names[] = {"SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE",
                                        "OMPI_MCA_ess_base_jobid", "PMI_JOBID"};
    nmrt_hash h;
    nmrt_hash_init(&h);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *s = value_of(names[i]);
        nmrt_hash_add(&h, s, s ? strlen(s) : 0);
    }
    return h.total ? DEFAULT_PORT - PORTS + (int)(nmrt_hash_value(&h) % PORTS) : DEFAULT_PORT;
}

nmrt_status nmrt_wire_find(const nmrt_ranks *ranks, char host[NMRT_HOST], int *port, nmrt_error *e)
{
    const char *nodes = value_of("SLURM_STEP_NODELIST");
    nodes = nodes ? nodes : value_of("SLURM_NODELIST");
    *port = ranks->port ? ranks->port : port_of_job();
    // torchrun's own agent listens on the port that it names
    const char *agent = value_of("TORCHELASTIC_USE_AGENT_STORE");
    if (ranks->port && agent && strcmp(agent, "True") == 0)
        *port += 1;
    if (ranks->address[0])
        snprintf(host, NMRT_HOST, "%s", ranks->address);
    else if (ranks->local_ranks == ranks->world)
        snprintf(host, NMRT_HOST, "127.0.0.1");
    else if (ranks->start != NMRT_START_SLURM || !nodes || !first_of(nodes, host))
        return nmrt_fail(e, NMRT_USAGE,
                         "nobody says where rank 0 can be reached: set MASTER_ADDR to its host, "
                         "and MASTER_PORT to a free port there");
    return NMRT_OK;
}

// --- both sides ----------------------------------------------------------------------------------

static nmrt_status open_roll(nmrt_roll *roll, const nmrt_ranks *ranks, nmrt_error *e)
{
    *roll = (nmrt_roll){.ranks = ranks->world, .rank = ranks->rank};
    roll->control = malloc((size_t)roll->ranks * sizeof *roll->control);
    roll->place = calloc((size_t)roll->ranks, sizeof *roll->place);
    for (int i = 0; roll->control && i < roll->ranks; i++)
        roll->control[i] = -1;
    if (roll->control && roll->place)
        return NMRT_OK;
    nmrt_roll_release(roll);
    return nmrt_fail(e, NMRT_WORLD, "no memory for %d ranks", ranks->world);
}

void nmrt_roll_release(nmrt_roll *roll)
{
    for (int i = 0; roll->control && i < roll->ranks; i++)
        if (roll->control[i] >= 0)
            close(roll->control[i]);
    free(roll->control);
    free(roll->place);
    roll->control = NULL;
    roll->place = NULL;
}

static hello introduce(const nmrt_ranks *ranks, const nmrt_guest *self)
{
    hello h = {
        .ranks = ranks->world, .rank = ranks->rank, .data_port = self->data_port, .run = self->run};
    memcpy(h.magic, magic, sizeof magic);
    snprintf(h.program, sizeof h.program, "%s", ranks->program ? ranks->program : "");
    return h;
}

// --- rank 0 --------------------------------------------------------------------------------------

static uint64_t new_run(void)
{
    uint64_t run = 0;
    FILE *f = fopen("/dev/urandom", "re");
    if (!f || fread(&run, sizeof run, 1, f) != 1)
        run = (uint64_t)getpid() << 32 ^ (uint64_t)(nmrt_seconds() * 1e6);
    if (f)
        fclose(f);
    return run ? run : 1;
}

static nmrt_status judge(const nmrt_roll *roll, const nmrt_ranks *ranks, const hello *h,
                         nmrt_error *e)
{
    hello mine = introduce(ranks, &(nmrt_guest){0});
    if (h->ranks != roll->ranks)
        return nmrt_fail(
            e, NMRT_WORLD,
            "rank %d is one of %d ranks, and rank 0 one of %d: start all with one number", h->rank,
            h->ranks, roll->ranks);
    if (memcmp(h->program, mine.program, sizeof mine.program) != 0)
        return nmrt_fail(e, NMRT_WORLD,
                         "rank %d runs another program than rank 0: %.60s, not %.60s", h->rank,
                         h->program, mine.program);
    if (h->rank < 0 || h->rank >= roll->ranks)
        return nmrt_fail(e, NMRT_WORLD, "a process says that it is rank %d of %d", h->rank,
                         roll->ranks);
    if (h->rank == 0 || roll->control[h->rank] >= 0)
        return nmrt_fail(e, NMRT_WORLD, "two processes say that they are rank %d", h->rank);
    return NMRT_OK;
}

static bool send_answer(const nmrt_roll *roll, int fd, const nmrt_guest *self, const char *why)
{
    answer a = {.run = roll->run, .data_port = self->data_port};
    double until = nmrt_seconds() + POLITE;
    memcpy(a.magic, magic, sizeof magic);
    snprintf(a.why, sizeof a.why, "%s", why);
    return nmrt_socket_send(fd, &a, sizeof a, until) &&
           (*why ||
            nmrt_socket_send(fd, roll->place, (size_t)roll->ranks * sizeof *roll->place, until));
}

// Takes in one guest, or not: strangers are let pass, a guest of ours who is wrong is an error.
static nmrt_status take_in(nmrt_roll *roll, const nmrt_ranks *ranks, int fd, nmrt_place *from,
                           int *come, nmrt_error *e)
{
    hello h;
    if (!nmrt_socket_recv(fd, &h, sizeof h, nmrt_seconds() + POLITE) ||
        memcmp(h.magic, magic, sizeof magic) != 0 || (roll->run && h.run && h.run != roll->run)) {
        close(fd);
        return NMRT_OK;
    }
    h.program[PROGRAM - 1] = 0;
    nmrt_status status = judge(roll, ranks, &h, e);
    if (status != NMRT_OK) {
        send_answer(roll, fd, &(nmrt_guest){0}, e->text);
        close(fd);
        return status;
    }
    nmrt_place_set_port(from, h.data_port);
    roll->place[h.rank] = *from;
    roll->control[h.rank] = fd;
    ++*come;
    return NMRT_OK;
}

static nmrt_status name_missing(const nmrt_roll *roll, double timeout, nmrt_error *e)
{
    nmrt_text who = {0};
    int missing = 0, said = 0;
    for (int i = 1; i < roll->ranks; i++)
        missing += roll->control[i] < 0;
    for (int i = 1; i < roll->ranks && said < 8; i++)
        if (roll->control[i] < 0)
            nmrt_text_add(&who, "%s%d", said++ ? ", " : "", i);
    if (missing > said)
        nmrt_text_add(&who, " and %d more", missing - said);
    nmrt_fail(e, NMRT_WORLD, "rank%s %s %s not come to rank 0 for %g s", missing > 1 ? "s" : "",
              who.at ? who.at : "", missing > 1 ? "have" : "has", timeout);
    nmrt_text_release(&who);
    return NMRT_WORLD;
}

static nmrt_status take_all(nmrt_roll *roll, const nmrt_ranks *ranks, int listener, nmrt_error *e)
{
    double until = nmrt_seconds() + ranks->timeout;
    for (int come = 1; come < roll->ranks;) {
        nmrt_place from = {0};
        int fd = nmrt_socket_accept(listener, &from, until);
        if (fd >= 0)
            NMRT_TRY(take_in(roll, ranks, fd, &from, &come, e));
        else if (nmrt_seconds() >= until)
            return name_missing(roll, ranks->timeout, e);
    }
    return NMRT_OK;
}

nmrt_status nmrt_wire_host(nmrt_roll *roll, const nmrt_ranks *ranks, int listener,
                           const nmrt_guest *self, nmrt_error *e)
{
    NMRT_TRY(open_roll(roll, ranks, e));
    roll->run = self->run;
    nmrt_status status = take_all(roll, ranks, listener, e);
    roll->run = roll->run ? roll->run : new_run();
    for (int i = 1; i < roll->ranks; i++)
        if (roll->control[i] >= 0 &&
            !send_answer(roll, roll->control[i], self, status == NMRT_OK ? "" : e->text) &&
            status == NMRT_OK)
            status = nmrt_fail(e, NMRT_WORLD, "rank %d has left before all had come", i);
    if (status != NMRT_OK)
        nmrt_roll_release(roll);
    return status;
}

// --- the others ----------------------------------------------------------------------------------

static nmrt_status silent(const nmrt_ranks *ranks, nmrt_error *e)
{
    if (errno == ETIMEDOUT)
        return nmrt_fail(e, NMRT_WORLD, "rank 0 has not answered rank %d for %g s", ranks->rank,
                         ranks->timeout);
    return nmrt_fail(e, NMRT_WORLD, "rank 0 has left before rank %d was taken in", ranks->rank);
}

// Who shares rank 0's host may have come to it by a loopback: from elsewhere it is at rank 0's.
static void take_places(nmrt_roll *roll, int data_port)
{
    socklen_t n = sizeof roll->place[0].at;
    getpeername(roll->control[0], (struct sockaddr *)&roll->place[0].at, &n);
    nmrt_place host = roll->place[0];
    for (int i = 1; i < roll->ranks; i++)
        if (nmrt_place_is_loopback(&roll->place[i])) {
            int port = nmrt_place_port(&roll->place[i]);
            roll->place[i] = host;
            nmrt_place_set_port(&roll->place[i], port);
        }
    nmrt_place_set_port(&roll->place[0], data_port);
}

static nmrt_status ask_in(nmrt_roll *roll, const nmrt_ranks *ranks, const nmrt_guest *self,
                          nmrt_error *e)
{
    answer a;
    double until = nmrt_seconds() + ranks->timeout + MARGIN;
    hello h = introduce(ranks, self);
    if (!nmrt_socket_send(roll->control[0], &h, sizeof h, until) ||
        !nmrt_socket_recv(roll->control[0], &a, sizeof a, until))
        return silent(ranks, e);
    a.why[sizeof a.why - 1] = 0;
    if (memcmp(a.magic, magic, sizeof magic) != 0)
        return nmrt_fail(e, NMRT_WORLD, "what answers in place of rank 0 is another program");
    if (a.why[0])
        return nmrt_fail(e, NMRT_WORLD, "%s", a.why);
    if (!nmrt_socket_recv(roll->control[0], roll->place, (size_t)roll->ranks * sizeof *roll->place,
                          until))
        return silent(ranks, e);
    roll->run = a.run;
    take_places(roll, a.data_port);
    return NMRT_OK;
}

nmrt_status nmrt_wire_join(nmrt_roll *roll, const nmrt_ranks *ranks, int fd, const nmrt_guest *self,
                           nmrt_error *e)
{
    nmrt_status status = open_roll(roll, ranks, e);
    if (status != NMRT_OK) {
        close(fd);
        return status;
    }
    roll->control[0] = fd;
    status = ask_in(roll, ranks, self, e);
    if (status != NMRT_OK)
        nmrt_roll_release(roll);
    return status;
}

// Rank 0 may not listen yet: a refusal is no answer until the timeout.
static nmrt_status reach(const nmrt_ranks *ranks, const char *host, int port, int *fd,
                         nmrt_error *e)
{
    nmrt_place place[PLACES];
    int n;
    NMRT_TRY(nmrt_socket_resolve(host, port, place, PLACES, &n, e));
    double until = nmrt_seconds() + ranks->timeout;
    do {
        for (int i = 0; i < n; i++)
            if ((*fd = nmrt_socket_connect(&place[i], until)) >= 0)
                return NMRT_OK;
        usleep((useconds_t)(AGAIN * 1e6));
    } while (nmrt_seconds() < until);
    return nmrt_fail_errno(e, "rank %d cannot reach rank 0 at %s, port %d, for %g s", ranks->rank,
                           host, port, ranks->timeout);
}

nmrt_status nmrt_wire_meet(nmrt_roll *roll, const nmrt_ranks *ranks, const nmrt_guest *self,
                           nmrt_error *e)
{
    char host[NMRT_HOST];
    int port, fd;
    NMRT_TRY(nmrt_wire_find(ranks, host, &port, e));
    if (ranks->rank) {
        NMRT_TRY(reach(ranks, host, port, &fd, e));
        return nmrt_wire_join(roll, ranks, fd, self, e);
    }
    NMRT_TRY(nmrt_socket_listen(port, &fd, e));
    nmrt_status status = nmrt_wire_host(roll, ranks, fd, self, e);
    close(fd);
    return status;
}
