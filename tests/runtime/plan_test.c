// The cost model's laws: what is larger takes longer, a node's links are faster than the network,
// and every --gpu that can be asked for has its row.
#include "runtime/options.h"
#include "runtime/planner_gpu.h"

#include "tests/runtime/check.h"

#include <string.h>

static void efficiency_grows_and_saturates(void)
{
    CHECK(nmrt_gpu_efficiency(512, 4096) < nmrt_gpu_efficiency(1024, 4096));
    CHECK(nmrt_gpu_efficiency(1024, 2048) < nmrt_gpu_efficiency(1024, 4096));
    CHECK(nmrt_gpu_efficiency(1e9, 1e9) <= nmrt_costs.best);
    CHECK(nmrt_gpu_efficiency(nmrt_costs.rows_half, 1e12) < 0.51 * nmrt_costs.best);
}

static void rings_go_by_the_slowest_link(void)
{
    const nmrt_gpu *gpu = nmrt_gpu_find("h100");
    double near = nmrt_ring_seconds(gpu, (nmrt_ring){8, 8}, 1e9, 7),
           far = nmrt_ring_seconds(gpu, (nmrt_ring){8, 1}, 1e9, 7),
           wide = nmrt_ring_seconds(gpu, (nmrt_ring){16, 8}, 1e9, 15);
    CHECK(near < wide && wide < far);
    CHECK(far > 0.9 * 1e9 / (gpu->nic * 1e9)); // no faster than the card
    CHECK(nmrt_ring_seconds(gpu, (nmrt_ring){8, 8}, 2e9, 7) > near);
    CHECK(nmrt_ring_seconds(gpu, (nmrt_ring){8, 8}, 0, 7) >= nmrt_costs.launch);
}

static void every_choice_has_a_row(void)
{
    const nmrt_option *option = nmrt_option_find("gpu");
    CHECK(option != NULL);
    size_t all = strcspn(option->help, ":");
    for (size_t at = 0; at < all; at += strcspn(option->help + at, "|:") + 1) {
        char name[16] = "";
        memcpy(name, option->help + at, strcspn(option->help + at, "|:"));
        CHECK(nmrt_gpu_find(name) != NULL);
    }
    CHECK(nmrt_gpu_find("v100") == NULL);
}

int main(void)
{
    efficiency_grows_and_saturates();
    rings_go_by_the_slowest_link();
    every_choice_has_a_row();
    return check_result();
}
