// Fusions by name: passes/fusions.def.
#ifndef NM_PASSES_FUSION_H
#define NM_PASSES_FUSION_H

#include "base/list.h"
#include "passes/fuse_pick.h"

typedef enum {
#define FUSION(name, what) NM_FUSION_##name,
#include "passes/fusions.def"
#undef FUSION
    NM_N_FUSIONS
} nm_fusion;

// Which one merging the clusters of x would be; NM_N_FUSIONS: one that is never off.
nm_fusion nm_fusion_of(const nm_fuse *g, const nm_pair *x);
bool nm_fusion_is_off(const nm_module *m, nm_fusion f);

// --- names: fuse.bias ------------------------------------------------------------------------

int nm_fusion_find(nm_item name);                // an nm_fusion, or -1
const char *nm_fusion_nearest(const char *name); // NULL: none is near
// Those of a list of names, as bits; other names are passes'.
unsigned nm_fusions_listed(const char *list);

#endif
