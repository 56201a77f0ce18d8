// Who am I: the ranks of a run, how they were started, and the parent that watches over those that
// this binary forked.
//
//     plain start             world = --nproc or tp * pp * cp * dp ranks are forked on this machine
//     torchrun and its kin    RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE
//     mpirun                  OMPI_COMM_WORLD_*, PMI_*
//     srun                    SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID
//
// and with any of them MASTER_ADDR and MASTER_PORT, where rank 0 can be reached.
#ifndef NMRT_RANKS_H
#define NMRT_RANKS_H

#include "runtime/recorder.h"
#include "runtime/status.h"

typedef enum {
    NMRT_START_PLAIN,
    NMRT_START_TORCHRUN,
    NMRT_START_MPI,
    NMRT_START_SLURM,
} nmrt_start;

enum { NMRT_HOST = 256, NMRT_MAX_LOCAL = 256 };

typedef struct nmrt_ranks {
    nmrt_start start;
    bool launched; // by a launcher, also where its one task is a plain start
    int rank, world;
    int local_rank, local_ranks; // among the ranks of this machine
    char address[NMRT_HOST];     // where rank 0 can be reached; "": nobody said
    int port;                    // 0: nobody said
    double timeout;              // --comm-timeout, seconds
    const char *program;         // hash of the program: all ranks run the same; NULL: not known
    int restarts, attempt;       // --restart; how often the ranks have been started again
    struct nmrt_local *local;    // what forked ranks share; NULL: nothing
} nmrt_ranks;

// From the environment; one plain rank where it says nothing. Fails where it contradicts itself.
nmrt_status nmrt_ranks_find(nmrt_ranks *r, nmrt_error *e);
// Threads of a rank: its share of this machine's processors, at least one.
int nmrt_ranks_threads(const nmrt_ranks *r);
const char *nmrt_start_name(nmrt_start start); // "torchrun"

typedef nmrt_status nmrt_rank_body(nmrt_ranks *r, void *arg, nmrt_error *e);
// Runs `body` as each rank and returns this process's exit code: as the one rank that it is, or,
// in a plain start with world > 1 or restarts, as the parent that forks and watches them all. Call
// it before there are threads. Failures are said on standard error, once each.
int nmrt_ranks_run(nmrt_ranks *r, nmrt_rank_body *body, void *arg);
// Says a failure of this rank at once, if it is one that it says, and empties e: before others hear
// of it and leave, as a launcher may end all when the first one does.
void nmrt_ranks_say(const nmrt_ranks *ranks, nmrt_status status, nmrt_error *e);

#endif
