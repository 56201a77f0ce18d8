// The dims of a group's dot as four lists, each walked as one flat index: batch (both operands have
// them), m and n (one has), and k (summed). The operand that has the result's innermost dim is b,
// so that n is contiguous in the result.
//
// An element of the results is a map of the product's element at its own place; or, where views
// stand between them, of some whose indices differ along the *near* dims: rope reads both halves of
// a head. These are the last of n, so that such elements lie side by side while a row is made. The
// results may have other dims instead of them, of as many elements.
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
    int n_near;                            // of n's dims, the last ones
} nm_dot;

nm_dot nm_dot_of(nm_op *group, nm_op *dot);
enum { NM_DOT_NEAR = 256 }; // most elements of the near dims that one kernel has at hand
// How many elements these near dims have; NM_DOT_NEAR + 1: more than a kernel has at hand.
int64_t nm_dot_near_elems(int n, const nm_dim *dim);
// Along which dims of the product (bit i: its dim i) do views move elements that these values are
// made of? Of values in one body with the product.
uint32_t nm_dot_moved(const nm_op *dot, int n, nm_value *const *made, nm_arena *scratch);
// The list that the dim is in: of m and n, the one whose operand has it.
nm_dot_list nm_dot_list_of(const nm_dot *d, nm_sym dim);

#endif
