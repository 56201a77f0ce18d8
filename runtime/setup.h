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
#include "runtime/tally.h"

enum { NMRT_MAX_MICRO_BATCHES = 1 << 16 };

typedef struct nmrt_setup {
    const nmdrv_program *program;
    const nmrt_options *options;
    const nmrt_device_ops *device;
    nmrt_mesh mesh; // its stage_units are this setup's
    nmrt_texts texts;
    nmrt_recompute recompute; // nothing of it is auto
    bool tight;               // as nmrt_run says
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
// where it stays: others point into it. For --recompute auto, nmrt_setup_choose comes first.
nmrt_status nmrt_setup_init(nmrt_setup *s, const nmrt_run *run, nmrt_error *e);
void nmrt_setup_release(nmrt_setup *s);
// What it was made for, without ranks and comm; points into s.
nmrt_run nmrt_setup_run(const nmrt_setup *s);
// The memory of a rank on this pp stage; the caller releases the plan in any case.
nmrt_status nmrt_setup_plan(const nmrt_setup *s, int pp, nmrt_plan *plan, nmrt_error *e);
// Does a rank on this pp stage run the function?
bool nmrt_setup_runs(const nmrt_setup *s, int pp, const nmdrv_func *func);
// Does its symbol count turns (a micro-batch's, and what that is given once a step), or rows?
bool nmrt_in_turns(const nmdrv_func *func);
// Of a function that runs in chunks, on a rank that runs it.
nmrt_turns nmrt_setup_turns(const nmrt_setup *s, int pp, const nmdrv_func *func);
// As a rank of another stage sees it, but for plan and shares; owns nothing.
nmrt_setup nmrt_setup_seen_from(const nmrt_setup *s, int pp);
// Refuses sizes that products of fp8 cannot have, in a training step: setup_products.c, a part of
// nmrt_setup_init.
nmrt_status nmrt_setup_check_products(const nmrt_setup *s, nmrt_error *e);
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

// --- will it fit: setup_memory.c

// Refuses what is above the memory of this machine, or of each of its GPUs, or --memory-limit; the
// machine has `ranks` of the ranks; 0: it is not asked. Says which flags help.
nmrt_status nmrt_setup_check_memory(const nmrt_setup *s, int ranks, nmrt_error *e);
// The same for any number of bytes, with a hint of its own. who: "the run needs".
nmrt_status nmrt_memory_check(int64_t bytes, const nmrt_device_ops *device, const char *who,
                              const char *hint, nmrt_error *e);
// What --recompute auto is: the least that is computed again with which this run fits the memory,
// on every rank the same; where nothing fits, what needs least. Collective. Of other requests, the
// request. And whether there is memory to keep rounded weights, into run->tight.
nmrt_status nmrt_setup_choose(nmrt_run *run, nmrt_recompute *recompute, nmrt_error *e);

// --- what it needs

nmrt_status nmrt_setup_print(const nmrt_setup *s, nmrt_text *out,
                             nmrt_error *e); // the answer to --dry-run
nmrt_status nmrt_setup_print_recompute(const nmrt_setup *s, nmrt_text *out,
                                       nmrt_error *e); // a part of it
// Adds what the rank does in a step that *s is set up for.
nmrt_status nmrt_setup_tally(const nmrt_setup *s, nmrt_tally *t, nmrt_error *e);
// The symbols of a micro-batch for this call.
nmrt_syms nmrt_setup_call_syms(const nmrt_setup *s, const nmrt_call *call);

#endif
