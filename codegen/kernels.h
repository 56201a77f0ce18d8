// The kinds of kernels: each writes the function `kernel` of its module for one group, and says the
// size of its parallel range: an extent (g->range), or a function where a template knows it.
//
//   void kernel(const nmdrv_sym *, void *const *arg, int64_t from, int64_t to, void *scratch)
//   int64_t count(const nmdrv_sym *)
//
// A kind that needs more launches (chunks and their combination) writes `kernel2`, whose range is
// g->range2 or 1, too, and `kernel3`. False: reported at the op that could not be lowered.
#ifndef NM_CODEGEN_KERNELS_H
#define NM_CODEGEN_KERNELS_H

#include "codegen/gen.h"

bool nm_kernel_map(nm_gen *g);
bool nm_kernel_row(nm_gen *g);
bool nm_kernel_column(nm_gen *g);
bool nm_kernel_dot(nm_gen *g);
bool nm_kernel_attention(nm_gen *g);
bool nm_kernel_attention_grad(nm_gen *g);
bool nm_kernel_scatter(nm_gen *g);
bool nm_kernel_cumsum(nm_gen *g);
bool nm_kernel_top_k(nm_gen *g);
bool nm_kernel_update(nm_gen *g);
bool nm_kernel_overlap_add(nm_gen *g);
bool nm_kernel_extern(nm_gen *g);
// nm_kernel_column's, on a GPU: sums of one level, in the spaces of what is kept and summed.
struct nm_reductions;
struct nm_space;
bool nm_gpu_column(nm_gen *g, const struct nm_reductions *r, const struct nm_space *kept,
                   const struct nm_space *over);
// nm_kernel_map's, on a GPU: of what lies the other way round.
struct nm_transpose;
bool nm_gpu_transpose(nm_gen *g, const struct nm_transpose *t);

// Shared by the kinds.
nm_value *nm_group_result(nm_gen *g, int i);   // the body's value that becomes result i
nm_op *nm_group_op(nm_gen *g, nm_opcode code); // the body's op of this code, or NULL

#endif
