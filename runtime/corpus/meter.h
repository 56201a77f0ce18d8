// How far a run through a corpus is: one line that is rewritten on a terminal, a line now and then
// elsewhere.
#ifndef NMRT_CORPUS_METER_H
#define NMRT_CORPUS_METER_H

#include "runtime/output.h"

#include <stdint.h>

typedef struct nmrt_meter {
    const nmrt_output *out;
    int64_t total;      // bytes to read; -1: not known
    int64_t first;      // bytes that an earlier run had read
    double begun, last; // nmrt_seconds(): of this run; when the line was last written
    bool open;          // a rewritable line stands on the terminal
} nmrt_meter;

nmrt_meter nmrt_meter_start(const nmrt_output *out, int64_t total, int64_t first);
// tokens -1: there are none.
void nmrt_meter_move(nmrt_meter *m, int64_t bytes, int64_t documents, int64_t tokens);
void nmrt_meter_end(nmrt_meter *m); // call before other output
double nmrt_meter_seconds(const nmrt_meter *m);

#endif
