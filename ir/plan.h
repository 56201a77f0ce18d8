// Where every stored value of a function lies: made by passes/schedule.c, read by codegen and by
// --emit=plan. Sizes stay symbolic; the runtime packs the transient buffers once it knows them.
//
// Invariants. Every operand and result of a group, a collective and a repeat has a place. A
// repeat's carried value has one place: operand, body parameter, body result and result agree
// (schedule inserts map groups that copy where they would not). A body parameter that is stacked,
// and a body result that is stacked, lie in the outer value's buffer and move by `stride` elements
// a turn (at index i of the repeated dim: start + i * stride, whichever way the turns go). Two
// values may share a place only where the second is written in place of the first (accumulators,
// params, states, caches, maps of a value that nobody reads any more, a sum over ranks).
//
// A collective's result may at run time be its operand: axes of size one move nothing. Where the
// result is *loose*, readers go by the pointer that the collective gave; then the operand is there
// for as long as the result, nobody writes to it, and nothing is written over a loose value. Any
// other result of a collective is copied to its place if it lies elsewhere. Collectives, and
// groups, that are launched together (`more`) run at one position. Where a `wait` names a launch,
// it goes on until then: its operands' places are read and its results' places written all that
// time, by it alone.
#ifndef NM_IR_PLAN_H
#define NM_IR_PLAN_H

#include "ir/ir.h"

typedef struct nm_buffer {
    nm_sym name; // of the value it was made for
    nm_loc loc;  // the model's line
    bool bound;  // a parameter or result of the function: the caller provides it
    nm_dtype dtype;
    const nm_extent *elems; // its size, in elements
    int first, last; // transient: live from the op at position `first` to `last`, both included;
                     // positions count groups, launches of collectives and waits in the order they
                     // run, bodies inside their repeat
} nm_buffer;

typedef struct nm_turn { // moves with the turns of an enclosing repeat
    nm_op *repeat;
    const nm_extent *stride; // elements a turn
} nm_turn;

enum { NM_MAX_TURNS = 4 };
typedef struct nm_place {
    int buffer; // index into plan->buffer; -1: the value is not stored (free, or unused)
    const nm_extent *start; // elements from the buffer's begin
    int n_turns;
    nm_turn turn[NM_MAX_TURNS];
    bool loose; // here, or where the operand of the collective lies that made it
} nm_place;

typedef struct nm_plan {
    nm_func *func;
    int n_buffers;
    nm_buffer *buffer;
    nm_place *place; // [func->n_values], by value id
    int n_positions;
} nm_plan;

bool nm_plan_has_position(const nm_op *op); // is the next op's position another one?

// Text: one line a buffer, one line a group or collective with its operands' places. The law of
// --emit=plan.
void nm_plan_print(FILE *out, const nm_plan *plan);

#endif
