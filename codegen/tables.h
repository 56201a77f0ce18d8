// Constant tables being written: a row is a struct of words, a table an array of rows. Every field
// of runtime/driver_abi.h is 64 bits wide, so a struct is its fields in order.
#ifndef NM_CODEGEN_TABLES_H
#define NM_CODEGEN_TABLES_H

#include "codegen/program.h"

typedef struct nm_table {
    nm_program *p;
    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMTypeRef i64, ptr;
    int n_dims; // declared ones first, then those that only types name
    nm_dim *dim;
} nm_table;

LLVMValueRef nm_word(nm_table *t, int64_t v);
LLVMValueRef nm_string(nm_table *t, const char *s); // NULL is ""
LLVMValueRef nm_row(nm_table *t, int n, LLVMValueRef *field);
#define NM_ROW(t, ...)                                                                             \
    nm_row(t, (int)(sizeof((LLVMValueRef[]){__VA_ARGS__}) / sizeof(LLVMValueRef)),                 \
           (LLVMValueRef[]){__VA_ARGS__})
// A pointer to a constant array of the rows; NULL if there are none. The rows are of one type.
LLVMValueRef nm_rows(nm_table *t, int n, LLVMValueRef *r, const char *name);
LLVMValueRef *nm_row_list(nm_table *t, int n); // room for n, in the arena

// tables_form.c: a pointer to the form's row; block: its code on this machine, or NULL.
LLVMValueRef nm_form_row(nm_table *t, LLVMValueRef block, const nm_form *form);

// tables_mesh.c: what a mesh makes of the program (docs/mesh.md).
LLVMValueRef nm_sym_rows(nm_table *t);
LLVMValueRef nm_mode_rows(nm_table *t, int *n);
int nm_mode_index(nm_module *m, nm_sym mode); // -1: any mode
LLVMValueRef nm_collective_rows(nm_table *t);
// tables_weights.c: the rows of m->weights.
LLVMValueRef nm_weights_rows(nm_table *t);
typedef struct nm_pipe { // what --pp can split
    int n_units;
    int64_t turns;     // of all chunked repeats together
    const char *where; // "layers (gpt2.nm:4)", "turns of layers (gemma2.nm:26)", of several
                       // "lower (m.nm:2) + upper (m.nm:2)"; "": nothing
} nm_pipe;
nm_pipe nm_pipe_of(nm_module *m);
int64_t nm_kv_extent(nm_module *m); // gcd of the dims by which tp is factored; 0: none

#endif
