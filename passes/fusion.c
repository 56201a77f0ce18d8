// What a merge of two clusters is called (passes/fusions.def).
#include "passes/fusion.h"

static const char *const fusion_name[NM_N_FUSIONS] = {
#define FUSION(name, what) "fuse." #name,
#include "passes/fusions.def"
#undef FUSION
};

int nm_fusion_find(nm_item name) { return nm_item_find(name, NM_N_FUSIONS, fusion_name); }

const char *nm_fusion_nearest(const char *name)
{
    return nm_nearest(name, fusion_name, NM_N_FUSIONS);
}

unsigned nm_fusions_listed(const char *list)
{
    unsigned bits = 0;
    nm_each_item(name, list) {
        int i = nm_fusion_find(name);
        bits |= i < 0 ? 0 : 1u << i;
    }
    return bits;
}

bool nm_fusion_is_off(const nm_module *m, nm_fusion f)
{
    return f < NM_N_FUSIONS && m->options.unfused >> f & 1;
}

// --- which one -------------------------------------------------------------------------------

static bool is_kind(const nm_fuse *g, const nm_pair *x, nm_cluster_kind kind)
{
    return g->cluster[g->unit[x->p].cluster].kind == kind ||
           g->cluster[g->unit[x->q].cluster].kind == kind;
}

// What a map of two operands reads beside the other unit's result; NULL: nothing, or no map of two.
static const nm_value *read_beside(const nm_op *map, const nm_op *from)
{
    if (map->n_in != 2)
        return NULL;
    bool first = map->in[0]->def == from;
    return map->in[first]->def == from ? NULL : map->in[first];
}

// Does q's kernel read its own values, or p's, through views?
static bool reads_neighbours(const nm_fuse *g, const nm_pair *x)
{
    int p = g->unit[x->p].cluster, q = g->unit[x->q].cluster;
    const nm_cluster *c = &g->cluster[q];
    for (int i = 0; i < c->n; i++)
        for (const nm_read *r = g->unit[c->unit[i]].reads; r; r = r->next_of_reader)
            if (r->viewed && r->from >= 0 &&
                (g->unit[r->from].cluster == p || g->unit[r->from].cluster == q))
                return true;
    return false;
}

// A map behind a product: q reads p. One in front of it is what p is called by.
static nm_fusion of_product(const nm_fuse *g, const nm_pair *x)
{
    const nm_op *map = g->unit[x->q].op;
    const nm_value *beside = read_beside(map, g->unit[x->p].op);
    bool adds = map->code == NM_OP_add || map->code == NM_OP_sub;
    if (reads_neighbours(g, x))
        return NM_FUSION_rotary;
    bool large = beside && nm_fuse_elems(beside->type) > nm_fuse_elems(map->out[0].type) / 2;
    if (adds && large && !beside->def)
        return NM_FUSION_accumulate;
    if (adds && beside)
        return large ? NM_FUSION_residual : NM_FUSION_bias;
    bool gates = map->code == NM_OP_mul && large && !g->freed[beside->id];
    return gates ? NM_FUSION_gate : NM_FUSION_activation;
}

// At the end of a step parameters are updated.
static bool is_at_end(const nm_func *f)
{
    nm_phase phase = f->part.phase;
    return phase == NM_PHASE_before || phase == NM_PHASE_middle || phase == NM_PHASE_after;
}

nm_fusion nm_fusion_of(const nm_fuse *g, const nm_pair *x)
{
    if (is_kind(g, x, NM_CLUSTER_scatter))
        return NM_N_FUSIONS;
    if (is_kind(g, x, NM_CLUSTER_dot))
        return of_product(g, x);
    if (is_kind(g, x, NM_CLUSTER_row))
        return NM_FUSION_rows;
    if (is_kind(g, x, NM_CLUSTER_column))
        return NM_FUSION_columns;
    return is_at_end(nm_func_outer(g->f)) ? NM_FUSION_optimizer : NM_FUSION_maps;
}
