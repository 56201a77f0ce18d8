// A program being generated: kernels, one LLVM module each, and the driver module that launches
// them.
#ifndef NM_CODEGEN_PROGRAM_H
#define NM_CODEGEN_PROGRAM_H

#include "codegen/compile.h"
#include "codegen/gen.h"
#include "codegen/image.h"

typedef struct nm_code {         // one LLVM module: of equal kernels, of a driver
    const char *name;            // k and its hash; NULL: a driver
    LLVMMemoryBufferRef bitcode; // disposed of by nm_compile
    uint64_t hash;               // of the bitcode, before it has a name, and the entries
    int weight;
    // Of the flavour gpu, as in nm_object; else 0: as everywhere, and for sm_90a.
    nm_entry entry[NM_MAX_LAUNCHES], sm90a[NM_MAX_LAUNCHES];
    bool specific;       // its templates and its launch differ for sm_90a
    bool varies;         // it is compiled for each architecture by itself
    const char *library; // as in nm_gen
} nm_code;

typedef struct nm_codes { // of all programs of the binary
    int n;
    nm_code *code;
} nm_codes;

typedef struct nm_kernel { // a row of the program's kernel table
    const char *name, *where;
    int code;             // equal kernels share it
    const char *function; // in it
    int64_t grain, chunk;
    int n_args, syms_at, n_syms;        // flavour gpu: nmdrv_kernel
    int64_t threads, per_block, shared; // likewise
    bool unordered;                     // likewise
    nm_form form;                       // threads 0: none
} nm_kernel;

typedef struct nm_launch {  // what the driver does for one launch of a group
    nm_kernel kernel;       // without a name: not in the table yet
    const nm_extent *range; // the size of the parallel range; NULL: what `count` gives
    const char *count;      // the symbol of a function
} nm_launch;

typedef struct nm_launches { // of one group; they share the argument block
    int n, n_args;
    nm_launch launch[NM_MAX_LAUNCHES];
    const nm_arg *arg; // in the arena
    nm_own_syms syms;  // that the kernels ask for
} nm_launches;

typedef struct nm_workspace { // a transient buffer that codegen adds to a function's plan
    const nm_extent *bytes;
    int position;
    const char *name, *where;
} nm_workspace;

typedef struct nm_collective { // a row of the program's table of collectives: nmdrv_collective
    const char *name, *where;
    int kind; // nmdrv_collective_kind
    nm_dtype dtype;
    bool max, joins, more, async;
    int64_t axes, units;
    int over; // symbol; -1: none
} nm_collective;

typedef struct nm_product { // a row of the program's table of products: nmdrv_product
    const char *name, *where;
    nm_dtype a_dtype, b_dtype, c_dtype; // a bias, and a gelu's operand, have the result's
    bool adds;
    int epilogue; // nmdrv_epilogue
    double alpha;
    bool fast; // of fp8: sums may have fewer bits
} nm_product;

typedef struct nm_driver { // one function of the module, as the tables need it
    nm_func *func;
    int role;          // nmdrv_role
    const char *entry; // of an infer or schedule function
    LLVMValueRef run, sizes, flops;
    int n_workspaces;
    nm_workspace *workspace;
} nm_driver;

typedef struct nm_program {
    nm_module *m;
    const nm_codegen_opts *opts;
    const nm_target *target; // of the driver
    const char *symbol;      // of its table
    LLVMContextRef ctx;      // kernels and driver are written in it, one after the other
    LLVMModuleRef driver_mod;
    nm_codes *codes;
    int n_kernels, n_drivers;
    nm_kernel *kernel;
    nm_driver *driver;
    int n_collectives;
    nm_collective *collective;
    int n_products;
    nm_product *product;
    int64_t scratch;
} nm_program;

// kernel.c: the kernels of a group. False: reported.
bool nm_program_kernels(nm_program *p, nm_op *group, const nm_plan *plan, nm_launches *out);
// A row of the table; its number.
int nm_program_add_kernel(nm_program *p, const nm_kernel *kernel);
// One of a group's, by itself.
int nm_program_add_launch(nm_program *p, const nm_op *group, const nm_launch *launch);
// What a row that does the group's work is called, number n of its table, and the lines of the
// model that the group was fused from.
const char *nm_group_name(nm_program *p, const nm_op *group, int n);
const char *nm_group_where(nm_program *p, const nm_op *group);
const char *nm_groups_where(nm_program *p, const nm_op *first, const nm_op *last); // side by side
// driver.c: run, sizes and flops of every function with a plan, in driver_mod. False: reported.
bool nm_program_drivers(nm_program *p);
// roles.c: the function's nmdrv_role; -1: only other functions read it. entry: of an infer or
// schedule function, else "".
int nm_role_of(const nm_func *f, const char **entry);
// The run-time dim that the extent is, and its place in the table of symbols; NULL and -1: none.
nm_dim_decl *nm_extent_decl(nm_module *m, const nm_extent *e);
int nm_extent_sym_index(nm_module *m, const nm_extent *e);
// The local extent over which f may be run in chunks, or NULL; and does a chunk see a part of v?
nm_dim_decl *nm_func_turns(const nm_func *f);
bool nm_is_chunked(const nm_func *f, const nm_value *v);
// driver_collective.c: the bit of a mesh axis in the tables; 0: there is no such axis.
int64_t nm_axis_bits(const char *axis);
// tables.c: nmdrv_dtype; the program's table, in driver_mod.
int64_t nm_abi_dtype(nm_dtype t);
void nm_program_tables(nm_program *p);
// tables.c: `nemocc_programs`, and the images that those of flavour gpu share: code to be compiled.
nm_object nm_programs_object(nm_module *m, const nm_target *t, int n, const nm_program *p,
                             const nm_images *images);
// flops.c: the floating-point operations of one call of func.
LLVMValueRef nm_flops_of(nm_fn *f, nm_func *func);
const nm_extent *nm_repeat_turns(nm_module *m, const nm_op *repeat); // how often its body runs
// Where an op came from: "gpt2.nm:12"; in the arena.
const char *nm_where(nm_module *m, nm_loc loc);
// Add a module (which is disposed of), or find the equal one; its code.name says which it became.
int nm_program_add_code(nm_program *p, LLVMModuleRef mod, nm_code code);

#endif
