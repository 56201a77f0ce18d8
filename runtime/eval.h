// The loss of the weights in an engine on a text.
#ifndef NMRT_EVAL_H
#define NMRT_EVAL_H

#include "runtime/stage.h"

// Runs the EVAL functions over the first `samples` of the data in order (0: all).
nmrt_status nmrt_evaluate(nmrt_pipe *p, const nmrt_data *d, int64_t samples, double *loss,
                          nmrt_error *e);
nmrt_status nmrt_eval(nmrt_run *run, nmrt_error *e);

#endif
