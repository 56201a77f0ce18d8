// A device that launches nothing and has no memory: drivers are run on it for what their calls say.
// As a run's device (--device null) it is asked how much, never opened: such a run is a dry one.
#ifndef NMRT_NULL_DEVICE_H
#define NMRT_NULL_DEVICE_H

#include "runtime/device.h"

typedef void *nmrt_collective_fn(nmdrv_frame *f, int64_t collective, const int64_t *geometry,
                                 void *out, void *in);

nmdrv_calls nmrt_null_calls(nmrt_collective_fn *collective); // all but these do nothing
// Runs the function's driver on these calls; `of` is the frame's device.
nmrt_status nmrt_null_run(const nmdrv_func *func, const nmdrv_sym *sym, const nmdrv_calls *calls,
                          void *of, nmrt_error *e);
// Elements of the larger side, of a call by one of so many members.
int64_t nmrt_larger_side(const nmdrv_collective *c, const int64_t *geometry, int64_t members);

extern const nmrt_device_ops nmrt_device_null; // open refuses; what needs it open is NULL

#endif
