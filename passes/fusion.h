// Fusions by name: passes/fusions.def.
#ifndef NM_PASSES_FUSION_H
#define NM_PASSES_FUSION_H

#include "passes/fuse_pick.h"

typedef enum {
#define FUSION(name, what) NM_FUSION_##name,
#include "passes/fusions.def"
#undef FUSION
    NM_N_FUSIONS
} nm_fusion;

// Which one merging the clusters of x would be.
nm_fusion nm_fusion_of(const nm_fuse *g, const nm_pair *x);
bool nm_fusion_is_off(const nm_module *m, nm_fusion f);

// --- names: fuse.bias ------------------------------------------------------------------------

// The fusion of this name of `len` characters, or -1.
int nm_fusion_find(const char *name, size_t len);
// Those of a list of names, as bits; other names are passes'.
unsigned nm_fusions_listed(const char *list);

#endif
