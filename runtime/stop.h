// SIGINT, SIGTERM, and SIGHUP of a terminal that is gone: the first asks the run to save and end,
// the second ends it at once, but for SIGHUP, of which shells send two. SIGPIPE, of an output that
// nobody reads any more, asks, too.
#ifndef NMRT_STOP_H
#define NMRT_STOP_H

#include "runtime/status.h"

#include <stdbool.h>

typedef struct nmrt_recorder nmrt_recorder; // runtime/recorder.h

void nmrt_stop_install(void);
// In a forked rank: what asks one asks all, and the parent says so.
void nmrt_stop_follow(nmrt_recorder *recorder);
bool nmrt_stop_asked(void);
// NMRT_STOPPED once a signal came: what long work asks between its parts.
nmrt_status nmrt_stop_check(nmrt_error *e);

#endif
