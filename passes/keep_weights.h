// What of parameters is kept over the micro-batches of a step, and the function that gives it.
// Private to keep.c and keep_weights.c.
#ifndef NM_PASSES_KEEP_WEIGHTS_H
#define NM_PASSES_KEEP_WEIGHTS_H

#include "ir/loop.h"
#include "passes/layout.h"

typedef struct nm_kept {
    nm_value *v;          // in the first function that reads it
    const nm_type *order; // its type, of a turn's part if it stands in a repeat: as it is stored
    nm_sym name, path;    // of all; of the parameter
} nm_kept;

typedef struct nm_kept_read { // of a function: an operand that is made of something kept
    nm_op *reader;
    int index;
    bool here;   // in the body in which it is read
    nm_value *v; // what is kept, or a formula like it
    int kept;
} nm_kept_read;

typedef struct nm_keep { // of the functions of one unit and mode
    nm_module *m;
    const nm_rank *rank; // of dims, as layout will have them
    nm_part part;        // of the function that gives what is kept
    int n, n_reads;
    nm_kept *kept;
    nm_kept_read *read;
    bool *fixed;   // by id, of one function: it depends on parameters alone
    bool *rounded; // likewise: and on a rounding
} nm_keep;

// Computed anywhere, from nothing.
bool nm_keep_is_constant(const nm_value *v);
// Is this parameter of a repeat's body its turn's part of an operand? Else it is all of one.
bool nm_keep_is_turn(const nm_value *param);
// The type of what is kept: if it stands in a repeat, of all turns.
const nm_type *nm_keep_type(const nm_kept *k);
// The function of this name that gives all that is kept, at the end of the module.
nm_func *nm_keep_giver(nm_keep *k, nm_sym name, nm_loc loc);

#endif
