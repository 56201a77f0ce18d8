// Running means of weights, which minimize's ema keeps: of the parameter PATH the state ema.PATH,
// in a checkpoint optim.ema.PATH.
#ifndef NMRT_MEANS_H
#define NMRT_MEANS_H

#include "runtime/driver_abi.h"

#include <stdbool.h>
#include <stddef.h>

// The row of the state that averages the parameter of this row; -1: there is none.
int64_t nmrt_mean_of(const nmdrv_program *p, int64_t param);
// The path of the parameter that a state averages; NULL: it is no mean.
const char *nmrt_mean_averages(const nmdrv_param *state);
// The same of the name that a checkpoint's tensor has; points into it.
const char *nmrt_mean_tensor(const char *name);
// What a checkpoint calls the mean of PATH. False: there is no room.
bool nmrt_mean_name(const char *path, char *out, size_t cap);

#endif
