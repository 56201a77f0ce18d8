// The parent of forked ranks. It forks them, waits, and says in the end what went wrong, once: the
// first failure, which a rank wrote into the recorder, or the death that it saw itself. Whoever is
// left then is killed; a stopped process, too, dies of SIGKILL. Should the parent die, the kernel
// kills the ranks.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/local.h"
#include "runtime/ranks.h"
#include "runtime/stop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 100 };
static const double GRACE = 1,
                    NOTICE = 0.5; // seconds: to leave after a failure; to come to the dead

typedef struct parent {
    nmrt_ranks *ranks;
    nmrt_local *local;
    pid_t *pid; // [world]; 0: ended
    int left, code;
    int dead;            // the first that died of itself or of a signal; -1: none
    char how[64];        // it died
    double died, failed; // when; 0: not
    int suspect;         // has ended while another seems to wait for it; -1: none
    double suspected;    // since
    int signals;         // SIGINT, SIGTERM and SIGHUP so far
    bool killed, forced; // the rest was told to go; by a second signal
} parent;

// --- a rank ------------------------------------------------------------------------------------

// A line of the message is one mistake, said behind `start`; a rank that speaks for itself alone
// says so.
static void report(const char *start, const char *message, int rank)
{
    while (*message) {
        int n = (int)strcspn(message, "\n");
        fprintf(stderr, "error: %s", start);
        if (rank >= 0)
            fprintf(stderr, "rank %d: ", rank);
        fprintf(stderr, "%.*s\n", n, message);
        message += n + (message[n] == '\n');
    }
}

// Not a SIGHUP that is ignored, as under nohup: one that is blocked comes all the same.
static void watched(sigset_t *set)
{
    struct sigaction now;
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    if (sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaddset(set, SIGHUP);
}

static int code_of(nmrt_status status) { return status == NMRT_USAGE ? 2 : status != NMRT_OK; }

static _Noreturn void be_rank(parent *p, int rank, pid_t parent_pid, nmrt_rank_body *body,
                              void *arg)
{
    nmrt_ranks r = *p->ranks;
    nmrt_error e = {.text = ""};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent_pid)
        _exit(1);
    r.rank = r.local_rank = rank;
    r.local = p->local;
    nmrt_recorder_set_pid(p->local->recorder, rank, (int)getpid());
    sigset_t set;
    watched(&set); // first: who follows ignores SIGHUP
    nmrt_stop_follow(p->local->recorder);
    free(p->pid);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    nmrt_status status = body(&r, arg, &e);
    if (status != NMRT_OK)
        nmrt_recorder_fail(p->local->recorder, nmrt_failure_kind(status),
                           nmrt_failure_rank(status, &e, rank), e.text);
    exit(code_of(status));
}

// --- the parent --------------------------------------------------------------------------------

static nmrt_status fork_all(parent *p, nmrt_rank_body *body, void *arg, nmrt_error *e)
{
    pid_t self = getpid();
    fflush(NULL); // or every rank would write it again
    for (int i = 0; i < p->ranks->world; i++) {
        pid_t pid = fork();
        if (pid == 0)
            be_rank(p, i, self, body, arg);
        if (pid < 0)
            return nmrt_fail_errno(e, "cannot start rank %d", i);
        p->pid[i] = pid;
        p->left++;
    }
    return NMRT_OK;
}

static void kill_all(parent *p)
{
    p->killed = true;
    for (int i = 0; i < p->ranks->world; i++)
        if (p->pid[i])
            kill(p->pid[i], SIGKILL);
}

static bool has_failed(const parent *p)
{
    return nmrt_recorder_failure(p->local->recorder) != NMRT_FAILED_NOT;
}

static void note_end(parent *p, int rank, int status)
{
    p->pid[rank] = 0;
    p->left--;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    p->code = p->code ? p->code : code;
    if (!code || p->killed || p->dead >= 0 || has_failed(p))
        return;
    p->dead = rank;
    p->died = nmrt_seconds();
    if (WIFSIGNALED(status))
        snprintf(p->how, sizeof p->how, "killed by signal %d", WTERMSIG(status));
    else
        snprintf(p->how, sizeof p->how, "ended with code %d", code);
}

// A rank that has ended well while another waits for it for good has left it, too. What is noted as
// awaited may have come a moment ago, so it counts only if it stays.
static void look_for_deserters(parent *p, double now)
{
    int found = -1;
    for (int i = 0; i < p->ranks->world && found < 0 && p->dead < 0; i++)
        if (!p->pid[i] && nmrt_recorder_awaits(p->local->recorder, i))
            found = i;
    if (found != p->suspect)
        p->suspected = now;
    p->suspect = found;
    if (found < 0 || now - p->suspected < NOTICE)
        return;
    p->dead = found;
    p->died = now;
    snprintf(p->how, sizeof p->how, "ended with code 0");
}

static void reap(parent *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < p->ranks->world; i++)
            if (p->pid[i] == pid)
                note_end(p, i, status);
}

// The dead is mourned once somebody waits for it, as only then it is known for what.
static void look_after_failure(parent *p)
{
    nmrt_recorder *r = p->local->recorder;
    double now = nmrt_seconds();
    look_for_deserters(p, now);
    if (p->dead >= 0 && !has_failed(p) &&
        (nmrt_recorder_awaits(r, p->dead) || now - p->died > NOTICE || !p->left))
        nmrt_recorder_mourn(r, p->dead, p->how);
    if (!has_failed(p))
        return;
    if (!p->failed)
        p->failed = now;
    if (now - p->failed > GRACE && !p->killed)
        kill_all(p);
}

static void take_signal(parent *p, int number)
{
    static const char answer[] = "\nstopping; a second signal exits without saving\n";
    if (p->signals++ == 0) {
        fputs(answer, stderr);
        nmrt_recorder_ask_stop(p->local->recorder);
    } else if (number != SIGHUP) { // of which a shell sends two when its terminal is closed
        p->forced = true;
        p->code = 128 + number;
        kill_all(p);
    }
}

static void watch(parent *p)
{
    const double longest = 0.2; // seconds counted at once: not those while all were suspended
    double before = nmrt_seconds();
    const struct timespec look = {0, LOOK_MS * 1000000L};
    sigset_t set;
    watched(&set);
    // Who reads the answer to a signal may be gone; the ranks, forked before, save all the same.
    void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
    while (p->left) {
        int number = sigtimedwait(&set, NULL, &look);
        if (number == SIGINT || number == SIGTERM || number == SIGHUP)
            take_signal(p, number);
        reap(p);
        double now = nmrt_seconds();
        nmrt_recorder_watch(p->local->recorder, now - before < longest ? now - before : longest);
        before = now;
        look_after_failure(p);
    }
    signal(SIGPIPE, pipe_before);
    look_after_failure(p);
}

// Others' exit codes only say that they were told to leave.
static void say_failure(parent *p, bool *lost)
{
    const nmrt_recorder *r = p->local->recorder;
    const nmrt_ranks *ranks = p->ranks;
    nmrt_failure failure = nmrt_recorder_failure(r);
    *lost = failure == NMRT_FAILED_LOST && !p->signals;
    if (failure == NMRT_FAILED_NOT)
        return;
    char start[64] = "";
    if (*lost && ranks->restarts && ranks->attempt == ranks->restarts)
        snprintf(start, sizeof start, "gave up after %d restart%s: ", ranks->restarts,
                 ranks->restarts == 1 ? "" : "s");
    report(start, nmrt_recorder_why(r), nmrt_recorder_failed_rank(r));
    p->code = failure == NMRT_FAILED_FLAGS ? 2 : 1;
}

// One life of the ranks: their exit code. *lost: another start may go well.
static int run_once(nmrt_ranks *ranks, nmrt_rank_body *body, void *arg, bool *lost)
{
    nmrt_error e;
    parent p = {.ranks = ranks, .dead = -1, .suspect = -1};
    p.pid = calloc((size_t)ranks->world, sizeof *p.pid);
    nmrt_status status = p.pid ? nmrt_local_new(&p.local, ranks->world, ranks->timeout, &e)
                               : nmrt_fail(&e, NMRT_WORLD, "no memory for the ranks");
    if (status == NMRT_OK) {
        status = fork_all(&p, body, arg, &e);
        if (status != NMRT_OK)
            kill_all(&p);
        watch(&p);
    }
    if (status != NMRT_OK)
        report("", e.text, -1);
    else if (!p.forced)
        say_failure(&p, lost);
    nmrt_local_free(p.local);
    free(p.pid);
    return status != NMRT_OK ? 1 : p.code;
}

static int run_forked(nmrt_ranks *ranks, nmrt_rank_body *body, void *arg)
{
    sigset_t set, before;
    watched(&set);
    sigprocmask(SIG_BLOCK, &set, &before);
    for (;; ranks->attempt++) {
        bool lost = false;
        int code = run_once(ranks, body, arg, &lost);
        if (!lost || ranks->attempt >= ranks->restarts) {
            sigprocmask(SIG_SETMASK, &before, NULL);
            return code;
        }
        fprintf(stderr, "starting the ranks again, %d of %d times\n", ranks->attempt + 1,
                ranks->restarts);
    }
}

void nmrt_ranks_say(const nmrt_ranks *ranks, nmrt_status status, nmrt_error *e)
{
    if (status != NMRT_OK && (ranks->rank == 0 || status != NMRT_USAGE)) // all say it of the flags
        report("", e->text, -1);
    e->text[0] = 0;
}

int nmrt_ranks_run(nmrt_ranks *ranks, nmrt_rank_body *body, void *arg)
{
    nmrt_error e = {.text = ""};
    if (ranks->start == NMRT_START_PLAIN && ranks->world > NMRT_MAX_LOCAL) {
        fprintf(stderr, "error: %d ranks are more than the %d that one machine starts\n",
                ranks->world, NMRT_MAX_LOCAL);
        return 2;
    }
    if (ranks->start == NMRT_START_PLAIN && (ranks->world > 1 || ranks->restarts))
        return run_forked(ranks, body, arg);
    nmrt_status status = body(ranks, arg, &e);
    nmrt_ranks_say(ranks, status, &e);
    return code_of(status);
}
