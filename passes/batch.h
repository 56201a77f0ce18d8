// When is each value of a step known, if micro-batches split `batch` in time? The sharding rule
// over a virtual axis that splits batch: what is summed over batch is pending until the last
// micro-batch.
#ifndef NM_PASSES_BATCH_H
#define NM_PASSES_BATCH_H

#include "ir/ir.h"

typedef enum {
    NM_STAGE_any,    // does not depend on the batch, or only through counts: wherever it is read
    NM_STAGE_micro,  // has a part of the batch
    NM_STAGE_part,   // a micro-batch's part of a sum over the batch
    NM_STAGE_finish, // needs a complete sum
} nm_stage;

typedef struct nm_slot { // an operand of an op, maybe of one in a body
    nm_op *op;
    int operand;
} nm_slot;

typedef struct nm_batch { // of the top-level values of one function, by id
    nm_func *f;
    nm_sym dim;   // batch
    bool average; // the step is no sum over the batch: a part stands for the whole where it must
    nm_stage *stage;
    bool *feeds;     // is read, maybe through others, by what has a part of the batch
    bool *data_only; // depends on data, scalars and sizes alone
    bool *acc;       // a sum that is accumulated over the micro-batches, complete in finish
    bool *count;     // the same, but complete before the first micro-batch
    bool *mean;      // an acc, but no sum: micro-batches count by their share of the batch
    int n_estimates,
        cap; // if `average`: slots that need a sum over the batch and read a part of it
    nm_slot *estimate;
} nm_batch;

// false: the function cannot be cut at all: reported. A step that is no sum over the batch is
// warned about [train-4] and marked `average`.
bool nm_batch_analyse(nm_func *f, nm_batch *out);
bool nm_batch_has(const nm_batch *b, const nm_type *t); // does an extent of t read batch?
// The constant 0: complete, and a part of every sum.
bool nm_batch_is_zero(const nm_value *v);

#endif
