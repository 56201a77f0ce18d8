// A minimum vertex cut: which vertices to take away, at least cost, so that no sink is reached from
// a source. The maximum flow is Dinic's (1970). The first and the last of all minimum cuts do not
// depend on which maximum flow was found, so neither does what is asked here.
#ifndef NM_IR_FLOW_H
#define NM_IR_FLOW_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct nm_flow nm_flow;

nm_flow *nm_flow_new(nm_arena *arena, int n_vertices);
void nm_flow_cost(nm_flow *w, int vertex, int64_t cost); // of taking it away: once a vertex
void nm_flow_source(nm_flow *w, int vertex);
// Of a vertex that stays with the sinks, neither taken away nor cut off from them: once a vertex.
void nm_flow_stay(nm_flow *w, int vertex, int64_t cost);
void nm_flow_sink(nm_flow *w, int vertex);
void nm_flow_edge(nm_flow *w, int from, int to);
void nm_flow_run(nm_flow *w); // once all is there

// Of equal cuts, the one nearest to the sinks: is the vertex in it?
bool nm_flow_is_last_cut(const nm_flow *w, int vertex);
// Of equal cuts, the one nearest to the sources: does the flow enter the vertex, and does it leave
// it? In the cut are those that it enters and does not leave.
bool nm_flow_enters(const nm_flow *w, int vertex);
bool nm_flow_leaves(const nm_flow *w, int vertex);

#endif
