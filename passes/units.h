// Units: what a stage of a pipeline is made of (docs/mesh.md). Shared by the files of the pass:
//
//   units.c         which functions are cut, in which order
//   units_rows.c    grouped repeats: parameters by turns, gradients by rows
//   units_place.c   where in the chain of a micro-batch each value is computed
//   units_micro.c   a micro-batch's function into its units
//   units_check.c   a unit's function holds for any run of its repeat's turns
//   units_owner.c   which units own a parameter, a state, a gradient; the cut of @init
//   units_class.c   what of a step's end is an owner's, what mixes owners
//   units_finish.c  a step's end into before, middle and after
#ifndef NM_PASSES_UNITS_H
#define NM_PASSES_UNITS_H

#include "ir/ir.h"

enum { NM_MAX_UNITS = 63 };

typedef struct nm_owner { // a set of units, and what of them: whose functions run together
    uint64_t units;
    bool stacked; // odd units' values that have their dim: each stage has its part
    nm_sym label; // 1, 0_2; 1.whole: an odd unit's values that every turn reads whole;
                  // 1_3.rows: of which each of these has its own rows
} nm_owner;

typedef struct nm_owned { // a parameter, a state, an accumulator
    nm_bind_kind kind;
    nm_sym role, name; // role: of accumulators (train), else NULL
    const nm_type *type;
    uint64_t units; // that read it in a micro-batch, or add to it
    nm_loc loc;     // where
} nm_owned;

typedef struct nm_units { // of one module
    nm_module *m;
    nm_syms dims;              // of the mesh's row pp
    int k;                     // repeats over them in the forward direction; -1: not known yet
    nm_sym over[NM_MAX_UNITS]; // the dim of an odd unit's repeat; NULL for the others
    int n_owned;
    nm_owned *owned;
    int n_owners;
    nm_owner *owner;
} nm_units;

// --- places ------------------------------------------------------------------------------------

// The chain of a micro-batch: forward of unit u at position u, turn at 2k, backward of u at 4k - u.
enum { NM_ANYWHERE = -1 }; // computed again wherever it is read

typedef struct nm_places { // of the top-level values of a micro-batch's function
    nm_func *f;
    int k;
    int *at;         // by id: a position or NM_ANYWHERE
    nm_op **repeat;  // [4k + 1]: of an odd position; NULL: there is none
    nm_value **base; // by id: of acc' = acc + part the acc; else NULL
    bool *is_acc;    // by id: an accumulator's parameter, or acc'
} nm_places;

bool nm_units_place(nm_units *u, nm_func *f, nm_places *out); // false: reported
static inline int nm_unit_of(const nm_places *p, int at)
{
    return at <= 2 * p->k ? at : 4 * p->k - at;
}
bool nm_units_is_dim(const nm_units *u, nm_sym dim);
// The dim of the row pp that t has all indices of; NULL: none.
nm_sym nm_units_dim_in(const nm_units *u, const nm_type *t);

typedef struct nm_row_run { // of a dim whose indices turns are; dim NULL: none
    nm_sym dim;
    int64_t first, end;
} nm_row_run;

// The indices that a repeat over `over` goes through: of the dim itself, or of the one that was
// grouped into its turns.
nm_row_run nm_rows_of(const nm_units *u, nm_sym over);
bool nm_rows_meet(nm_row_run a, nm_row_run b);

// --- functions ---------------------------------------------------------------------------------

// train of train.micro, for ".micro"; NULL: f's name does not end so.
nm_sym nm_units_role(const nm_func *f, const char *suffix);

// What grouped repeats take of the parameters becomes parameters, and what they add to, one
// accumulator: see units_rows.c.
void nm_units_join_rows(nm_units *u);
// A micro-batch's function becomes its units' functions; what they read and add to is noted. false:
// reported, here and below.
bool nm_units_cut_micro(nm_units *u, nm_func *f);
// A step's end becomes functions of the owners, and one of what mixes them.
bool nm_units_cut_finish(nm_units *u, nm_func *f);
bool nm_units_cut_init(nm_units *u, nm_func *f);

// May f, an odd unit's function, run for some of the indices of `dim`? Without a dim (NULL) nothing
// that it reads may have one of pp's dims: a stage has not all of it. false: reported.
bool nm_units_check(nm_units *u, nm_func *f, nm_sym dim);
// Does op treat each index of dim alone, and give it to all its results?
bool nm_units_keeps(const nm_op *op, nm_sym dim);
// Does op sum over dim, so that the sums of parts of dim add up?
bool nm_units_sums_over(const nm_op *op, nm_sym dim);

// --- a step's end ------------------------------------------------------------------------------

typedef enum {
    NM_END_free,    // of scalars and counts: computed wherever it is read
    NM_END_owned,   // of one owner's values
    NM_END_pending, // a sum, of which owners have parts
    NM_END_middle,  // mixes owners: on every rank
    NM_END_after,   // of one owner's values and of what mixes owners
} nm_end;

typedef struct nm_ends { // of the top-level values of a step's end, by id
    nm_func *f;
    nm_sym role;
    nm_end *kind;
    int *owner;  // of owned and after; of pending, if all of it is of one owner
    bool *whole; // owned or pending, and read by others: complete on every rank
    int *leads;  // internal: the owner of all results that depend on it
} nm_ends;

bool nm_units_class(nm_units *u, nm_func *f, nm_ends *out);

// --- owners ------------------------------------------------------------------------------------

enum { NM_NOBODY = -1 };

// Is it what an owner keeps between steps?
static inline bool nm_units_is_kept(nm_bind b)
{
    return b.kind == NM_BIND_param || b.kind == NM_BIND_state;
}

void nm_units_note(nm_units *u, nm_owned row); // that these units, too, read or add to it
// Once all micro-batches are cut: gradients belong to their parameters, states to what they update.
bool nm_units_own(nm_units *u);
// The number in u->owner of who owns a parameter, a state or an accumulator of a type; NM_NOBODY:
// an accumulator that belongs to no parameter.
int nm_units_owner(nm_units *u, nm_sym role, nm_bind bind, const nm_type *type);
// Do several stages have the same values of it?
bool nm_owner_is_shared(const nm_owner *o);

#endif
