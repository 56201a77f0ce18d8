// Shape rules, one a kind of op: ops.def names them. A rule finds the type that the operands and
// attributes ask for and gives it to the result; a result that already has a type (the wanted order
// of dims, or all of it for NM_GIVEN) is checked against it.
//
// The numbers in the messages are those of docs/ir.md.
#ifndef NM_IR_SHAPE_H
#define NM_IR_SHAPE_H

#include "ir/ir.h"

bool nm_shape_given(nm_module *m, nm_op *op); // const: any type
bool nm_shape_size(nm_module *m, nm_op *op);
bool nm_shape_collective(nm_module *m, nm_op *op);
bool nm_shape_wait(nm_module *m, nm_op *op);
bool nm_shape_rotate(nm_module *m, nm_op *op);
bool nm_shape_index(nm_module *m, nm_op *op);
bool nm_shape_random(nm_module *m, nm_op *op);
bool nm_shape_align(nm_module *m, nm_op *op);
bool nm_shape_qdq(nm_module *m, nm_op *op);
bool nm_shape_cast(nm_module *m, nm_op *op);
bool nm_shape_select(nm_module *m, nm_op *op);
bool nm_shape_drop(nm_module *m, nm_op *op);
bool nm_shape_cumsum(nm_module *m, nm_op *op);
bool nm_shape_top_k(nm_module *m, nm_op *op);

bool nm_shape_rename(nm_module *m, nm_op *op);
bool nm_shape_split(nm_module *m, nm_op *op);
bool nm_shape_merge(nm_module *m, nm_op *op);
bool nm_shape_slice(nm_module *m, nm_op *op);
bool nm_shape_pad(nm_module *m, nm_op *op);
bool nm_shape_concat(nm_module *m, nm_op *op);
bool nm_shape_broadcast(nm_module *m, nm_op *op);
bool nm_shape_gather(nm_module *m, nm_op *op);
bool nm_shape_windows(nm_module *m, nm_op *op);
bool nm_shape_scatter_add(nm_module *m, nm_op *op);
bool nm_shape_overlap_add(nm_module *m, nm_op *op);
bool nm_shape_update(nm_module *m, nm_op *op);

bool nm_shape_attention(nm_module *m, nm_op *op);
bool nm_shape_attention_grad(nm_module *m, nm_op *op);
bool nm_shape_dispatch(nm_module *m, nm_op *op);
bool nm_shape_combine(nm_module *m, nm_op *op);

bool nm_shape_repeat(nm_module *m, nm_op *op);
bool nm_shape_call(nm_module *m, nm_op *op);
bool nm_shape_extern(nm_module *m, nm_op *op);
bool nm_shape_grad(nm_module *m, nm_op *op);
bool nm_shape_group(nm_module *m, nm_op *op);

bool nm_verify_floats(nm_module *m, nm_op *op);  // every operand is of floats
bool nm_verify_numbers(nm_module *m, nm_op *op); // floats or ints; only ints for NM_INT
bool nm_verify_bools(nm_module *m, nm_op *op);
bool nm_verify_qdq(nm_module *m, nm_op *op); // of floats, to numbers of 8 bits

// The op's own rules, of which the row has two: its results' types and what operands it takes.
bool nm_shape_check(nm_module *m, nm_op *op);

// --- what rules are made of; private to ir/ ------------------------------------------------------

// Result i has this type, in any order of dims; false: it was given another [type-2].
bool nm_shape_give(nm_module *m, nm_op *op, int i, const nm_type *t);
// op has n results (allocated if it has none yet).
bool nm_shape_results(nm_module *m, nm_op *op, int n);
// Operands agree in dtype [dtype-1].
bool nm_shape_dtypes(nm_module *m, nm_op *op);
// t gains d, or has it with the same extent [align-3, rank-1].
bool nm_shape_join(nm_module *m, nm_op *op, nm_type *t, const nm_dim *d);
// The n dims take the place of t's dim number `at` [rank-1, type-1].
bool nm_shape_replace(nm_module *m, nm_op *op, nm_type *t, int at, int n, const nm_dim *dim);
// The place of the dim that attribute `attr` names in the type of operand i, or -1: reported.
int nm_shape_dim(nm_module *m, nm_op *op, int i, const char *attr);
bool nm_shape_is_int(const nm_type *t);
bool nm_shape_is_scalar_int(const nm_type *t);

#endif
