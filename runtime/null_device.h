// A device that launches nothing and has no memory: drivers are run on it for what their
// collectives say.
#ifndef NMRT_NULL_DEVICE_H
#define NMRT_NULL_DEVICE_H

#include "runtime/driver_abi.h"

typedef void *nmrt_collective_fn(nmdrv_frame *f, int64_t collective, const int64_t *geometry,
                                 void *out, void *in);

nmdrv_calls nmrt_null_calls(nmrt_collective_fn *collective); // all but these do nothing
// Elements of the larger side, of a call by one of so many members.
int64_t nmrt_larger_side(const nmdrv_collective *c, const int64_t *geometry, int64_t members);

#endif
