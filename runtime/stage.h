// Runs a rank's list of actions: the functions of its stages on the memory that their chunk and
// micro-batch have, and what goes to and comes from the neighbours.
#ifndef NMRT_STAGE_H
#define NMRT_STAGE_H

#include "runtime/data.h"
#include "runtime/setup.h"

typedef struct nmrt_late { // the first failure of this rank to read data: its list ran to the end
    nmrt_status status;
    nmrt_error e;
} nmrt_late;

typedef struct nmrt_batch { // what the micro-batches are of
    const nmrt_data *data;
    int64_t first;   // sample of the run at which the batch begins
    int64_t samples; // of a micro-batch over all of dp; of the last, what is left
    int64_t total;
    nmrt_late *late; // data that cannot be read are noted here, and the list goes on with others,
                     // as the other ranks wait for it; NULL: they end it
} nmrt_batch;

typedef struct nmrt_loaded { // what a data slot has
    const nmdrv_arg *arg;    // in the form of this; NULL: nothing
    int micro;
} nmrt_loaded;

typedef struct nmrt_pipe {
    const nmrt_setup *setup;
    nmrt_engine *en;
    nmrt_comm *comm;
    const nmrt_chain *chain;
    char *memory;  // of links, behind the room of the channels
    int64_t *base; // [stages.n] where a stage's links lie in it; of this rank's stages
    nmrt_links links;
    void **buf;      // [the most buffers of a function]
    int *place;      // [chain.n_calls * most buffers] of a call's links in chain.place; -1: none
    int *last_place; // likewise of the function of a step's last micro-batch
    int most;
    nmrt_loaded *loaded; // [plan.n_slots], of data
} nmrt_pipe;

// For the training step, of the setup's actions, or for evaluation, a NULL; all given must outlive
// the pipe.
nmrt_status nmrt_pipe_open(nmrt_pipe *p, const nmrt_setup *s, nmrt_engine *en, nmrt_comm *comm,
                           const nmrt_chain *chain, const nmrt_actions *a, nmrt_error *e);
void nmrt_pipe_close(nmrt_pipe *p);
// Runs this rank's list. A rank alone stops between micro-batches where a signal asks for it
// (NMRT_STOPPED); of several, all have to agree first, which is the caller's.
nmrt_status nmrt_pipe_run(nmrt_pipe *p, const nmrt_actions *a, const nmrt_batch *b, nmrt_error *e);
// The end of a step or an evaluation: the role's functions in the order before, middle, after.
void nmrt_pipe_finish(nmrt_pipe *p, nmdrv_role role);
void nmrt_pipe_init(nmrt_pipe *p); // first values of what this rank holds

#endif
