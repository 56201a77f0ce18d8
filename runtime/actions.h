// Who runs what, and when, in a pipeline: the units of a micro-batch's chain dealt out to virtual
// stages, and for every pp rank the list of what it does in a step. The lists are made and checked
// as a whole on every rank, before the first launch: nothing is decided while they run.
#ifndef NMRT_ACTIONS_H
#define NMRT_ACTIONS_H

#include "runtime/driver_abi.h"
#include "runtime/mesh.h"
#include "runtime/status.h"

#include <stdbool.h>

// --- virtual stages ------------------------------------------------------------------------------

enum { NMRT_MAX_UNITS = 64 };

typedef struct nmrt_stage_part { // a unit, or a run of turns of one
    int unit;
    int64_t first, n; // turns; of an even unit 0 and 1
} nmrt_stage_part;

// The chain's parts in order; virtual stage v has part[at[v]] .. part[at[v + 1]) and lives on pp
// rank v % pp.
typedef struct nmrt_stages {
    int pp, n; // n = pp * vp
    int n_units;
    int64_t turns[NMRT_MAX_UNITS];    // of each unit; even ones 1
    const char *name[NMRT_MAX_UNITS]; // the dim of an odd unit's repeat; even ones ""
    // Turn i of an odd unit is the `each` rows of its parameters from row + i * each on.
    int64_t row[NMRT_MAX_UNITS], each[NMRT_MAX_UNITS];
    int n_parts;
    nmrt_stage_part *part;
    int *at; // [n + 1]
} nmrt_stages;

// All turns of all repeats are dealt out so that stages have as many rows (layers) as can be
// without cutting a turn, and one turn at least; where that leaves a rest, the first stages have
// more, so the last, which has the head, is not the heaviest by turns of one row. Unit 0 is on the
// first stage, what stands between two repeats where the earlier one ends, the turn on the last.
// Fails with more stages than turns, and with several stages on a rank alone. A program that was
// never cut is one turn.
nmrt_status nmrt_stages_init(nmrt_stages *s, const nmdrv_program *program, int pp, int vp,
                             nmrt_error *e);
void nmrt_stages_release(nmrt_stages *s);
uint64_t nmrt_stages_units(const nmrt_stages *s,
                           int rank); // bits: of which this pp rank has a part
// The rows of a part of an odd unit.
nmrt_run_of nmrt_stages_rows(const nmrt_stages *s, const nmrt_stage_part *part);
// How many turns of a unit have one of its next `rows` rows, the last maybe not all of its own; at
// most `most`, and 0 of no rows or fewer.
int64_t nmrt_stages_turns_of(const nmrt_stages *s, int unit, int64_t rows, int64_t most);
// The rows of these units' parameters that a pp rank has, in the order in which it stores them: a
// run a part, at most vp of each unit. Returns how many; `run` may be NULL.
int nmrt_stages_runs(const nmrt_stages *s, int rank, uint64_t units, nmrt_run_of *run);

// --- lists ---------------------------------------------------------------------------------------

typedef enum {
    NMRT_COUNT_MICRO,  // COUNT of a micro-batch, on every rank
    NMRT_COUNTED,      // completes the counts
    NMRT_FORWARD,      // the stage's forward functions; on the last stage, the turn, too
    NMRT_BACKWARD,     // the stage's backward functions
    NMRT_SEND_FORWARD, // what the next stage needs of this micro-batch; peer: its rank
    NMRT_RECV_FORWARD,
    NMRT_SEND_BACKWARD, // what the stage before needs
    NMRT_RECV_BACKWARD,
    NMRT_BEFORE, // the three parts of finish
    NMRT_MIDDLE,
    NMRT_AFTER,
    NMRT_N_ACTS,
} nmrt_act;

typedef struct nmrt_action {
    int act;          // nmrt_act
    int stage, micro; // virtual; 0 where they say nothing
    int peer;         // pp rank
} nmrt_action;

typedef struct nmrt_list { // of one pp rank
    nmrt_action *action;
    int n, cap;
} nmrt_list;

// A stage keeps what its backward reads in a slot: `micro % slots[stage]` of its own, or one of
// those that the rank's stages share, as interleaved stages do not all have their most at once.
// Everything else lives from a stage's receive to its send, which stand together.
typedef struct nmrt_actions {
    const nmrt_stages *stages;
    int n_micro;
    bool training;   // else there is no count, no backward, no finish
    nmrt_list *list; // [pp]
    int *slots;      // [stages.n]: the most micro-batches between forward and backward
    int *shared;     // [pp]: the same of a rank's stages together, of those with more than one
    int *slot;       // [stages.n][n_micro]: which of the shared ones; of other stages 0
} nmrt_actions;

// 1F1B (Narayanan et al. 2021, "Efficient Large-Scale Language Model Training on GPU Clusters"),
// interleaved where there are several stages a rank: then n_micro must be a multiple of pp.
nmrt_status nmrt_actions_init(nmrt_actions *a, const nmrt_stages *s, int64_t n_micro, bool training,
                              nmrt_error *e);
// Of a training step with fewer micro-batches, in the slots of one with more.
nmrt_status nmrt_actions_init_within(nmrt_actions *a, const nmrt_actions *full, int64_t n_micro,
                                     nmrt_error *e);
void nmrt_actions_release(nmrt_actions *a);
// Runs all lists together without doing anything, with room for one message on each channel. Fails,
// with the first rank and action that is wrong, unless every list ends, every receive gets what it
// is for, every micro-batch passes every stage once in each direction, and no slot is written while
// it is live.
nmrt_status nmrt_actions_check(const nmrt_actions *a, nmrt_error *e);
// What a rank idles of a step, 0 .. 1, if its stages' forward and backward take this long
// [stages.n] and sending no time.
double nmrt_actions_bubble(const nmrt_actions *a, const double *forward, const double *backward);
const char *nmrt_act_name(int act);

#endif
