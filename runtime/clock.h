// Time for rates and limits; never for results.
#ifndef NMRT_CLOCK_H
#define NMRT_CLOCK_H

#include <stdbool.h>

double nmrt_seconds(void); // monotonic, from some moment on

// Has the process had some time on a processor since this was last so? pid 0: the own process, but
// for the calling thread. *had: 0 at first.
bool nmrt_process_ran(int pid, double *had);

#endif
