// The templates' tests: what they share. They are linked with bitcode, not with the compiler.
#ifndef NM_TESTS_TEMPLATES_CHECK_H
#define NM_TESTS_TEMPLATES_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int check_failures;

#define check(TRUE_, ...)                                                                          \
    do {                                                                                           \
        if (!(TRUE_) && check_failures++ < 20) {                                                   \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
        }                                                                                          \
    } while (0)

static inline int check_done(void) { return check_failures != 0; }

// Ends the test, passed, on a machine that lacks these vectors.
static inline void check_cpu(void)
{
    const char *level = NM_VL == 16 ? "x86-64-v4" : NM_VL == 8 ? "x86-64-v3" : "x86-64-v2";
    int ok = NM_VL == 16  ? __builtin_cpu_supports("x86-64-v4")
             : NM_VL == 8 ? __builtin_cpu_supports("x86-64-v3")
                          : __builtin_cpu_supports("x86-64-v2");
    if (ok)
        return;
    printf("skipped: this machine is no %s\n", level);
    exit(0);
}

static inline float *check_floats(int64_t n, uint32_t seed) // in [-1, 1), a few of them equal
{
    float *x = malloc((size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 20) / 2048 - 1;
    }
    return x;
}

#endif
