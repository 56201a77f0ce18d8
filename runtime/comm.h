// A communicator as a table of functions: what a run's ranks say to each other. `single` is the one
// that is filled: one rank, for which every sum is complete and every barrier passed.
#ifndef NMRT_COMM_H
#define NMRT_COMM_H

#include "runtime/driver_abi.h"
#include "runtime/status.h"

typedef struct nmrt_comm nmrt_comm;
struct nmrt_comm {
    const char *name;
    int rank, ranks;
    // Sums `count` numbers at `at` over the ranks, in rank order, in place.
    nmrt_status (*all_reduce)(nmrt_comm *c, void *at, int64_t count, nmdrv_dtype dtype,
                              nmrt_error *e);
    nmrt_status (*barrier)(nmrt_comm *c, nmrt_error *e);
    void (*close)(nmrt_comm *c);
};

nmrt_comm nmrt_comm_single(void);

#endif
