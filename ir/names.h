// What names of functions and accumulators say. Nothing else reads a meaning off their spelling.
#ifndef NM_IR_NAMES_H
#define NM_IR_NAMES_H

#include "ir/ir.h"

// --- functions: ROLE, ROLE.ENTRY, ROLE.STEP..., ROLE.ENTRY.STEP... -------------------------------

typedef enum { // of the functions of a step: what they do in it (docs/passes.md, accumulate)
    NM_STEP_none,
    NM_STEP_count,   // train.count, train.counted: counts the batch
    NM_STEP_micro,   // train.micro: one micro-batch
    NM_STEP_finish,  // train.finish: the end of the step
    NM_STEP_weights, // train.weights: what is kept of parameters (passes/keep.c)
} nm_step;

nm_step nm_func_step(const nm_func *f); // none: it is of no step, or a whole one
bool nm_names_step(nm_sym word);        // an entry that trains or evaluates cannot be called so

// --- accumulators: grad.PATH, pending.grad.PATH --------------------------------------------------

nm_sym nm_gradient_name(nm_module *m, nm_sym path);
// The PATH of what is called grad.PATH; NULL: it is no gradient. `name` may be NULL.
nm_sym nm_gradient_path(nm_module *m, nm_sym name);
// The path of the parameter whose complete gradient the accumulator is; NULL: it is none.
nm_sym nm_gradient_bound(nm_module *m, nm_bind bind);

nm_sym nm_pending_name(nm_module *m, nm_sym complete);
// Of a sum that is not complete yet: what it is called when it is; NULL: it is none.
nm_sym nm_complete_name(nm_module *m, nm_bind bind);

#endif
