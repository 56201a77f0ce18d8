// The loss of the weights in an engine on a text.
#ifndef NMRT_EVAL_H
#define NMRT_EVAL_H

#include "runtime/stage.h"

// How many samples an evaluation of `asked` of them (0: all) takes: all, on any mesh, but for what
// the model's own multiples leave, which is noted. NMRT_USAGE where that is none, or a token is
// none of the model's: said before anything runs, and by every rank.
nmrt_status nmrt_evaluation_init(const nmrt_setup *s, const nmrt_data *d, int64_t asked,
                                 const nmrt_output *out, int64_t *samples, nmrt_error *e);
// Runs the EVAL functions over the first `samples` of the data in order, as many as were found.
nmrt_status nmrt_evaluate(nmrt_pipe *p, const nmrt_data *d, int64_t samples, double *loss,
                          nmrt_error *e);
nmrt_status nmrt_eval(nmrt_run *run, nmrt_error *e);

#endif
