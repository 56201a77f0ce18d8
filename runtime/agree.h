// How all ranks come to one answer, by messages through rank 0. Each is collective.
#ifndef NMRT_AGREE_H
#define NMRT_AGREE_H

#include "runtime/comm.h"

// Each gives a status, and a message in e; all get those of the lowest rank whose status is not
// NMRT_OK, as everyone's. comm NULL: one rank alone.
nmrt_status nmrt_agree(nmrt_comm *comm, nmrt_status mine, nmrt_error *e);
// The same of what every rank looks at by itself, as the files of its machine: a failure that not
// all have, in the same words, begins with whose it is.
nmrt_status nmrt_agree_alike(nmrt_comm *comm, nmrt_status mine, nmrt_error *e);
// All get rank 0's bytes.
nmrt_status nmrt_agree_on(nmrt_comm *comm, void *at, int64_t bytes, nmrt_error *e);

#endif
