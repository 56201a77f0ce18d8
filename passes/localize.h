// Private to localize: what its parts give each other. passes/localize.c is the pass.
#ifndef NM_PASSES_LOCALIZE_H
#define NM_PASSES_LOCALIZE_H

#include "ir/ir.h"

typedef struct nm_splits nm_splits; // the dims that are split in some function, and into what

// All of the module, while its types have axes. In m->arena. NULL: reported.
nm_splits *nm_splits_find(nm_module *m);
// The axes over which `f` (outermost) sees the dim split: those of the type, behind pp where it
// is a unit's.
nm_axes nm_split_axes(nm_module *m, const nm_func *f, const nm_dim *d);
// The extent on one rank of the dim as `f` has it; its own, if it is whole.
const nm_extent *nm_split_local(nm_splits *s, const nm_func *f, const nm_dim *d);

// Ops with code of their own on a part. False: reported.
bool nm_localize_ops(nm_func *f);

// Masks for what lies behind the total of dims that are stored padded. False: reported.
bool nm_localize_padding(nm_func *f);

#endif
