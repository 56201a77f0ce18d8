// Cutting a function into parts: each is a copy of the whole in which the values that another part
// provides are parameters; dead code does the rest. Used by accumulate (in time) and units (in
// space).
#ifndef NM_PASSES_PARTS_H
#define NM_PASSES_PARTS_H

#include "ir/ir.h"

// A copy at the end of the module; *map (made here, in the module's arena) takes old ids to values.
nm_func *nm_part_copy(nm_func *f, nm_sym name, nm_value ***map);
// Drop what nobody reads, until nothing changes; parameters stay.
void nm_part_clean(nm_func *f);
void nm_part_drop_params(nm_func *f); // those that nobody reads

typedef struct nm_gives { // the results of a part, as they are collected
    int n;
    nm_value **value;
    nm_bind *bind;
} nm_gives;

void nm_part_give(nm_gives *g, nm_value *v, nm_bind bind); // in the module's arena
// f gives these instead of what it gave, and is cleaned of all that they do not need.
void nm_part_end(nm_func *f, const nm_gives *g);

#endif
