#include "ir/flow.h"

#include <string.h>

enum { SOURCE, SINK, FIRST }; // nodes; vertex i is the edge FIRST + 2i -> FIRST + 2i + 1
static const int64_t FOREVER = INT64_MAX / 4;

typedef struct edge {
    int to, next; // next edge of the same node, or -1
    int64_t room; // left; the reverse edge is this one's index ^ 1
} edge;

struct nm_flow {
    nm_arena *arena;
    int n_nodes, n_edges;
    edge *edge;
    int *head;  // [n_nodes] first edge, or -1
    int *arc;   // [n_nodes] first edge that may still lead on
    int *level; // [n_nodes] edges from the source, in what room is left; -1: out of reach
    int *queue, *path;
    bool *reaches; // [n_nodes] the sink
};

nm_flow *nm_flow_new(nm_arena *arena, int n_vertices)
{
    nm_flow *w = nm_new(arena, nm_flow);
    *w = (nm_flow){.arena = arena, .n_nodes = FIRST + 2 * n_vertices};
    w->head = nm_new_n(arena, int, w->n_nodes);
    w->arc = nm_new_n(arena, int, w->n_nodes);
    w->level = nm_new_n(arena, int, w->n_nodes);
    w->queue = nm_new_n(arena, int, w->n_nodes);
    w->path = nm_new_n(arena, int, w->n_nodes);
    w->reaches = nm_new_n(arena, bool, w->n_nodes);
    memset(w->head, -1, (size_t)w->n_nodes * sizeof *w->head);
    return w;
}

static int in_of(int vertex) { return FIRST + 2 * vertex; }
static int out_of(int vertex) { return FIRST + 2 * vertex + 1; }

static void add_half(nm_flow *w, int from, int to, int64_t room)
{
    w->edge = nm_arena_grow(w->arena, w->edge, w->n_edges, sizeof *w->edge);
    w->edge[w->n_edges] = (edge){to, w->head[from], room};
    w->head[from] = w->n_edges++;
}

static void add_edge(nm_flow *w, int from, int to, int64_t room)
{
    add_half(w, from, to, room);
    add_half(w, to, from, 0);
}

void nm_flow_cost(nm_flow *w, int vertex, int64_t cost)
{
    add_edge(w, in_of(vertex), out_of(vertex), cost);
}

void nm_flow_stay(nm_flow *w, int vertex, int64_t cost)
{
    add_edge(w, SOURCE, in_of(vertex), cost);
}

void nm_flow_source(nm_flow *w, int vertex) { nm_flow_stay(w, vertex, FOREVER); }
void nm_flow_sink(nm_flow *w, int vertex) { add_edge(w, out_of(vertex), SINK, FOREVER); }

void nm_flow_edge(nm_flow *w, int from, int to) { add_edge(w, out_of(from), in_of(to), FOREVER); }

// Breadth first from the source. false: the sink is out of reach.
static bool find_levels(nm_flow *w)
{
    memset(w->level, -1, (size_t)w->n_nodes * sizeof *w->level);
    int n = 0;
    w->level[SOURCE] = 0;
    w->queue[n++] = SOURCE;
    for (int at = 0; at < n; at++)
        for (int v = w->queue[at], e = w->head[v]; e >= 0; e = w->edge[e].next) {
            int to = w->edge[e].to;
            if (w->edge[e].room <= 0 || w->level[to] >= 0)
                continue;
            w->level[to] = w->level[v] + 1;
            w->queue[n++] = to;
        }
    return w->level[SINK] >= 0;
}

// The first edge from v to the next level that is not known to lead nowhere; -1: there is none.
static int next_edge(nm_flow *w, int v)
{
    int e = w->arc[v];
    while (e >= 0 && (w->edge[e].room <= 0 || w->level[w->edge[e].to] != w->level[v] + 1))
        e = w->edge[e].next;
    return w->arc[v] = e;
}

// As much as goes through a path of n edges; returns how many are left in front of the first that
// is full.
static int push_path(nm_flow *w, int n)
{
    int full = 0;
    for (int i = 1; i < n; i++)
        if (w->edge[w->path[i]].room < w->edge[w->path[full]].room)
            full = i;
    int64_t least = w->edge[w->path[full]].room;
    for (int i = 0; i < n; i++) {
        w->edge[w->path[i]].room -= least;
        w->edge[w->path[i] ^ 1].room += least;
    }
    return full;
}

// All that can go along the levels: depth first, with the path on a stack.
static void push_all(nm_flow *w)
{
    memcpy(w->arc, w->head, (size_t)w->n_nodes * sizeof *w->arc);
    for (int n = 0;;) {
        int v = n ? w->edge[w->path[n - 1]].to : SOURCE;
        int e = v == SINK ? -1 : next_edge(w, v);
        if (v == SINK)
            n = push_path(w, n);
        else if (e >= 0)
            w->path[n++] = e;
        else if (n)
            n--, w->level[v] = -1; // a dead end
        else
            return;
    }
}

// The nodes from which the sink can still be reached.
static void find_sink_side(nm_flow *w)
{
    int n = 0;
    w->queue[n++] = SINK;
    w->reaches[SINK] = true;
    for (int at = 0; at < n; at++)
        for (int e = w->head[w->queue[at]]; e >= 0; e = w->edge[e].next) {
            int from = w->edge[e].to;
            if (w->edge[e ^ 1].room <= 0 || w->reaches[from])
                continue;
            w->reaches[from] = true;
            w->queue[n++] = from;
        }
}

void nm_flow_run(nm_flow *w)
{
    while (find_levels(w))
        push_all(w);
    find_sink_side(w);
}

bool nm_flow_is_last_cut(const nm_flow *w, int vertex)
{
    return !w->reaches[in_of(vertex)] && w->reaches[out_of(vertex)];
}

bool nm_flow_enters(const nm_flow *w, int vertex) { return w->level[in_of(vertex)] >= 0; }
bool nm_flow_leaves(const nm_flow *w, int vertex) { return w->level[out_of(vertex)] >= 0; }
