// The partial sums of a row on a processor. How many there are is said by how many elements are
// summed, and which of them an element is added to by its place among these, whatever else the
// kernel does and however LLVM vectorises it: so a sum has the same bits in every kernel.
//
// Element f is added to lane f % n, in the order of f; at last the upper half of the lanes is added
// to the lower one until one is left. On a GPU a thread has one lane, and teams order the threads.
#ifndef NM_CODEGEN_LANES_H
#define NM_CODEGEN_LANES_H

#include "codegen/reduce.h"

typedef struct nm_lanes {
    int n; // a power of two
    const nm_reductions *r;
    LLVMValueRef slot[NM_MAX_REDUCTIONS]; // [n] on the stack
} nm_lanes;

// For the body of a kernel that has begun, of reductions over so many elements.
nm_lanes nm_lanes_make(nm_gen *g, const nm_reductions *r, const nm_extent *elements);
nm_lanes nm_lanes_single(nm_gen *g, const nm_reductions *r); // one lane, whatever is summed
void nm_lanes_start(nm_gen *g, const nm_lanes *l, int i);    // reduction i, from nothing
// lane: an index; NULL: the first
void nm_lanes_join(nm_gen *g, const nm_lanes *l, int i, LLVMValueRef lane, LLVMValueRef x);
LLVMValueRef nm_lanes_total(nm_gen *g, const nm_lanes *l, int i); // of all lanes

#endif
