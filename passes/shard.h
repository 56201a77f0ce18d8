// Sharding: the files of the pass share one function's state (nm_shard) and the forms that bound
// values have in a mode (nm_table).
//
//   shard.c          modes: which functions are copied, in which order they are done
//   shard_bound.c    forms of parameters and results of functions, by what they are bound to
//   shard_sums.c     gradients that are reduced once a step: texts and accumulators of their own
//   shard_mark.c     what is free, what accumulates
//   shard_infer.c    the rule: natural forms of results, demanded forms of operands
//   shard_place.c    where sums are completed: a minimum cut
//   shard_convert.c  from one form to another, step by step
//   shard_demand.c   who reads what in which form
//   shard_emit.c     types and collectives into the function
#ifndef NM_PASSES_SHARD_H
#define NM_PASSES_SHARD_H

#include "ir/mode.h"
#include "ir/names.h"
#include "passes/claims.h"

// A form is a type: the dims, dtype and order of the value, with axes and pending sums.
typedef struct nm_bound_form { // of data, an accumulator, a count, a link: all functions agree
    nm_bind_kind kind;
    nm_sym role, name; // role: train, eval: two of them may have an accumulator of one name
    const nm_type *form;
} nm_bound_form;

typedef struct nm_table { // of one mode
    const nm_mode *mode;
    nm_claims param, state; // what parameters rest in; what states do
    int n, cap;
    nm_bound_form *row;
    bool changed; // since the functions were last inferred
} nm_table;

typedef struct nm_demand { // a form in which somebody reads a value
    const nm_type *form;
    struct nm_demand *next;
} nm_demand;

typedef struct nm_made { // a free value as it was computed in some form
    nm_value *value;
    struct nm_made *next;
} nm_made;

typedef struct nm_shard { // one function of a mode; arrays are by value id
    nm_module *m;
    nm_arena *arena;
    nm_func *f;
    nm_table *table;
    const nm_claims *claims; // of the spaces in this function
    const nm_type **form;    // natural; NULL: free (computed in whatever form is demanded)
    bool *free;
    const nm_bind **acc;    // of an accumulator's parameter or sum: what it is bound to; or NULL
    const nm_bind **ends;   // of a sum that is another accumulator's result: that one; or NULL
    uint32_t *keep;         // by an op's first result: axes (nm_axis_order) it may read as parts
    const nm_type **before; // forms of the round before; or NULL
    nm_demand **demand;
    nm_made **made;
} nm_shard;

typedef struct nm_transfer { // of one op
    const nm_type **need;    // demanded forms of operands; NULL: as it comes
    const nm_type **out;     // natural forms of results
} nm_transfer;

// --- forms of what is bound --------------------------------------------------------------------

bool nm_shard_gives(const nm_func *f, nm_bind_kind kind); // has it such a result?
nm_bound_form *nm_shard_row(nm_shard *s, nm_bind bind);   // NULL: not known yet
// The form, by dim names, on a value of type t (a turn's part of it, for one).
const nm_type *nm_shard_like(nm_module *m, const nm_type *t, const nm_type *form);
const nm_type *nm_shard_param_form(nm_shard *s, int i);
const nm_type *nm_shard_result_form(nm_shard *s, int i); // once it is inferred
// An accumulator of sums or of maxima takes a part of this form: the form that both then have, and
// the row says.
void nm_shard_join_acc(nm_shard *s, nm_bind bind, const nm_type *part, nm_pending_kind kind);
const nm_type *nm_shard_acc_form(nm_shard *s, nm_bind bind); // NULL: not known yet
void nm_shard_join_links(nm_shard *s);                       // rows for the links that it gives
// Parameter i is read in the form; if it is data, each rank loads the part that is in all of those.
void nm_shard_join_data(nm_shard *s, int i, const nm_type *form);

// --- gradients that are reduced once a step -----------------------------------------------------

typedef struct nm_shard_funcs { // of the program, or of a mode
    int n;
    nm_func **f;
} nm_shard_funcs;

// Has f, one of all, a text of its own for these sums?
bool nm_shard_has_sums(const nm_shard_funcs *all, const nm_func *f, nm_sums sums);
// f is such a text: it reads and adds to the pending accumulators. all: that it was copied from.
void nm_shard_defer(const nm_shard_funcs *all, nm_func *f);
// Of a function that is emitted: a pending accumulator that lies as the complete one is the same.
void nm_shard_end_in_place(const nm_shard_funcs *all, nm_shard *s);
// The parameter whose complete gradient the accumulator is; NULL: it is none.
const nm_param *nm_shard_gradient(nm_module *m, nm_bind bind);

// --- the rule ----------------------------------------------------------------------------------

void nm_shard_open(nm_shard *s); // allocates, and finds what is free and what accumulates
nm_value *nm_shard_acc_of(const nm_shard *s, const nm_op *op); // of acc' = acc + part; or NULL
void nm_shard_infer(nm_shard *s);                              // one forward walk
nm_transfer nm_shard_transfer(nm_shard *s, nm_op *op);         // by the forms of its operands
void nm_shard_place(nm_shard *s);                              // sets s->keep

// --- conversion --------------------------------------------------------------------------------

// v in the form, for a reader that stands behind `before`: built before it, or before an earlier
// reader.
nm_value *nm_shard_convert(nm_value *v, const nm_type *form, nm_op *before);
bool nm_shard_is_local(nm_module *m, const nm_type *from, const nm_type *to); // nothing is sent
bool nm_shard_is_split_over(const nm_type *t, nm_sym axis);
bool nm_shard_is_free(const nm_shard *s, const nm_op *op);
const nm_type **nm_shard_needs(nm_shard *s, nm_op *op); // of an op's operands; op is not free
// The form of operand i that makes a free op's result have `form`.
const nm_type *nm_shard_form_behind(nm_shard *s, const nm_op *op, int i, const nm_type *form);
void nm_shard_demand(nm_shard *s); // collects s->demand, and what data is read
void nm_shard_emit(nm_shard *s);

#endif
