// Sums and maxes inside kernels: which there are, in which order, and their accumulators.
//
// A reduction's level is one more than that of the reductions it depends on; the reductions of one
// level share a pass over the reduced dims. Nothing is reassociated: in which order a sum is made
// is said by its own dims, their list in `over` and their extents (codegen/lanes.h, team.h,
// kernel_column.c, gpu_column.c), so it has the same bits in every run and in whatever kernel it
// is.
#ifndef NM_CODEGEN_REDUCE_H
#define NM_CODEGEN_REDUCE_H

#include "codegen/gen.h"

enum { NM_MAX_REDUCTIONS = 64 };

typedef struct nm_reductions {
    int n, levels;
    nm_op *op[NM_MAX_REDUCTIONS];
    int level[NM_MAX_REDUCTIONS]; // from 1
    int n_over, n_kept;           // the dims they take away; the dims of their results
    nm_dim over[NM_MAX_RANK], kept[NM_MAX_RANK];
} nm_reductions;

// All sums and maxes of the body. False: they do not agree in their dims; reported.
bool nm_reductions_find(nm_gen *g, nm_reductions *r);
int nm_reduction_level(const nm_reductions *r, const nm_value *v); // of the deepest it depends on

LLVMTypeRef nm_reduction_type(nm_gen *g, const nm_op *op); // of its accumulator
LLVMValueRef nm_reduction_start(nm_gen *g, const nm_op *op);
// Also of two vectors.
LLVMValueRef nm_reduction_join(nm_gen *g, const nm_op *op, LLVMValueRef acc, LLVMValueRef x);

#endif
