// The cost model's laws of nature: how fast products run, how long a ring takes.
//
// Rings: Thakur, Rabenseifner, Gropp 2005, "Optimization of Collective Communication Operations in
// MPICH": a reduce-scatter or an all-gather of n ranks is n - 1 steps of 1/n of the bytes.
#include "runtime/planner_gpu.h"

#include <stddef.h>
#include <string.h>

static const nmrt_gpu gpus[] = {
#define GPU(name, ...) {#name, __VA_ARGS__},
#define CONSTANT(...)
#include "runtime/gpus.def"
#undef CONSTANT
#undef GPU
};

const nmrt_cost_constants nmrt_costs = {
#define GPU(...)
#define CONSTANT(name, value, meaning) .name = value,
#include "runtime/gpus.def"
#undef CONSTANT
#undef GPU
};

const nmrt_gpu *nmrt_gpu_find(const char *name)
{
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++)
        if (strcmp(gpus[i].name, name) == 0)
            return &gpus[i];
    return NULL;
}

double nmrt_gpu_efficiency(double rows, double width)
{
    return nmrt_costs.best * rows / (rows + nmrt_costs.rows_half) * width /
           (width + nmrt_costs.width_half);
}

double nmrt_ring_seconds(const nmrt_gpu *gpu, nmrt_ring ring, double bytes, int steps)
{
    bool one_node = ring.in_node == ring.ranks;
    double network = gpu->nic * ring.in_node,
           speed = one_node || network > gpu->nvlink ? gpu->nvlink : network;
    return nmrt_costs.launch + steps * (one_node ? nmrt_costs.hop_node : nmrt_costs.hop_network) +
           bytes / (speed * 1e9 * nmrt_costs.link_share);
}
