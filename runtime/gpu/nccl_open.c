// Whether a run has collectives by NCCL: where each rank has a GPU of its own and the library is
// there. A communicator for each group of ranks, with an id that the run's own communicator hands
// round.
#include "runtime/gpu/load.h"
#include "runtime/gpu/nccl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_THAT_SHARES = 23000, MOST_SHARERS = 2 }; // NCCL 2.30.0

static nmrt_status gather_uuids(nmrt_device *d, CUuuid *all, int *rank, nmrt_error *e)
{
    CUuuid mine;
    int n = d->comm->ranks;
    NMRT_TRY(nmrt_gpu_check(d, d->api->cuDeviceGetUuid(&mine, d->id), "cannot name the GPU", e));
    for (int i = 0; i < n; i++)
        rank[i] = i;
    nmrt_exchange x = {.kind = NMDRV_ALL_GATHER,
                       .dtype = NMDRV_U8,
                       .group = {n, d->comm->rank, rank, nmrt_group_id(rank, n)},
                       .outer = 1,
                       .len = 1,
                       .inner = sizeof mine,
                       .out = all,
                       .in = &mine,
                       .name = "names of GPUs",
                       .where = ""};
    return d->comm->run(d->comm, &x, e);
}

// How many ranks have this one's GPU.
static nmrt_status count_sharers(nmrt_device *d, int *sharers, nmrt_error *e)
{
    size_t n = (size_t)d->comm->ranks;
    CUuuid *all = calloc(n, sizeof *all);
    int *rank = calloc(n, sizeof *rank);
    nmrt_status status = all && rank ? gather_uuids(d, all, rank, e)
                                     : nmrt_fail(e, NMRT_WORLD, "no memory for names of GPUs");
    *sharers = 0;
    for (size_t i = 0; status == NMRT_OK && i < n; i++)
        *sharers += memcmp(&all[i], &all[d->comm->rank], sizeof *all) == 0;
    free(all);
    free(rank);
    return status;
}

// NCCL wants a GPU of its own for each rank. From 2.30 on it can do with less, where it is told so:
// up to two on a GPU by its documentation, as each needs room for its kernels beside the others'.
static bool may_share(nmrt_device *d, int sharers)
{
    int version = 0;
    if (sharers > MOST_SHARERS || d->api->ncclGetVersion(&version) != ncclSuccess ||
        version < FIRST_THAT_SHARES)
        return false;
    return setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 0) == 0;
}

// Why this rank cannot have NCCL; NULL: it can.
static nmrt_status find_obstacle(nmrt_device *d, const char **why, nmrt_error *e)
{
    nmrt_error missing;
    int sharers;
    NMRT_TRY(count_sharers(d, &sharers, e));
    bool found = !d->libraries || nmrt_gpu_load(d->libraries, NMRT_GPU_NCCL, &missing) == NMRT_OK;
    *why = NULL;
    if (sharers > 1 && !(found && may_share(d, sharers)))
        *why = "ranks share a GPU";
    else if (!found)
        *why = "libnccl.so.2 is not found";
    return NMRT_OK;
}

static nmrt_status open_nccl(nmrt_device *d, nmrt_error *e)
{
    size_t n = (size_t)d->program->n_collectives + 1;
    nmrt_gpu_nccl *t = d->nccl = calloc(1, sizeof *t);
    if (t) {
        t->done = calloc(n, sizeof(CUevent));
        t->under_way = calloc(n, sizeof *t->under_way);
        t->peers = calloc(n, sizeof *t->peers);
    }
    if (!t || !t->done || !t->under_way || !t->peers)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the collectives");
    CUresult r = d->api->cuStreamCreate(&t->stream, CU_STREAM_NON_BLOCKING);
    if (r == CUDA_SUCCESS)
        r = d->api->cuEventCreate(&t->ready, CU_EVENT_DISABLE_TIMING);
    nmrt_gpu_trace_stream(d, t->stream, "collectives");
    NMRT_TRY(nmrt_gpu_check(d, r, "cannot make a stream", e));
    NMRT_TRY(nmrt_gpu_lanes_open(d, e));
    return nmrt_gpu_lane_open(d, t->stream, &t->lane, e);
}

nmrt_status nmrt_gpu_nccl_open(nmrt_device *d, const nmrt_device_request *request, nmrt_error *e)
{
    const char *why = "--collectives says so";
    if (strcmp(request->collectives, "host") != 0)
        NMRT_TRY(find_obstacle(d, &why, e));
    bool other = why != NULL;
    NMRT_TRY(nmrt_comm_any(d->comm, &other, e));
    if (other && strcmp(request->collectives, "nccl") == 0)
        return nmrt_fail(e, NMRT_WORLD, "--collectives nccl: %s",
                         why ? why : "another rank has no NCCL");
    if (other)
        return nmrt_gpu_staged_open(d, why ? why : "another rank has no NCCL", e);
    return open_nccl(d, e);
}

// --- groups --------------------------------------------------------------------------------------

// The first member's id is everyone's: the others offer zeros, and the largest wins.
static nmrt_status share_id(nmrt_device *d, const nmdrv_collective *c, const nmrt_group *group,
                            ncclUniqueId *id, nmrt_error *e)
{
    ncclUniqueId mine = {{0}};
    if (!group->me)
        NMRT_TRY(nmrt_gpu_nccl_check(d, d->api->ncclGetUniqueId(&mine), c->name, c->where, e));
    nmrt_exchange x = {.kind = NMDRV_ALL_REDUCE,
                       .dtype = NMDRV_U8,
                       .max = true,
                       .group = *group,
                       .outer = sizeof mine,
                       .len = 1,
                       .inner = 1,
                       .out = id,
                       .in = &mine,
                       .name = c->name,
                       .where = c->where};
    return d->comm->run(d->comm, &x, e);
}

static bool has_peers(const nmrt_gpu_nccl *t, const nmrt_group *group)
{
    for (int i = 0; i < t->n_peers; i++)
        if (t->peers[i].group.id == group->id)
            return true;
    return false;
}

static nmrt_status make_peers(nmrt_device *d, int64_t row, nmrt_error *e)
{
    const nmdrv_collective *c = &d->program->collective[row];
    nmrt_gpu_nccl *t = d->nccl;
    nmrt_group group;
    ncclUniqueId id;
    ncclComm_t comm;
    NMRT_TRY(nmrt_exchanges_group(&d->exchanges, row, &group, e));
    if (has_peers(t, &group))
        return NMRT_OK;
    NMRT_TRY(share_id(d, c, &group, &id, e));
    ncclResult_t r = d->api->ncclCommInitRank(&comm, group.n, id, group.me);
    NMRT_TRY(nmrt_gpu_nccl_check(d, r, c->name, c->where, e));
    t->peers[t->n_peers++] = (nmrt_gpu_peers){group, comm};
    return NMRT_OK;
}

// All ranks go through the rows in one order, so no two groups wait for each other.
nmrt_status nmrt_gpu_nccl_furnish(nmrt_device *d, const nmrt_device_room *room, nmrt_error *e)
{
    nmrt_gpu_nccl *t = d->nccl;
    t->scratch = room->collectives;
    t->scratch_bytes = room->collective_bytes;
    for (int64_t i = 0; i < d->program->n_collectives; i++)
        if (room->meets[i])
            NMRT_TRY(make_peers(d, i, e));
    return nmrt_gpu_watch_start(d, e);
}

// --- open and close ------------------------------------------------------------------------------

void nmrt_gpu_nccl_stop(nmrt_device *d)
{
    if (d->nccl)
        nmrt_gpu_watch_stop(d);
}

void nmrt_gpu_nccl_close(nmrt_device *d)
{
    nmrt_gpu_nccl *t = d->nccl;
    if (!t)
        return;
    for (int i = 0; i < t->n_peers; i++)
        d->api->ncclCommDestroy(t->peers[i].comm);
    for (int64_t i = 0; t->done && i < d->program->n_collectives; i++)
        if (t->done[i])
            d->api->cuEventDestroy(t->done[i]);
    nmrt_gpu_lane_close(d, t->lane);
    nmrt_gpu_lanes_close(d);
    if (t->ready)
        d->api->cuEventDestroy(t->ready);
    if (t->stream)
        d->api->cuStreamDestroy(t->stream);
    free(t->peers);
    free(t->done);
    free(t->under_way);
    free(t);
    d->nccl = NULL;
}
