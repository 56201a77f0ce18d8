// The numbers of gpus.def: what a GPU can do, and what the cost model assumes.
#ifndef NMRT_PLANNER_GPU_H
#define NMRT_PLANNER_GPU_H

#include <stdbool.h>

typedef struct nmrt_gpu {
    const char *name;
    double bf16, f32;        // TFLOP/s
    double memory;           // GiB
    double hbm, nvlink, nic; // GB/s
    const char *source;      // "", or what a user should know of these numbers
} nmrt_gpu;

const nmrt_gpu *nmrt_gpu_find(const char *name); // NULL: there is none

typedef struct nmrt_cost_constants { // gpus.def says what each is
#define GPU(...)
#define CONSTANT(name, value, meaning) double name;
#include "runtime/gpus.def"
#undef CONSTANT
#undef GPU
} nmrt_cost_constants;
extern const nmrt_cost_constants nmrt_costs;

// Ranks that speak together, and how many of them share a node.
typedef struct nmrt_ring {
    int ranks, in_node;
} nmrt_ring;

// Share of the peak that products reach: `rows` tokens, a weight matrix of width x width.
double nmrt_gpu_efficiency(double rows, double width);
// Seconds in which each rank of the group sends `bytes` on, in `steps` of a ring. A ring over nodes
// goes through the network cards of all its ranks in a node at once.
double nmrt_ring_seconds(const nmrt_gpu *gpu, nmrt_ring ring, double bytes, int steps);

#endif
