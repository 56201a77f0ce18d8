// An order of clusters in which each stands behind all that it reads, kept while they merge (Pearce
// and Kelly, "A dynamic topological sort algorithm for directed acyclic graphs", 2006): a way from
// one cluster to another passes only through those that stand between them, however long the
// program is.
#include "passes/fuse_pick.h"

nm_order nm_order_new(nm_fuse *g)
{
    nm_order o = {.g = g};
    o.place = nm_new_n(g->scratch, int, g->n_units + 1);
    o.at = nm_new_n(g->scratch, int, g->n_units + 1);
    o.mark = nm_new_n(g->scratch, int, g->n_units + 1);
    o.stack = nm_new_n(g->scratch, int, g->n_units + 1);
    for (int i = 0; i < g->n_units; i++)
        o.place[i] = o.at[i] = i; // program order
    return o;
}

// Marks `to`, which reads `from`, where it stands in front of `last`. True: it is `last`.
static bool visit(nm_order *o, int from, int first, int last, int to, int *n)
{
    if (to == last)
        return from != first;
    if (to == from || o->place[to] > o->place[last] || o->mark[to] == o->stamp)
        return false;
    o->mark[to] = o->stamp;
    o->stack[(*n)++] = to;
    return false;
}

static bool visit_readers(nm_order *o, int from, int first, int last, int *n)
{
    const nm_fuse *g = o->g;
    const nm_cluster *c = &g->cluster[from];
    for (int i = 0; i < c->n; i++) {
        const nm_op *op = g->unit[c->unit[i]].op;
        for (int k = 0; k < op->n_out; k++)
            for (const nm_read *r = g->readers[op->out[k].id]; r; r = r->next_of_value)
                if (visit(o, from, first, last, g->unit[r->reader].cluster, n))
                    return true;
    }
    return false;
}

// The last one on a way from `first` to `last` through others. -1: there is none, and all that
// depend on `first` and stand in front of `last` are marked.
static int reaches(nm_order *o, int first, int last)
{
    int n = 0;
    o->stamp++;
    o->stack[n++] = first;
    while (n > 0) {
        int from = o->stack[--n];
        if (visit_readers(o, from, first, last, &n))
            return from;
    }
    return -1;
}

// Ways never end: merging only makes them shorter. So a unit between the two is one for good, until
// it is merged with one of them.
bool nm_order_parts(nm_order *o, int p, int q, int *between)
{
    const nm_fuse *g = o->g;
    if (*between >= 0 && g->unit[*between].cluster != p && g->unit[*between].cluster != q)
        return true;
    int from = o->place[p] < o->place[q] ? reaches(o, p, q) : reaches(o, q, p);
    *between = from >= 0 ? g->cluster[from].unit[0] : -1;
    return from >= 0;
}

// What depends on the first one moves behind the place of the last one, where the joint cluster now
// stands in front of it. Its other name has no place any more.
void nm_order_merge(nm_order *o, int p, int q)
{
    int first = o->place[p] < o->place[q] ? p : q, last = first == p ? q : p;
    int from = o->place[first], to = o->place[last], n = from, n_behind = 0;
    reaches(o, first, last);
    for (int i = from; i <= to; i++) {
        int c = o->at[i];
        if (c < 0 || c == first || c == last)
            continue;
        if (o->mark[c] == o->stamp)
            o->stack[n_behind++] = c;
        else
            o->at[o->place[c] = n++] = c;
    }
    o->at[o->place[p] = n++] = p;
    for (int i = 0; i < n_behind; i++)
        o->at[o->place[o->stack[i]] = n++] = o->stack[i];
    while (n <= to)
        o->at[n++] = -1;
    o->place[q] = -1;
}
