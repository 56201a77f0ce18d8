// Where ops go: elab_region.c. A *region* is a function or the body of a loop. Reading a value from
// within a region *imports* it: a loop's body sees this turn's index of what has the loop's dim.
#ifndef NM_FRONTEND_ELAB_REGION_H
#define NM_FRONTEND_ELAB_REGION_H

#include "frontend/elab_values.h"

typedef struct nm_import {
    nm_value *outer, *operand, *inner; // operand: outer, or its turns apart
    bool stacked;
    struct nm_import *next;
} nm_import;

typedef struct nm_emit {
    nm_sym path;
    nm_ev value;
    nm_region *region;
    nm_loc loc;
    bool of_entry; // logged
    struct nm_emit *next;
} nm_emit;

struct nm_region {
    nm_region *outer; // NULL: a function
    struct nm_efunc *fn;
    nm_func *f;
    nm_loc loc;   // of the loop
    nm_edim dim;  // of the loop; without a name: a trial
    nm_sym whole; // of several turns a body: the dim that dim and an inner `whole` are split from
    int64_t first, period;  // the first turn that it does, and how many turns a body
    const nm_extent *turns; // of `whole`, all of them
    bool scan;
    bool inlined;      // one turn of an unrolled repeat, in outer's f
    int64_t at;        // inlined: which
    nm_import *import; // of a body, newest first
    nm_value *index;   // of a body's turn, once it was asked for
};

typedef struct nm_efunc { // a function being built
    nm_func *f;
    nm_region *root;
    nm_emit *emit; // newest first
    struct nm_draws *draws;
} nm_efunc;

nm_efunc *nm_efunc_new(nm_elab *e, const char *name, nm_loc loc);
// The function's scalar, made once.
nm_value *nm_efunc_scalar(nm_elab *e, const char *name, nm_dtype dtype);
void nm_efunc_finish(nm_elab *e, nm_efunc *fn, nm_loc loc, int n, nm_value *const *value,
                     const nm_bind *bind);
nm_value *nm_region_import(nm_elab *e, nm_region *from, nm_value *v); // v as e->at sees it
nm_ev nm_ev_import(nm_elab *e, nm_region *from, nm_ev v);
nm_region *nm_region_open(nm_elab *e, nm_edim dim, bool scan, nm_loc loc);
// One turn without a body of its own: ops go where they went, e->at->outer is where it ends.
nm_region *nm_region_inline(nm_elab *e, nm_edim dim, int64_t at, nm_loc loc);
nm_value *nm_region_index(nm_elab *e, nm_region *r, nm_loc loc); // i32[]: the index of r's turn
// End the body: carried values and their next ones, values to stack; makes the repeat op in the
// outer region, which is the current one then. result[]: the carried, then the stacked ones.
void nm_region_close(nm_elab *e, nm_loc loc, int n_carried, nm_value *const *start,
                     nm_value *const *inner, nm_value *const *next, int n_stacked,
                     nm_value *const *stacked, nm_value **result);
// A trial: what is built is thrown away, and nothing of it is remembered but parameters.
typedef struct nm_trial nm_trial;
nm_trial *nm_trial_begin(nm_elab *e, nm_loc loc); // e->at is a region of its own until the end
void nm_trial_end(nm_elab *e, nm_trial *t);
typedef struct nm_mark nm_mark; // what a turn changes besides ops
nm_mark *nm_mark_take(nm_elab *e);
void nm_mark_back(nm_elab *e, const nm_mark *mark);
// i32[]: which turn this is, or NULL outside of loops.
nm_value *nm_region_turn(nm_elab *e, nm_loc loc);

// --- ops in it -----------------------------------------------------------------------------------

// NULL: an operand was, or reported.
nm_value *nm_elab_op(nm_elab *e, nm_loc loc, nm_opcode code, int n_in, nm_value *const *in,
                     int n_attrs, const nm_attr *attr, const nm_type *type);
// Places in the library become the user's call of it, for ops and parameters.
nm_loc nm_elab_users_loc(nm_elab *e, nm_loc loc);
nm_op *nm_elab_op_many(nm_elab *e, nm_proto proto);
nm_value *nm_elab_op1(nm_elab *e, nm_loc loc, nm_opcode code, nm_value *a);
nm_value *nm_elab_op2(nm_elab *e, nm_loc loc, nm_opcode code, nm_value *a, nm_value *b);
nm_value *nm_elab_const(nm_elab *e, nm_loc loc, nm_dtype dtype, double v);
// v as it is, if it has the dtype; broadcast or reordered to the type.
nm_value *nm_elab_cast(nm_elab *e, nm_loc loc, nm_value *v, nm_dtype dtype);
nm_value *nm_elab_order(nm_elab *e, nm_loc loc, nm_value *v, const nm_type *type);
nm_value *nm_elab_turn_of(nm_elab *e, nm_loc loc, nm_value *v, nm_sym dim, int64_t at);

#endif
