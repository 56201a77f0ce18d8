// metrics.jsonl: one JSON object a step, written by rank 0:
//
//     step, loss, lr; the program's emits; eval_loss where there was an evaluation
//     batch: samples of the step, where --rampup-batch-size changes them
//     tokens: that were read since the run began, whether the model's loss masks them or not
//     tokens_per_s, step_ms, mfu: of the step; mfu is of the measured peak
//     comm_wait_s: seconds of the step in which rank 0 stood in collectives, in waits for those
//     under way and in messages of the pipeline; not there for one rank alone
//
// A resumed run cuts the rows of steps that it does again, so the file is that of an undisturbed
// run, timings apart.
#ifndef NMRT_METRICS_H
#define NMRT_METRICS_H

#include "runtime/engine.h"
#include "runtime/log.h"

typedef struct nmrt_curve { // the loss of every step, for the chart
    float *loss;
    int64_t n, cap;
} nmrt_curve;

void nmrt_curve_add(nmrt_curve *c, double loss); // drops it where memory runs out
void nmrt_curve_release(nmrt_curve *c);
// A chart of a few lines: loss over steps; braille dots where `unicode`, else stars.
void nmrt_curve_print(const nmrt_curve *c, bool unicode, nmrt_text *out);

typedef struct nmrt_row {
    int64_t step, tokens; // tokens: since the run began
    double loss, lr, tokens_per_s, step_ms, mfu;
    double comm_wait_s; // in which this rank stood still for others; -1: there are no others
    int64_t batch;      // samples of the step; 0: all steps have as many
    bool has_eval;
    double eval_loss;
} nmrt_row;

// Opens dir/metrics.jsonl (NULL: none) to go on behind `step`; the rows up to it also go to the
// curve. At step 0 a file that is there is set aside as metrics-1.jsonl, metrics-2.jsonl, ...
nmrt_status nmrt_metrics_open(nmrt_log *m, const char *dir, int64_t step, nmrt_curve *curve,
                              nmrt_error *e);
// Appends a row: what is in `row`, and every emit of `finish` but the loss.
nmrt_status nmrt_metrics_add(nmrt_log *m, const nmrt_row *row, const nmrt_engine *en,
                             const nmrt_planned *finish, nmrt_error *e);
// Is the i-th result of `finish` a number that a row has as the program's?
bool nmrt_metrics_emit(const nmrt_engine *en, const nmrt_planned *finish, int64_t i, double *value);
// It as a member of a JSON object, with ", " before it; nothing where it is none.
void nmrt_metrics_add_emit(nmrt_text *t, const nmrt_engine *en, const nmrt_planned *finish,
                           int64_t i);

#endif
