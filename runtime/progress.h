// How far a training run is: one line that is rewritten on a terminal, lines now and then
// elsewhere.
#ifndef NMRT_PROGRESS_H
#define NMRT_PROGRESS_H

#include "runtime/metrics.h"
#include "runtime/output.h"

typedef struct nmrt_progress {
    const nmrt_output *out;
    int64_t steps, log_every;
    double until;        // nmrt_seconds() at which the run ends by --max-seconds; 0: none
    double last, step_s; // when the line was last written; smoothed seconds a step
    bool open;           // a rewritable line stands on the terminal
} nmrt_progress;

void nmrt_progress_step(nmrt_progress *p, const nmrt_row *row);
void nmrt_progress_end(nmrt_progress *p); // leaves the last line as it is; call before other output

#endif
