// The loss of the weights in an engine on a text.
#ifndef NMRT_EVAL_H
#define NMRT_EVAL_H

#include "runtime/data.h"
#include "runtime/output.h"
#include "runtime/setup.h"

// Runs the EVAL functions over the first `samples` of the data in order (0: all).
nmrt_status nmrt_evaluate(nmrt_engine *en, const nmrt_setup *s, const nmrt_data *d, int64_t samples,
                          double *loss, nmrt_error *e);
nmrt_status nmrt_eval(const nmdrv_program *program, const nmrt_options *o, const nmrt_output *out,
                      nmrt_error *e);

#endif
