// A step cut in time: `mb`, a virtual mesh axis that has `batch` and nothing else, under the
// sharding rule. What lies on it how is in the types' dims (an extent that reads batch is split)
// and in the form of every value. The files:
//
//   batch_form.c   the rule over mb: forms of results from those of operands, through bodies
//   batch.c        when a sum over mb is complete: what is counted before, what is accumulated
//   batch_check.c  the proof: what a part of a step adds to its accumulators
#ifndef NM_PASSES_BATCH_H
#define NM_PASSES_BATCH_H

#include "ir/ir.h"

typedef enum {
    NM_MB_zero,  // the constant 0: whole, and a part of every sum
    NM_MB_whole, // the same in every micro-batch
    NM_MB_split, // it has a part of the batch
    NM_MB_sum,   // pending over mb: a part of a sum
    NM_MB_max,   // pending over mb: a part of a maximum of magnitudes, which 0 begins
    NM_MB_mean,  // depends on the micro-batch, and is no part of either: it is averaged
} nm_mb;

typedef struct nm_slot { // an operand of an op, maybe of one in a body
    nm_op *op;
    int operand;
} nm_slot;

typedef struct nm_batch { // of one function; arrays are by value id
    nm_func *f;
    nm_sym dim;     // batch
    bool average;   // the step is no sum over the batch: a part stands for the whole where it must
    nm_op *culprit; // the first op that made it so
    nm_mb *form;
    int n_estimates; // if `average`: slots that need a sum over the batch and read a part of it
    nm_slot *estimate;
    // What follows is of top-level values.
    bool *early;     // is read, maybe through others, by what has a part of the batch
    bool *late;      // depends on a sum that is complete after the last micro-batch
    bool *data_only; // depends on data, scalars and sizes alone
    bool *acc;       // is accumulated over the micro-batches, complete in finish
    bool *count;     // the same, but complete before the first micro-batch
    bool recount;    // a count was found: what was inferred before took it for a part
} nm_batch;

// false: the function cannot be cut at all: reported. A step that is no sum over the batch is
// warned about [train-4] and marked `average`.
bool nm_batch_analyse(nm_func *f, nm_batch *out);
// Does a part of a step (@train.micro) give what its accumulators had, with parts of sums (or of
// maxima) over the batch, and nothing else that differs between micro-batches? false: reported
// [form-6].
bool nm_batch_check(nm_func *f, bool average);

// --- the rule ------------------------------------------------------------------------------------

void nm_batch_open(nm_batch *b, nm_func *f); // in the module's arena; forms of parameters
bool nm_batch_has(const nm_batch *b, const nm_type *t);      // does an extent of t read batch?
bool nm_batch_op_has(const nm_batch *b, const nm_op *op);    // an operand, a result, its body
bool nm_batch_keeps(const nm_batch *b, const nm_op *op);     // may it read parts as they are?
bool nm_batch_is_part(const nm_batch *b, const nm_value *v); // of a sum or a maximum
// Sets the forms of op's results. `keep`: it reads parts as they are; else, `inside` of what one
// micro-batch computes, they stand for the whole, and outside they are complete. false: only whole
// batches can be computed with so.
bool nm_batch_infer_op(nm_batch *b, nm_op *op, bool keep, bool inside);
bool nm_batch_infer_func(nm_batch *b, nm_func *f); // of one micro-batch: nothing can be completed
void nm_batch_estimate(nm_batch *b, nm_op *op, int operand);
bool nm_batch_blame(nm_batch *b, nm_op *op); // is that allowed?

#endif
