// What this machine can do at most: f32 multiply-adds in registers, and memory. One thread's, as
// the best of several runs by the threads' own CPU time, so that other work on the machine counts
// little.
//   clang-22 -O1 -march=native -ffp-contract=fast -DNM_VL=16|8|4 -I. bench/machine.c -lpthread
// Prints: GFLOP/s of one thread; GB/s that two threads together read, and update as AdamW does
// (four arrays read, three of them written: 28 bytes an element).
#include "bench/kernels/bench.h"

#include <pthread.h>

enum { THREADS = 2, N = 1 << 24, RUNS = 7 }; // floats of an array: 64 MiB, four a thread

static pthread_barrier_t together; // both threads read, or both update: memory is theirs alone

typedef struct lane { // of a thread
    float *x[4];
    double read, update; // seconds, the best
} lane;

// Fetched a KiB ahead: without it one thread reads a third less.
static double sum_of(const float *x)
{
    bench_vf sum[8] = {{0}};
    for (int64_t i = 0; i < N; i += 8 * NM_VL)
#pragma clang loop unroll(full)
        for (int u = 0; u < 8; u++) {
            __builtin_prefetch(x + i + u * NM_VL + 256, 0, 2);
            sum[u] += *(const bench_vf *)(x + i + u * NM_VL);
        }
    double all = 0;
    for (int u = 0; u < 8; u++)
        all += (double)sum[u][0];
    return all;
}

static void update(lane *a)
{
    for (int64_t i = 0; i < N; i += NM_VL) {
        bench_vf *x[4];
        for (int k = 0; k < 4; k++)
            x[k] = (bench_vf *)(a->x[k] + i);
        *x[1] = *x[1] * 0.9f + *x[0] * 0.1f;
        *x[2] = *x[2] * 0.9f + *x[0] * *x[0] * 0.1f;
        *x[3] = *x[3] * 0.999f - *x[1] * *x[2];
    }
}

static double least(double a, double b) { return a < b ? a : b; }

static void *run(void *user)
{
    lane *a = user;
    for (int k = 0; k < 4; k++)
        a->x[k] = floats(N);
    a->read = a->update = 1e30;
    for (int i = 0; i < RUNS; i++) {
        pthread_barrier_wait(&together);
        double begin = seconds();
        volatile double sink = 0;
        for (int k = 0; k < 4; k++)
            sink += sum_of(a->x[k]);
        a->read = least(a->read, seconds() - begin);
        pthread_barrier_wait(&together);
        begin = seconds();
        update(a);
        a->update = least(a->update, seconds() - begin);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    lane a[THREADS];
    pthread_barrier_init(&together, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, run, &a[i]))
            return 1;
    double read = 0, updated = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        read += 16e-9 * N / a[i].read;
        updated += 28e-9 * N / a[i].update;
    }
    printf("%.1f %.1f %.1f\n", fma_peak(), read, updated);
    return 0;
}
