// What one call of a program's function costs on a GPU: its products by its own count of
// operations, its collectives by running its driver on a device that only adds up their time.
#ifndef NMRT_PLANNER_COST_H
#define NMRT_PLANNER_COST_H

#include "runtime/mesh.h"
#include "runtime/planner_gpu.h"

typedef enum { // what a step's time is made of
    NMRT_TIME_COMPUTE,
    NMRT_TIME_TP, // communication that is seen: over tp
    NMRT_TIME_CP,
    NMRT_TIME_PP,
    NMRT_TIME_DP,
    NMRT_TIME_BUBBLE, // waiting for other stages
    NMRT_N_TIMES,
} nmrt_time;

typedef struct nmrt_cost {
    double time[NMRT_N_TIMES]; // s
    double flops;              // what is computed again is none of the model's, which MFU is by
} nmrt_cost;

typedef struct nmrt_ring_of { // of a collective
    int64_t axes, units;
    nmrt_ring ring;
} nmrt_ring_of;

enum { NMRT_MAX_RINGS = 64 };
typedef struct nmrt_cost_model {
    const nmrt_gpu *gpu;
    const nmrt_mesh *mesh; // of the rank that calls
    int node;              // GPUs of a node
    bool bf16;
    double rows; // tokens of a micro-batch on a rank
    int *rank;   // [world]: room for a group
    nmrt_ring_of ring[NMRT_MAX_RINGS];
    int n_rings; // rings found so far
} nmrt_cost_model;

// sym: with the function's turns. buf: [the most n_bufs] NULLs. Of finish, which runs once a step,
// reductions are of f32 gradients, and the time over dp is whole: who knows the step says what
// hides it.
nmrt_cost nmrt_cost_of(nmrt_cost_model *model, const nmdrv_func *func, const nmdrv_sym *sym,
                       void **buf);
// Seconds of collectives, nothing hidden, that a function has more than another of the same part of
// a step: reductions of f32 gradients.
double nmrt_cost_more(nmrt_cost_model *model, const nmdrv_func *func, const nmdrv_func *than,
                      const nmdrv_sym *sym, void **buf);
// A send of `bytes` to the next stage.
double nmrt_cost_send(const nmrt_cost_model *model, double bytes);
double nmrt_cost_total(const nmrt_cost *cost);
void nmrt_cost_add(nmrt_cost *to, const nmrt_cost *cost, double times);
double nmrt_cost_peak(const nmrt_cost_model *model); // operations a second of a GPU

#endif
