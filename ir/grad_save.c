// What the backward turns of a repeat read from the forward turns. Maps, views and free ops are
// computed again rather than kept, where all that they read is at hand; the cheapest set of values
// to keep is a minimum vertex cut between what cannot be computed again (products, reductions,
// carried values) and what is needed, each value costing its bytes. The maximum flow is Edmonds and
// Karp's (1972); of equal cuts we take the one nearest to the needs: it recomputes least.
#include "ir/grads.h"

#include <string.h>

enum { SOURCE, SINK, FIRST }; // nodes; value i is the edge FIRST + 2i -> FIRST + 2i + 1
static const int64_t FOREVER = INT64_MAX / 4;

typedef struct edge {
    int to, next; // next edge of the same node, or -1
    int64_t room; // left; the reverse edge is this one's index ^ 1
} edge;

typedef struct network {
    nm_arena arena;
    int n_nodes, n_edges, cap;
    edge *edge;
    int *head; // [n_nodes] first edge, or -1
    int *from; // [n_nodes] edge by which the search came
    int *queue;
} network;

static void number_values(nm_value_list *l, nm_arena *arena)
{
    uint32_t high = 0;
    l->low = UINT32_MAX;
    for (int i = 0; i < l->n; i++) {
        l->low = l->v[i]->id < l->low ? l->v[i]->id : l->low;
        high = l->v[i]->id > high ? l->v[i]->id : high;
    }
    l->number = nm_new_n(arena, int, l->n ? high - l->low + 1 : 1);
    for (int i = 0; i < l->n; i++)
        l->number[l->v[i]->id - l->low] = i;
}

nm_value_list nm_grad_values(nm_func *body, nm_arena *arena)
{
    int n = body->n_params;
    nm_each_op(op, body)
        n += op->n_out;
    nm_value_list l = {.v = nm_new_n(arena, nm_value *, n + 1)};
    for (int i = 0; i < body->n_params; i++)
        l.v[l.n++] = body->param[i];
    nm_each_op(op, body)
        for (int i = 0; i < op->n_out; i++)
            l.v[l.n++] = &op->out[i];
    number_values(&l, arena);
    return l;
}

static void add_edge(network *w, int from, int to, int64_t room)
{
    if (w->n_edges + 2 > w->cap) {
        w->cap = w->cap ? 2 * w->cap : 256;
        edge *bigger = nm_new_n(&w->arena, edge, (size_t)w->cap);
        if (w->n_edges)
            memcpy(bigger, w->edge, (size_t)w->n_edges * sizeof *bigger);
        w->edge = bigger;
    }
    w->edge[w->n_edges] = (edge){to, w->head[from], room};
    w->head[from] = w->n_edges++;
    w->edge[w->n_edges] = (edge){from, w->head[to], 0};
    w->head[to] = w->n_edges++;
}

// Breadth first from the source; true: the sink was reached, w->from is the path.
static bool find_path(network *w)
{
    for (int i = 0; i < w->n_nodes; i++)
        w->from[i] = -1;
    int n = 0;
    w->queue[n++] = SOURCE;
    for (int at = 0; at < n; at++)
        for (int e = w->head[w->queue[at]]; e >= 0; e = w->edge[e].next) {
            int to = w->edge[e].to;
            if (w->edge[e].room <= 0 || to == SOURCE || w->from[to] >= 0)
                continue;
            w->from[to] = e;
            if (to == SINK)
                return true;
            w->queue[n++] = to;
        }
    return false;
}

static void push_path(network *w)
{
    int64_t least = FOREVER;
    for (int v = SINK; v != SOURCE; v = w->edge[w->from[v] ^ 1].to)
        if (w->edge[w->from[v]].room < least)
            least = w->edge[w->from[v]].room;
    for (int v = SINK; v != SOURCE; v = w->edge[w->from[v] ^ 1].to) {
        w->edge[w->from[v]].room -= least;
        w->edge[w->from[v] ^ 1].room += least;
    }
}

// reaches[v]: the sink can still be reached from v.
static void find_sink_side(network *w, bool *reaches)
{
    int n = 0;
    w->queue[n++] = SINK;
    reaches[SINK] = true;
    for (int at = 0; at < n; at++)
        for (int e = w->head[w->queue[at]]; e >= 0; e = w->edge[e].next) {
            int from = w->edge[e].to;
            if (w->edge[e ^ 1].room <= 0 || reaches[from])
                continue;
            reaches[from] = true;
            w->queue[n++] = from;
        }
}

static int64_t nominal(void *user, nm_sym sym)
{
    (void)user, (void)sym;
    return 1024; // costs compare values of one program; any size will do
}

static int64_t cost_of(const nm_value *v)
{
    const nm_type *t = v->type;
    double bytes = t->dtype == NM_real ? 2 : nm_dtype_table[t->dtype].bytes;
    for (int i = 0; i < t->rank; i++)
        bytes *= (double)nm_extent_eval(t->dim[i].extent, nominal, NULL);
    return bytes < 1e15 ? (int64_t)bytes + 1 : (int64_t)1e15;
}

static bool can_recompute(const nm_op *op)
{
    return nm_is(op, NM_MAP) || nm_is(op, NM_VIEW) || nm_is(op, NM_FREE);
}

static network build(const nm_value_list *all, int n_carried, const bool *need)
{
    network w = {.n_nodes = FIRST + 2 * all->n};
    w.head = nm_new_n(&w.arena, int, w.n_nodes);
    w.from = nm_new_n(&w.arena, int, w.n_nodes);
    w.queue = nm_new_n(&w.arena, int, w.n_nodes);
    memset(w.head, -1, (size_t)w.n_nodes * sizeof *w.head);
    for (int i = 0; i < all->n; i++) {
        const nm_op *op = all->v[i]->def;
        int at = FIRST + 2 * i;
        add_edge(&w, at, at + 1, cost_of(all->v[i]));
        if (op ? !can_recompute(op) : i < n_carried)
            add_edge(&w, SOURCE, at, FOREVER);
        for (int k = 0; op && can_recompute(op) && k < op->n_in; k++)
            add_edge(&w, FIRST + 2 * nm_grad_number(all, op->in[k]) + 1, at, FOREVER);
        if (need[i])
            add_edge(&w, at + 1, SINK, FOREVER);
    }
    return w;
}

void nm_grad_save(const nm_value_list *all, int n_carried, const bool *need, bool *save)
{
    network w = build(all, n_carried, need);
    while (find_path(&w))
        push_path(&w);
    bool *reaches = nm_new_n(&w.arena, bool, w.n_nodes);
    find_sink_side(&w, reaches);
    for (int i = 0; i < all->n; i++)
        save[i] = !reaches[FIRST + 2 * i] && reaches[FIRST + 2 * i + 1];
    nm_arena_free(&w.arena);
}
