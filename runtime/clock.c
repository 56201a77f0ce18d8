// Monotonic time, and that of processes on processors.
#define _GNU_SOURCE
#include "runtime/clock.h"

#include <time.h>

static const double SOME = 0.02; // seconds: more than it takes to tell the others a state

static double seconds_of(clockid_t clock)
{
    struct timespec t = {0, 0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double nmrt_seconds(void) { return seconds_of(CLOCK_MONOTONIC); }

bool nmrt_process_ran(int pid, double *had)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    if (pid && clock_getcpuclockid(pid, &clock))
        return false;
    double now = seconds_of(clock) - (pid ? 0 : seconds_of(CLOCK_THREAD_CPUTIME_ID));
    if (now - *had < SOME)
        return false;
    *had = now;
    return true;
}
