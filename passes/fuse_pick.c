// Merging clusters, the most traffic saved first.
//
// Candidates are pairs of units: one reads the other's result, or both are reductions that read one
// value. The pair that saves most loads and stores of elements is tried; if a law, the cost of
// computing again, or a cycle between kernels forbids it, the next. A merge changes what its
// neighbours save and may do, so refused pairs have another turn after each round of merges. This
// is the greedy scheme of XLA's priority fusion. All ties go to program order: the result depends
// on the program alone.
#include "passes/fuse_pick.h"

#include "passes/fusion.h"

typedef struct pick {
    nm_fuse *g;
    nm_pairs pairs;
    nm_order order;
} pick;

// --- may they merge? ------------------------------------------------------------------------

static bool is_reduction(const nm_fuse *g, int unit)
{
    nm_cluster_kind kind = g->cluster[unit].kind;
    return kind == NM_CLUSTER_row || kind == NM_CLUSTER_column;
}

// Of two that read one value and nothing of each other: two reductions over it, or a row's maximum
// and a map beside it (what is rounded to 8 bits by a scale that is known, and the next scale).
static bool may_share_loads(const nm_fuse *g, int p, int q)
{
    nm_cluster_kind a = g->cluster[p].kind, b = g->cluster[q].kind;
    return is_reduction(g, p) ? a == b || (a == NM_CLUSTER_row && b == NM_CLUSTER_map)
                              : a == NM_CLUSTER_map && b == NM_CLUSTER_row;
}

static nm_cluster_kind joint_kind(nm_cluster_kind a, nm_cluster_kind b)
{
    if (a == b && a != NM_CLUSTER_dot && a != NM_CLUSTER_scatter)
        return a;
    if (a == NM_CLUSTER_map)
        return b;
    return b == NM_CLUSTER_map ? a : NM_CLUSTER_fixed;
}

static nm_cluster join(const nm_fuse *g, int p, int q)
{
    const nm_cluster *a = &g->cluster[p], *b = &g->cluster[q];
    nm_cluster c = {.kind = joint_kind(a->kind, b->kind)};
    c.unit = nm_new_n(g->scratch, int, a->n + b->n);
    for (int i = 0, j = 0; i < a->n || j < b->n;)
        c.unit[c.n++] =
            j == b->n || (i < a->n && a->unit[i] < b->unit[j]) ? a->unit[i++] : b->unit[j++];
    c.anchor = c.unit[c.n - 1];
    for (int i = c.n - 1; i >= 0; i--)
        if (nm_fuse_is_anchor(&g->unit[c.unit[i]]))
            c.anchor = c.unit[i];
    return c;
}

static void assign(nm_fuse *g, const nm_cluster *c, int name)
{
    for (int i = 0; i < c->n; i++)
        g->unit[c->unit[i]].cluster = name;
}

static const char *law(const nm_fuse *g, const nm_cluster *c)
{
    switch (c->kind) {
    case NM_CLUSTER_map: return nm_fuse_map_law(g, c);
    case NM_CLUSTER_row: return nm_fuse_row_law(g, c);
    case NM_CLUSTER_column: return nm_fuse_column_law(g, c);
    case NM_CLUSTER_dot: return nm_fuse_dot_law(g, c);
    case NM_CLUSTER_scatter: return nm_fuse_scatter_law(g, c);
    case NM_CLUSTER_fixed: break;
    }
    nm_bug("cluster of kind %d", (int)c->kind);
}

// The elements over which cluster q computes a value of type t that it takes in.
static double computed_over(const nm_fuse *g, const nm_cluster *q, const nm_type *t)
{
    const nm_op *op = g->unit[q->anchor].op;
    if (q->kind == NM_CLUSTER_row && nm_fuse_within(t, op->out[0].type))
        return nm_fuse_elems(op->out[0].type);
    if (q->kind == NM_CLUSTER_row) // once in each pass over the row
        return (nm_fuse_is_kept(g, q) ? 1 : 2) * nm_fuse_elems(op->in[0]->type);
    if (q->kind == NM_CLUSTER_column)
        return nm_fuse_elems(op->in[0]->type);
    return nm_fuse_elems(op->out[0].type);
}

// Taking maps p into q computes an element as often as q reads it. That may cost as much as storing
// and loading it would (STORE), or anything if it is a plain operation or two (HIDDEN) beside q's
// own loads, or one number in all.
enum { STORE = 16, HIDDEN = 4 };
static const char *recompute_law(const nm_fuse *g, int p, int q)
{
    const nm_cluster *c = &g->cluster[p], *into = &g->cluster[q];
    if (c->kind != NM_CLUSTER_map)
        return NULL;
    double all = 0, most = 1;
    for (int i = 0; i < c->n; i++) {
        double n = nm_fuse_elems(g->unit[c->unit[i]].op->out[0].type);
        all += n * g->unit[c->unit[i]].cost;
        most = n > most ? n : most;
    }
    double cost = all / most;
    for (int i = 0; i < c->n; i++) {
        const nm_type *t = g->unit[c->unit[i]].op->out[0].type;
        double times = computed_over(g, into, t) / nm_fuse_elems(t);
        if (t->rank && nm_fuse_reads(g, q, &g->unit[c->unit[i]].op->out[0]) && cost > HIDDEN &&
            (times - 1) * cost > STORE)
            return "it would be computed again for each element that reads it";
    }
    return NULL;
}

// Templates have tables of fixed length for operands, results and reductions.
enum { MAX_OPERANDS = 40, MAX_UNITS_STORED = 20 };
static bool is_too_wide(const nm_fuse *g, const nm_cluster *c)
{
    int n_in = 0, n_out = 0;
    for (int i = 0; i < c->n; i++) {
        const nm_unit *u = &g->unit[c->unit[i]];
        n_out += nm_fuse_is_anchor(u) || nm_fuse_is_result(g, &u->op->out[0], c);
        for (const nm_read *r = u->reads; r; r = r->next_of_reader)
            n_in += r->from < 0 || g->unit[r->from].cluster != u->cluster;
    }
    return n_in > MAX_OPERANDS || n_out > MAX_UNITS_STORED;
}

// Of what clusters p and q would be together: `joint` has the units of both.
static const char *joint_law(const nm_fuse *g, const nm_cluster *joint, bool kept)
{
    if (is_too_wide(g, joint))
        return "the kernel would have too many operands";
    if (kept && !nm_fuse_is_kept(g, joint) && nm_fuse_cost_of_pass(g, joint) > STORE)
        return "its threads would keep more of a row than they have registers for";
    return law(g, joint);
}

static const char *refuse(pick *k, nm_pair *x, nm_cluster *joint)
{
    nm_fuse *g = k->g;
    int p = g->unit[x->p].cluster, q = g->unit[x->q].cluster;
    if (x->siblings && !may_share_loads(g, p, q))
        return "they only read the same value";
    if (joint_kind(g->cluster[p].kind, g->cluster[q].kind) == NM_CLUSTER_fixed)
        return nm_fuse_apart;
    if (nm_fusion_is_off(g->f->module, nm_fusion_of(g, x)))
        return "it is switched off";
    const char *no = recompute_law(g, p, q);
    if (no)
        return no;
    bool kept = nm_fuse_is_kept(g, &g->cluster[p]) || nm_fuse_is_kept(g, &g->cluster[q]);
    *joint = join(g, p, q);
    assign(g, joint, p);
    no = joint_law(g, joint, kept);
    assign(g, &g->cluster[p], p);
    assign(g, &g->cluster[q], q);
    if (!no && nm_order_parts(&k->order, p, q, &x->between))
        no = "another kernel stands between them";
    return no;
}

// --- the loop -------------------------------------------------------------------------------

static void merge(nm_fuse *g, int p, int q, nm_cluster joint)
{
    g->cluster[p] = joint;
    g->cluster[q].n = 0;
    assign(g, &joint, p);
}

static bool merge_round(pick *k)
{
    bool merged = false;
    nm_pairs_push_all(&k->pairs);
    for (nm_pair *x; (x = nm_pairs_pop(&k->pairs));) {
        nm_cluster joint;
        int p = k->g->unit[x->p].cluster, q = k->g->unit[x->q].cluster;
        x->refused = refuse(k, x, &joint);
        if (x->refused)
            continue;
        nm_order_merge(&k->order, p, q);
        merge(k->g, p, q, joint);
        nm_pairs_push_cluster(&k->pairs, &k->g->cluster[p]);
        merged = true;
    }
    return merged;
}

void nm_fuse_pick(nm_fuse *g)
{
    pick k = {.g = g, .pairs = nm_pairs_find(g), .order = nm_order_new(g)};
    while (merge_round(&k))
        ;
    nm_fuse_remark(g, &k.pairs);
}
