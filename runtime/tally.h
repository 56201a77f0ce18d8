// What a step does, counted and not done: a function's driver is run on a device that launches
// nothing, has no memory, and notes each call.
#ifndef NMRT_TALLY_H
#define NMRT_TALLY_H

#include "runtime/mesh.h"

typedef struct nmrt_tallied { // calls of one kind
    int64_t n;
    double bytes, flops;
} nmrt_tallied;

typedef struct nmrt_tally {
    const nmrt_mesh *mesh;                // this rank's
    int64_t *count;                       // [program.n_collectives] launches of a step
    int64_t *bytes;                       // [program.n_collectives] of the larger side
    int64_t *launches;                    // [program.n_kernels]
    nmrt_tallied products, fills, copies; // bytes: of all that they read and write
} nmrt_tally;

nmrt_status nmrt_tally_init(nmrt_tally *t, const nmrt_mesh *mesh, nmrt_error *e);
void nmrt_tally_release(nmrt_tally *t);
// Adds what `times` calls of the function give. A group of one says nothing.
nmrt_status nmrt_tally_add(nmrt_tally *t, const nmdrv_func *func, const nmdrv_sym *sym,
                           int64_t times, nmrt_error *e);
// A line for each kind and group of axes: how often, how many bytes.
void nmrt_tally_print(const nmrt_tally *t, nmrt_text *out);

// A line for each kind of kernel, and for products, fills and copies: how often, how many bytes and
// operations, where calls say so; kernels do not.
void nmrt_tally_print_work(const nmrt_tally *t, nmrt_text *out);

#endif
