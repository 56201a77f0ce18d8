// Give every value and parameter of a module the type that a function makes of its type.
#ifndef NM_PASSES_RETYPE_H
#define NM_PASSES_RETYPE_H

#include "ir/ir.h"

typedef const nm_type *nm_type_map(nm_module *m, const nm_type *t, void *user);

void nm_retype(nm_module *m, nm_type_map *map, void *user, bool *changed);
// Only the values of a function and its bodies.
void nm_retype_func(nm_func *f, nm_type_map *map, void *user, bool *changed);

#endif
