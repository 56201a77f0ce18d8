// What the emulator's tests share: a device, random numbers, bf16, launches that must succeed or
// must be reported.
#ifndef NM_TESTS_EMU_RIG_H
#define NM_TESTS_EMU_RIG_H

#include "runtime/emu/emu.h"
#include "runtime/emu/prims.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mode_name[] = {"eager", "lazy", "random"};
static int rig_failures;

static inline double uniform(void) // -1 .. 1
{
    static u64 state = 88172645463325252;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) / (1l << 52) - 1;
}

static inline double wide(u16 h)
{
    u32 u = (u32)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static inline u16 *random_bf16(nmemu *m, u64 n, double scale)
{
    u16 *p = nmemu_alloc(m, 2 * n, "random numbers");
    for (u64 i = 0; i < n; i++)
        p[i] = to_bf16((float)(scale * uniform()));
    return p;
}

static inline void fails(const char *what)
{
    printf("FAIL %s\n", what);
    rig_failures++;
}

#define HOLDS(condition) ((condition) ? (void)0 : fails(#condition))

// NULL is right; words are the test's end.
static inline void must(const char *error)
{
    if (error) {
        printf("FAIL %s\n", error);
        exit(1);
    }
}

// The larger one; a NaN stays.
static inline double worse(double worst, double e) { return e <= worst ? worst : e; }

#endif
