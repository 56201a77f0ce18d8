// What a row of the program's table of collectives is on this run's mesh.
#ifndef NMRT_EXCHANGE_H
#define NMRT_EXCHANGE_H

#include "runtime/comm.h"
#include "runtime/mesh.h"

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

#endif
