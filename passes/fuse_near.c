// What may be one kernel with a product that it reads through views: rope, which reads both halves
// of a head. A kernel has few columns of a row at hand, side by side (the near dims of ir/dot.h),
// so views may move elements along these alone. It is told by the dims, not by what is computed.
#include "ir/dot.h"
#include "passes/fuse.h"

static int list_results(const nm_fuse *g, const nm_cluster *c, nm_value **result)
{
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        nm_value *v = &g->unit[c->unit[i]].op->out[0];
        if (nm_fuse_is_result(g, v, c))
            result[n++] = v;
    }
    return n;
}

// How many elements of the product differ along the innermost dims alone that are in `moved`; too
// many where others are in it, or dims that not only one operand has.
static int64_t count_near(const nm_fuse *g, const nm_op *dot, uint32_t moved)
{
    const nm_type *unsorted = dot->out[0].type, *t = nm_rank_sort(g->f->module, g->rank, unsorted);
    int n = 0, inner = nm_fuse_count_inner(dot, t);
    for (int i = t->rank; i-- > 0 && moved; n++) {
        uint32_t bit = 1u << nm_type_find(unsorted, t->dim[i].name);
        if (n == inner || !(moved & bit))
            return NM_DOT_NEAR + 1;
        moved &= ~bit;
    }
    return nm_dot_near_elems(n, &t->dim[t->rank - n]);
}

// Does a view read what costs more than a load from cache to compute again? From the product on.
enum { CHEAP = 4 };
static bool views_costly(const nm_fuse *g, const nm_cluster *c)
{
    for (int i = 0; i < c->n; i++)
        for (const nm_read *r = g->unit[c->unit[i]].reads; r; r = r->next_of_reader)
            if (r->viewed && r->from > c->anchor && g->unit[r->from].cost > CHEAP &&
                g->unit[r->from].cluster == g->unit[c->anchor].cluster)
                return true;
    return false;
}

// Does t have the product's dims that are not in `moved`, and n elements of others?
static bool covers(const nm_type *t, const nm_type *product, uint32_t moved, int64_t n)
{
    int64_t extent, own = 1;
    int kept = 0;
    for (int i = 0; i < t->rank; i++) {
        int at = nm_type_find(product, t->dim[i].name);
        bool keeps = at >= 0 && !(moved >> at & 1);
        if (keeps ? t->dim[i].extent != product->dim[at].extent
                  : !nm_extent_is_const(t->dim[i].extent, &extent))
            return false;
        kept += keeps;
        own = keeps || own > n ? own : own * extent;
    }
    return own == n && kept == product->rank - __builtin_popcount(moved) &&
           (moved || kept == t->rank);
}

// Of elements that are read through a view: nothing but the results' dims counts.
const char *nm_fuse_near_law(const nm_fuse *g, const nm_cluster *c)
{
    if (g->f->module->options.flavour == NM_FLAVOUR_gpu)
        return "the product's result is read through a view, and a library stores it as it is";
    const nm_op *dot = g->unit[c->anchor].op;
    nm_value **result = nm_new_n(g->scratch, nm_value *, c->n);
    int n_results = list_results(g, c, result);
    uint32_t moved = nm_dot_moved(dot, n_results, result, g->scratch);
    int64_t near = count_near(g, dot, moved);
    if (near > NM_DOT_NEAR)
        return "the product's result is read through a view, not of few neighbours in its row";
    for (int i = 0; i < n_results; i++)
        if (!covers(result[i]->type, dot->out[0].type, moved, near) ||
            !nm_fuse_same_dims(result[i]->type, result[0]->type))
            return nm_fuse_other_dims;
    return views_costly(g, c) ? "it would be computed again for each view of it" : NULL;
}
