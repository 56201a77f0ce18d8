// What a row kernel computes once. It meets a row once for each sum that waits for another, and
// once more to store: an element that several of these passes need is computed in each, but on a
// GPU where a thread keeps its part of the row in registers (ir/team.h): what is drawn, or goes
// through an exponential, may ride on a sum there.
#include "ir/team.h"
#include "passes/fuse.h"

static const nm_op *anchor_of(const nm_fuse *g, const nm_cluster *c)
{
    return g->unit[c->anchor].op;
}

// Elements of a row of this sum, if all sizes are constants; else 0.
static int64_t row_length(const nm_op *sum)
{
    const nm_type *t = sum->in[0]->type;
    int64_t n = 1, here;
    for (int i = 0; i < t->rank; i++) {
        if (nm_has_dim(sum->out[0].type, t->dim[i].name))
            continue;
        if (!nm_extent_is_const(t->dim[i].extent, &here))
            return 0;
        n *= here;
    }
    return n;
}

static int count_wide(const nm_fuse *g, const nm_cluster *c)
{
    const nm_type *all = anchor_of(g, c)->in[0]->type;
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        const nm_value *v = &g->unit[c->unit[i]].op->out[0];
        n += nm_fuse_is_result(g, v, c) && nm_fuse_same_dims(v->type, all);
    }
    return n;
}

bool nm_fuse_is_kept(const nm_fuse *g, const nm_cluster *c)
{
    bool gpu = g->f->module->options.flavour == NM_FLAVOUR_gpu;
    if (!gpu || c->kind != NM_CLUSTER_row || !anchor_of(g, c)->out[0].type->rank)
        return false;
    nm_row_shape row = {row_length(anchor_of(g, c)), count_wide(g, c),
                        .exact = g->f->module->options.precision <= NM_PRECISION_f32};
    return nm_row_is_kept(row);
}

// Which units of c, by place, a sum of it needs.
static bool *find_summed(const nm_fuse *g, const nm_cluster *c)
{
    bool *summed = nm_new_n(g->scratch, bool, c->n);
    for (int i = c->n; i-- > 0;) {
        const nm_unit *u = &g->unit[c->unit[i]];
        if (!summed[i] && !nm_fuse_is_anchor(u))
            continue;
        for (const nm_read *r = u->reads; r; r = r->next_of_reader)
            for (int k = 0; k < i; k++)
                summed[k] |= c->unit[k] == r->from;
    }
    return summed;
}

double nm_fuse_cost_of_pass(const nm_fuse *g, const nm_cluster *c)
{
    const bool *summed = find_summed(g, c);
    double elems = nm_fuse_elems(anchor_of(g, c)->in[0]->type), cost = 0;
    for (int i = 0; i < c->n; i++) {
        const nm_unit *u = &g->unit[c->unit[i]];
        if (summed[i] && !nm_fuse_is_anchor(u))
            cost += u->cost * nm_fuse_elems(u->op->out[0].type) / elems;
    }
    return cost;
}
