// The loss of the weights in an engine on some data: the mean over its tokens, by their weights.
#ifndef NMRT_EVAL_H
#define NMRT_EVAL_H

#include "runtime/stage.h"

typedef struct nmrt_evaluation { // zero-initialised: of nothing
    nmrt_data *data;
    int64_t samples; // the first of them
    int64_t tokens;  // of these that weigh in the loss; ranks but 0, which tell nobody, take all
    nmrt_actions actions;
} nmrt_evaluation;

// An evaluation of `asked` samples (0: all): it takes all, on any mesh, but for what the model's
// own multiples leave, which is noted; and draws the data's order. NMRT_USAGE where that is none,
// or a token that this rank will read is none of the model's: said before anything runs. The setup
// and data must outlive it.
nmrt_status nmrt_evaluation_init(nmrt_evaluation *v, const nmrt_setup *s, nmrt_data *d,
                                 int64_t asked, const nmrt_output *out, nmrt_error *e);
void nmrt_evaluation_release(nmrt_evaluation *v);
bool nmrt_evaluation_has_loss(const nmrt_evaluation *v); // not where all tokens are masked

typedef struct nmrt_evaluated { // the same on all ranks
    nmrt_status status;         // not NMRT_OK: there is no loss, as a rank could not read its data
    nmrt_error why;
    double loss;
} nmrt_evaluated;

// Runs the EVAL functions. Fails (or is NMRT_STOPPED) where the ranks cannot go on together; what
// they can survive is in x.
nmrt_status nmrt_evaluate(nmrt_pipe *p, const nmrt_evaluation *v, nmrt_evaluated *x, nmrt_error *e);
nmrt_status nmrt_eval(nmrt_run *run, nmrt_error *e);

#endif
