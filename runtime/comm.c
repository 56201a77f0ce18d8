// What all communicators share, and which one a run has.
#include "runtime/comm.h"

#include "runtime/dtype.h"
#include "runtime/hash.h"
#include "runtime/local.h"
#include "runtime/ranks.h"
#include "runtime/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t nmrt_group_id(const int *rank, int n)
{
    uint64_t h = nmrt_hash_of(rank, (size_t)n * sizeof *rank);
    return (int64_t)(h ? h : 1);
}

static int64_t smaller_side(const nmrt_exchange *x)
{
    bool flat = x->kind == NMDRV_ALL_REDUCE || x->kind == NMDRV_ROTATE;
    return flat ? x->outer : x->outer * x->len * x->inner;
}

int64_t nmrt_exchange_in(const nmrt_exchange *x)
{
    return smaller_side(x) * (x->kind == NMDRV_REDUCE_SCATTER ? x->group.n : 1);
}

int64_t nmrt_exchange_out(const nmrt_exchange *x)
{
    return smaller_side(x) * (x->kind == NMDRV_ALL_GATHER ? x->group.n : 1);
}

uint64_t nmrt_exchange_sign(const nmrt_exchange *x, int n)
{
    nmrt_hash h;
    nmrt_hash_init(&h);
    for (int i = 0; i < n; i++) {
        const int64_t word[] = {x[i].kind, x[i].dtype, x[i].max,     x[i].outer,
                                x[i].len,  x[i].inner, x[i].group.n, n};
        nmrt_hash_add(&h, x[i].name, strlen(x[i].name));
        nmrt_hash_add(&h, word, sizeof word);
    }
    return nmrt_hash_value(&h);
}

nmrt_status nmrt_exchange_refuse(const nmrt_exchange *x, const char *why, nmrt_error *e)
{
    return nmrt_fail(e, NMRT_CORRUPT, "%s (%s): %s %s", x->name, x->where, why,
                     nmrt_dtype(x->dtype)->name);
}

nmrt_status nmrt_exchange_check(const nmrt_exchange *x, nmrt_error *e)
{
    bool adds = x->kind == NMDRV_ALL_REDUCE || x->kind == NMDRV_REDUCE_SCATTER;
    if (x->kind == NMDRV_ALL_TO_ALL)
        return nmrt_exchange_refuse(x, "an all_to_all is not built into this communicator: of", e);
    if (adds && !nmrt_reduce(x->dtype, x->max, NULL, NULL, 0, 0, 0))
        return nmrt_exchange_refuse(x, "no sum is known of", e);
    if (nmrt_dtype(x->dtype)->bits < 8)
        return nmrt_exchange_refuse(x, "elements are parts of bytes:", e);
    return NMRT_OK;
}

nmrt_status nmrt_comm_run_all(nmrt_comm *c, const nmrt_exchange *x, int n, nmrt_error *e)
{
    if (c->run_all && n > 1)
        return c->run_all(c, x, n, e);
    for (int i = 0; i < n; i++)
        NMRT_TRY(c->run(c, &x[i], e));
    return NMRT_OK;
}

nmrt_status nmrt_comm_any(nmrt_comm *c, bool *flag, nmrt_error *e)
{
    if (c->ranks == 1)
        return NMRT_OK;
    int *rank = malloc((size_t)c->ranks * sizeof *rank);
    if (!rank)
        return nmrt_fail(e, NMRT_WORLD, "no memory for a group");
    for (int i = 0; i < c->ranks; i++)
        rank[i] = i;
    uint8_t mine = *flag, any = 0;
    nmrt_exchange x = {.kind = NMDRV_ALL_REDUCE,
                       .dtype = NMDRV_U8,
                       .max = true,
                       .group = {c->ranks, c->rank, rank, nmrt_group_id(rank, c->ranks)},
                       .outer = 1,
                       .out = &any,
                       .in = &mine,
                       .name = "barrier",
                       .where = ""};
    nmrt_status status = c->run(c, &x, e);
    *flag = any;
    free(rank);
    return status;
}

void nmrt_comm_die(nmrt_comm *c, const nmrt_error *e)
{
    nmrt_error said = *e;
    c->abort(c, NMRT_WORLD, &said);
    fflush(stdout);
    if (said.text[0])
        fprintf(stderr, "error: %s\n", said.text);
    _exit(1);
}

// --- the choice --------------------------------------------------------------------------------

// Ranks of mpirun talk by MPI where its library is; mpirun starts programs without it as well.
static const char *choose(const nmrt_ranks *ranks)
{
    if (ranks->local)
        return "local";
    return ranks->start == NMRT_START_MPI && nmrt_wire_has_mpi() ? "mpi" : "tcp";
}

nmrt_status nmrt_comm_open(nmrt_comm *c, const nmrt_ranks *ranks, const char *which, nmrt_error *e)
{
    if (ranks->world == 1) {
        *c = nmrt_comm_single();
        return NMRT_OK;
    }
    if (strcmp(which, "auto") == 0)
        which = choose(ranks);
    if (strcmp(which, "local") != 0 && !ranks->local)
        return nmrt_comm_wire(c, ranks, which, e);
    if (ranks->local)
        return strcmp(which, "local") == 0
                   ? nmrt_comm_local(c, ranks->local, ranks->rank, e)
                   : nmrt_fail(e, NMRT_USAGE,
                               "--comm %s is for ranks that mpirun, srun or torchrun start: those "
                               "of this binary itself talk by --comm local",
                               which);
    return nmrt_fail(e, NMRT_USAGE,
                     "--comm local is for ranks that this binary starts itself, not for those "
                     "of %s",
                     nmrt_start_name(ranks->start));
}
