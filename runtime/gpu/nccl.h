// Private to collectives by NCCL: nccl.c launches and waits, nccl_pack.c lays operands as NCCL
// wants them, nccl_open.c opens and closes.
#ifndef NMRT_GPU_NCCL_H
#define NMRT_GPU_NCCL_H

#include "runtime/dtype.h"
#include "runtime/gpu/gpu.h"

#include <pthread.h>

enum { NMRT_GPU_WATCHED = 256 };

typedef struct nmrt_gpu_peers {
    int64_t group; // nmrt_group.id
    ncclComm_t comm;
} nmrt_gpu_peers;

typedef struct nmrt_gpu_watched { // a launch, while the host may wait for it; events are made once
    CUevent begun, done;
    int64_t row;
} nmrt_gpu_watched;

typedef struct nmrt_gpu_nccl {
    CUstream stream;
    CUevent ready;   // what the last launch waited for is done
    CUevent *done;   // [n_collectives] of the launch that the row ended; NULL: not made yet
    bool *under_way; // [n_collectives] a wait follows
    nmrt_gpu_peers *peers;
    int n_peers;
    char *scratch; // device memory, for what does not lie as NCCL wants it
    int64_t scratch_bytes;
    nmrt_gpu_watched
        watched[NMRT_GPU_WATCHED]; // launches [n_done, n_begun), a ring; when it is full, no more
    int64_t n_begun, n_done;
    double timeout, stuck; // seconds; when the others were first missed, 0: they are not
    pthread_t watch;
    bool is_watched;  // there is such a thread
    atomic_bool ends; // it is to end
} nmrt_gpu_nccl;

static inline int64_t nmrt_gpu_bytes_of(const nmrt_exchange *x, int64_t elements)
{
    return elements * nmrt_dtype(x->dtype)->bits / 8;
}

// --- watch.c -----------------------------------------------------------------------------------

nmrt_status nmrt_gpu_watch_start(nmrt_device *d, nmrt_error *e);
void nmrt_gpu_watch_stop(nmrt_device *d);

// --- nccl_pack.c -------------------------------------------------------------------------------

// NCCL has members' blocks one behind the other. Is the larger side not so: within each of `outer`,
// or in two pieces a member?
bool nmrt_gpu_is_mixed(const nmrt_exchange *x);
// The device memory in which its larger side lies apart, in bytes; 0: it is not mixed.
int64_t nmrt_gpu_pack_bytes(const nmrt_exchange *x);
// d->nccl->scratch for these, one behind the other; waits for the stream where it has to grow.
nmrt_status nmrt_gpu_pack_room(nmrt_device *d, const nmrt_exchange *x, int n, nmrt_error *e);
// On the stream: those of this kind that are mixed are taken apart (REDUCE_SCATTER, before the
// launch), or put together (ALL_GATHER, behind it).
void nmrt_gpu_pack(nmrt_device *d, const nmrt_exchange *x, int n, nmdrv_collective_kind kind);

#endif
