// SIGINT and SIGTERM: the first asks the run to save and end, the second ends it at once.
#ifndef NMRT_STOP_H
#define NMRT_STOP_H

#include "runtime/status.h"

#include <stdbool.h>

void nmrt_stop_install(void); // also: a full file-size limit is an error of write, not a signal
bool nmrt_stop_asked(void);
// NMRT_STOPPED once a signal came: what long work asks between its parts.
nmrt_status nmrt_stop_check(nmrt_error *e);

#endif
