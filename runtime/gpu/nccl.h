// Private to collectives by NCCL: nccl.c launches and waits, nccl_pack.c lays operands as NCCL
// wants them, nccl_open.c opens and closes; lane.c and watch.c know where the GPU stands.
#ifndef NMRT_GPU_NCCL_H
#define NMRT_GPU_NCCL_H

#include "runtime/dtype.h"
#include "runtime/gpu/gpu.h"

typedef struct nmrt_gpu_peers {
    nmrt_group group; // of the exchanges that meet it
    ncclComm_t comm;
} nmrt_gpu_peers;

typedef struct nmrt_gpu_lane nmrt_gpu_lane;

typedef struct nmrt_gpu_nccl {
    CUstream stream;
    CUevent ready;         // what the last launch waited for is done
    CUevent *done;         // [n_collectives] of the launch that the row ended; NULL: not made yet
    bool *under_way;       // [n_collectives] a wait follows
    nmrt_gpu_peers *peers; // [n_collectives], which is room for all
    int n_peers;           // all are made before `watch` is, whose thread reads them without a lock
    char *scratch;         // of the plan's memory, for what does not lie as NCCL wants it
    int64_t scratch_bytes;
    bool row_by_row;     // this driver does not copy rows of any pitch at once
    void *table;         // device memory, for lanes
    nmrt_gpu_lane *lane; // of the stream
    struct nmrt_gpu_watch *watch;
} nmrt_gpu_nccl;

static inline int64_t nmrt_gpu_bytes_of(const nmrt_exchange *x, int64_t elements)
{
    return elements * nmrt_dtype(x->dtype)->bits / 8;
}

// --- nccl.c ------------------------------------------------------------------------------------

// NMRT_OK, or a sentence that begins with the collective.
nmrt_status nmrt_gpu_nccl_check(const nmrt_device *d, ncclResult_t r, const char *name,
                                const char *where, nmrt_error *e);

// --- lane.c ------------------------------------------------------------------------------------

typedef struct nmrt_gpu_deed { // a launch, for the flight recorder: texts outlive the run
    const char *verb, *name, *where;
    int peers, peer; // of nccl.peers, -1: a message; whose, -1: of a group
    int64_t bytes;
} nmrt_gpu_deed;

typedef struct nmrt_gpu_deeds { // those of a CUDA graph, in their order; outlive its launches
    nmrt_gpu_deed *at;
    int n, room;
} nmrt_gpu_deeds;

typedef struct nmrt_gpu_standing { // where a lane's GPU is
    int64_t run;                   // run and moment change with every launch
    int moment;
    bool stands;        // in a launch
    nmrt_gpu_deed deed; // that one, or the last; name NULL: there was none
} nmrt_gpu_standing;

nmrt_status nmrt_gpu_lanes_open(nmrt_device *d, nmrt_error *e); // what all lanes need
void nmrt_gpu_lanes_close(nmrt_device *d);
// Of this stream; close it in any case, when its work is done and nothing watches any more.
nmrt_status nmrt_gpu_lane_open(nmrt_device *d, CUstream stream, nmrt_gpu_lane **lane,
                               nmrt_error *e);
void nmrt_gpu_lane_close(nmrt_device *d, nmrt_gpu_lane *lane); // NULL is fine
// What is enqueued to the stream in between is this.
int64_t nmrt_gpu_lane_begin(nmrt_device *d, nmrt_gpu_lane *lane, const nmrt_gpu_deed *deed);
void nmrt_gpu_lane_end(nmrt_device *d, nmrt_gpu_lane *lane, int64_t number);
// From now on launches are captured, and added to `deeds`; NULL: no more.
void nmrt_gpu_lane_capture(nmrt_gpu_lane *lane, nmrt_gpu_deeds *deeds);
// Before and behind the launch of the graph that holds them, on the kernels' stream.
int64_t nmrt_gpu_lane_graph(nmrt_device *d, nmrt_gpu_lane *lane, const nmrt_gpu_deeds *deeds);
void nmrt_gpu_lane_graph_end(nmrt_device *d, nmrt_gpu_lane *lane, int64_t number);
// By another thread: where the GPU is; adds how often it has come to each of the first n peers.
// False: it moves at this moment, ask again.
bool nmrt_gpu_lane_look(nmrt_gpu_lane *lane, nmrt_gpu_standing *s, int64_t *meetings, int n);

// --- watch.c -----------------------------------------------------------------------------------

nmrt_status nmrt_gpu_watch_start(nmrt_device *d, nmrt_error *e); // with nccl.lane
// Another one, of messages by this communicator.
nmrt_status nmrt_gpu_watch_add(nmrt_device *d, nmrt_gpu_lane *lane, ncclComm_t comm, nmrt_error *e);
void nmrt_gpu_watch_stop(nmrt_device *d); // NULL is fine; lanes stay

// --- nccl_pack.c -------------------------------------------------------------------------------

// Does d->nccl->scratch do for these, one behind the other?
nmrt_status nmrt_gpu_pack_check(const nmrt_device *d, const nmrt_exchange *x, int n, nmrt_error *e);
// On the stream: those of this kind that are mixed are taken apart (REDUCE_SCATTER, before the
// launch), or put together (ALL_GATHER, behind it).
void nmrt_gpu_pack(nmrt_device *d, const nmrt_exchange *x, int n, nmdrv_collective_kind kind);

#endif
