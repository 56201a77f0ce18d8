// Have all ranks of a run been started with the same flags?
#ifndef NMRT_SAME_H
#define NMRT_SAME_H

#include "runtime/comm.h"
#include "runtime/options.h"

// Collective. Compares the flags that decide what the ranks compute, those that a checkpoint gave
// included, and the sizes of the data files, with rank 0's. All get NMRT_USAGE with the first that
// differs and both values.
nmrt_status nmrt_same_flags(nmrt_comm *comm, const nmrt_options *o, nmrt_error *e);

#endif
