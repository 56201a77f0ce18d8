// A program being generated: kernels, one LLVM module each, and the driver module that launches
// them.
#ifndef NM_CODEGEN_PROGRAM_H
#define NM_CODEGEN_PROGRAM_H

#include "codegen/compile.h"
#include "codegen/gen.h"

typedef struct nm_kernel { // a row of the program's kernel table
    const char *name, *where;
    int object;         // its code; equal kernels share it
    const char *symbol; // k12.kernel
    int64_t grain;
} nm_kernel;

typedef struct nm_launch { // what the driver does for one launch of a group
    int kernel;
    const nm_extent *range; // the size of the parallel range; NULL: what `count` gives
    const char *count;      // the symbol of a function
} nm_launch;

enum { NM_MAX_LAUNCHES = 2 };
typedef struct nm_launches { // of one group; they share the argument block
    int n, n_args;
    nm_launch launch[NM_MAX_LAUNCHES];
    const nm_arg *arg; // in the arena
} nm_launches;

typedef struct nm_workspace { // a transient buffer that codegen adds to a function's plan
    const nm_extent *bytes;
    int position;
    const char *name, *where;
} nm_workspace;

typedef struct nm_driver { // one function of the module, as the tables need it
    nm_func *func;
    int role;          // nmdrv_role
    const char *entry; // of an infer or schedule function
    LLVMValueRef run, sizes, flops;
    int n_workspaces, cap_workspaces;
    nm_workspace *workspace;
} nm_driver;

typedef struct nm_program {
    nm_module *m;
    const nm_codegen_opts *opts;
    nm_target target;
    LLVMContextRef ctx; // kernels and driver are written in it, one after the other
    LLVMModuleRef driver_mod;
    int n_objects, cap_objects, n_kernels, cap_kernels, n_drivers;
    nm_object *object;
    uint64_t *hash; // [n_objects] of the bitcode, before it has a name
    nm_kernel *kernel;
    nm_driver *driver;
    int64_t scratch;
} nm_program;

// kernel.c: the kernels of a group. False: reported.
bool nm_program_kernels(nm_program *p, nm_op *group, const nm_plan *plan, nm_launches *out);
// driver.c: run, sizes and flops of every function with a plan, in driver_mod. False: reported.
bool nm_program_drivers(nm_program *p);
// tables.c: nemocc_program, in driver_mod.
void nm_program_tables(nm_program *p);
// flops.c: the floating-point operations of one call of func.
LLVMValueRef nm_flops_of(nm_fn *f, nm_func *func);
const nm_extent *nm_repeat_turns(nm_module *m, const nm_op *repeat); // how often its body runs
// Where an op came from: "gpt2.nm:12"; in the arena.
const char *nm_where(nm_module *m, nm_loc loc);
// Add an object from a module (which is disposed of), or find the equal one.
int nm_program_add_object(nm_program *p, LLVMModuleRef mod, int weight);

#endif
