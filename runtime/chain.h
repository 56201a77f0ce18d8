// The chain of a micro-batch as the calls that a pipeline makes: one function for each part of each
// virtual stage, or for each chunk of a part, forward, the turn, backward. And the links between
// them: who makes a value, who reads it, in which stages' memory it lies and from when to when.
// docs/mesh.md, Units.
//
// Times on a stage: 0 is the receive of forward, then come its forward calls, then the send; then
// the same of backward. Only what is alive between the two halves differs from micro-batch to
// micro-batch that is under way (it lies in a slot); all else is used from a receive to its send
// and shares one room.
#ifndef NMRT_CHAIN_H
#define NMRT_CHAIN_H

#include "runtime/islands.h"
#include "runtime/texts.h"

typedef struct nmrt_call { // one function, for one part of one stage, or a chunk of one
    const nmdrv_func *func;
    const nmdrv_func *last; // of a step's last micro-batch; NULL: func, too
    nmrt_stage_part part;
    int stage, time;
    bool backward;
    int *value;      // [func.n_bufs] index into chain.value, of a link's buffer; -1: it is none
    int *last_value; // [last.n_bufs] likewise
} nmrt_call;

typedef struct nmrt_value {   // what one call gives to others
    const char *name, *where; // the model line that it stems from
    int made;                 // the call
    int64_t bytes;
} nmrt_value;

typedef struct nmrt_place { // a value in a stage's memory
    int value, stage;
    int first, last;       // times
    bool sent[2], come[2]; // to or from a neighbour, with forward [0] or backward [1]
    bool in_slot;          // else in the room
    int64_t offset;        // there
} nmrt_place;

typedef struct nmrt_chain {
    const nmrt_stages *stages;
    int n_calls, n_values, n_places;
    nmrt_call *call; // in the order of a micro-batch's way
    nmrt_value *value;
    nmrt_place *place;    // by stage, then by value
    int *at;              // [stages.n + 1]: places of a stage
    int64_t *room, *slot; // [stages.n] bytes
} nmrt_chain;

typedef struct nmrt_chain_request {
    nmrt_texts texts;
    nmdrv_role role;                 // MICRO or EVAL_MICRO
    const nmdrv_sym *sym;            // of a micro-batch; those of turns are set here
    const int *slots;                // [stages.n]
    const nmrt_recompute *recompute; // of MICRO
    nmrt_islands islands;
} nmrt_chain_request;

// Fails where the program's tables contradict each other, or a value would have to be whole where
// only turns of it are.
nmrt_status nmrt_chain_init(nmrt_chain *c, const nmrt_stages *s, const nmrt_chain_request *request,
                            nmrt_error *e);
void nmrt_chain_release(nmrt_chain *c);
// Part of it: once calls and values are known, their places. slots: [stages.n].
nmrt_status nmrt_chain_place_all(nmrt_chain *c, const int *slots, nmrt_error *e);
const nmrt_place *nmrt_chain_place(const nmrt_chain *c, int stage, int value);
int64_t nmrt_chain_bytes(const nmrt_chain *c, int stage, int slots); // of a stage's links

typedef struct nmrt_links { // a rank's: the rooms of its stages, each with its slots, or then
                            // shared ones
    int64_t bytes;
    int64_t shared, stride; // where the shared slots begin, and from one to the next; 0: each stage
                            // has its own, which takes less
} nmrt_links;
// Of the stages of a pp rank. a NULL: of an evaluation, in which nothing waits for its backward.
nmrt_links nmrt_chain_links(const nmrt_chain *c, const nmrt_actions *a, int pp);
// Bytes that a stage sends a micro-batch, with forward or with backward.
int64_t nmrt_chain_sent(const nmrt_chain *c, int stage, bool backward);
enum { NMRT_LINE = 64 };
typedef struct nmrt_room {
    int64_t bytes; // as sent, with each value at a multiple of NMRT_LINE
    int messages;  // one a value
} nmrt_room;
nmrt_room nmrt_chain_room(const nmrt_chain *c, int stage, bool backward);

// The function of the texts: role, phase, the chunk's unit and, if it has several texts, which; of
// several micro-batches all but the last one's. NULL: there is none.
const nmdrv_func *nmrt_func_find(const nmrt_chain_request *request, nmdrv_phase phase,
                                 const nmrt_chunk *chunk);
// Does a pp rank run it in a micro-batch? The most turns that it runs at once; 0: it does not.
int64_t nmrt_chain_turns(const nmrt_chain *c, int pp, const nmdrv_func *func);
// The value of a repeat's symbol for a run of its turns, or of a part's rows.
nmdrv_sym nmrt_turns_sym(const nmdrv_program *program, const nmdrv_func *func, nmrt_run_of run);
static inline nmrt_run_of nmrt_turns_of(const nmrt_stage_part *part)
{
    return (nmrt_run_of){part->first, part->n};
}

#endif
