// Maps whose result lies otherwise than what they read: a weight's copy for a product of fp8, a
// layout's copy. On a GPU such a kernel transposes tiles in shared memory, so that neighbours read
// neighbours and neighbours write neighbours.
#ifndef NM_IR_TRANSPOSE_H
#define NM_IR_TRANSPOSE_H

#include "ir/ir.h"

typedef struct nm_transpose { // the result's dims, in three lists, each outermost first
    int n_rest, n_rows, n_cols;
    nm_dim rest[NM_MAX_RANK];
    nm_dim rows[NM_MAX_RANK]; // innermost in the result
    nm_dim cols[NM_MAX_RANK]; // innermost in the operand
} nm_transpose;

// Is the group of kind map such a map, of one result that is computed as f32, and large enough?
bool nm_transpose_of(const nm_op *group, nm_transpose *t);

#endif
