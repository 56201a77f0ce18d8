// The dims of a group's dot as four lists, each walked as one flat index: batch (both operands have
// them), m and n (one has), and k (summed). The operand that has the result's innermost dim is b,
// so that n is contiguous in the result.
#ifndef NM_IR_DOT_H
#define NM_IR_DOT_H

#include "ir/ir.h"

typedef enum { NM_DOT_BATCH, NM_DOT_M, NM_DOT_N, NM_DOT_K, NM_DOT_LISTS } nm_dot_list;

typedef struct nm_dot {
    nm_op *op;
    nm_value *a, *b; // of (batch, m, k) and (batch, n, k)
    int n[NM_DOT_LISTS];
    nm_dim dim[NM_DOT_LISTS][NM_MAX_RANK]; // m, n and batch in the result's order; k in that of the
                                           // operand that is contiguous along it
    bool a_along_row, b_along_row;         // along which of its dims an operand is contiguous
} nm_dot;

nm_dot nm_dot_of(nm_op *group, nm_op *dot);
// The list that the dim is in: of m and n, the one whose operand has it.
nm_dot_list nm_dot_list_of(const nm_dot *d, nm_sym dim);

#endif
