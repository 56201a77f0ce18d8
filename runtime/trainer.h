// The parts of the verb train: what it has open, and what its files do for each other.
#ifndef NMRT_TRAINER_H
#define NMRT_TRAINER_H

#include "runtime/checkpoint.h"
#include "runtime/eval.h"
#include "runtime/events.h"
#include "runtime/gradients.h"
#include "runtime/metrics.h"
#include "runtime/progress.h"

typedef struct nmrt_trainer {
    const nmdrv_program *program;
    const nmrt_options *o;
    const nmrt_output *out;
    nmrt_comm *comm;
    int local_rank;
    nmrt_setup setup;
    nmrt_engine en;
    nmrt_pipe pipe, eval_pipe;
    int64_t samples;      // of the next step
    nmrt_actions smaller; // of it, where --rampup-batch-size makes it smaller than others
    nmrt_data data, eval_data;
    char tokenizer[NMRT_PATH]; // of a text: its path, where it lies beside the checkpoint
    bool looks_ahead;          // the data is too large to be checked before the run
    nmrt_status ahead; // what was seen there, of the next step; not NMRT_OK: why, in ahead_error
    nmrt_error ahead_error;
    nmrt_evaluation eval;
    nmrt_saver *saver;        // NULL: nothing is saved
    nmrt_log metrics, events; // closed: no --log-dir or --tensorboard, or not rank 0
    nmrt_trace *trace;        // NULL: no --trace
    bool traces;              // a step of this run
    nmrt_progress progress;
    nmrt_curve curve;
    nmrt_text passed;                 // checkpoints that --resume auto did not take, and why
    nmrt_checkpoint at;               // step and samples done; path: the newest checkpoint
    int64_t saved_step;               // of the last save that was begun; -1: nothing is saved
    const nmrt_planned *finish;       // the part of it that gives the loss
    double *numbers;                  // [hypers.n], of this step
    double peak, start;               // of the device, FLOPs a second; of the run
    double flops_micro, flops_finish; // of a micro-batch, and of the end of a step; a rank's
    nmrt_gradients *gradients;        // of one step, which is all; NULL: a run
} nmrt_trainer;

// --- train_step.c

// The size of the next step, which --rampup-batch-size may have changed.
nmrt_status nmrt_train_size_step(nmrt_trainer *t, nmrt_error *e);
// One step: its row but for what an evaluation adds. Not NMRT_OK: the weights are as before, or the
// run cannot go on.
nmrt_status nmrt_train_do_step(nmrt_trainer *t, nmrt_row *row, nmrt_error *e);
nmrt_status nmrt_train_one_step(nmrt_trainer *t,
                                nmrt_error *e); // and its gradients, to t->gradients

// --- train_loop.c

// All steps, and what belongs to them: checkpoints, evaluations, rows, the trace; then the end.
nmrt_status nmrt_train_loop(nmrt_trainer *t, nmrt_error *e);
// At the end all is waited for, and a last save that failed is tried once more.
nmrt_status nmrt_train_save_last(nmrt_trainer *t, nmrt_error *e);

// --- train_data.c

nmrt_status nmrt_train_open_data(nmrt_trainer *t, nmrt_error *e);
// The order of all samples that the run takes, those before it was resumed included.
nmrt_status nmrt_train_draw_data(nmrt_trainer *t, nmrt_error *e);

// --- train_begin.c

// The weights: of --resume's checkpoint, whose differences are noted, or of --init, or first
// values.
nmrt_status nmrt_train_begin(nmrt_trainer *t, nmrt_error *e);
// The companions of these weights go to --save. Collective.
nmrt_status nmrt_train_keep_companions(const nmrt_trainer *t, nmrt_error *e);

// --- train_print.c

void nmrt_train_note_layers(const nmrt_trainer *t); // flags that ask for more layers than there are
void nmrt_train_print_start(const nmrt_trainer *t);
void nmrt_train_print_end(nmrt_trainer *t, int64_t first_step);

#endif
