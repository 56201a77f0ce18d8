// --explain-comm: what a program sends, before it is anybody's part.
#ifndef NM_PASSES_COMM_REPORT_H
#define NM_PASSES_COMM_REPORT_H

#include "ir/ir.h"

// Every collective that sends something, function by function (after shard, before localize): its
// kind, its axes, the type of its larger side, how many bytes of that a rank has, and the line of
// the model that asked for it.
void nm_comm_print(FILE *out, nm_module *m);

#endif
