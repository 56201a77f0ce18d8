// The interpreter of all ranks of a mesh: every rank evaluates the same function in lockstep, op by
// op, so a collective has all its operands when it is met.
//
// It reads both forms of a program. Before localize a type has axes and whole extents: a rank holds
// the block that follows from them. After it a local extent is a symbol, and each rank has its own
// values for the symbols. docs/mesh.md.
#ifndef NM_IR_EVAL_MESH_H
#define NM_IR_EVAL_MESH_H

#include "ir/eval.h"

typedef struct nm_mesh_axis {
    nm_sym name; // of those in types: tpk, not tp
    int64_t size;
} nm_mesh_axis;

struct nm_eval_mesh { // ranks are numbered by their places on the axes, the last axis innermost
    int n;
    const nm_mesh_axis *axis; // [n]; an axis that is not listed has size 1
    // [ranks] of each rank's symbols, opts->n_syms each; NULL: all ranks have opts->sym.
    const nm_eval_sym *const *sym;
};

int64_t nm_mesh_ranks(const struct nm_eval_mesh *mesh); // of all of it; NULL: 1
// Of a group over the axes, and the place of a rank in its group, major first.
int64_t nm_mesh_group(const struct nm_eval_mesh *mesh, const nm_axes *axes);
int64_t nm_mesh_place(const struct nm_eval_mesh *mesh, const nm_axes *axes, int64_t rank);

// As nm_eval, of every rank: args[rank] are its arguments, results[rank] takes its results. All
// ranks share opts->arena.
bool nm_eval_mesh(nm_func *f, const nm_eval_opts *opts, const struct nm_eval_mesh *mesh,
                  const nm_tensor *const *args, nm_tensor *const *results);
// The options of one rank: opts with its mesh, rank and symbols.
nm_eval_opts nm_mesh_opts(const nm_eval_opts *opts, const struct nm_eval_mesh *mesh, int64_t rank);

// The symbols of a rank after localize, in out[n_dims of the module]: those of base (the whole
// sizes), and of every local extent and axis of the module. zigzag: what is split over cp first is
// dealt in 2 cp chunks. Returns how many.
int nm_mesh_syms(nm_module *m, const struct nm_eval_mesh *mesh, int64_t rank, bool zigzag,
                 int n_base, const nm_eval_sym *base, nm_eval_sym *out);

// --- whole values and the ranks' parts -----------------------------------------------------------

// The type of all of a value of type t: without axes, complete, of whole extents.
const nm_type *nm_mesh_whole_type(nm_module *m, const nm_type *t);
// parts[rank] of a value of type t, of which whole is all. A pending sum is cut into parts that
// differ and add up (a maximum: into parts of which the first is largest).
bool nm_mesh_cut(nm_module *m, const nm_eval_opts *opts, const struct nm_eval_mesh *mesh,
                 const nm_type *t, const nm_tensor *whole, nm_tensor *parts);
// The whole value of the parts, pending sums completed. False: replicas differ in a bit; said in
// m->diag, at loc.
bool nm_mesh_join(nm_module *m, nm_loc loc, const nm_eval_opts *opts,
                  const struct nm_eval_mesh *mesh, const nm_type *t, const nm_tensor *parts,
                  nm_tensor *whole);

#endif
