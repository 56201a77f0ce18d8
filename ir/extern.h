// An op of the user's own: a C function on whole tensors, which gets
//
//   operands    const T *, in the order of the declaration; numbers by value, int64_t or double
//   results     T *, then those that are scratch
//   extents     int64_t, of every dim of `dims`, in that order
//
// Tensors are row-major, their dims in the order of `dims`. Dims that are not `whole` are
// independent: the function may be called for any part of their indices. A result that lacks such a
// dim is the sum over it.
#ifndef NM_IR_EXTERN_H
#define NM_IR_EXTERN_H

#include "ir/ir.h"

enum {
    NM_EXTERN_MAX_NUMBERED = 63, // `numbers` has a bit for so many operands
    NM_EXTERN_MAX_DIMS = 4 * NM_MAX_RANK,
};

bool nm_extern_is_number(const nm_op *op, int operand);
int nm_extern_n_results(const nm_op *op); // without scratch
// The extent of a dim of `dims`: its first operand's or result's; NULL: none has it.
const nm_extent *nm_extern_extent(const nm_op *op, nm_sym dim);
// t, of an operand or result, with its dims in the order of `dims`.
const nm_type *nm_extern_order(nm_module *m, const nm_op *op, const nm_type *t);
// How many of the first dims of `dims` are cut as one: independent, and each operand and result
// has all of them or none, each result all.
int nm_extern_n_cut(const nm_op *op);
bool nm_extern_is_cut(const nm_op *op, const nm_type *t); // does t have them?

bool nm_extern_has_source(const nm_module *m, const char *name); // is there such a file?
// The C file of that name, in the module's arena: one that the module carries, else from disk.
// NULL: reported.
const nm_source *nm_extern_source(nm_module *m, nm_sym name);
void nm_extern_carry(nm_module *m, const nm_source *src);

#endif
