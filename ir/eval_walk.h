// How the interpreter goes over elements: a walk is a nest of loops over named dims, with the
// offset of every tensor that takes part. Private to ir/.
#ifndef NM_IR_EVAL_WALK_H
#define NM_IR_EVAL_WALK_H

#include "ir/eval.h"

enum { NM_WALK_TENSORS = 4, NM_WALK_DIMS = 3 * NM_MAX_RANK };

typedef struct nm_walk { // row-major in the order in which dims were added
    int n, n_tensors;
    nm_sym name[NM_WALK_DIMS];
    int64_t extent[NM_WALK_DIMS], at[NM_WALK_DIMS];
    int64_t stride[NM_WALK_TENSORS][NM_WALK_DIMS];
    int64_t
        off[NM_WALK_TENSORS]; // of the element at `at`; a dim that a tensor lacks does not move it
} nm_walk;

void nm_walk_over(nm_walk *w, const nm_tensor *t, nm_sym but,
                  nm_sym but2);                    // its dims but two (NULL)
void nm_walk_read(nm_walk *w, const nm_tensor *t); // takes part; after all dims are there
bool nm_walk_some(const nm_walk *w);               // no dim is empty
bool nm_walk_next(nm_walk *w);                     // false: back at the first element

#define nm_each_element(w)                                                                         \
    for (bool w##_more = nm_walk_some(&w); w##_more; w##_more = nm_walk_next(&w))

int64_t nm_tensor_stride(const nm_tensor *t, nm_sym dim); // 0: it has no such dim
int64_t nm_tensor_extent(const nm_tensor *t, nm_sym dim); // 1: it has no such dim

// Extents in this call, of the whole tensor, and the global index of the call's first (docs/ir.md).
int64_t nm_eval_size_of(nm_eval_op *e, const nm_extent *x);
int64_t nm_eval_total_of(nm_eval_op *e, const nm_extent *x);
int64_t nm_eval_offset_of(nm_eval_op *e, const nm_extent *x);
// The index in the whole tensor of index i of the dim; and back, -1: another rank's or call's.
int64_t nm_eval_global(nm_eval_op *e, const nm_dim *d, int64_t i);
int64_t nm_eval_local(nm_eval_op *e, const nm_dim *d, int64_t global);

// The same where no op is evaluated: the sizes are known.
bool nm_eval_resolve(nm_module *m, nm_loc loc, const nm_eval_opts *opts, bool total,
                     const nm_extent *x, int64_t *out);
// Indices that each rank is to hold of a dim whose extent in this call is n, and the first of this
// rank's. Where the dim is padded the last ranks may have fewer.
int64_t nm_eval_block(nm_module *m, const nm_eval_opts *opts, const nm_dim *d, int64_t n);
int64_t nm_eval_block_start(nm_module *m, const nm_eval_opts *opts, const nm_dim *d, int64_t n);

#endif
