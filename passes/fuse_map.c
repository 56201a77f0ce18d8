// What may be one map kernel: its results have the same dims. And what the laws of all kinds share.
#include "passes/fuse.h"

#include <string.h>

const char *nm_fuse_map_law(const nm_fuse *g, const nm_cluster *c)
{
    const nm_type *space = NULL;
    for (int i = 0; i < c->n; i++) {
        const nm_value *v = &g->unit[c->unit[i]].op->out[0];
        if (!nm_fuse_is_result(g, v, c))
            continue;
        if (space && !nm_fuse_same_dims(space, v->type))
            return "its results have other dims";
        space = v->type;
    }
    return NULL;
}

static int place_in(const nm_cluster *c, int unit)
{
    for (int i = 0; i < c->n; i++)
        if (c->unit[i] == unit)
            return i;
    return -1;
}

bool *nm_fuse_after_anchor(const nm_fuse *g, const nm_cluster *c, const nm_read **viewed)
{
    bool *after = nm_new_n(g->scratch, bool, c->n);
    *viewed = NULL;
    for (int i = 0; i < c->n; i++) {
        const nm_unit *u = &g->unit[c->unit[i]];
        after[i] = nm_fuse_is_anchor(u);
        for (const nm_read *r = u->reads; r; r = r->next_of_reader) {
            int at = r->from < 0 ? -1 : place_in(c, r->from);
            if (at < 0 || !after[at])
                continue;
            after[i] = true;
            if (r->viewed)
                *viewed = r;
        }
    }
    return after;
}
