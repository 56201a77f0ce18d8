// The blocks of a qdq, for passes/quantise.c.
#ifndef NM_PASSES_QUANTISE_H
#define NM_PASSES_QUANTISE_H

#include "ir/ir.h"

// v, which has the dims of the qdq's operand, with blocks and places in a block as dims: what is
// built stands before the qdq. lane: the dims that are places, one or two.
nm_value *nm_quantise_cut(nm_op *qdq, nm_value *v, nm_sym lane[2], int *n_lanes);
nm_value *nm_quantise_join(nm_op *qdq, nm_value *v); // back to the operand's dims

#endif
