// Localize: from the program of a mesh to that of one rank (docs/mesh.md, "Local form"). Before, a
// type says of the whole tensor which dims are split over which axes and what sums are pending;
// after, types are of one rank's part: extents that are symbols (ff/tp is ff=ff.tp), no axes,
// nothing pending. Every pass below sees an ordinary program, with collectives in it.
//
//   1. passes/localize_extent.c finds the split dims and declares a symbol for each;
//   2. types are replaced, in the whole function at once;
//   3. passes/localize_ops.c writes out what ops over a split dim mean on a part;
//   4. passes/localize_pad.c masks what lies behind the end of dims that are stored padded.
//
// The parameter table and the numbers of `size` stay those of the whole tensors.
#include "passes/localize.h"

#include "passes/pass.h"
#include "passes/retype.h"

typedef struct map {
    nm_splits *splits;
    const nm_func *f;
} map;

static const nm_type *local_type(nm_module *m, const nm_type *t, void *user)
{
    const map *x = user;
    nm_type local = *t;
    for (int i = 0; i < t->rank; i++) {
        local.dim[i].extent = nm_split_local(x->splits, x->f, &t->dim[i]);
        local.dim[i].axes = (nm_axes){0};
    }
    local.pending = (nm_axes){0};
    local.kind = NM_PENDING_SUM;
    return nm_type_get(m, &local);
}

static bool localize(nm_splits *splits, nm_func *f, bool *changed)
{
    nm_retype_func(f, local_type, &(map){splits, f}, changed);
    return nm_localize_ops(f) && nm_localize_padding(f);
}

bool nm_pass_localize(nm_module *m, bool *changed)
{
    int n_dims = m->n_dims;
    nm_splits *splits = nm_splits_find(m);
    if (!splits)
        return false;
    bool ok = true;
    *changed |= m->n_dims != n_dims;
    nm_each_func(f, m)
        ok &= localize(splits, f, changed);
    return ok;
}
