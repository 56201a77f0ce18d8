// What train, eval and generate do before they allocate anything: sizes, the pipeline, the plan,
// will it fit. All of it is arithmetic on the program's tables, for any mesh.
#ifndef NMRT_SETUP_H
#define NMRT_SETUP_H

#include "runtime/chain.h"
#include "runtime/device.h"
#include "runtime/pieces.h"
#include "runtime/plan.h"
#include "runtime/run.h"
#include "runtime/syms.h"

typedef struct nmrt_setup {
    const nmdrv_program *program;
    const nmrt_options *options;
    const nmrt_device_ops *device;
    nmrt_mesh mesh; // its stage_units are this setup's
    nmrt_texts texts;
    int threads;
    int64_t seq, micro_batch; // tokens of a sample; samples of a micro-batch, on one rank of dp
    int64_t n_micro, samples; // micro-batches of a step; samples of one of them over all of dp
    nmrt_syms syms;           // of one micro-batch; symbols of turns are whole
    int64_t *stage_units;     // [pp]
    nmrt_stages stages;
    nmrt_actions actions;    // of a training step, checked
    nmrt_chain train, eval;  // n_calls 0: the verb has none
    int *one_slot;           // [stages.n]: of an evaluation, where nothing waits for its backward
    nmrt_plan plan;          // of this rank
    nmrt_share *share;       // [program.n_params]
    nmrt_run_of *share_turn; // what they point to
} nmrt_setup;

// For train and eval. Every limit of the model that the flags break is named, a line each. *s is
// where it stays: others point into it.
nmrt_status nmrt_setup_init(nmrt_setup *s, const nmrt_run *run, nmrt_error *e);
void nmrt_setup_release(nmrt_setup *s);
// The memory of a rank on this pp stage; the caller releases the plan in any case.
nmrt_status nmrt_setup_plan(const nmrt_setup *s, int pp, nmrt_plan *plan, nmrt_error *e);
// Does a rank on this pp stage run the function?
bool nmrt_setup_runs(const nmrt_setup *s, int pp, const nmdrv_func *func);
// Does its symbol count turns (a micro-batch's), or rows?
bool nmrt_in_turns(const nmdrv_func *func);
// Of a function that runs in chunks, on a rank that runs it.
nmrt_turns nmrt_setup_turns(const nmrt_setup *s, int pp, const nmdrv_func *func);
// As a rank of another stage sees it, but for plan and shares; owns nothing.
nmrt_setup nmrt_setup_seen_from(const nmrt_setup *s, int pp);
// Bytes that a rank of each pp stage needs, [pp].
nmrt_status nmrt_setup_memory(const nmrt_setup *s, int64_t *bytes, nmrt_error *e);
// The symbols of micro-batch `micro` of one with `total` samples, whose micro-batches have
// `samples` over all of dp, but for the last, which may have less.
void nmrt_setup_bind(const nmrt_setup *s, int64_t micro, int64_t samples, int64_t total,
                     nmrt_syms *syms);
// What this rank has of the parameters: found once, before an engine runs; points into s. Fails
// where a parameter's memory is not what its dims say.
nmrt_status nmrt_setup_find_shares(nmrt_setup *s, nmrt_error *e);
nmrt_shares nmrt_setup_shares(const nmrt_setup *s, nmrt_comm *comm);

// Refuses what is above the memory of this machine, or of each of its GPUs; the machine has `ranks`
// of the ranks. Says which flags help. All ranks find the same.
nmrt_status nmrt_setup_check_memory(const nmrt_setup *s, int ranks, nmrt_error *e);
// The same for any number of bytes, with a hint of its own. who: "the run needs".
nmrt_status nmrt_memory_check(int64_t bytes, const nmrt_device_ops *device, const char *who,
                              const char *hint, nmrt_error *e);
nmrt_status nmrt_setup_print(const nmrt_setup *s, nmrt_text *out,
                             nmrt_error *e); // the answer to --dry-run

#endif
