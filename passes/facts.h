// Checkers of the facts in passes/pass.h, and counting.
#ifndef NM_PASSES_FACTS_H
#define NM_PASSES_FACTS_H

#include "ir/ir.h"

// A sentence about the first of `facts` that does not hold, in m->arena; NULL: all hold.
const char *nm_facts_disprove(nm_module *m, unsigned facts);
// The name of the first of `facts`.
const char *nm_facts_name(unsigned facts);
// Ops of all functions and bodies.
int nm_facts_count_ops(nm_module *m);

#endif
