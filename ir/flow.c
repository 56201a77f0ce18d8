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
    int *head; // [n_nodes] first edge, or -1
    int *from; // [n_nodes] edge by which the search came
    int *queue;
    bool *reached; // [n_nodes] from the source, in what room is left
    bool *reaches; // [n_nodes] the sink
};

nm_flow *nm_flow_new(nm_arena *arena, int n_vertices)
{
    nm_flow *w = nm_new(arena, nm_flow);
    *w = (nm_flow){.arena = arena, .n_nodes = FIRST + 2 * n_vertices};
    w->head = nm_new_n(arena, int, w->n_nodes);
    w->from = nm_new_n(arena, int, w->n_nodes);
    w->queue = nm_new_n(arena, int, w->n_nodes);
    w->reached = nm_new_n(arena, bool, w->n_nodes);
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

void nm_flow_source(nm_flow *w, int vertex) { add_edge(w, SOURCE, in_of(vertex), FOREVER); }
void nm_flow_sink(nm_flow *w, int vertex) { add_edge(w, out_of(vertex), SINK, FOREVER); }

void nm_flow_edge(nm_flow *w, int from, int to) { add_edge(w, out_of(from), in_of(to), FOREVER); }

// Breadth first from the source; true: the sink was reached, w->from is the path.
static bool find_path(nm_flow *w)
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

static void push_path(nm_flow *w)
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
    while (find_path(w))
        push_path(w);
    for (int i = FIRST; i < w->n_nodes; i++)
        w->reached[i] = w->from[i] >= 0; // by the last search, which failed
    find_sink_side(w);
}

bool nm_flow_is_last_cut(const nm_flow *w, int vertex)
{
    return !w->reaches[in_of(vertex)] && w->reaches[out_of(vertex)];
}

bool nm_flow_enters(const nm_flow *w, int vertex) { return w->reached[in_of(vertex)]; }
bool nm_flow_leaves(const nm_flow *w, int vertex) { return w->reached[out_of(vertex)]; }
