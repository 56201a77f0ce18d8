// One kernel being generated from one group: the scalar evaluator that every kind of kernel shares.
//
// Evaluation is by pull: nm_gen_value(v, coordinates) writes the code for one element of v, and for
// that of its operands' elements, down to loads from the buffers. A view only changes coordinates;
// a free value is computed on the spot; nothing in between is stored. What was written for the same
// value at the same coordinates is used again as long as its block dominates (scopes).
//
// Coordinates are i64 values by dim. They are built by nm_index_*, which remember how each came to
// be: (f / e) * e + f % e is f, so dims that stay together collapse without any analysis, and
// a split that a merge undoes leaves no arithmetic behind.
#ifndef NM_CODEGEN_GEN_H
#define NM_CODEGEN_GEN_H

#include "codegen/compile.h"
#include "codegen/fn.h"
#include "ir/plan.h"
#include "ir/team.h"

typedef struct nm_coord {
    nm_sym dim;
    LLVMValueRef at;
} nm_coord;

enum { NM_MAX_COORDS = 24 };
typedef struct nm_coords { // a point: at least the dims of the value that is asked for
    int n;
    nm_coord c[NM_MAX_COORDS];
} nm_coords;

LLVMValueRef nm_coords_get(const nm_coords *c, nm_sym dim); // nm_bug if absent
bool nm_coords_has(const nm_coords *c, nm_sym dim);
void nm_coords_set(nm_coords *c, nm_sym dim, LLVMValueRef at); // adds, or replaces

// --- arguments of a kernel -----------------------------------------------------------------------

typedef struct nm_arg {         // one word of a launch's argument block
    const nm_place *place;      // a pointer; NULL: one of the next three
    const nm_extent *workspace; // of this group alone: its bytes
    const nm_extent *number;    // the word itself
    bool syms;                  // a pointer to the kernel's own table of nmdrv_sym
    nm_dtype dtype;
    int alias; // class: arguments of one buffer may overlap, others never do
} nm_arg;

bool nm_same_place(const nm_place *a, const nm_place *b);

enum { NM_MAX_ARGS = 96 };

// --- forms: how a kernel is launched where its image is for sm_90a alone -------------------------

typedef struct nm_number { // nmdrv_number
    int arg;               // -1: `value`
    int64_t value;
} nm_number;

enum { NM_MAX_MAPS = 6, NM_MAP_RANK = 5 };
typedef struct nm_map { // nmdrv_map
    int arg;
    nm_number offset;
    nm_dtype dtype;
    int rank;
    nm_number extent[NM_MAP_RANK], stride[NM_MAP_RANK];
    int64_t box[NM_MAP_RANK], swizzle;
} nm_map;

typedef struct nm_form { // nmdrv_form
    int threads;         // 0: this kernel is launched as everywhere
    int64_t per_block, shared;
    int count_at; // -1: the launch's
    int n_maps;
    nm_map map[NM_MAX_MAPS];
} nm_form;

typedef struct nm_memo { // an element that was written already
    const nm_value *value;
    int n;
    LLVMValueRef at[NM_MAX_RANK];
    LLVMValueRef result;
} nm_memo;

typedef enum {
    NM_INDEX_ADD,
    NM_INDEX_MUL,
    NM_INDEX_DIV,
    NM_INDEX_REM,
    NM_INDEX_FLAT,
    NM_INDEX_MULTIPLE
} nm_index_kind;
typedef struct nm_index_memo { // result = a `kind` b; FLAT: a * b + c, c < b; MULTIPLE: of b
    nm_index_kind kind;
    LLVMValueRef a, b, c, result;
} nm_index_memo;

// In a kernel of the flavour gpu, the threads that share out a sweep: thread `lane` of n, `run`
// neighbours at a time where the innermost dim divides.
typedef struct nm_deal {
    LLVMValueRef lane; // NULL: the whole sweep is this thread's
    int n, run;        // run: 1, unless the generator writes the body once for each
    int most;          // elements that a thread may have without a loop
    int ahead;         // elements that a loop reads at once; 0: as LLVM likes
    int lanes;         // on a processor: those of the sums of the sweep, codegen/lanes.h; 0: none
} nm_deal;

// A product's sums of one row and all indices of some dims, as floats in scratch: what a hook may
// read of it.
typedef struct nm_near {
    const nm_value *product; // NULL: none
    LLVMValueRef sums;
    int n;
    const nm_dim *dim;
    nm_coords at; // the row: the product's other coordinates
} nm_near;

typedef struct nm_gen {
    nm_fn fn; // first: the function being written
    nm_own_syms syms;
    nm_op *group;
    const nm_plan *plan;
    int n_args;
    nm_arg arg[NM_MAX_ARGS];
    int param_arg[NM_MAX_ARGS], result_arg[NM_MAX_ARGS]; // of the group's operands and results; -1
    LLVMValueRef argv;                                   // void *const *
    LLVMValueRef pointer[NM_MAX_ARGS];                   // loaded in the entry block, on demand
    LLVMValueRef from, to, scratch;                      // in the kernel function itself
    int64_t scratch_bytes, grain, chunk;                 // the last two: nmdrv_kernel
    // Flavour gpu: a block of `threads` shares out `per_block` indices of the range, and has so
    // many bytes of dynamic shared memory. Set before nm_gen_begin_kernel, where the defaults do
    // not fit.
    bool is_gpu;
    int threads;
    int64_t per_block, shared_bytes;
    bool second_shares; // kernel2 alone has them
    bool unordered;     // sums of floats have no order
    LLVMValueRef lane;  // the thread's number in its block, in the kernel function itself
    nm_deal deal;       // of sweeps: to the block's threads, unless the generator says otherwise
    nm_near near;       // in a product's hook
    nm_form form[NM_MAX_LAUNCHES]; // of each kernel, where the templates differ for sm_90a
    int n_pending;
    LLVMValueRef pending[NM_MAX_LAUNCHES]; // where tensor maps lie
    int n_bodies;
    LLVMValueRef body[NM_MAX_LAUNCHES]; // of each kernel
    const nm_extent *range; // the size of the parallel range; NULL: the module's `count` says it
    const nm_extent *range2, *range3; // of kernel2 and kernel3; NULL: 1
    nm_memo *memo;
    nm_index_memo *index;
    int n_memo, cap_memo, n_index, cap_index;
    const char *library; // the C file of the extern op that it calls; NULL: none
    bool failed;         // an error was reported
} nm_gen;

// Arguments from the group's operands, results and their places. False: reported.
bool nm_gen_init(nm_gen *g, nm_op *group, const nm_plan *plan);
// Begin a function: of the kernel, of its count, of a hook (whose arguments are found in `env`).
void nm_gen_begin_kernel(nm_gen *g, const char *name);
void nm_gen_begin_count(nm_gen *g);
void nm_gen_end_count(nm_gen *g, LLVMValueRef count);
// Flavour gpu: functions begun are bodies, NAME_body(words, symbols, block), which others may call
// (codegen/bundle.h). All arguments are known now: write the entries NAME(words).
void nm_gen_settle(nm_gen *g);
// Words of a gpu kernel's parameter: in front of its tensor maps, and with n_maps of them.
int nm_gen_words(const nm_gen *g, int n_maps);
// In a gpu kernel: the tensor maps of its form, 128 bytes each. Only templates as sm_90a has them
// may look at them.
LLVMValueRef nm_gen_maps(nm_gen *g);
LLVMValueRef nm_gen_begin_hook(nm_gen *g, const char *name, LLVMTypeRef type);
LLVMValueRef nm_gen_env(nm_gen *g);                      // in the kernel: what its hooks get
int nm_gen_workspace(nm_gen *g, const nm_extent *bytes); // a further argument
LLVMValueRef nm_gen_pointer(nm_gen *g, int arg);
bool nm_gen_is_aligned(nm_gen *g, int arg, int64_t n); // is it a multiple of n elements, always?
// For forms: the argument that is the extent; the extent as a constant or an argument.
int nm_gen_number_arg(nm_gen *g, const nm_extent *e);
nm_number nm_gen_number_of(nm_gen *g, const nm_extent *e);
bool nm_extent_is_multiple(const nm_extent *e, int64_t n); // always? May say no
// The extent as an argument: where it alone tells two kernels apart, they are one.
LLVMValueRef nm_gen_number(nm_gen *g, const nm_extent *e);
LLVMValueRef nm_gen_call(nm_gen *g, const char *name, LLVMTypeRef result, int n, LLVMValueRef *arg);

typedef struct nm_scope {
    int n_memo, n_index;
} nm_scope;
nm_scope nm_gen_open(nm_gen *g);
void nm_gen_close(nm_gen *g, nm_scope s); // what was written since no longer dominates

// --- index arithmetic ----------------------------------------------------------------------------

LLVMValueRef nm_index_const(nm_gen *g, int64_t v);
LLVMValueRef nm_index_add(nm_gen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef nm_index_mul(nm_gen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef nm_index_div(nm_gen *g, LLVMValueRef a, LLVMValueRef b); // of numbers >= 0
LLVMValueRef nm_index_rem(nm_gen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef nm_index_flat(nm_gen *g, LLVMValueRef major, LLVMValueRef extent, LLVMValueRef minor);
// From now on (in this scope) v is known to be a multiple of n; is it? May say no.
void nm_index_know_multiple(nm_gen *g, LLVMValueRef v, int64_t n);
bool nm_index_is_multiple(nm_gen *g, LLVMValueRef v, int64_t n);
// v = the result + *c, where *c is the constant that was added last, or 0.
LLVMValueRef nm_index_without_constant(nm_gen *g, LLVMValueRef v, int64_t *c);
// The flat row-major index of `at` in these extents; both lists are used up.
LLVMValueRef nm_index_join(nm_gen *g, int n, LLVMValueRef *extent, LLVMValueRef *at);
// The coordinates of the flat row-major index over these dims, into c; and back.
void nm_index_spread(nm_gen *g, nm_coords *c, int n, const nm_dim *dim, LLVMValueRef flat);
LLVMValueRef nm_index_of(nm_gen *g, const nm_coords *c, int n, const nm_dim *dim);

// --- values --------------------------------------------------------------------------------------

// The element of v at these coordinates, in its computing type. NULL: reported.
LLVMValueRef nm_gen_value(nm_gen *g, nm_value *v, const nm_coords *c);
// Where v is a view of an operand alone: the operand's argument and the element's offset.
LLVMValueRef nm_gen_offset(nm_gen *g, nm_value *v, const nm_coords *c, int *arg);
void nm_gen_store(nm_gen *g, int result, const nm_coords *c, LLVMValueRef element);
LLVMValueRef nm_gen_in_scratch(nm_gen *g,
                               LLVMValueRef inst); // tells that inst reads or writes there
LLVMValueRef nm_gen_refuse(nm_gen *g, const nm_op *op, const char *why); // reports; NULL
// From now on (in this scope) v's element at c is this.
void nm_gen_know(nm_gen *g, const nm_value *v, const nm_coords *c, LLVMValueRef element);

// In codegen/scalar_map.c, scalar_view.c, scalar_free.c: one element of an op of that trait.
LLVMValueRef nm_gen_philox_key(nm_gen *g, nm_value *seed, nm_sym key); // base/philox.h; an i64
LLVMValueRef nm_gen_map(nm_gen *g, nm_op *op, const nm_coords *c);
LLVMValueRef nm_gen_view(nm_gen *g, nm_op *op, const nm_coords *c);
LLVMValueRef nm_gen_free(nm_gen *g, nm_op *op, const nm_coords *c);
// Where a view op reads: its operand and the coordinates there; `inside` (or NULL: always) says
// whether it reads at all, else it is 0. Concat alone is not of this form.
typedef struct nm_source_point {
    nm_value *value;
    nm_coords at;
    LLVMValueRef inside;
} nm_source_point;
bool nm_gen_view_point(nm_gen *g, nm_op *op, const nm_coords *c, nm_source_point *p);

// --- dtypes --------------------------------------------------------------------------------------

bool nm_dtype_lowered(nm_dtype t);                  // can kernels compute with it?
LLVMTypeRef nm_dtype_compute(nm_fn *f, nm_dtype t); // bf16, e4m3, e5m2: a rounded float
LLVMTypeRef nm_dtype_storage(nm_fn *f, nm_dtype t);
LLVMValueRef nm_dtype_round(nm_fn *f, nm_dtype t, LLVMValueRef v); // to what t can hold
LLVMValueRef nm_dtype_load(nm_fn *f, nm_dtype t, LLVMValueRef p, LLVMValueRef i);
LLVMValueRef nm_dtype_store(nm_fn *f, nm_dtype t, LLVMValueRef p, LLVMValueRef i, LLVMValueRef v);
LLVMValueRef nm_dtype_cast(nm_fn *f, nm_dtype from, nm_dtype to, LLVMValueRef v);
// e4m3 and e5m2: a float rounded, as 8 bits in an i32, and what such bits stand for.
LLVMValueRef nm_fp8_bits(nm_fn *f, nm_dtype t, LLVMValueRef v);
LLVMValueRef nm_fp8_value(nm_fn *f, nm_dtype t, LLVMValueRef bits32);
static inline bool nm_is_float(nm_dtype t) { return nm_dtype_table[t].is_float; }

#endif
