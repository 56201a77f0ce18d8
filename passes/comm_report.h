// --explain-comm: what a program sends, before it is anybody's part.
#ifndef NM_PASSES_COMM_REPORT_H
#define NM_PASSES_COMM_REPORT_H

#include "ir/ir.h"

// Every collective that sends something (after shard, before localize), by text of the program
// (docs/mesh.md, Modes) and by phase: its kind, its axes, the type of its larger side, how many
// bytes of that a rank has; then the parameter that it is of and the line that declares it, or the
// line of the model that asked for it. Behind each text what a micro-batch and a step send in all.
// m->options.comm_text: of this text alone.
void nm_comm_print(FILE *out, nm_module *m);
// Has the program a text of that name? False: reported.
bool nm_comm_has_text(nm_module *m, const char *text);

#endif
