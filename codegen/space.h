// Index spaces and the loops over them.
//
// A space is a list of dims, outermost first. Its last dims that every value of the group sees
// together (adjacent and in this order, or not at all) form the inner run, one flat loop that
// vectorises; the dims before are the rows. A sweep is the loop nest over a space, or over a range
// of its flat indices, which may begin and end inside a row.
//
// Where the points are summed in lanes (nm_gen.deal.lanes) the inner run is cut into pieces, so
// that the lanes of a piece are neighbours, too, and the innermost loop has no division.
//
// In a kernel of the flavour gpu a sweep is dealt to threads (nm_gen.deal): each takes runs of a
// few neighbours, so the body is written once for each element of a run. Where all sizes are
// constants and a thread has few elements, there is no loop at all: what one sweep computed of an
// element, the next finds in a register.
#ifndef NM_CODEGEN_SPACE_H
#define NM_CODEGEN_SPACE_H

#include "codegen/gen.h"

typedef struct nm_space {
    int n;     // dims that loops run over
    int inner; // the inner run is dim[inner .. n)
    nm_dim dim[NM_MAX_COORDS];
    int n_unrolled; // small constant dims: the body is written once for each of their indices
    nm_dim unrolled[NM_MAX_COORDS];
    int n_merged; // dims of the results that are walked as the dims they were merged from
    const nm_op *merged[NM_MAX_COORDS];
} nm_space;

nm_space nm_space_make(nm_gen *g, int n, const nm_dim *dim);
// The same where elements of v alone are read, whatever else the kernel does.
nm_space nm_space_to_read(const nm_value *v, int n, const nm_dim *dim);
// The first for results of a map: a dim that the body merges from small constant dims and others
// (the halves of a rotated pair) is walked as those, so that no element selects its part.
nm_space nm_space_of_map(nm_gen *g, const nm_type *t);
const nm_extent *nm_space_extent(nm_gen *g, const nm_space *s); // indices that loops run over
int nm_space_copies(const nm_space *s);                         // times that the body is written
// The proof that a kernel stores a result once at each of its elements, and nowhere else: the
// product of these spaces has as many points.
void nm_space_prove(nm_gen *g, int result, int n, const nm_space *const *s);
// at with the coordinates of copy k: the unrolled dims and then the merged ones.
void nm_space_copy(nm_gen *g, const nm_space *s, int k, nm_coords *at);
// The length of the inner run where the flat index over dim[first..n) is walked; NULL: all of it.
LLVMValueRef nm_space_inner(nm_gen *g, const nm_space *s);
// Is the innermost dim always a whole number of runs of n neighbours? And the k-th behind `at`, in
// its run.
bool nm_space_has_runs(const nm_space *s, int64_t n);
nm_coords nm_space_neighbour(nm_gen *g, const nm_space *s, const nm_coords *at, int k);
// Do all values of the group see a and b adjacent in this order, or neither?
bool nm_dims_join(nm_gen *g, nm_sym a, nm_sym b);

typedef struct nm_sweep {
    const nm_space *space;
    nm_coords at; // inside: the first point, on top of the outer coordinates
    int copies;   // times that the body is to be written, at nm_sweep_point(k)
    int run;      // of these, neighbours: copies k * run .. (k + 1) * run
    bool rows;    // two loops, not one
    bool loops;
    nm_loop outer, piece, inner;
    LLVMValueRef lane; // of the point; NULL: there are no lanes
    nm_scope scope;
} nm_sweep;

// All of the space; `outer` are coordinates that are known already.
void nm_sweep_begin(nm_gen *g, nm_sweep *w, const nm_space *s, const nm_coords *outer);
// The flat indices [from, to). Of lanes the first is the one of `from`, which is a multiple of
// their number.
void nm_sweep_begin_range(nm_gen *g, nm_sweep *w, const nm_space *s, LLVMValueRef from,
                          LLVMValueRef to);
// Flavour gpu: both. Whole runs.
void nm_sweep_begin_dealt(nm_gen *g, nm_sweep *w, const nm_space *s, const nm_coords *outer,
                          LLVMValueRef from, LLVMValueRef to);
nm_coords nm_sweep_point(nm_gen *g, const nm_sweep *w, int k);
void nm_sweep_end(nm_gen *g, nm_sweep *w);

#endif
