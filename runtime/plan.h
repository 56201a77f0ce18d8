// The memory plan: every byte that a verb will use, known before the first is allocated.
//
// What functions share (parameters, states, accumulators, counts, caches, data, scalars) has a
// slot; a function's transients are packed into the arena, which functions use in turn. Links of
// micro-batches are not here but in the chain (chain.h), which says how many bytes they need.
#ifndef NMRT_PLAN_H
#define NMRT_PLAN_H

#include "runtime/mesh.h"
#include "runtime/text.h"

#include <stdbool.h>

typedef enum {
    NMRT_MEM_PARAMS,
    NMRT_MEM_STATES,
    NMRT_MEM_GRADS,
    NMRT_MEM_PENDING, // sums of gradients that are larger than these, until the last micro-batch
    NMRT_MEM_KEPT,    // what micro-batches share that parameters alone decide
    NMRT_MEM_CACHES,
    NMRT_MEM_SAVED,
    NMRT_MEM_ACTIVATIONS,
    NMRT_MEM_DATA,
    NMRT_MEM_COPY,
    NMRT_MEM_WORKSPACE,
    NMRT_MEM_COLLECTIVES, // in which a GPU's launches of them rearrange operands
    NMRT_N_MEM,
} nmrt_mem;

typedef struct nmrt_slot { // memory that outlives a call, by what it is bound to
    int64_t bind;          // nmdrv_bind
    const char *name;
    bool eval; // accumulators of training and of evaluation may share a name, never memory
    const nmdrv_arg *arg;  // dtype and dims
    int64_t bytes, offset; // within the plan's slots
    int64_t row_bytes; // its first dim is rows of these units' repeats, those of this rank, chunk
    uint64_t units;    // behind chunk: bytes of a row; 0: it is not
} nmrt_slot;

typedef struct nmrt_turns { // of the repeat of a function's unit, or rows of its units
    int64_t chunk, all;     // in the largest chunk that is run at once; of all chunks of this rank
    int64_t each;           // rows of one
} nmrt_turns;

enum { NMRT_TRANSIENT = -1, NMRT_LINK = -2 }; // nmrt_planned.slot

typedef struct nmrt_planned { // a function with the places of its buffers
    const nmdrv_func *func;
    int64_t *bytes, *offset; // [n_bufs]; offset: of a transient, in the arena
    int *slot;               // [n_bufs]; NMRT_TRANSIENT, or NMRT_LINK: a link of a micro-batch
    int64_t arena, live;     // bytes; live: the most that is alive at once, no packing needs less
} nmrt_planned;

typedef struct nmrt_plan { // zero-initialised but for the first two: an empty plan
    const nmdrv_program *program;
    bool apart; // --check-memory: no transient shares memory with another
    nmrt_slot *slot;
    nmrt_planned *func;
    int n_slots, n_funcs;
    int64_t links, copy;  // bytes of links; of a copy to save from; set before nmrt_plan_finish
    int64_t collectives;  // in which launches of them rearrange operands; likewise
    bool *meets;          // [program.n_collectives] rows that functions launch; NULL: not asked
    int64_t slots, arena; // bytes to allocate; valid after it
    int64_t library;      // and for a device's libraries: products', then collectives'
    int64_t class[NMRT_N_MEM], total;
} nmrt_plan;

// Adds a function at these sizes. A later call with smaller ones fits, as every buffer is a
// product of extents. turns: of a function that runs in chunks; else it is not read. Fails where
// the program's tables contradict each other.
nmrt_status nmrt_plan_add(nmrt_plan *plan, const nmdrv_func *func, const nmdrv_sym *sym,
                          const nmrt_turns *turns, nmrt_error *e);
void nmrt_plan_finish(nmrt_plan *plan, int threads);
void nmrt_plan_release(nmrt_plan *plan);

// Notes what the function, already added, launches of collectives at these sizes, which have its
// largest chunk, on this mesh.
nmrt_status nmrt_plan_launches(nmrt_plan *plan, const nmrt_mesh *mesh, const nmdrv_func *func,
                               const nmdrv_sym *sym, nmrt_error *e);

// The first of the role, of one phase or (two names of one thing) WHOLE; NULL: none.
const nmrt_planned *nmrt_plan_func(const nmrt_plan *plan, nmdrv_role role, nmdrv_phase phase);
const nmrt_planned *nmrt_plan_find(const nmrt_plan *plan, const nmdrv_func *func); // NULL: none
const nmrt_slot *nmrt_plan_slot(const nmrt_plan *plan, nmdrv_bind bind,
                                const char *name);           // NULL: none
void nmrt_plan_print(const nmrt_plan *plan, nmrt_text *out); // the table of --dry-run

// Gives n intervals [first[i], last[i]] of bytes[i] each an offset such that no two that are alive
// together overlap; returns the bytes needed. Intervals of 0 bytes take no room.
int64_t nmrt_pack(int64_t n, const int64_t *bytes, const int64_t *first, const int64_t *last,
                  int64_t *offset);

#endif
