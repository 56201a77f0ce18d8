// One LLVM function being written: the builder, the types, symbolic extents and simple loops.
// Kernels (codegen/gen.h) and the driver (codegen/driver.c) are both written with it.
//
// Invariant: code is appended at the end of the current block; what must dominate everything (loads
// of arguments and extents, stack slots) goes to the entry block, in front of its branch.
#ifndef NM_CODEGEN_FN_H
#define NM_CODEGEN_FN_H

#include "ir/ir.h"

#include <llvm-c/Core.h>

typedef enum { // which number of a run-time extent: runtime/driver_abi.h, nmdrv_sym
    NM_SYM_SIZE,
    NM_SYM_OFFSET,
    NM_SYM_TOTAL,
    NM_SYM_HALF,
    NM_SYM_JUMP,
    NM_N_SYM_FIELDS,
} nm_sym_field;

typedef struct nm_fn_extent { // an extent's value, in the entry block
    const nm_extent *extent;
    nm_sym_field field;
    LLVMValueRef value;
} nm_fn_extent;

enum { NM_MAX_OWN_SYMS = 64 };
typedef struct nm_own_syms { // symbols in the order in which a kernel first asked for them
    int n;
    nm_sym sym[NM_MAX_OWN_SYMS];
} nm_own_syms;

typedef struct nm_fn {
    nm_module *m;
    nm_arena *scratch; // as long as the function is being written
    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMTypeRef i1, i8, i16, i32, i64, f32, f64, ptr, nothing;
    LLVMValueRef fn;
    LLVMValueRef entry_end; // the branch that ends the entry block
    LLVMValueRef sym;       // const nmdrv_sym *: all of the module's, or
    nm_own_syms *own;       // these; NULL: the module's
    bool trains;            // of a train function: sizes that nemocc was told (--fix) hold
    int n_extents, cap_extents;
    nm_fn_extent *extent;
} nm_fn;

// Types and builder for a module; nm_fn_start then begins a function of it.
void nm_fn_init(nm_fn *f, nm_module *m, nm_arena *scratch, LLVMContextRef ctx, LLVMModuleRef mod);
void nm_fn_release(nm_fn *f);
void nm_fn_serve(nm_fn *f, const nm_func *func); // what is written is for this function
// A function in `mod` with a fresh entry block; the builder stands in the block behind it.
LLVMValueRef nm_fn_start(nm_fn *f, const char *name, LLVMTypeRef type);
void nm_fn_finish(nm_fn *f, LLVMValueRef result); // result NULL: void

// The place in the module's symbol table of a run-time dim; nm_bug if it is none.
int nm_sym_index(const nm_module *m, nm_sym name);
int nm_sym_count(const nm_module *m);

LLVMValueRef nm_fn_i64(nm_fn *f, int64_t value);
// Is it a constant integer? value may be NULL.
bool nm_fn_is_const(LLVMValueRef v, int64_t *value);
// The extent as an i64, computed once, in the entry block. OFFSET: the global index of the first
// index that this call sees (of a product: its outermost dim alone is cut).
LLVMValueRef nm_fn_extent_value(nm_fn *f, const nm_extent *e, nm_sym_field field);
LLVMValueRef nm_fn_product(nm_fn *f, int n, const nm_dim *dim); // of the extents
LLVMValueRef nm_fn_slot(nm_fn *f, LLVMTypeRef type);            // on the stack, in the entry block
// element i of the array of `type` at p
LLVMValueRef nm_fn_at(nm_fn *f, LLVMTypeRef type, LLVMValueRef p, LLVMValueRef i);
LLVMValueRef nm_fn_load(nm_fn *f, LLVMTypeRef type, LLVMValueRef p, LLVMValueRef i);
LLVMValueRef nm_fn_min(nm_fn *f, LLVMValueRef a, LLVMValueRef b); // signed
// Move the builder to the entry block, and back to the block that enter gave.
LLVMBasicBlockRef nm_fn_enter_entry(nm_fn *f);
void nm_fn_leave_entry(nm_fn *f, LLVMBasicBlockRef back);

// for (i = from; i < to; i += step); the builder is inside until the end.
typedef struct nm_loop {
    LLVMBasicBlockRef head, exit;
    LLVMValueRef i, step; // step may be set before the end: it need only dominate the latch
    // May be set before the end; below 2: as LLVM likes.
    int unroll;       // turns that it is to make one
    int lanes, ahead; // turns of a vector, and vectors side by side
} nm_loop;
nm_loop nm_loop_begin(nm_fn *f, LLVMValueRef from, LLVMValueRef to, const char *name);
void nm_loop_end(nm_fn *f, nm_loop *loop);

// if (condition); the builder is inside until the end.
LLVMBasicBlockRef nm_if_begin(nm_fn *f, LLVMValueRef condition);
void nm_if_end(nm_fn *f, LLVMBasicBlockRef next); // what begin gave

#endif
