// The order of a link's dims: the function that gives it and those that take it have to agree, so
// it follows from the type and the module alone. The dim that a unit is cut into chunks by comes
// first, then the dims that other repeats run over: what a scan saves in each turn of a unit's
// repeat is taken apart in both, without a copy.
#include "passes/layout.h"

#include <string.h>

// Is the dim the one over which a unit's repeat may be run in chunks?
static bool is_chunked(nm_module *m, const nm_dim *d)
{
    static const char pp[] = "pp";
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *decl = &m->dim[i];
        if (decl->of == d->name && decl->axes.n == 1 && !strcmp(decl->axes.axis[0], pp) &&
            d->extent == decl->extent)
            return true;
    }
    return false;
}

typedef enum { FIRST, SECOND, LAST } place;

static place place_of(nm_module *m, const nm_rank *rank, const nm_dim *d)
{
    return is_chunked(m, d) ? FIRST : nm_syms_has(rank->repeated, d->name) ? SECOND : LAST;
}

const nm_type *nm_layout_link(nm_module *m, const nm_rank *rank, const nm_type *t)
{
    const nm_type *sorted = nm_rank_sort(m, rank, t);
    nm_type link = *sorted;
    link.rank = 0;
    for (place at = FIRST; at <= LAST; at++)
        for (int i = 0; i < sorted->rank; i++)
            if (place_of(m, rank, &sorted->dim[i]) == at)
                link.dim[link.rank++] = sorted->dim[i];
    return nm_type_get(m, &link);
}
