// Time for rates and limits; never for results.
#ifndef NMRT_CLOCK_H
#define NMRT_CLOCK_H

double nmrt_seconds(void); // monotonic, from some moment on

#endif
