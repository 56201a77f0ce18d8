// The kernel of a product while it is written: kernel_dot.c has what it reads and computes,
// kernel_dot_store.c its epilogue, kernel_dot_place.c where its elements lie.
#ifndef NM_CODEGEN_KERNEL_DOT_H
#define NM_CODEGEN_KERNEL_DOT_H

#include "codegen/space.h"
#include "ir/dot.h"

typedef struct nm_dot_kernel {
    nm_dot dot;
    nm_space list[NM_DOT_LISTS];
    nm_space apart;  // n's dims but the near ones
    nm_space points; // what the results have instead of those, as the store walks it
} nm_dot_kernel;

// The coordinates of a list's flat index; of index base + j, where j stays in base's inner run.
void nm_dot_spread(nm_gen *g, const nm_space *s, nm_coords *c, LLVMValueRef flat);
void nm_dot_spread_run(nm_gen *g, const nm_space *s, nm_coords *c, LLVMValueRef base,
                       LLVMValueRef j);
// How the store walks the results, from the lists. False: an epilogue that is not lowered;
// reported.
bool nm_dot_make_points(nm_gen *g, nm_dot_kernel *d);
// nmk_gemm_spec.together: columns that the epilogue reads together; 0: it reads its own.
LLVMValueRef nm_dot_together(nm_gen *g, const nm_dot_kernel *d);
// The hook (nmk_store on a GPU, nmk_finish on the host). NULL: reported.
LLVMValueRef nm_dot_store(nm_gen *g, const nm_dot_kernel *d);

// The places of a, b and the result, as nmk_gemm takes them. False: reported.
typedef struct nm_dot_places {
    LLVMValueRef hook[3]; // nmk_place; null where bytes is 0
    int64_t bytes[3];     // of an element
    bool plain[2];        // of an operand: what lies there is what is multiplied
} nm_dot_places;
bool nm_dot_make_places(nm_gen *g, const nm_dot_kernel *d, nm_dot_places *p);

#endif
