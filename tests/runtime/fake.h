// What the programs written by hand (fake_*.c) share: numbers, what an environment variable makes
// them do, and rows of the driver's tables.
#ifndef NMRT_TEST_FAKE_H
#define NMRT_TEST_FAKE_H

#include "runtime/driver_abi.h"

#include <stdlib.h>
#include <time.h>

// In [-1, 1), by a hash.
static inline float noise(uint64_t x)
{
    x = (x + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 29) * 0x94D049BB133111EBu;
    return (float)(int32_t)(x >> 32) / 2147483648.0f;
}

// FAKE_SLEEP_MS: steps that tests can meet under way.
static inline void dawdle(void)
{
    const char *ms = getenv("FAKE_SLEEP_MS");
    struct timespec left = {0, ms ? atoi(ms) * 1000000L : 0};
    while (nanosleep(&left, &left)) // a signal does not shorten it
        ;
}

static inline int64_t no_flops(const nmdrv_sym *sym)
{
    (void)sym;
    return 0;
}

#define COUNT(a) (int64_t)(sizeof(a) / sizeof *(a))
// clang-format off
#define SCALAR(name, buf, dtype) {NMDRV_SCALAR, name, buf, dtype, 0, NULL, -1, "", 0}
#define FIELD(name, buf)         {NMDRV_DATA, name, buf, NMDRV_I32, 2, tokens_dims, DIM_VOCAB, "", 0}
#define BOUND                    {NMDRV_BUF_BOUND, 0, 0, "", ""}
// clang-format on

#endif
