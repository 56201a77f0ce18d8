// A communicator as a table of functions: what a run's ranks say to each other. `single` is one
// rank alone; `local` is forked ranks over shared memory; `wire` is send and receive over a
// transport (tcp, mpi) with the collectives written on top.
//
// Every member of a group calls the same collectives on it in the same order. Reductions add in the
// order of the group's indices, so bits do not depend on timing. Each operation is noted in the
// recorder (runtime/recorder.h) before it waits; a rank that is behind, gone, or in another
// operation is an error that names it, on every rank.
//
// All calls return when their work is done. Launches that go on beside kernels are the device's:
// the host has a thread for them (runtime/comm_queue.h), another may have streams.
#ifndef NMRT_COMM_H
#define NMRT_COMM_H

#include "runtime/pool.h"

#include <stdatomic.h>
#include <stdbool.h>

struct nmrt_ranks;

typedef struct nmrt_group { // the ranks of a collective, in the order of their index
    int n, me;              // rank[me] is this rank
    const int *rank;        // [n] world ranks
    int64_t id;             // nmrt_group_id: equal on all members
} nmrt_group;

int64_t nmrt_group_id(const int *rank, int n); // of these world ranks in this order; never 0

typedef struct nmrt_piece { // where elements of the larger side lie along `over`
    int64_t from, n;
} nmrt_piece;

typedef struct nmrt_exchange { // one collective, as one member sees it
    nmdrv_collective_kind kind;
    nmdrv_dtype dtype;
    bool max; // else the sum
    nmrt_group group;
    int64_t outer, len, inner; // elements: ALL_REDUCE, ROTATE: outer; else [outer, len, inner] is
                               // the smaller side, [outer, n len, inner] the larger one
    const nmrt_piece *piece; // NULL: member i has [i len, (i + 1) len); else [2 n]: two pieces each
    void *out;               // may be `in` for ALL_REDUCE
    const void *in;
    const char *name, *where; // for the recorder: texts that outlive the run
} nmrt_exchange;

typedef struct nmrt_flight nmrt_flight;
typedef struct nmrt_comm nmrt_comm;
struct nmrt_comm {
    const char *name;
    int rank, ranks;
    // In memory that nmrt_comm.alloc gave (`local`: shared by all ranks), or any for others.
    nmrt_status (*run)(nmrt_comm *c, const nmrt_exchange *x, nmrt_error *e);
    // Several of one kind and group, none of which reads what another gives, as one; NULL: `run`
    // them one by one (nmrt_comm_run_all does). At most NMRT_MAX_BATCH.
    nmrt_status (*run_all)(nmrt_comm *c, const nmrt_exchange *x, int n, nmrt_error *e);
    // Channel `tag` from one rank to another delivers in order. send returns when `at` may be
    // reused; it waits only where many messages are under way. `what` and `where`, its
    // model line or "", outlive the run.
    nmrt_status (*send)(nmrt_comm *c, int to, int tag, const void *at, int64_t bytes,
                        const char *what, const char *where, nmrt_error *e);
    nmrt_status (*recv)(nmrt_comm *c, int from, int tag, void *at, int64_t bytes, const char *what,
                        const char *where, nmrt_error *e);
    nmrt_status (*barrier)(nmrt_comm *c, nmrt_error *e); // of all ranks
    // Memory for buffers that collectives read and write: zeros, 64-byte aligned. NULL ops: any
    // memory will do.
    nmrt_status (*alloc)(nmrt_comm *c, int64_t bytes, void **at, nmrt_error *e);
    void (*free)(nmrt_comm *c, void *at, int64_t bytes);
    // All ranks stop with this failure; returns. e becomes what is left for this rank to say: ""
    // where a parent or another rank says it.
    void (*abort)(nmrt_comm *c, nmrt_status status, nmrt_error *e);
    void (*close)(nmrt_comm *c);
    _Atomic int64_t
        *progress; // this rank's count of what it has done (recorder.h); NULL: nobody looks
    const nmrt_flight *flight; // where a device notes what it does itself; NULL: one rank alone
    nmrt_pool *pool; // the device's threads, which help with large collectives; NULL: none
    bool one_thread; // only the one that opened it may use it; else any, one at a time
    double waited;   // seconds that the rank's own thread has stood in collectives and messages: a
                     // report for people, added to by who calls
    void *state;
};

enum { NMRT_MAX_BATCH = 64 };

// This rank has done a piece of work: who waits for it sees that it is not stuck. comm NULL: one
// rank alone.
static inline void nmrt_comm_moved(const nmrt_comm *c)
{
    if (c && c->progress)
        atomic_fetch_add_explicit(c->progress, 1, memory_order_relaxed);
}

nmrt_comm nmrt_comm_single(void);
nmrt_status nmrt_comm_run_all(nmrt_comm *c, const nmrt_exchange *x, int n, nmrt_error *e);
// The communicator of --comm for these ranks: auto, local, tcp or mpi. Close it in any case where
// the status is NMRT_OK.
nmrt_status nmrt_comm_open(nmrt_comm *c, const struct nmrt_ranks *ranks, const char *which,
                           nmrt_error *e);
// *flag on any rank is *flag on all: how ranks agree to stop. Every rank calls it.
nmrt_status nmrt_comm_any(nmrt_comm *c, bool *flag, nmrt_error *e);
// Elements of the side that a member gives, and of the one that it gets.
int64_t nmrt_exchange_in(const nmrt_exchange *x);
int64_t nmrt_exchange_out(const nmrt_exchange *x);
// Equal on members that mean the same n collectives, in one launch.
uint64_t nmrt_exchange_sign(const nmrt_exchange *x, int n);
// An error that names the collective, where no communicator can do it; and another such error.
nmrt_status nmrt_exchange_check(const nmrt_exchange *x, nmrt_error *e);
nmrt_status nmrt_exchange_refuse(const nmrt_exchange *x, const char *why, nmrt_error *e);
// Ends all ranks with this failure, and this process: where a collective failed in the middle of a
// function, nothing may go on, and least of all write a checkpoint.
_Noreturn void nmrt_comm_die(nmrt_comm *c, const nmrt_error *e);

// out[i] = the sum (or maximum) of in[0][at + i], in[1][at + i], ..., in this order, for i below
// count. bf16 is added as f32 and rounded once. out may be where one of in is. False: no sum of
// this dtype is known.
bool nmrt_reduce(nmdrv_dtype dtype, bool max, void *out, const void *const *in, int n, int64_t at,
                 int64_t count);

#endif
