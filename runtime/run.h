// What main gives to a verb that runs on a mesh: everything that is known before the first size.
#ifndef NMRT_RUN_H
#define NMRT_RUN_H

#include "runtime/comm.h"
#include "runtime/device.h"
#include "runtime/mesh.h"
#include "runtime/options.h"
#include "runtime/output.h"
#include "runtime/ranks.h"

typedef struct nmrt_run {
    const nmdrv_program *program;
    const nmrt_device_ops *device;
    const nmrt_options *options;
    const nmrt_output *out; // of ranks other than 0: nowhere
    const nmrt_ranks *ranks;
    nmrt_mesh mesh; // this rank's place in it
    nmrt_comm comm; // `single` for one rank, and for --dry-run, whose mesh may be any
    int threads;    // of this rank
    const nmrt_recompute *recompute; // NULL: as options say
    bool tight;                      // no memory to keep rounded weights, unless that is asked for
} nmrt_run;

#endif
