// The parts of simplify, each to be run until none changes anything. All keep the function's
// meaning.
#ifndef NM_PASSES_SIMPLIFY_H
#define NM_PASSES_SIMPLIFY_H

#include "ir/ir.h"

// All of the pass, for one function.
void nm_simplify_func(nm_func *f, bool *changed);

// simplify_map.c: constants are folded, broadcasts move behind the maps that read them.
void nm_simplify_maps(nm_func *f, bool *changed);
// simplify_loop.c: repeats carry, take and give only what is read.
void nm_simplify_loops(nm_func *f, bool *changed);
// Pure ops that nobody reads go, in bodies, too. changed: may be NULL.
void nm_drop_dead(nm_func *f, bool *changed);

#endif
