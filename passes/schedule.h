// Scheduling's own parts; what it makes is ir/plan.h.
#ifndef NM_PASSES_SCHEDULE_H
#define NM_PASSES_SCHEDULE_H

#include "ir/plan.h"

// --- schedule_alias.c: when a value may be written where another one lies -------------------

// May result r of the group be written over operand p, element by element, while the kernel runs?
// Kernels keep two promises: all results of an element are computed before one is stored, and a
// row's results without the reduced dims before those with them.
bool nm_group_in_place(const nm_op *group, int p, int r);
// Has everyone who reads a done so when b, of the same function or body, begins to be written?
bool nm_gives_way(const nm_value *a, const nm_value *b);
// Is the reader done before `op`, a collective when it has been waited for, and who reads what may
// turn out to be the value itself?
bool nm_is_done_before(const nm_use *reader, const nm_op *op);
// May the collective's result be left in its operand's place? Not if ret or a repeat reads it.
bool nm_may_be_operand(const nm_value *v);

// The parameter of f in whose place its result i goes, or NULL: states, accumulators, caches.
nm_value *nm_result_home(const nm_func *f, int i);
static inline int nm_n_carried(const nm_op *repeat)
{
    return (int)nm_attr_int(repeat, "carried", 0);
}
static inline int nm_n_turned(const nm_op *repeat) // carried and stacked operands
{
    return nm_n_carried(repeat) + (int)nm_attr_int(repeat, "stacked", 0);
}

// schedule_copy.c: copies where values that share a place would meet there.
void nm_schedule_copies(nm_func *f);

// --- schedule_place.c -----------------------------------------------------------------------

// Values in one place, as union-find over value ids.
typedef struct nm_places {
    nm_func *f;
    nm_arena *scratch;
    int n_values;
    nm_value **value; // by id
    int *up, *ring;   // ring: the next one in the same place, all around
    bool *bound;      // by class: the caller provides it
    bool *kept;       // by class: it holds a parameter before, and what replaces it after
    nm_value **outer; // by class: it is one turn's part of this value, moving with `repeat`
    nm_op **repeat;
} nm_places;

nm_places nm_places_find(nm_func *f, nm_arena *scratch);
int nm_places_class(nm_places *s, const nm_value *v);
bool nm_places_is_loose(nm_places *s, const nm_value *v); // nm_place.loose

// --- schedule_verify.c ----------------------------------------------------------------------

// Walk through f as it will run, turns of repeats twice, and check that every operand still lies
// where its plan says, that every touch is within the buffer's life, and that what is written in
// place may be. NULL, or what is wrong, in the arena.
const char *nm_plan_disprove(const nm_func *f, nm_arena *arena);

#endif
