// Runs a test's body as forked ranks, and gives what was said on standard error.
#ifndef NMRT_TEST_RANKS_H
#define NMRT_TEST_RANKS_H

#include "runtime/comm.h"
#include "runtime/local.h"
#include "runtime/ranks.h"

#include "tests/runtime/check.h"

#include <string.h>
#include <unistd.h>

static int failures_before; // a rank begins with its parent's

// The exit code of `world` ranks that run body(ranks, arg). said: what they and their parent wrote
// on standard error; NULL: let it pass.
static inline int run_ranks(int world, double timeout, int restarts, nmrt_rank_body *body,
                            void *arg, char said[4096])
{
    nmrt_ranks r = {.world = world, .local_ranks = world, .timeout = timeout, .restarts = restarts};
    failures_before = check_failures;
    if (!said)
        return nmrt_ranks_run(&r, body, arg);
    FILE *f = tmpfile();
    int before = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    int code = nmrt_ranks_run(&r, body, arg);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(f);
    said[fread(said, 1, 4095, f)] = 0;
    fclose(f);
    return code;
}

static inline bool is_in(const char *part, const char *text)
{
    if (strstr(text, part))
        return true;
    fprintf(stderr, "no '%s' in: %s\n", part, text);
    return false;
}

// The failed checks of this rank as its failure.
static inline nmrt_status checked(nmrt_error *e)
{
    int n = check_failures - failures_before;
    return n ? nmrt_fail(e, NMRT_CORRUPT, "%d checks failed", n) : NMRT_OK;
}

#endif
