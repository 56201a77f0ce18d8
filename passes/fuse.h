// Fusion's own data: one function body (or the body of a repeat) at a time.
//
// A *unit* is an op that stands in exactly one group. All other ops are *pulled*: free values, maps
// of free values alone, widening casts and views that only rename, split, merge, slice, broadcast
// or window; every group that reads one has its own copy, so they are never stored. A *cluster* is
// the units of a group to be. Clusters begin with one unit each and are merged while a law
// (fuse_map.c, fuse_row.c, fuse_dot.c) allows it and traffic to memory is saved (fuse_pick.c); then
// fuse_emit.c makes each a `group`.
#ifndef NM_PASSES_FUSE_H
#define NM_PASSES_FUSE_H

#include "ir/ir.h"
#include "passes/layout.h"

typedef enum { // fixed: the op alone; repeats and collectives are, too, and stay what they are
    NM_CLUSTER_map,
    NM_CLUSTER_row,
    NM_CLUSTER_column,
    NM_CLUSTER_dot,
    NM_CLUSTER_scatter,
    NM_CLUSTER_fixed,
} nm_cluster_kind;

typedef struct nm_read { // unit `reader` needs `value`
    nm_value *value;     // of a unit, or a parameter
    int from, reader;    // units; from -1: a parameter
    int slot;            // the reader's operand through which it comes
    bool viewed; // through a view that is no broadcast: other elements than the reader's own
    struct nm_read *next_of_reader, *next_of_value;
} nm_read;

typedef struct nm_unit {
    nm_op *op;
    int cluster;
    double cost; // of one element of its result, with what it pulls; 1 is an addition
    nm_read *reads;
} nm_unit;

typedef struct nm_cluster { // named by its first unit
    nm_cluster_kind kind;
    int anchor; // the first sum, max, dot, scatter_add or fixed op; a map: the last unit
    int n;      // 0: merged into another
    int *unit;  // ascending: program order
} nm_cluster;

typedef struct nm_fuse {
    nm_func *f;
    nm_arena *scratch;
    const nm_rank *rank;  // the order of dims in memory
    int n_values;         // that the outermost function had before groups were made
    bool *pulled, *freed; // by value id: pulled; of free values alone
    bool *stored;         // by value id: ret or a repeat reads it
    bool *summed;         // by value id: a sum of everything, or a scalar that is made of one
    int *unit_of;         // by value id: the unit that computes it; -1
    nm_read **readers;    // by value id
    int n_units;
    nm_unit *unit;
    nm_cluster *cluster; // [n_units]
} nm_fuse;

// Numbers that stand for run-time sizes where costs are compared: elements of a type.
double nm_fuse_elems(const nm_type *t);
double nm_fuse_traffic(const nm_type *t); // to load or store it, in elements of f32
// Are all dims of a in b, with these extents? One name may stand for seq and for its half.
bool nm_fuse_within(const nm_type *a, const nm_type *b);
bool nm_fuse_same_dims(const nm_type *a, const nm_type *b); // in any order

// fuse_prepare.c: rewrites that make more fusible, in one body.
void nm_fuse_prepare(nm_func *f);
// fuse_max.c: the largest of everything becomes that of the largest of each row.
void nm_fuse_maxes(nm_func *f, const nm_rank *rank);
// fuse_again.c: on a GPU, what is rounded to 8 bits once its maximum is known is computed again.
void nm_fuse_again(nm_func *f);
// fuse_gelu.c: gelu_tanh, or its gradient, becomes plain ops, which stand where it did.
void nm_fuse_write_gelu(nm_op *op);
// Those of f, and of the bodies in it, that no library may do.
void nm_fuse_write_gelus(nm_func *f);
// On a GPU a product is a call of a library: may that do more than scale and add?
bool nm_fuse_has_epilogues(const nm_module *m);
// Numbers of 16 bits. A gelu that is stored in so many, or a bias' gradient that sums such, a
// library may do, in whose last digits, or order, it is not ours. In f32 our kernels do both: no
// bit of a run depends there on what is fused, or kept for backward.
bool nm_fuse_is_half(nm_dtype t);
// fuse_hoist.c: what no turn changes is computed before the repeat; f and the bodies in it.
void nm_fuse_hoist(nm_func *f, nm_arena *scratch);
// fuse_sink.c: maps of a repeat's stacked results and parameters move into the repeat.
void nm_fuse_sink(nm_func *f, nm_arena *scratch);
// fuse_views.c: views move over the edges of repeats, and maps that each turn reads its part of.
void nm_fuse_views(nm_func *f, nm_arena *scratch);
void nm_move_views(nm_func *f); // views alone; drops what nobody reads then
// fuse_dot.c: is it a number that the sums of fp8's products are multiplied by? On a GPU a library
// does that, which reads it where it is stored.
bool nm_fuse_scales_product(const nm_fuse *g, const nm_value *v);
// fuse_store.c: whatever ret and repeats read becomes a unit of its own, where it is none.
void nm_fuse_store(nm_fuse *g);

// fuse_pull.c: n_values, pulled, freed and stored.
void nm_fuse_classify(nm_fuse *g);
// In additions, for one element. A store and a load of a float together cost about 16.
double nm_fuse_cost(const nm_op *op);
bool nm_fuse_is_copy(const nm_op *op); // a broadcast without a new dim: a copy, in another order
// Is it no kernel's, but an op of the driver: a repeat, a collective? It reads what is stored and
// stands where it is between the groups.
bool nm_fuse_is_bare(const nm_op *op);
// Does it read this operand from memory: ret, bare ops, an extern's tensors?
bool nm_fuse_reads_stored(const nm_op *op, int operand);

// fuse_units.c: all the rest.
void nm_fuse_units(nm_fuse *g);

// Every value of cluster c that someone outside of it reads, for each unit's result.
bool nm_fuse_is_result(const nm_fuse *g, const nm_value *v, const nm_cluster *c);

// The laws: NULL if the units of c may be one group of its kind, else why not.
const char *nm_fuse_map_law(const nm_fuse *g, const nm_cluster *c);
const char *nm_fuse_row_law(const nm_fuse *g, const nm_cluster *c);
const char *nm_fuse_column_law(const nm_fuse *g, const nm_cluster *c);
const char *nm_fuse_dot_law(const nm_fuse *g, const nm_cluster *c);
// fuse_near.c: of a product that the cluster reads through views.
const char *nm_fuse_near_law(const nm_fuse *g, const nm_cluster *c);
extern const char nm_fuse_other_dims[]; // why not: they are not the product's
// How many of a product's innermost dims, in t's order, it has from one operand alone.
int nm_fuse_count_inner(const nm_op *dot, const nm_type *t);
// Does it have just these dims?
bool nm_fuse_is_along_inner(const nm_op *dot, const nm_type *t, const nm_value *bias);
const char *nm_fuse_scatter_law(const nm_fuse *g, const nm_cluster *c);
// Which units of c (by place in c->unit) need the result of an anchor; -1 for a read of such a
// value through a view, which is in *viewed then.
bool *nm_fuse_after_anchor(const nm_fuse *g, const nm_cluster *c, const nm_read **viewed);
// Is this unit the anchor of a cluster: a reduction, a product, a scatter_add?
bool nm_fuse_is_anchor(const nm_unit *u);

// fuse_keep.c: on a GPU, do the threads of a row kernel keep what they compute of a row? And what
// computing an element again costs where they do not, in additions.
bool nm_fuse_is_kept(const nm_fuse *g, const nm_cluster *c);
double nm_fuse_cost_of_pass(const nm_fuse *g, const nm_cluster *c);

// fuse_pick.c: merge clusters while it pays.
void nm_fuse_pick(nm_fuse *g);
// fuse_emit.c: the clusters become groups.
void nm_fuse_emit(nm_fuse *g);

#endif
