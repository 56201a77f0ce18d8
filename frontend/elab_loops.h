// What elab_loops.c and elab_turns.c share: a repeat or scan that is being built, and the stretches
// of alike turns that a repeat is cut into.
#ifndef NM_FRONTEND_ELAB_LOOPS_H
#define NM_FRONTEND_ELAB_LOOPS_H

#include "frontend/elab_internal.h"

typedef struct nm_eloop {
    nm_frame *f;
    const nm_ast_stmt *s;
    nm_edim dim;
    int64_t turns; // of a repeat
    bool scan;
    nm_names names; // assigned in the body
    int n_carried;  // those that existed before, tensors
    const nm_ast_word **carried;
    int n_fresh;
    const nm_ast_word **fresh; // those that are new and read later
    int n_vars, n_labels;      // of the frame, before
    nm_emit *emit;             // newest, before
} nm_eloop;

typedef struct nm_stretch {
    int64_t first, repeats, period;
} nm_stretch;

// --- elab_loops.c: building ----------------------------------------------------------------------

// What is carried, as the current region sees it: [n_carried], NULL where it could not be read.
nm_value **nm_eloop_start(nm_elab *e, nm_eloop *l);
// The parameters of the body r for these; the names mean them from now on.
nm_value **nm_eloop_params(nm_elab *e, nm_eloop *l, nm_region *r, nm_value *const *start);
void nm_eloop_turn(nm_elab *e, nm_eloop *l, int64_t turn); // the ops of a turn, in e->at

// --- elab_turns.c: which turns are alike ---------------------------------------------------------

// [turns]: equal where turns build the same ops. NULL: all do, or a mistake was reported.
uint64_t *nm_turns_signatures(nm_elab *e, nm_eloop *l);
// The stretch from turn `first` that covers most; of equals the smallest period. sig: [n].
nm_stretch nm_turns_stretch(const uint64_t *sig, int64_t n, int64_t first);
nm_edim nm_turns_dim(nm_elab *e, nm_eloop *l, nm_stretch s); // of the stretch's repeat; declares it

#endif
