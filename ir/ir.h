// The IR: a module is functions, a function is a list of ops in dependency order, an op
// computes values from values. Read this file first; everything else in nemocc walks it.
//
// Dimensions have names and operations align by name, so order is layout, never meaning: a type
// lists its dims outermost first, row-major, and two types with the same dims in another order
// hold the same tensor stored differently.
#ifndef NM_IR_H
#define NM_IR_H

#include "base/arena.h"
#include "base/diag.h"
#include "base/intern.h"

#include <stddef.h>

// --- extents: how many indices a dim has ---------------------------------------------------------
//
// A sum of terms; a term is an integer times atoms; an atom is a symbol (a dim bound when the
// binary starts) or a quotient rounded down. Interned and canonical, so equal extents are equal
// pointers: 4096, seq, batch * seq, (samples + 2) // 160 + 1. What has no value (a division by the
// constant 0, more than 64 bits) or too many parts is NULL; operands that are NULL give NULL.

typedef struct nm_module nm_module;
typedef struct nm_extent nm_extent;

const nm_extent *nm_extent_const(struct nm_module *m, int64_t value);
const nm_extent *nm_extent_sym(struct nm_module *m, nm_sym sym);
const nm_extent *nm_extent_add(struct nm_module *m, const nm_extent *a, const nm_extent *b);
const nm_extent *nm_extent_mul(struct nm_module *m, const nm_extent *a, const nm_extent *b);
// floor(a / b).
const nm_extent *nm_extent_div(struct nm_module *m, const nm_extent *a, const nm_extent *b);
bool nm_extent_is_const(const nm_extent *e, int64_t *value); // value may be NULL
// The extent with every symbol replaced by lookup(user, sym).
int64_t nm_extent_eval(const nm_extent *e, int64_t (*lookup)(void *user, nm_sym sym), void *user);
// The extent where costs are compared and sizes are not known: the same for every run and mesh.
int64_t nm_extent_nominal(const nm_extent *e);
bool nm_extent_reads(const nm_extent *e, nm_sym sym); // does `sym` occur in it?

// An extent is read by walking its terms; codegen emits native arithmetic from this.
typedef struct nm_atom { // sym, or num // den
    nm_sym sym;          // NULL: a quotient
    const nm_extent *num, *den;
} nm_atom;
enum { NM_MAX_ATOMS = 6 };
typedef struct nm_term {
    int64_t factor;
    int n_atoms;
    nm_atom atom[NM_MAX_ATOMS];
} nm_term;
struct nm_extent {
    uint32_t id; // order of creation: a deterministic sort key
    int n_terms; // 0: the constant 0
    const nm_term *term;
};

// --- types: interned, so two types are equal iff their pointers are ------------------------------

typedef enum {
#define DTYPE(id, ...) NM_##id,
#include "ir/dtypes.def"
#undef DTYPE
    NM_N_DTYPES
} nm_dtype;

typedef struct nm_dtype_info {
    const char *name;
    int bytes;
    bool is_float;
} nm_dtype_info;
extern const nm_dtype_info nm_dtype_table[NM_N_DTYPES];

enum { NM_MAX_RANK = 12, NM_MAX_AXES = 9 };

typedef struct nm_axes { // mesh axes, major first: seq/cp.tp
    int n;
    nm_sym axis[NM_MAX_AXES];
} nm_axes;

typedef struct nm_dim {
    nm_sym name;
    const nm_extent *extent; // of the whole tensor, never of a shard
    nm_axes axes;            // it is split over these; set by passes/shard.c, empty before
} nm_dim;

typedef enum { NM_PENDING_SUM, NM_PENDING_MAX } nm_pending_kind;

typedef struct nm_type { // real[batch/dp, seq, d]+tp.cp
    nm_dtype dtype;
    int rank;
    nm_dim dim[NM_MAX_RANK];
    nm_axes pending; // a set, kept sorted: axes over which the parts still have to be summed (+) or
                     // maximised (^)
    nm_pending_kind kind;
} nm_type;

const nm_type *nm_type_get(struct nm_module *m, const nm_type *t);
int nm_type_find(const nm_type *t, nm_sym dim); // its place in t->dim, or -1
static inline bool nm_has_dim(const nm_type *t, nm_sym dim) { return nm_type_find(t, dim) >= 0; }
bool nm_type_is_activation(const nm_type *t); // is an extent known only when the binary starts?
bool nm_type_same_set(const nm_type *a, const nm_type *b); // equal but for the order of dims
const nm_type *nm_type_scalar(struct nm_module *m, nm_dtype dtype);
const nm_type *nm_type_with_dtype(struct nm_module *m, const nm_type *t, nm_dtype dtype);
const nm_type *nm_type_without(struct nm_module *m, const nm_type *t, nm_sym dim);
const nm_type *nm_type_with_outer(struct nm_module *m, const nm_type *t, nm_dim dim); // dim first
bool nm_type_is_bare(const nm_type *t); // no dim is split, nothing is pending
const nm_type *nm_type_bare(struct nm_module *m, const nm_type *t); // without axes, complete
// Allocated in m->arena, as it prints: "real[batch, seq, d]".
const char *nm_type_str(struct nm_module *m, const nm_type *t);
const char *nm_axes_str(struct nm_module *m, const nm_axes *axes); // cp.tp
const char *nm_extent_str(struct nm_module *m, const nm_extent *e);

// --- attributes ----------------------------------------------------------------------------------

typedef enum {
    NM_ATTR_int,
    NM_ATTR_float,
    NM_ATTR_bool,
    NM_ATTR_sym,    // one name: a dim, an enumerator
    NM_ATTR_dims,   // a list of names
    NM_ATTR_string, // "quoted"
    NM_ATTR_dtype,
    NM_ATTR_extent,
} nm_attr_kind;

typedef struct nm_syms { // a list of names
    int n;
    const nm_sym *sym;
} nm_syms;

typedef struct nm_attr {
    nm_sym name; // as declared in the op's row
    nm_attr_kind kind;
    union {
        int64_t i;
        double f;
        bool b;
        nm_sym sym; // also a string
        nm_syms syms;
        nm_dtype dtype;
        const nm_extent *extent;
    } u;
} nm_attr;

// --- values, ops, functions ----------------------------------------------------------------------

typedef enum {
#define OP(id, ...) NM_OP_##id,
#include "ir/ops.def"
#undef OP
    NM_N_OPS
} nm_opcode;

typedef struct nm_op nm_op;
typedef struct nm_func nm_func;
typedef struct nm_value nm_value;

typedef struct nm_use { // one operand slot; all uses of a value are a list
    nm_op *op;
    int index; // op->in[index] is the value
    struct nm_use *prev, *next;
} nm_use;

struct nm_value { // a result of an op, or a parameter of a function
    const nm_type *type;
    nm_op *def;    // the op that computes it; NULL for a parameter
    int index;     // its place among the results, or the parameters
    nm_func *func; // that owns it
    nm_sym name;   // as the user wrote it; NULL prints as %<id>
    uint32_t id;   // unique in the outermost function
    nm_use *uses;  // who reads it
};

struct nm_op {
    nm_opcode code;
    nm_op *prev, *next; // program order: an op's operands are computed before it
    nm_func *func;      // that it stands in
    uint32_t order;     // in it, if it is ordered
    nm_loc loc;         // the span of the user's source that asked for it
    int n_in, n_out, n_attrs;
    nm_value **in;
    nm_use *use;   // [n_in]
    nm_value *out; // [n_out]
    nm_attr *attr;
    nm_func *body; // of repeat and group; NULL otherwise
};

// What a function's parameter or result is to the program; `name` says which one.
typedef enum {
    NM_BIND_none,   // an inner function, a test
    NM_BIND_data,   // a field of the entry: tokens
    NM_BIND_param,  // a trained or frozen parameter, by path: decoder.q.w
    NM_BIND_state,  // kept between steps, by path: decoder.bn.mu, adamw.m.decoder.q.w
    NM_BIND_acc,    // accumulated over the micro-batches of a step: grad.decoder.q.w, loss
    NM_BIND_count,  // of the whole batch, known before its first forward
    NM_BIND_scalar, // from the runtime: seed, step, steps, epoch, at, or a hyperparameter
    NM_BIND_cache,  // kept between decode steps
    NM_BIND_emit,   // a result that is logged: loss, grad_norm, lm_loss
    NM_BIND_out,    // a result that is returned: logits
    NM_BIND_link,   // what one unit of a pipeline gives to another (docs/mesh.md)
    NM_BIND_kept,   // of parameters alone, once a step, for its micro-batches (passes/keep.c)
} nm_bind_kind;

typedef struct nm_bind {
    nm_bind_kind kind;
    nm_sym name;
    nm_sym index_of; // data: its values are positions in this dim (checked on loading), or NULL
    nm_sym next;     // link, of a parameter: in the next chunk of the same unit it is this link, a
                     // result of the same function; or NULL
} nm_bind;

typedef enum { // which part of its role's whole step a function is (docs/mesh.md)
    NM_PHASE_none,
    NM_PHASE_forward, // of a micro-batch
    NM_PHASE_turn,    // the last of forward and the first of backward
    NM_PHASE_backward,
    NM_PHASE_before, // of the end of a step: of its owners, before what mixes them
    NM_PHASE_middle, // on every rank
    NM_PHASE_after,  // of its owners
} nm_phase;

typedef enum {    // when gradients are reduced (docs/mesh.md, Sums)
    NM_SUMS_each, // in every micro-batch; or nothing here depends on it
    NM_SUMS_once, // they stay pending: in all micro-batches but the last
    NM_SUMS_last, // in the last: what is pending together with its own part
} nm_sums;

typedef enum {        // what backward's turns find of forward's
    NM_RECOMPUTE_any, // the function does not depend on it
#define RECOMPUTE(name) NM_RECOMPUTE_##name,
#include "ir/choices.def"
    NM_N_RECOMPUTES
} nm_recompute;

typedef enum {       // of a program in fp8: what layers' products are of (passes/islands.c)
    NM_PRODUCTS_any, // the function has one text
    NM_PRODUCTS_fp8, // numbers of 8 bits
    NM_PRODUCTS_bf16,
} nm_products;

typedef struct nm_part {
    nm_phase phase;
    uint64_t units; // bits: that it is of, or whose parameters' owners run it; 0: not cut
    nm_sym mode;    // of the mesh: one, mesh, ...; NULL: any
    nm_sums sums;
    nm_recompute recompute;
    nm_products products;
    bool kept; // takes what is kept of parameters over a step's micro-batches
} nm_part;

#define NM_ODD_UNITS 0xaaaaaaaaaaaaaaaaull // those that are repeats

typedef struct nm_op_list {
    nm_op *first, *last;
} nm_op_list;

struct nm_func {
    struct nm_module *module;
    nm_func *next; // in the module; NULL for a body
    nm_op *parent; // the op whose body this is; NULL for a function of the module
    nm_sym name;   // NULL for a body
    nm_part part;
    nm_loc loc;
    int n_params, n_results;
    nm_value **param;
    nm_bind *param_bind;  // [n_params]
    nm_bind *result_bind; // [n_results]; the values themselves are the operands of ret
    nm_op *first, *last;  // last is ret
    bool ordered;         // ops' `order` is that of the list
    uint32_t n_values;    // ids given out; counted in the outermost function
    struct nm_plan *plan; // ir/plan.h, once schedule has run; else NULL
};

// The outermost function that f is in (f itself, if it has no parent).
nm_func *nm_func_outer(nm_func *f);
// The first word of its name: train, of @train, an entry of it (@train.lm) or a part of one
// (@train.micro). A body has no role: NULL. More that names say: ir/names.h.
nm_sym nm_func_role(const nm_func *f);
bool nm_func_has_role(const nm_func *f, const char *role);
// The place of the parameter, of the result, that is bound so; -1: there is none.
int nm_func_find_param(const nm_func *f, nm_bind_kind kind, nm_sym name);
int nm_func_find_result(const nm_func *f, nm_bind_kind kind, nm_sym name);

// --- the module ----------------------------------------------------------------------------------

typedef struct nm_dim_decl { // dims vocab(pad = 128) = 50257, seq(max = 1024) = ?
    nm_sym name;
    nm_loc loc;
    const nm_extent *extent; // of a type's dim that says nothing else; a symbol if bound at start
    bool runtime;            // extent is the symbol `name`, bound when the binary starts
    int64_t min, max, multiple; // of a run-time extent; max 0: none
    int64_t fixed;              // its size in train functions, by passes/fix.c; 0: not known
    int64_t pad;                // storage is rounded up to this; 0: none
    nm_sym of;                  // a local extent (ff.tp): of this dim,
    nm_axes axes;    // split over these; or a mesh axis itself: of is NULL, axes its own name
    nm_sym turns_of; // of a repeat's turns (layers.o): each turn is a run of this dim's indices,
    int64_t first, each; // turn i the `each` that begin at first + each * i
} nm_dim_decl;

typedef struct nm_mesh_row { // tp: heads kv ff vocab seq
    nm_sym axis;
    nm_syms dims;
    nm_loc loc;
} nm_mesh_row;

typedef struct nm_param { // one row of the parameter table; values are func parameters bound to it
    nm_sym path;          // decoder.q.w
    const nm_type *type;  // stacked: [layers, d, heads, hd]
    int n_batch, n_ins; // the arrow: dims are n_batch batch dims, n_ins of the domain, the codomain
    bool is_arrow;
    bool frozen, no_decay;
    bool state; // kept, not trained: batch_norm's mu, an optimizer's moments
    bool own;   // a state of this program alone, not of the model's others; it begins at 0, without
                // @init
    nm_sym optimizer; // state of this optimizer, or the optimizer that trains it; NULL: none
    nm_loc loc;
} nm_param;

typedef struct nm_hyper { // a number of the train block that a flag of the binary can change
    nm_sym name;          // lr, warmup, betas.0, eps, weight_decay, clip
    double value;         // default = value + per_step * steps
    double per_step;
    nm_sym schedule; // for the schedule's own numbers: the default schedule's fn; else NULL
    nm_loc loc;
} nm_hyper;

typedef struct nm_fix { // --fix tp=1
    nm_sym name;
    int64_t value;
} nm_fix;

// Which lowering of the program a module becomes: for the processors of the machine, or for the
// devices cuda, emu and null.
typedef enum { NM_FLAVOUR_host, NM_FLAVOUR_gpu } nm_flavour;

typedef enum {
    NM_PRECISION_any, // nobody said: f32
#define PRECISION(name) NM_PRECISION_##name,
#include "ir/choices.def"
    NM_N_PRECISIONS
} nm_precision;

typedef enum {
    NM_RECIPE_none, // no fp8; or nobody said: current
#define RECIPE(name) NM_RECIPE_##name,
#include "ir/choices.def"
    NM_N_RECIPES
} nm_recipe;

// As options, texts and binaries name them. The first of each is nobody's to choose.
extern const char *const nm_precision_name[NM_N_PRECISIONS],
    *const nm_recipe_name[NM_N_RECIPES], *const nm_recompute_name[NM_N_RECOMPUTES];
// A list (none,selective,full) as bits by nm_recompute; 0: one of them is no such name.
unsigned nm_recompute_bits(const char *list);

typedef struct nm_option { // compilation options that passes may read
    const char *cpu;       // native, x86-64-v2, v3, v4
    nm_flavour flavour;    // above `fuse` only quantise and keep look at it, for products of 8 bits
    nm_precision precision;
    nm_recipe recipe;
    bool fp8_e4m3; // precision fp8: gradients are e4m3, too, not e5m2
    bool fast_casts;
    bool fast_attention_grad; // flavour gpu: in one pass, whose sums have no order
    bool plain_products;      // flavour gpu: no epilogues behind a library's product
    bool wide_products;       // flavour gpu: what has 8 bits is multiplied in bf16
    unsigned recompute;       // bits by nm_recompute: the variants wanted; 0: selective alone
    int64_t head_chunk; // tokens of which a head computes logits at a time; 0: as the pass says
    unsigned unfused;   // bits by nm_fusion (passes/fusion.h): what fuse leaves apart
    int n_fixes;
    const nm_fix *fix;     // what passes/fix.c bakes in
    const char *comm_text; // the one text that --explain-comm shows; NULL: all
} nm_options;

typedef struct nm_module {
    nm_arena *arena; // owns all of it
    nm_diag *diag;
    nm_interner *syms;
    struct nm_tables *tables; // interned types and extents; private to ir/
    nm_options options;

    nm_sym name, preset; // gpt2, 124m (NULL: none)
    int n_dims, n_mesh, n_params, n_hypers;
    int n_units; // of a micro-batch's chain: 2K + 1; 0: passes/units.c did not run
    nm_dim_decl *dim;
    nm_mesh_row *mesh;
    nm_param *param;
    nm_hyper *hyper;
    int n_weights;
    struct nm_weights *weights; // ir/weights.h
    nm_func *first_func, *last_func;
    unsigned facts;             // passes/pass.h
    struct nm_remarks *remarks; // passes/remarks.h: what rules did; NULL: nobody asked
    uint64_t hash;              // of the model as it was read: the same for all programs made of it
    int n_carried;              // C files of extern ops that are not to be read from disk: the
    const nm_source **carried;  // library's own, which nemocc carries
    struct nm_loaded *loaded;   // C functions that the interpreter has in this process
    nm_sym no_decode; // why the model cannot generate; NULL: it can, or passes/decode.c did not run
} nm_module;

nm_module *nm_module_new(nm_arena *arena, nm_diag *diag); // in the arena, with which it dies
nm_sym nm_sym_get(nm_module *m, const char *s);           // interned
nm_sym nm_sym_fmt(nm_module *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
nm_dim_decl *nm_dim_declare(nm_module *m, nm_dim_decl decl); // replaces one of the same name
nm_dim_decl *nm_dim_lookup(nm_module *m, nm_sym name);       // NULL: not declared
nm_dim nm_dim_of(nm_module *m, nm_sym name);                 // the declared extent; nm_bug if none
bool nm_dim_is_runtime(nm_module *m, nm_sym name);           // declared so; no other dim is
nm_mesh_row *nm_mesh_add(nm_module *m, nm_mesh_row row);
// Do a pipeline's stages share it out: is it a dim of the mesh's row pp, with all of its indices?
// The layers of one turn are no stage's part of all layers.
bool nm_dim_is_staged(nm_module *m, const nm_dim *d);
// Is it a repeat that a pipeline's stages share out: over a dim of the row pp, or turns of one?
bool nm_is_staged(const nm_op *op);
// Is it what all ranks store of a padded dim, a local extent times its axes: tpk * tpr * vocab.tp?
bool nm_extent_is_stored(nm_module *m, const nm_extent *e);
nm_param *nm_param_add(nm_module *m, nm_param param);
nm_param *nm_param_lookup(nm_module *m, nm_sym path);
nm_hyper *nm_hyper_add(nm_module *m, nm_hyper hyper);
nm_hyper *nm_hyper_lookup(nm_module *m, nm_sym name);

// --- the op table: ops.def as data ---------------------------------------------------------------

enum nm_traits {
    NM_PURE = 1 << 0,           // no effects: may be folded, merged, moved, dropped
    NM_MAP = 1 << 1 | NM_PURE,  // element by element, aligned by dim name
    NM_COMMUTES = 1 << 2,       // in[0] and in[1] may swap
    NM_LINEAR = 1 << 3,         // in each operand alone (mul, dot): may read one pending value
    NM_SUM = 1 << 4,            // in all operands at once (add, sub): may read all pending values
    NM_IDLE = 1 << 5,           // moves no number: transparent to pending sums (rename, split, neg)
    NM_REDUCE = 1 << 6,         // a dim that is dropped while split leaves a pending sum
    NM_VIEW = 1 << 7 | NM_PURE, // each result element is one operand element, or a constant
    NM_FREE = 1 << 8 | NM_PURE, // computed wherever it is read, never stored or sent: const, index
    NM_GIVEN = 1 << 9,          // the result type is given by who builds it, and checked
    NM_TERMINATOR = 1 << 10,    // ends a function
    NM_NO_GRAD = 1 << 11,       // not differentiable, on purpose: constant to autodiff
    NM_BODY = 1 << 12,          // has a body
    NM_BOOL = 1 << 13,          // gives bool whatever it reads: lt, eq
    NM_INT = 1 << 14,           // a map of ints only: idiv, mod
    NM_DTYPES_FREE = 1 << 15,   // operands need not agree in dtype: gather, select, attention
    NM_COLLECTIVE = 1 << 16,    // moves a value from one form to another: all_reduce, shard
};
enum { NM_VARIADIC = -1 };

struct nm_grad;    // ir/grads.h
struct nm_eval_op; // ir/eval.h

typedef enum { // where an element of an op's result is 0 because its operands' elements are
    NM_ZERO_UNKNOWN,
    NM_ZERO_FIRST,    // where the first operand is
    NM_ZERO_ANY,      // where one is
    NM_ZERO_ALL,      // where all are
    NM_ZERO_QUOTIENT, // where the first is and the second is not
    NM_ZERO_CHOICE,   // where what is chosen is: the third if the first is 0
    NM_ZERO_INDEXED,  // as FIRST, but along `over`, where the second picks
    NM_ZERO_PLACED,   // as FIRST, and along `over` where nothing is placed
} nm_zero_rule;

typedef struct nm_op_info {
    const char *name, *attrs, *example, *doc;
    int n_in, n_out; // n_out 0 means 1, except for ret
    unsigned traits;
    const char *whole; // attributes that name the dims which it needs whole: "over, hd"
    unsigned parts;    // operands that may be parts of a sum, as bits; 0: as the traits say
    nm_zero_rule zero;
    unsigned singular; // operands of which a finite number may give one that is not, as bits
    int cost; // of one element, in additions; 0 stands for 1, for views and free values for nothing
    // Fill the types of op's results (op->out[i].type) from its operands and attributes, or check
    // the given ones; false: reported at op->loc with the number of the violated constraint.
    bool (*shape)(nm_module *m, nm_op *op);
    bool (*verify)(nm_module *m, nm_op *op);    // what shape cannot say; may be NULL
    void (*grad)(struct nm_grad *g, nm_op *op); // vector-Jacobian product; ir/grads.h
    void (*eval)(struct nm_eval_op *e);         // its meaning, for the interpreter
} nm_op_info;

extern const nm_op_info nm_op_table[NM_N_OPS];
static inline const nm_op_info *nm_info(const nm_op *op) { return &nm_op_table[op->code]; }
static inline bool nm_is(const nm_op *op, unsigned traits)
{
    return (nm_info(op)->traits & traits) == traits;
}
int nm_opcode_find(const char *name, size_t len); // -1: no such op
double nm_opcode_map(nm_opcode code, double a);   // of a map of one operand, but cast: its value

// --- attributes of an op; `name` need not be interned --------------------------------------------

const nm_attr *nm_attr_get(const nm_op *op, const char *name); // NULL: absent
int64_t nm_attr_int(const nm_op *op, const char *name, int64_t otherwise);
double nm_attr_float(const nm_op *op, const char *name, double otherwise);
bool nm_attr_bool(const nm_op *op, const char *name);    // absent: false
nm_sym nm_attr_sym(const nm_op *op, const char *name);   // absent: NULL
nm_syms nm_attr_dims(const nm_op *op, const char *name); // absent: none
bool nm_syms_has(nm_syms list, nm_sym s);
bool nm_op_names(const nm_op *op, nm_sym dim); // is it a symbol of an attribute, or in a list?
bool nm_syms_same(nm_syms a, nm_syms b);       // in the same order
// Constructors for nm_build's list; names and symbols are interned by nm_build's caller.
nm_attr nm_mk_int(nm_module *m, const char *name, int64_t i);
nm_attr nm_mk_float(nm_module *m, const char *name, double f);
nm_attr nm_mk_bool(nm_module *m, const char *name, bool b);
nm_attr nm_mk_sym(nm_module *m, const char *name, nm_sym s);
nm_attr nm_mk_string(nm_module *m, const char *name, nm_sym s);
nm_attr nm_mk_dims(nm_module *m, const char *name, nm_syms dims); // copies the list
nm_attr nm_mk_dtype(nm_module *m, const char *name, nm_dtype t);
nm_attr nm_mk_extent(nm_module *m, const char *name, const nm_extent *e);

// --- building ------------------------------------------------------------------------------------

typedef struct nm_proto { // what nm_build makes an op from; everything is copied
    nm_opcode code;
    nm_loc loc;
    int n_in;
    nm_value *const *in;
    int n_attrs;
    const nm_attr *attr;
    const nm_type *type; // NM_GIVEN: the result's type. Others: the wanted order of dims, or NULL
    int n_types;         // ops with several given results (extern, group): their types
    const nm_type *const *types;
    nm_func *body; // becomes the op's (a new one, or one of this function that its op gives up);
                   // results of group and repeat follow from it
    nm_sym name;   // of the first result, or NULL
} nm_proto;

nm_func *nm_func_new(nm_module *m, nm_sym name, nm_loc loc); // appended to the module
nm_func *nm_body_new(nm_func *in, nm_loc loc); // a body for an op that will stand in `in`
nm_value *nm_func_param(nm_func *f, const nm_type *type, nm_sym name, nm_bind bind);
nm_op *nm_func_ret(nm_func *f, nm_loc loc, int n, nm_value *const *value,
                   const nm_bind *bind);               // bind may be NULL
void nm_func_remove(nm_func *f);                       // from its module
void nm_func_move_before(nm_func *f, nm_func *before); // in their module
// A copy under another name at the end of the module, values renumbered; map (may be NULL) takes
// the old value id to the new value, for the whole nest of bodies.
nm_func *nm_func_clone(nm_func *f, nm_sym name, nm_value **map);

// This op again, its body left out: code, place, operands, attributes, types, the first name. What
// is to be different is overwritten.
nm_proto nm_proto_of(const nm_op *op);
// Insert an op before `before` (NULL: at the end of f). Types are inferred; an error in them is
// reported at proto.loc and gives NULL.
nm_op *nm_build_op(nm_func *f, nm_op *before, const nm_proto *proto);
// The same for ops of one result.
nm_value *nm_build(nm_func *f, nm_op *before, const nm_proto *proto);
nm_value *nm_build1(nm_func *f, nm_op *before, nm_loc loc, nm_opcode code, nm_value *a); // no attrs
nm_value *nm_build2(nm_func *f, nm_op *before, nm_loc loc, nm_opcode code, nm_value *a,
                    nm_value *b);
nm_value *nm_build_const(nm_func *f, nm_op *before, nm_loc loc, nm_dtype dtype, double value);
// The number in every element of the type.
nm_value *nm_build_filled(nm_func *f, nm_op *before, nm_loc loc, const nm_type *type, double value);
bool nm_is_zero(const nm_value *v); // the constant 0

void nm_replace(nm_value *old, nm_value *with); // every reader of old reads with; one list splice
void nm_set_operand(nm_op *op, int i, nm_value *with);
void nm_add_attr(nm_op *op, nm_attr attr);     // behind those that it has: their row's order
void nm_erase(nm_op *op);                      // its results must have no readers
void nm_move_before(nm_op *op, nm_op *before); // in the same function
bool nm_stands_before(const nm_op *x, const nm_op *y); // in one list; not if they are one op
bool nm_is_read_by_ret_alone(const nm_op *op);
bool nm_used_once(const nm_value *v);
int nm_n_uses(const nm_value *v);

#define nm_each_op(op, f) for (nm_op *op = (f)->first; op; op = op->next)
#define nm_each_op_safe(op, f)                                                                     \
    for (nm_op *op = (f)->first, *op##_next; op && (op##_next = op->next, 1); op = op##_next)
#define nm_each_func(f, m) for (nm_func *f = (m)->first_func; f; f = f->next)
#define nm_each_use(u, v)  for (nm_use *u = (v)->uses; u; u = u->next)

// --- text: print(parse(t)) is t for printed t, and tests/roundtrip holds us to it ----------------

typedef struct nm_print_opts {
    bool locs; // "at file:line:col" behind every op
} nm_print_opts;

bool nm_parse(nm_module *m, const nm_source *src); // into an empty module
void nm_print(FILE *out, nm_module *m, nm_print_opts opts);
void nm_print_func(FILE *out, nm_func *f, nm_print_opts opts);
uint64_t nm_module_hash(nm_module *m); // of its text: of two modules that are alike the same
uint64_t nm_func_hash(nm_func *f);     // likewise
bool nm_verify(nm_module *m);          // true, or at least one error in m->diag

#endif
