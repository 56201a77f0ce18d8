// --emit=graph: one self-contained HTML page of a compiled module.
#ifndef NM_GRAPH_H
#define NM_GRAPH_H

#include "ir/ir.h"

#include <stdio.h>

// Functions, their kernels in order, and the buffers that these read and write, with sizes.
void nm_graph_print(FILE *out, nm_module *m);

#endif
