// Forms: how a value lies on the mesh, which its type says (the axes of each dim, the axes over
// which a sum or maximum is pending). The rule is one for all ops; what it needs to know of an op
// is here: the dims that it iterates over, those of them that it needs whole, which operands it may
// read as parts of a sum, and where the dims of operands and results come from.
//
// passes/shard.c runs the rule forward (types from claims), ir/verify_form.c backward (do the types
// agree with it?). The rule is stated in docs/mesh.md.
#ifndef NM_IR_FORM_H
#define NM_IR_FORM_H

#include "ir/ir.h"

// --- sets of axes --------------------------------------------------------------------------------

// The place of an axis among those of a mesh, major first (docs/mesh.md); others behind them.
int nm_axis_order(nm_sym axis);
void nm_axes_sort(nm_axes *axes); // by that
bool nm_axes_has(const nm_axes *axes, nm_sym axis);
void nm_axes_add(nm_axes *axes, nm_sym axis); // behind the others, unless it is there
void nm_axes_drop(nm_axes *axes, nm_sym axis);
bool nm_axes_same(const nm_axes *a, const nm_axes *b);
// Factors of one axis stand as one word where they stand together: dp is dpr.dps.dpp, cp cpr.cps,
// tp tpk.tpr. How many of the n axes the first word says; *word is that word.
int nm_axes_word(int n, const nm_sym *axis, const char **word);
bool nm_axes_are(int n, const nm_sym *axis, const char *word); // does one word say them all?
// Appends the axes that the word says; false: there are too many.
bool nm_axes_append(nm_module *m, nm_axes *axes, nm_sym word);
bool nm_axes_begin(const nm_axes *a, const nm_axes *b); // is a the beginning of b?

// --- an op's space -------------------------------------------------------------------------------

enum { NM_MAX_SPACE = 4 * NM_MAX_RANK };
typedef struct nm_space { // the dims that an op iterates over, less those that it needs whole
    int n;
    nm_dim dim[NM_MAX_SPACE]; // axes: as whoever uses it assigns them
    bool fixed;               // no extent of any operand or result, also of whole dims, is run-time
} nm_space;

nm_space nm_space_of(const nm_op *op); // of no op with a body; axes are empty
nm_space nm_space_of_type(nm_module *m, const nm_type *t);
nm_dim *nm_space_find(nm_space *s, nm_sym dim); // NULL: not in it
// The dim of the space that dim `name` of an operand, of a result, is; NULL: one that is whole.
nm_sym nm_space_of_operand(const nm_op *op, nm_sym name);
nm_sym nm_space_of_result(const nm_op *op, nm_sym name);

// An op that looks up, or writes, at indices of the dim.
bool nm_form_looks_up(const nm_op *op, nm_sym dim);
// The row's `.whole` names it, or it is looked up and kept: where an index has the dim that it
// points into, that name is two dims.
bool nm_form_needs_whole(const nm_op *op, nm_sym dim);
// Is each index of the dim treated by itself: does a result that has it take, for one index, only
// that index of operands? Then the op can be computed on any of the indices. No for an op whose row
// says too little, or whose attributes name the dim.
bool nm_form_is_alone(const nm_op *op, nm_sym dim);
// Does it sum over the dims that its result lacks? A gather picks.
bool nm_form_sums(const nm_op *op);

// --- what an op may read -------------------------------------------------------------------------

bool nm_form_has_rule(const nm_op *op);           // else it runs on one rank alone
bool nm_form_reads_parts(const nm_op *op, int i); // may operand i be pending (maybe with others)?
bool nm_form_is_relabel(const nm_op *op);         // rename, split, merge: moves no number
bool nm_form_is_rename(const nm_op *op);          // one name for another
bool nm_form_drops(const nm_op *op, int result, nm_sym dim); // the result lacks a dim of the space
// acc' = op(acc, part)? An accumulator starts at 0: by add it takes parts of a sum, by maximum
// those of a maximum of magnitudes.
bool nm_form_accumulates(const nm_op *op);
// What its results are pending over: maxima, or sums.
nm_pending_kind nm_form_kind(const nm_op *op);

// --- collectives ---------------------------------------------------------------------------------

// The type of a collective's result by that of its operand; NULL: the operand does not lie so.
const nm_type *nm_form_after(nm_module *m, const nm_op *collective);

// Do the types of a function that verifies otherwise follow the rule? false: reported. nm_verify
// asks (ir/verify_form.c).
bool nm_verify_forms(nm_module *m, const nm_func *f);

#endif
