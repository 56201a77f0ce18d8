// The order in which dims lie in memory, where nothing else says.
#ifndef NM_PASSES_LAYOUT_H
#define NM_PASSES_LAYOUT_H

#include "ir/ir.h"

// All dims of a module in one order: run-time dims first, then as parameters name them, and what a
// view makes of a dim right behind it.
typedef struct nm_rank {
    int n;
    nm_sym *dim;
    nm_syms repeated; // those that repeats run over
} nm_rank;

nm_rank *nm_rank_new(nm_module *m, nm_arena *arena);
// The type with its dims in the order of rank.
const nm_type *nm_rank_sort(nm_module *m, const nm_rank *rank, const nm_type *t);

// In layout_links.c: the type of a link in the order that all functions know.
const nm_type *nm_layout_link(nm_module *m, const nm_rank *rank, const nm_type *t);

// A map group that copies v, of f, into a value of type t (v's dims in any order), before `before`.
nm_value *nm_copy_group(nm_func *f, nm_op *before, nm_value *v, const nm_type *t);

// In layout_template.c: t with `dim` innermost; copies where a template's operand lies otherwise.
const nm_type *nm_layout_innermost(nm_module *m, const nm_type *t, nm_sym dim);
void nm_layout_copy_for_templates(nm_func *f);

// The dims of a stored value that a view of it shows as one: {two, half} for hd, behind a merge.
typedef struct nm_made_of {
    const nm_value *stored; // a parameter of the group; NULL: no view of one
    int n;
    nm_sym dim[NM_MAX_RANK];
} nm_made_of;
nm_made_of nm_layout_made_of(const nm_value *v, nm_sym dim);
// t with all of these dims innermost, in this order.
const nm_type *nm_layout_all_innermost(nm_module *m, const nm_type *t, const nm_made_of *x);

// In layout_products.c: how operand i of the group's dot, a product of fp8, should be stored, and
// the value that is; with its dims by rank. NULL: any order will do.
const nm_type *nm_layout_for_product(const nm_op *group, int i, const nm_rank *rank,
                                     nm_value **stored);
// t, of a stored operand with the product's own names of dims, as such a product reads it.
const nm_type *nm_layout_along_sums(const nm_op *dot, const nm_type *t, const nm_rank *rank);
void nm_layout_copy_for_products(nm_func *f); // copies where such an operand lies otherwise

#endif
