// The verb train.
#ifndef NMRT_TRAIN_H
#define NMRT_TRAIN_H

#include "runtime/options.h"
#include "runtime/output.h"

// NMRT_OK also where a signal or --max-seconds ended the run early, once all is saved.
nmrt_status nmrt_train(const nmdrv_program *program, const nmrt_options *o, const nmrt_output *out,
                       nmrt_error *e);

#endif
