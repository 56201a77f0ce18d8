// Which clusters might merge, and what that would save.
#include "passes/fuse_pick.h"

#include <string.h>

static void *grow(nm_arena *arena, void *old, int n, int *room, size_t size)
{
    if (n < *room)
        return old;
    *room = *room ? 2 * *room : 256;
    void *more = nm_arena_alloc(arena, (size_t)*room * size);
    if (n)
        memcpy(more, old, (size_t)n * size);
    return more;
}

// --- candidates -----------------------------------------------------------------------------

static void add_pair(nm_pairs *k, int p, int q, bool siblings)
{
    k->pair = grow(k->g->scratch, k->pair, k->n, &k->room, sizeof *k->pair);
    k->pair[k->n] =
        (nm_pair){.p = p, .q = q, .siblings = siblings, .between = -1, .next = {k->first[p], -1}};
    k->first[p] = 2 * k->n;
    k->pair[k->n].next[1] = k->first[q];
    k->first[q] = 2 * k->n + 1;
    k->n++;
}

enum { MAX_SIBLINGS = 8 }; // readers of one value that are looked at
static void pair_siblings(nm_pairs *k, const nm_value *v)
{
    int n = 0, reader[MAX_SIBLINGS];
    for (const nm_read *r = k->g->readers[v->id]; r && n < MAX_SIBLINGS; r = r->next_of_value)
        if (k->g->cluster[r->reader].kind != NM_CLUSTER_fixed)
            reader[n++] = r->reader;
    for (int i = n - 1; i >= 0; i--)
        for (int j = i - 1; j >= 0; j--)
            if (reader[i] != reader[j])
                add_pair(k, reader[i], reader[j], true);
}

nm_pairs nm_pairs_find(nm_fuse *g)
{
    nm_pairs k = {.g = g, .first = nm_new_n(g->scratch, int, g->n_units)};
    for (int u = 0; u < g->n_units; u++)
        k.first[u] = -1;
    for (int u = 0; u < g->n_units; u++) {
        for (const nm_read *r = g->unit[u].reads; r; r = r->next_of_reader)
            if (r->from >= 0)
                add_pair(&k, r->from, u, false);
        for (int i = 0; i < g->unit[u].op->n_out; i++)
            pair_siblings(&k, &g->unit[u].op->out[i]);
    }
    for (int i = 0; i < g->f->n_params; i++)
        pair_siblings(&k, g->f->param[i]);
    return k;
}

// --- what a merge saves ---------------------------------------------------------------------

static bool reads_itself(const nm_fuse *g, const nm_cluster *c, const nm_value *v)
{
    for (int i = 0; i < c->n; i++)
        for (const nm_read *r = g->unit[c->unit[i]].reads; r; r = r->next_of_reader)
            if (r->value == v)
                return true;
    return false;
}

// What a whole step reads (a factor that clips all gradients) has more readers than a cluster reads
// values.
enum { FEW_READERS = 16 };
bool nm_fuse_reads(const nm_fuse *g, int cluster, const nm_value *v)
{
    int n = 0;
    for (const nm_read *r = g->readers[v->id]; r; r = r->next_of_value) {
        if (g->unit[r->reader].cluster == cluster)
            return true;
        if (++n == FEW_READERS)
            return reads_itself(g, &g->cluster[cluster], v);
    }
    return false;
}

static bool read_by_these_alone(const nm_fuse *g, const nm_value *v, int p, int q)
{
    if (g->stored[v->id])
        return false;
    for (const nm_read *r = g->readers[v->id]; r; r = r->next_of_value)
        if (g->unit[r->reader].cluster != p && g->unit[r->reader].cluster != q)
            return false;
    return true;
}

// q's loads of what p computes, and p's stores of it if nobody else loads them.
static double saved_results(const nm_fuse *g, int p, int q)
{
    double saves = 0;
    const nm_cluster *c = &g->cluster[p];
    for (int i = 0; i < c->n; i++) {
        const nm_op *op = g->unit[c->unit[i]].op;
        for (int j = 0; j < op->n_out; j++) {
            const nm_value *v = &op->out[j];
            if (nm_fuse_reads(g, q, v))
                saves += nm_fuse_traffic(v->type) * (read_by_these_alone(g, v, p, q) ? 2 : 1);
        }
    }
    return saves;
}

// Loads of values of others that p and q both read.
static double saved_loads(const nm_fuse *g, int p, int q)
{
    double saves = 0;
    const nm_cluster *c = &g->cluster[q];
    for (int i = 0; i < c->n; i++)
        for (const nm_read *r = g->unit[c->unit[i]].reads; r; r = r->next_of_reader) {
            bool inner =
                r->from >= 0 && (g->unit[r->from].cluster == p || g->unit[r->from].cluster == q);
            if (!inner && nm_fuse_reads(g, p, r->value))
                saves += nm_fuse_traffic(r->value->type);
        }
    return saves;
}

// In elements loaded and stored. A scatter that takes an add need not store zeros first: twice.
// What a product stores anyway its reader may as well load: such pairs come after others that save
// the same.
static double savings(const nm_fuse *g, int p, int q)
{
    double results = saved_results(g, p, q) + saved_results(g, q, p),
           all = results + saved_loads(g, p, q);
    if (g->cluster[p].kind == NM_CLUSTER_scatter)
        return 2 * all;
    bool stored = results < 2 * nm_fuse_traffic(g->unit[g->cluster[p].anchor].op->out[0].type);
    return g->cluster[p].kind == NM_CLUSTER_dot && stored ? 0.9 * all : all;
}

// --- the queue ------------------------------------------------------------------------------

static bool goes_before(const nm_pair_entry *a, const nm_pair_entry *b)
{
    return a->saves > b->saves || (!(a->saves < b->saves) && a->pair < b->pair);
}

static void swap(nm_pair_entry *a, nm_pair_entry *b)
{
    nm_pair_entry x = *a;
    *a = *b;
    *b = x;
}

static void push(nm_pairs *k, int i)
{
    nm_pair *x = &k->pair[i];
    const nm_fuse *g = k->g;
    int p = g->unit[x->p].cluster, q = g->unit[x->q].cluster;
    x->pushed++;
    x->refused = NULL;
    x->saves = p == q ? 0 : savings(g, p, q);
    if (!(x->saves > 0))
        return;
    k->queue = grow(g->scratch, k->queue, k->n_queued, &k->queue_room, sizeof *k->queue);
    int at = k->n_queued++;
    k->queue[at] = (nm_pair_entry){x->saves, i, x->pushed};
    for (; at > 0 && goes_before(&k->queue[at], &k->queue[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&k->queue[at], &k->queue[(at - 1) / 2]);
}

static nm_pair_entry take_top(nm_pairs *k)
{
    nm_pair_entry top = k->queue[0], *q = k->queue;
    q[0] = q[--k->n_queued];
    for (int at = 0, child; (child = 2 * at + 1) < k->n_queued; at = child) {
        if (child + 1 < k->n_queued && goes_before(&q[child + 1], &q[child]))
            child++;
        if (!goes_before(&q[child], &q[at]))
            break;
        swap(&q[child], &q[at]);
    }
    return top;
}

nm_pair *nm_pairs_pop(nm_pairs *k)
{
    while (k->n_queued > 0) {
        nm_pair_entry e = take_top(k);
        if (e.pushed == k->pair[e.pair].pushed)
            return &k->pair[e.pair];
    }
    return NULL;
}

void nm_pairs_push_all(nm_pairs *k)
{
    for (int i = 0; i < k->n; i++)
        push(k, i);
}

void nm_pairs_push_cluster(nm_pairs *k, const nm_cluster *c)
{
    for (int i = 0; i < c->n; i++)
        for (int at = k->first[c->unit[i]]; at >= 0; at = k->pair[at / 2].next[at % 2])
            push(k, at / 2);
}
