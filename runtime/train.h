// The verb train.
#ifndef NMRT_TRAIN_H
#define NMRT_TRAIN_H

#include "runtime/run.h"

// NMRT_OK also where a signal or --max-seconds ended the run early, once all is saved.
nmrt_status nmrt_train(nmrt_run *run, nmrt_error *e);

#endif
