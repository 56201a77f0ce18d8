// What the verb eval says of an evaluation.
#ifndef NMRT_EVAL_PRINT_H
#define NMRT_EVAL_PRINT_H

#include "runtime/checkpoint.h"
#include "runtime/eval.h"

typedef struct nmrt_eval_report {
    const nmrt_engine *en; // behind EVAL_FINISH
    const nmrt_evaluation *of;
    const nmrt_checkpoint *at;
    double loss;
} nmrt_eval_report;

// The program's emits, a line each; with --json one object, in which null is what is no number:
//
//     loss: the mean over the tokens that are not masked; null where there is none
//     perplexity: e to the loss; null where a double has no room for it
//     tokens: that are not masked
//     step, checkpoint: what was evaluated, which may be older than the newest; null with --init
//     the program's other emits
void nmrt_evaluation_print(const nmrt_eval_report *r, const nmrt_options *o,
                           const nmrt_output *out);

#endif
