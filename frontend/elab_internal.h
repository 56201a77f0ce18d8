// What the elaborator's files share. elab.c says how they fit together.
//
// A *value* (nm_ev) is anything a name can mean: a number, a tuple, a list of dims, a function, a
// tensor. All but tensors are known when nemocc runs; a tensor is an IR value of the function being
// built and what only the frontend knows of it. A *frame* is one call of a definition. A *region*
// is a place where ops go: a function, or the body of a loop. Reading a value from within a region
// *imports* it: a loop's body sees this turn's index of what has the loop's dim.
#ifndef NM_FRONTEND_ELAB_INTERNAL_H
#define NM_FRONTEND_ELAB_INTERNAL_H

#include "frontend/elab.h"

typedef struct nm_elab nm_elab;
typedef struct nm_ev nm_ev;
typedef struct nm_unit nm_unit;
typedef struct nm_inst nm_inst;
typedef struct nm_pvar nm_pvar;
typedef struct nm_frame nm_frame;
typedef struct nm_region nm_region;
typedef struct nm_builtin nm_builtin;

// --- values --------------------------------------------------------------------------------------

typedef enum {
    NM_EV_poison, // of an erroneous expression: causes no second message
    NM_EV_none,
    NM_EV_num,
    NM_EV_bool,
    NM_EV_word, // reflect: one of an op's own words
    NM_EV_string,
    NM_EV_tuple,
    NM_EV_extent, // a whole number that is known when the binary starts
    NM_EV_dims,   // heads hd
    NM_EV_fn,     // anything that can be called
    NM_EV_dist,   // normal(0, 0.02)
    NM_EV_tensor,
    NM_EV_inst, // decoder, decoder.q
    NM_EV_unit, // lm of `use llama3 as lm`
} nm_ev_kind;

typedef struct nm_edim {     // a dim as it stands in a program
    nm_sym name;             // in types
    const nm_extent *extent; // NULL: what the values in scope say, or not known
    bool written;            // the extent was written at this place: c=4
    bool ambiguous;          // the arguments disagree about the extent
    nm_loc loc;              // in the user's text
} nm_edim;

typedef struct nm_edims {
    int n;
    nm_edim *dim;
} nm_edims;

typedef struct nm_tensor {
    nm_value *v;
    nm_sym index_of; // its values are positions in this dim; NULL: plain
    bool weak;       // a number: takes the other operand's dtype
    bool is_arrow;
    nm_syms ins, outs; // of the arrow
    nm_pvar *param;    // it is this parameter or state itself
} nm_tensor;

typedef enum { NM_DIST_normal, NM_DIST_uniform, NM_DIST_bernoulli } nm_dist_kind;

typedef struct nm_callable { // one of these is set
    const nm_ast_def *def;
    const nm_ast_extern *ext;
    const nm_builtin *builtin;
    nm_inst *inst; // a label that is called again, or what an adapter wraps
    nm_unit *unit; // where def and ext were written
    bool is_cast;
    nm_dtype cast;
    int n_wraps; // inst, called by its n-th adapter from outside: those that are left
    bool wrapped;
} nm_callable;

struct nm_ev {
    nm_ev_kind kind;
    nm_loc loc;  // where the user's text says it
    nm_loc made; // where it was given its name
    nm_sym text; // as the user calls it, or NULL
    union {
        double num;
        bool b;
        nm_sym sym; // word, string
        struct {
            int n;
            nm_ev *item;
        } tuple;
        const nm_extent *extent;
        nm_edims dims;
        const nm_callable *fn;
        struct {
            nm_dist_kind kind;
            nm_ev *arg; // [2]
        } dist;
        const nm_tensor *t;
        nm_inst *inst;
        nm_unit *unit;
    } u;
};

// --- units: files, and what their names mean -----------------------------------------------------

typedef struct nm_setting { // a size or constant given from outside: -D, preset, use
    nm_sym name;
    nm_loc loc;
    const nm_ast_expr *expr; // NULL: value
    nm_ev value;
    nm_unit *unit; // that expr is read in
    struct nm_setting *next;
} nm_setting;

typedef enum { NM_ITEM_dim, NM_ITEM_const, NM_ITEM_def, NM_ITEM_extern, NM_ITEM_unit } nm_item_kind;

typedef struct nm_item { // what a file-level name means
    nm_item_kind kind;
    nm_sym name;
    nm_loc loc;
    const nm_ast_dimdecl *dim;
    const nm_ast_setting *constant;
    const nm_ast_def *def;
    const nm_ast_extern *ext;
    nm_unit *unit;
    int state;   // 0: not read yet, 1: being read, 2: read
    nm_ev value; // of a dim or const, once read
    bool bound;  // a dim of a `use ... as` that stands for one of ours
    struct nm_item *next;
} nm_item;

struct nm_unit {
    nm_sym as;     // lm; NULL: the program itself, std
    nm_sym prefix; // "lm." or ""
    const nm_ast_file *file;
    nm_sym preset;
    nm_item *item; // newest first: what a file declares again replaces it
    nm_setting *defines, *config_settings, *preset_settings, *use_settings;
    nm_frame *frame; // for reading file-level expressions
    nm_unit *next;
};

// --- instances, parameters -----------------------------------------------------------------------

typedef struct nm_bound { // an argument, bound to a parameter
    nm_sym name;
    nm_ev value;
} nm_bound;

typedef struct nm_wrap { // an adapter around an instance
    const nm_ast_adapt *adapt;
    nm_unit *unit;
    const nm_ast_def *def;
} nm_wrap;

typedef struct nm_adapt { // an adapt line of the program
    const nm_ast_adapt *adapt;
    nm_unit *unit;
    bool matched;
} nm_adapt;

struct nm_inst {
    nm_sym path; // "" for the root
    nm_sym label;
    const nm_ast_def *def;
    nm_unit *unit;
    nm_inst *up, *child, *next;
    nm_region *region; // its parameters stack over the repeats inside of this
    int n_args;
    nm_bound *arg; // of the last call, for a label that is called again
    nm_region *arg_region;
    bool is_adapter, wraps_known, was_declared;
    bool failed; // a call of it had an error: what it has is not known
    int n_wraps;
    nm_wrap *wrap;
};

struct nm_pvar { // a parameter or state
    nm_sym path, name;
    const nm_type *type; // stacked
    int n_loops;         // its outermost dims are of repeats
    int n_batch;
    bool is_arrow, frozen, no_decay, state;
    int visits; // turns of a trial that declared it
    nm_syms ins, outs;
    nm_sym optimizer;
    nm_loc loc;
    nm_value *start;  // in @init
    nm_value *now;    // in the function being built
    nm_region *where; // the region of `now`
    struct nm_efunc *of;
    struct nm_efunc *assigned_in; // the function that has its `:=`
    nm_pvar *next;
};

// --- regions -------------------------------------------------------------------------------------

typedef struct nm_import {
    nm_value *outer, *operand, *inner; // operand: outer, or its turns apart
    bool stacked;
    struct nm_import *next;
} nm_import;

typedef struct nm_emit {
    nm_sym path;
    nm_ev value;
    nm_region *region;
    nm_loc loc;
    bool of_entry; // logged
    struct nm_emit *next;
} nm_emit;

struct nm_region {
    nm_region *outer; // NULL: a function
    struct nm_efunc *fn;
    nm_func *f;
    nm_loc loc;   // of the loop
    nm_edim dim;  // of the loop; without a name: a trial
    nm_sym whole; // of several turns a body: the dim that dim and an inner `whole` are split from
    int64_t first, period;  // the first turn that it does, and how many turns a body
    const nm_extent *turns; // of `whole`, all of them
    bool scan;
    bool inlined;      // one turn of an unrolled repeat, in outer's f
    int64_t at;        // inlined: which
    nm_import *import; // of a body, newest first
    nm_value *index;   // of a body's turn, once it was asked for
};

typedef struct nm_efunc { // a function being built
    nm_func *f;
    nm_region *root;
    nm_emit *emit; // newest first
    struct nm_draws *draws;
} nm_efunc;

// --- frames --------------------------------------------------------------------------------------

typedef struct nm_var {
    nm_sym name;
    nm_ev value;
    nm_region *region; // where the value was made
    bool is_turn;      // the index of a repeat
} nm_var;

typedef struct nm_local_dim { // a dim parameter, or one declared in a body
    nm_sym name;
    nm_edims dims; // what it stands for
} nm_local_dim;

// A trial: what is built is thrown away, and nothing of it is remembered but parameters.
typedef struct nm_trial nm_trial;

typedef struct nm_label {
    nm_sym name;
    nm_loc loc;
    nm_inst *inst;
    bool explicit_; // written, not the callee's name
} nm_label;

typedef struct nm_rest { // what `...` passes on: an argument as written, or a bound one
    const nm_ast_arg *arg;
    nm_frame *frame;
    nm_bound bound;
} nm_rest;

struct nm_frame {
    nm_frame *caller;
    nm_unit *unit;
    const nm_ast_def *def; // NULL: an entry, a file
    nm_sym what;           // its name
    nm_inst *inst;         // whose parameters it declares; for an fn: its caller's
    bool is_fn;
    bool is_entry;
    bool is_optimizer;
    nm_loc user_loc; // the call in the user's text
    nm_sym user_fn;  // what the user's text calls there; NULL: the frame is the user's own
    const nm_ast_expr *user_call;
    nm_frame *user_frame; // the frame that user_call stands in
    int n_vars, n_dims, n_labels, n_rest, n_replaced;
    nm_var *var;
    nm_local_dim *dim;
    nm_label *label;
    nm_rest *rest;
    nm_bound *replaced;       // parameters that the call gave (inst-5)
    nm_sym turns;             // ".0.1" of the `for`s around, or ""
    const nm_ast_block *body; // of an entry
    int in_loop;
    bool returned;
    nm_ev result;
};

// --- the context ---------------------------------------------------------------------------------

typedef struct nm_metric { // what a train entry publishes of its own: loss, grad_norm, lr
    const char *base;
    nm_sym name;
    nm_ev value;
    nm_loc loc;
    struct nm_metric *next;
} nm_metric;

typedef struct nm_active { // a definition whose body is being read, for def-3
    const nm_ast_def *def;
    const nm_inst *inst;
    struct nm_active *outer;
} nm_active;

struct nm_elab {
    nm_module *m;
    nm_arena *a;
    const nm_ast_program *prog;
    const nm_elab_opts *opts;
    nm_unit *std, *main, *unit; // unit: all, newest first
    nm_inst *root;
    nm_pvar *param, **param_end; // in the order of declaration
    nm_efunc *fn;                // being built
    nm_efunc *init;              // @init
    nm_region *at;               // where ops go now
    bool training;
    nm_sym model_name; // the one model's, which paths leave out; NULL: there are several
    int n_adapts;
    nm_adapt *adapt;
    nm_active *active;
    nm_loc user_loc;      // the user's call that the library is inlined for; src NULL: none
    int depth;            // of nested evaluation
    long work;            // evaluated so far; bounds unrolling
    unsigned fails;       // errors so far, told or told before
    bool gave_up;         // a limit was hit: nothing more is evaluated
    struct nm_told *told; // messages that were given, so that each is given once
    uint64_t trace;       // hash of the ops built in this turn
    bool turn_read;       // the index of the innermost repeat was read
    double steps_is;      // `steps` as a number, while a hyperparameter is read
    bool steps_known;
    const nm_ast_entry *entry; // being elaborated
    nm_sym slot;               // the ragged dim of a dispatch
    nm_pvar *opt_param;        // whose update is being built
    nm_sym opt_name;
    const nm_ast_def *opt_def;
    nm_metric *metric, **metric_end;  // of this function
    const struct nm_json *config;     // opts->config; NULL: none
    const nm_ast_weights *config_map; // by which it is read
    bool config_defined;              // a row names what -D sets
};

// --- elab.c: errors and the order of things ------------------------------------------------------

// Report at loc, or, if that is in the standard library, at the user's call of it. `f` may be NULL.
// The result is poison, so that callers can return it.
nm_ev nm_elab_error(nm_elab *e, const nm_frame *f, nm_loc loc, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool nm_elab_enter(nm_elab *e, const nm_frame *f,
                   nm_loc loc); // false: too deep or too much, reported
void nm_elab_leave(nm_elab *e);
// "line 9", or "std.nm:193" for another file than the one of `seen_from`.
const char *nm_elab_place(nm_elab *e, nm_loc loc, nm_loc seen_from);
const char *nm_elab_source_text(nm_elab *e, nm_loc loc); // as it stands in the file
nm_sym nm_elab_nearest(nm_elab *e, nm_sym word, int n, const nm_sym *candidate);

// --- elab_values.c -------------------------------------------------------------------------------

nm_ev nm_ev_poison(void);
nm_ev nm_ev_none(void);
nm_ev nm_ev_num(double v);
nm_ev nm_ev_bool(bool b);
nm_ev nm_ev_word(nm_ev_kind kind, nm_sym s);
nm_ev nm_ev_tuple(nm_elab *e, int n, const nm_ev *item); // copies
nm_ev nm_ev_extent(nm_elab *e, const nm_extent *x);      // a number if it is constant
nm_ev nm_ev_dims(nm_elab *e, int n, const nm_edim *dim); // copies
nm_ev nm_ev_fn(nm_elab *e, nm_callable fn);
nm_ev nm_ev_tensor(nm_elab *e, nm_tensor t);
nm_ev nm_ev_value(nm_elab *e, nm_value *v);          // a plain tensor; NULL: poison
nm_ev nm_ev_like(nm_elab *e, nm_ev of, nm_value *v); // v with the arrow and index of `of`
bool nm_ev_same(nm_elab *e, nm_ev a, nm_ev b);       // compile-time equality
bool nm_ev_is_whole(nm_ev v, int64_t *i);
const char *nm_ev_describe(nm_elab *e, nm_ev v); // "real[batch, seq]", "12", "a function"
const char *nm_ev_name(nm_elab *e, nm_ev v, const char *otherwise);
const char *nm_tensor_str(nm_elab *e, const nm_tensor *t);
// A number that dims, an extent or a number stand for; else unchanged.
nm_ev nm_ev_number(nm_elab *e, nm_frame *f, nm_ev v);
bool nm_ev_is_number(nm_ev v); // a number, dims, an extent or a weak scalar
// A tensor of the number in the dtype; a tensor of that dtype as it is, cast if allowed.
nm_value *nm_ev_materialise(nm_elab *e, nm_ev v, nm_dtype dtype, nm_loc loc);
nm_syms nm_syms_of(nm_elab *e, nm_edims dims);
nm_syms nm_syms_copy(nm_elab *e, int n, const nm_sym *s);

// --- elab_region.c -------------------------------------------------------------------------------

nm_efunc *nm_efunc_new(nm_elab *e, const char *name, nm_loc loc);
nm_value *nm_efunc_scalar(nm_elab *e, const char *name,
                          nm_dtype dtype); // the function's scalar, made once
void nm_efunc_finish(nm_elab *e, nm_efunc *fn, nm_loc loc, int n, nm_value *const *value,
                     const nm_bind *bind);
nm_value *nm_region_import(nm_elab *e, nm_region *from, nm_value *v); // v as e->at sees it
nm_ev nm_ev_import(nm_elab *e, nm_region *from, nm_ev v);
nm_region *nm_region_open(nm_elab *e, nm_edim dim, bool scan, nm_loc loc);
// One turn without a body of its own: ops go where they went, e->at->outer is where it ends.
nm_region *nm_region_inline(nm_elab *e, nm_edim dim, int64_t at, nm_loc loc);
nm_value *nm_region_index(nm_elab *e, nm_region *r, nm_loc loc); // i32[]: the index of r's turn
// End the body: carried values and their next ones, values to stack; makes the repeat op in the
// outer region, which is the current one then. result[]: the carried, then the stacked ones.
void nm_region_close(nm_elab *e, nm_loc loc, int n_carried, nm_value *const *start,
                     nm_value *const *inner, nm_value *const *next, int n_stacked,
                     nm_value *const *stacked, nm_value **result);
nm_trial *nm_trial_begin(nm_elab *e, nm_loc loc); // e->at is a region of its own until the end
void nm_trial_end(nm_elab *e, nm_trial *t);
typedef struct nm_mark nm_mark; // what a turn changes besides ops
nm_mark *nm_mark_take(nm_elab *e);
void nm_mark_back(nm_elab *e, const nm_mark *mark);
nm_value *nm_region_turn(nm_elab *e,
                         nm_loc loc); // i32[]: which turn this is, or NULL outside of loops
nm_value *nm_elab_op(nm_elab *e, nm_loc loc, nm_opcode code, int n_in, nm_value *const *in,
                     int n_attrs, const nm_attr *attr,
                     const nm_type *type); // NULL: an operand was, or reported
// Places in the library become the user's call of it, for ops and parameters.
nm_loc nm_elab_users_loc(nm_elab *e, nm_loc loc);
nm_op *nm_elab_op_many(nm_elab *e, nm_proto proto);
nm_value *nm_elab_op1(nm_elab *e, nm_loc loc, nm_opcode code, nm_value *a);
nm_value *nm_elab_op2(nm_elab *e, nm_loc loc, nm_opcode code, nm_value *a, nm_value *b);
nm_value *nm_elab_const(nm_elab *e, nm_loc loc, nm_dtype dtype, double v);
nm_value *nm_elab_cast(nm_elab *e, nm_loc loc, nm_value *v,
                       nm_dtype dtype); // as it is, if it has it
nm_value *nm_elab_order(nm_elab *e, nm_loc loc, nm_value *v,
                        const nm_type *type); // broadcast or reorder
nm_value *nm_elab_turn_of(nm_elab *e, nm_loc loc, nm_value *v, nm_sym dim, int64_t at);

// --- elab_units.c, elab_names.c ------------------------------------------------------------------

bool nm_units_load(nm_elab *e); // the units of the program, presets and -D applied
// elab_config_read.c: settings from opts->config, if there is one. False: reported.
bool nm_config_read(nm_elab *e);
void nm_config_elaborate(nm_elab *e); // elab_config.c: m->weights, without parts
nm_item *nm_unit_find(nm_elab *e, nm_unit *u, nm_sym name); // its own, then std's
nm_ev nm_item_value(nm_elab *e, nm_item *item, nm_frame *f, nm_loc loc);
nm_sym nm_unit_dim_name(nm_elab *e, nm_unit *u, nm_sym name); // in types: with its prefix
bool nm_names_know(nm_elab *e, nm_frame *f, nm_sym name);
nm_ev nm_name_value(nm_elab *e, nm_frame *f, const nm_ast_name *name, nm_loc loc);
nm_ev nm_name_callee(nm_elab *e, nm_frame *f, const nm_ast_name *name, nm_loc loc);
nm_sym nm_name_suggest(nm_elab *e, nm_frame *f, nm_sym word);
bool nm_name_is_predeclared(nm_sym name); // true, training, step, ...
nm_var *nm_frame_var(nm_frame *f, nm_sym name);
void nm_frame_set(nm_elab *e, nm_frame *f, nm_sym name, nm_ev value);
nm_local_dim *nm_frame_dim(nm_frame *f, nm_sym name);
void nm_frame_set_dim(nm_elab *e, nm_frame *f, nm_sym name, nm_edims dims);
nm_frame *nm_frame_new(nm_elab *e, nm_frame *caller, nm_unit *unit, nm_loc call_loc);
nm_label *nm_frame_label(nm_frame *f, nm_sym name);
nm_label *nm_frame_label_here(nm_elab *e, nm_frame *f,
                              nm_sym name); // of this turn of a `for` first
void nm_frame_add_label(nm_elab *e, nm_frame *f, nm_label label);
nm_ev nm_name_unknown(nm_elab *e, nm_frame *f, nm_sym name, nm_loc loc); // reported [name-2]

// --- elab_dims.c ---------------------------------------------------------------------------------

nm_sym nm_dim_unprimed(nm_elab *e, nm_sym name, int *primes);
// What a name stands for as a dim or a list of dims; undeclared ones are dims, too.
nm_edims nm_dims_of_name(nm_elab *e, nm_frame *f, const nm_ast_name *name, nm_loc loc);
nm_edims nm_dims_of_names(nm_elab *e, nm_frame *f, const nm_ast_names *names);
// The same of a view: a name that is on the left, too, has the extent that comes out.
nm_edims nm_dims_right_of(nm_elab *e, nm_frame *f, const nm_ast_dims *dims, nm_edims left);
nm_edims nm_dims_right(nm_elab *e, nm_frame *f, const nm_ast_dims *dims); // of an arrow
nm_edims nm_dims_sized(nm_elab *e, nm_frame *f, const nm_ast_dim *d);     // c=4, or a list's name
bool nm_dim_single(nm_elab *e, nm_frame *f, nm_edims dims, nm_loc loc, nm_edim *out);
// The extent of a dim that is read; NULL: reported (dim-2, dim-4).
const nm_extent *nm_dim_extent(nm_elab *e, nm_frame *f, nm_edim d, nm_loc loc);
const nm_extent *nm_dim_known(nm_elab *e, nm_frame *f, nm_edim d); // the same, NULL without a word
bool nm_dims_has(nm_edims dims, nm_sym name);
nm_edims nm_dims_of_type(nm_elab *e, const nm_type *t, nm_loc loc);
const char *nm_dims_str(nm_elab *e, nm_edims dims);
// One number, as far as is known when nemocc runs. `dim` is whose extents they are.
bool nm_extents_agree(nm_elab *e, nm_sym dim, const nm_extent *a, const nm_extent *b);
bool nm_dim_must_have(nm_elab *e, nm_frame *f, nm_ev x, nm_edim d, nm_loc loc, const char *what);
// dim-1 for each of them
bool nm_dims_must_have(nm_elab *e, nm_frame *f, nm_ev x, nm_edims dims, nm_loc loc,
                       const char *what);
typedef struct nm_eshape { // dims of a declaration
    int rank, n_batch, n_ins;
    bool is_arrow;
    nm_edim dim[NM_MAX_RANK];
} nm_eshape;
bool nm_shape_read(nm_elab *e, nm_frame *f, const nm_ast_shape *shape, nm_eshape *out);
void nm_body_dims(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);

// --- elab_align.c, elab_expr.c -------------------------------------------------------------------

nm_ev nm_elab_expr(nm_elab *e, nm_frame *f, const nm_ast_expr *x);
nm_ev nm_elab_exprs(nm_elab *e, nm_frame *f, const nm_ast_exprs *x); // one: it; more: a tuple
bool nm_elab_static(nm_elab *e, nm_frame *f, const nm_ast_expr *cond, const nm_ast_expr *whole,
                    bool *out);
nm_ev nm_elab_binary(nm_elab *e, nm_frame *f, nm_ast_binary_op op, nm_ev a, nm_ev b, nm_loc op_loc,
                     const nm_ast_expr *x);
// Operands of one op: one dtype for all, dims aligned (align-1..3). false: reported.
bool nm_elab_unify(nm_elab *e, nm_frame *f, int n, const nm_ev *in, nm_value **out, nm_loc loc,
                   bool aligned);
bool nm_elab_common_dtype(nm_elab *e, nm_frame *f, int n, const nm_ev *in, nm_loc loc,
                          nm_dtype *out);
// v with another, equal extent of a dim (both are the same number, written differently)
nm_value *nm_elab_conform(nm_elab *e, nm_loc loc, nm_value *v, nm_sym dim, const nm_extent *extent);
bool nm_elab_align(nm_elab *e, nm_frame *f, int n, const nm_ev *in, nm_loc loc);
bool nm_dtype_find(nm_sym name, nm_dtype *out);
bool nm_dtype_is_int(nm_dtype d);

// --- elab_views.c --------------------------------------------------------------------------------

nm_ev nm_elab_view(nm_elab *e, nm_frame *f, const nm_ast_expr *x);
nm_ev nm_view_rename(nm_elab *e, nm_ev x, nm_sym from, nm_sym to, nm_loc loc);

// --- elab_args.c, elab_call.c: binding arguments, inlining ---------------------------------------

nm_ev nm_elab_call(nm_elab *e, nm_frame *f, const nm_ast_expr *x);
typedef struct nm_args { // the arguments of a call, `...` replaced
    int n;
    nm_rest *arg;
    const nm_ast_expr *call; // NULL: made by the compiler
    nm_loc loc, close;
    int n_before; // what is not given is as before
    const nm_bound *before;
    nm_region *before_region;
} nm_args;
nm_args nm_args_of(nm_elab *e, nm_frame *f, const nm_ast_expr *call);
nm_rest nm_rest_of(const char *name, nm_elab *e, nm_ev value); // a bound argument
typedef struct nm_binding {                                    // arguments by parameter
    nm_sym name;                                               // of who is called
    const nm_ast_pars *pars;
    const nm_ast_def *def; // NULL: a built-in or extern
    bool *given;           // [pars->n]
    nm_ev *value;          // an arrow is a tuple of two lists of dims
    int n_rest, n_replaced;
    nm_rest *rest;      // for `...`
    nm_bound *replaced; // parameters of the instance (inst-5)
} nm_binding;
bool nm_args_bind(nm_elab *e, nm_frame *f, const nm_args *args, nm_binding *b); // false: reported
nm_ev nm_call_def(nm_elab *e, nm_frame *f, const nm_ast_def *def, nm_unit *unit, nm_inst *inst,
                  const nm_args *args);
nm_ev nm_call_fn(nm_elab *e, nm_frame *f, const nm_callable *fn, const nm_args *args,
                 const nm_ast_word *label);
// For the compiler's own calls: arguments are values. `loc` is what errors point at.
nm_args nm_args_made(nm_elab *e, nm_loc loc, int n, const nm_rest *arg);
bool nm_call_missing(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_sym name,
                     const nm_args *args); // call-1
// Give the frame of who is called its parameters: arguments, then defaults. false: reported.
bool nm_call_set_pars(nm_elab *e, nm_frame *caller, nm_frame *f, nm_binding *b,
                      const nm_args *args);
bool nm_par_is(const nm_ast_par *par, const char *kind); // int, dims, module, ...
bool nm_arg_fits(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_ev *v, nm_loc loc);

// --- elab_inst.c ---------------------------------------------------------------------------------

nm_inst *nm_inst_child(nm_elab *e, nm_inst *up, nm_sym label); // found or made
nm_inst *nm_inst_of_model(nm_elab *e, const nm_ast_def *def);  // NULL: not called so far
nm_ev nm_call_module(nm_elab *e, nm_frame *f, const nm_ast_def *def, nm_unit *unit,
                     const nm_args *args, const nm_ast_word *label);
// inst's body, inside of its first n_wraps adapters
nm_ev nm_call_wrapped(nm_elab *e, nm_frame *f, nm_inst *inst, int n_wraps, const nm_args *args);
nm_ev nm_call_again(nm_elab *e, nm_frame *f, nm_inst *inst, const nm_args *args);
nm_ev nm_inst_member(nm_elab *e, nm_frame *f, nm_inst *inst, nm_sym name, nm_loc loc);
nm_sym nm_path_join(nm_elab *e, nm_sym a, nm_sym b);
nm_sym nm_model_prefixed(nm_elab *e,
                         nm_sym path); // with the model's name, where paths leave it out; else NULL
bool nm_def_declares(const nm_ast_def *def, nm_sym param, bool state);
void nm_adapts_check(nm_elab *e); // adapt-1, once all is elaborated

// --- elab_builtin.c, elab_maps.c, elab_extern.c --------------------------------------------------

const nm_builtin *nm_builtin_find(nm_sym name);
int nm_builtin_names(const char **name, int max);
nm_ev nm_call_builtin(nm_elab *e, nm_frame *f, const nm_builtin *b, const nm_args *args);
nm_ev nm_call_cast(nm_elab *e, nm_frame *f, nm_dtype to, const nm_args *args);
nm_ev nm_call_extern(nm_elab *e, nm_frame *f, const nm_ast_extern *ext, nm_unit *unit,
                     const nm_args *args);
nm_ev nm_apply_arrow(nm_elab *e, nm_frame *f, nm_ev w, nm_ev x, nm_loc loc);

// --- elab_declared.c -----------------------------------------------------------------------------

bool nm_declarations_check(nm_elab *e); // of all files; false: reported

// --- elab_params.c -------------------------------------------------------------------------------

void nm_stmt_param(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);
void nm_stmt_state(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);
void nm_stmt_draw(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);
void nm_stmt_next(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);
nm_pvar *nm_pvar_find(nm_elab *e, nm_sym path);
nm_ev nm_pvar_read(nm_elab *e, nm_pvar *p, nm_loc loc); // as the current region sees it
void nm_pvar_assign(nm_elab *e, nm_pvar *p, nm_value *v);
nm_value *nm_elab_draw(nm_elab *e, nm_frame *f, nm_ev dist, const nm_type *type, nm_sym key,
                       nm_loc loc);
nm_sym nm_draw_key(nm_elab *e, nm_inst *inst, nm_sym name); // unique in the function
int nm_draws_mark(nm_elab *e);
void nm_draws_reset(nm_elab *e, int mark);
nm_value *nm_elab_coerce(nm_elab *e, nm_frame *f, nm_ev v, const nm_type *type, const char *what,
                         const char *rule, nm_loc loc);

// --- elab_stmt.c, elab_loops.c -------------------------------------------------------------------

void nm_elab_block(nm_elab *e, nm_frame *f, const nm_ast_block *b);
void nm_stmt_loop(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);
typedef struct nm_names { // the names that a block assigns, in the order of the text
    int n;
    nm_ast_word *word; // the last place of each
} nm_names;
nm_names nm_block_assigns(nm_elab *e, const nm_ast_block *b);

// --- elab_list_entries.c -------------------------------------------------------------------------

typedef struct nm_entries {
    int n;
    const nm_ast_entry **entry;
} nm_entries;
nm_entries nm_elab_list_entries(nm_elab *e); // what the program is made of, of a file and its uses

// --- elab_hyper.c, elab_train.c, elab_entries.c --------------------------------------------------

void nm_stmt_minimize(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);
void nm_stmt_emit(nm_elab *e, nm_frame *f, const nm_ast_stmt *s);
void nm_elab_entries(nm_elab *e);
bool nm_is_schedule(const nm_ast_def *def);
void nm_elab_schedules(nm_elab *e);

#endif
