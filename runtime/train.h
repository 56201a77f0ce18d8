// The verb train.
#ifndef NMRT_TRAIN_H
#define NMRT_TRAIN_H

#include "runtime/gradients.h"
#include "runtime/run.h"

// NMRT_OK also where a signal or --max-seconds ended the run early, once all is saved.
nmrt_status nmrt_train(nmrt_run *run, nmrt_error *e);
// The first step of such a run and no more: nothing is written. Release *g in any case.
nmrt_status nmrt_train_step(nmrt_run *run, nmrt_gradients *g, nmrt_error *e);

#endif
