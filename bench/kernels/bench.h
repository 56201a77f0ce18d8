// What the kernel benches share: a clock that counts this thread's own time (the machine may be
// shared), the best of several runs, and the peak of the machine's multiply-adds to compare with.
#ifndef NM_BENCH_KERNELS_BENCH_H
#define NM_BENCH_KERNELS_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static inline double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef void bench_fn(const void *what);

// The best of as many runs as fit in about half a second, at least 3.
static inline double best_of(bench_fn *run, const void *what)
{
    double best = 1e30, all = 0;
    for (int i = 0; i < 3 || (all < 0.5 && i < 1000); i++) {
        double t = seconds();
        run(what);
        t = seconds() - t;
        all += t;
        best = t < best ? t : best;
    }
    return best;
}

static inline float *floats(int64_t n)
{
    enum { HUGE = 2 << 20 };
    float *x = aligned_alloc(HUGE, (size_t)(n * 4 + HUGE) / HUGE * HUGE);
    madvise(x, (size_t)(n * 4), MADV_HUGEPAGE); // as the runtime does
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(rand() % 2048) / 1024 - 1;
    return x;
}

typedef float bench_vf __attribute__((vector_size(4 * NM_VL)));

// GFLOP/s of independent multiply-adds in registers: one thread's peak.
static double fma_peak(void)
{
    enum { CHAINS = NM_VL == 16 ? 24 : 12, TURNS = 20000000 };
    double best = 0;
    for (int run = 0; run < 5; run++) {
        bench_vf x[CHAINS] = {{0}}, a = (bench_vf){0} + 0.5f, b = a * 2;
        __asm__ volatile("" : "+x"(a), "+x"(b));
        double t = seconds();
        for (int i = 0; i < TURNS / 4; i++) {
#pragma clang loop unroll(full)
            for (int c = 0; c < CHAINS; c++)
                x[c] = x[c] * a + b;
        }
        t = seconds() - t;
        for (int c = 0; c < CHAINS; c++)
            __asm__ volatile("" ::"x"(x[c]));
        double rate = 2.0 * NM_VL * CHAINS * (TURNS / 4) / t * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

#endif
