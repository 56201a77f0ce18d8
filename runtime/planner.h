// The verb plan: which mesh, micro-batch and recomputation train this program fastest on a cluster
// of GPUs, by the program's own tables (what --dry-run says) and a cost model. Runs nothing.
// docs/plan.md.
#ifndef NMRT_PLANNER_H
#define NMRT_PLANNER_H

#include "runtime/planner_cost.h"
#include "runtime/setup.h"

typedef struct nmrt_cluster { // what is asked
    const nmdrv_program *program;
    const nmrt_options *options; // as of train, but for mesh and micro-batch
    const nmrt_gpu *gpu;
    nmrt_recompute asked; // auto, where --recompute is not given
    int64_t gpus, memory; // memory: bytes that a GPU may use
    int node;
    bool bf16;
    double narrow; // what activations take of their bytes in the plan
} nmrt_cluster;

typedef enum { // what a GPU's memory holds
    NMRT_HOLDS_WEIGHTS,
    NMRT_HOLDS_GRADIENTS,
    NMRT_HOLDS_STATES, // of the optimizer, with the f32 masters of bf16 weights
    NMRT_HOLDS_SAVED,  // activations, from forward to backward
    NMRT_HOLDS_WORK,   // what lives within a function, data, workspace
    NMRT_HOLDS_RESERVE,
    NMRT_N_HOLDS,
} nmrt_holds;

typedef struct nmrt_need { // bytes
    double of[NMRT_N_HOLDS], total;
} nmrt_need;

typedef struct nmrt_candidate {
    nmrt_mesh_flags flags;
    int64_t micro_batch;
    nmrt_recompute recompute; // --recompute, once it is considered
    double least;   // s: of perfectly even stages, of which as little as can be is computed again;
                    // estimates are not below it, but for rounding
    int order;      // in which candidates were made: ties
    nmrt_need need; // of the stage that needs most
    nmrt_cost step; // of an average rank
    double seconds;
} nmrt_candidate;

// A candidate's setup is the one of train with its flags. planner_memory.c, planner_step.c.
nmrt_status nmrt_planner_need(const nmrt_cluster *c, const nmrt_setup *s, int pp, nmrt_need *need,
                              nmrt_error *e);
nmrt_status nmrt_planner_step(const nmrt_cluster *c, const nmrt_setup *s, nmrt_candidate *x,
                              nmrt_error *e);
// A cost model as rank 0 of the mesh has it; the caller frees model->rank and *buf.
nmrt_status nmrt_planner_model(const nmrt_cluster *c, const nmrt_mesh *mesh, int64_t micro_batch,
                               nmrt_cost_model *model, void ***buf, nmrt_error *e);

// The `most` best, fastest first; of one (tp, pp, vp, cp, way over cp) the best only. Fails with a
// sentence where nothing divides, or nothing fits. planner_search.c.
nmrt_status nmrt_planner_search(const nmrt_cluster *c, int most, nmrt_candidate *best, int *n,
                                nmrt_error *e);
void nmrt_planner_print(const nmrt_cluster *c, const nmrt_candidate *best, int n, nmrt_text *out);
void nmrt_planner_print_json(const nmrt_cluster *c, const nmrt_candidate *best, int n,
                             nmrt_text *out);

// The verb.
nmrt_status nmrt_planner_run(const nmdrv_program *program, const nmrt_options *options,
                             nmrt_text *out, nmrt_error *e);

#endif
