// The communicators of one rank and of forked ranks: what every communicator must do.
#include "tests/runtime/collectives.h"

static void test_alone(void)
{
    nmrt_comm c = nmrt_comm_single();
    nmrt_error e;
    int in[4] = {1, 2, 3, 4}, out[4], me = 0;
    nmrt_exchange x = {.kind = NMDRV_ALL_GATHER,
                       .dtype = NMDRV_I32,
                       .group = {1, 0, &me, 1},
                       .outer = 2,
                       .len = 1,
                       .inner = 2,
                       .out = out,
                       .in = in};
    CHECK(c.run(&c, &x, &e) == NMRT_OK && memcmp(in, out, sizeof in) == 0);
    check_any(&c);
}

int main(void)
{
    test_alone();
    for (int world = 2; world <= 8; world++)
        CHECK(run_ranks(world, 60, 0, all_checks, &(int){1 + (world == 3)}, NULL) == 0);
    return check_result();
}
