// How level a machine's processors are: N threads do equal work of about 15 ms that stays in their
// caches, 200 times, each by itself. Were all to wait for the slowest each time, as ranks do where
// they meet, they would reach this part of what they do alone. No mesh of N ranks with blocking
// collectives gets beyond it.
// Usage: level N
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 200, FLOATS = 1 << 16, MOST = 64 };

static double took[MOST][ROUNDS];
static int repeats;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void work(float *x, int n)
{
    for (int r = 0; r < n; r++)
        for (int i = 0; i < FLOATS; i++)
            x[i] = x[i] * 0.999f + 0.5f;
}

static void *run(void *row)
{
    float *x = calloc(FLOATS, sizeof *x);
    for (int i = 0; i < ROUNDS && x; i++) {
        double start = now();
        work(x, repeats);
        ((double *)row)[i] = now() - start;
    }
    free(x);
    return NULL;
}

static void calibrate(void)
{
    static float x[FLOATS];
    work(x, 1000);
    double start = now();
    work(x, 1000);
    repeats = (int)(1000 * 0.015 / (now() - start)) + 1;
}

int main(int argc, char **argv)
{
    int n = argc == 2 ? atoi(argv[1]) : 0;
    if (n < 1 || n > MOST) {
        fprintf(stderr, "usage: level N, from 1 to %d\n", MOST);
        return 2;
    }
    pthread_t thread[MOST];
    calibrate();
    for (int i = 0; i < n; i++)
        if (pthread_create(&thread[i], NULL, run, took[i]))
            return 1;
    double sum = 0, slowest = 0;
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (int r = 0; r < ROUNDS; r++) {
        double most = 0;
        for (int i = 0; i < n; i++) {
            sum += took[i][r] / n;
            most = took[i][r] > most ? took[i][r] : most;
        }
        slowest += most;
    }
    printf("%.3f\n", sum / slowest);
}
