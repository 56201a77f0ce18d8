// What a row of the program's table of collectives is on this run's mesh.
#ifndef NMRT_EXCHANGE_H
#define NMRT_EXCHANGE_H

#include "runtime/comm.h"
#include "runtime/mesh.h"

typedef struct nmrt_operands {
    void *out;
    const void *in;
} nmrt_operands;

typedef struct nmrt_exchanges { // the rows' groups and pieces, made when they are first met
    const nmrt_mesh *mesh;
    struct nmrt_exchange_row *row; // [program.n_collectives]
} nmrt_exchanges;

nmrt_status nmrt_exchanges_init(nmrt_exchanges *x, const nmrt_mesh *mesh, nmrt_error *e);
void nmrt_exchanges_release(nmrt_exchanges *x);
// The row for a call with these sizes and geometry (driver_abi.h), without its operands; good until
// the next call with the same row. group.n is 1 where there is nothing to do.
nmrt_status nmrt_exchanges_get(nmrt_exchanges *x, int64_t collective, const nmdrv_sym *sym,
                               const int64_t *geometry, nmrt_exchange *out, nmrt_error *e);

// The group of the row.
nmrt_status nmrt_exchanges_group(nmrt_exchanges *x, int64_t collective, nmrt_group *group,
                                 nmrt_error *e);
// NCCL has members' blocks one behind the other. The bytes of the larger side, from one line of 256
// to another, where it is not so: within each of `outer`, or in two pieces a member; else 0.
int64_t nmrt_exchange_apart(const nmrt_exchange *x);

// Collectives that follow each other at once, for one launch: a device gathers them as they are
// called.
typedef struct nmrt_launch {
    int n;
    nmrt_exchange x[NMRT_MAX_BATCH];
} nmrt_launch;

typedef enum {           // what a call of nmdrv_calls.collective is to do
    NMRT_LAUNCH_NOTHING, // give `in` back
    NMRT_LAUNCH_LATER,   // give `out` back: the row says that more follow
    NMRT_LAUNCH_NOW,     // launch what is gathered, with a new n of 0, and give `out` back
    NMRT_LAUNCH_FAILED,  // *e
} nmrt_launch_when;
nmrt_launch_when nmrt_launch_add(nmrt_launch *l, nmrt_exchanges *all, int64_t collective,
                                 const nmdrv_sym *sym, const int64_t *geometry,
                                 nmrt_operands operands, nmrt_error *e);
// Does the launch that this row is of go on beside kernels? Its rows lie side by side.
bool nmrt_launch_is_async(const nmdrv_program *p, int64_t row);

#endif
