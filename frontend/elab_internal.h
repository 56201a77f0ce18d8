// What the elaborator's files share. elab.c says how they fit together. Values, units and regions
// have headers of their own; here are instances, frames (a *frame* is one call of a definition),
// the context, and what the files do for each other.
#ifndef NM_FRONTEND_ELAB_INTERNAL_H
#define NM_FRONTEND_ELAB_INTERNAL_H

#include "frontend/elab_region.h"
#include "frontend/elab_units.h"

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
    struct nm_json *config;           // opts->config, read; NULL: none
    const nm_ast_weights *config_map; // by which it is read
    bool config_defined;              // a row names what -D sets
};

// --- elab.c: errors and the order of things ------------------------------------------------------

// Report at loc, or, if that is in the standard library, at the user's call of it. `f` may be NULL.
// The result is poison, so that callers can return it.
nm_ev nm_elab_error(nm_elab *e, const nm_frame *f, nm_loc loc, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// false: too deep or too much, reported.
bool nm_elab_enter(nm_elab *e, const nm_frame *f, nm_loc loc);
void nm_elab_leave(nm_elab *e);
// "line 9", or "std.nm:193" for another file than the one of `seen_from`.
const char *nm_elab_place(nm_elab *e, nm_loc loc, nm_loc seen_from);
const char *nm_elab_source_text(nm_elab *e, nm_loc loc); // as it stands in the file
nm_sym nm_elab_nearest(nm_elab *e, nm_sym word, int n, const nm_sym *candidate);

// --- elab_names.c --------------------------------------------------------------------------------

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
// Of this turn of a `for` first.
nm_label *nm_frame_label_here(nm_elab *e, nm_frame *f, nm_sym name);
void nm_frame_add_label(nm_elab *e, nm_frame *f, nm_label label);
nm_ev nm_name_unknown(nm_elab *e, nm_frame *f, nm_sym name, nm_loc loc); // reported [name-2]

// --- elab_mesh.c, elab_config_read.c, elab_config.c ----------------------------------------------

void nm_mesh_read(nm_elab *e); // into the module
// Settings from opts->config, if there is one. False: reported.
bool nm_config_read(nm_elab *e);
void nm_config_elaborate(nm_elab *e); // m->weights, without parts

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
// With the model's name, where paths leave it out; else NULL.
nm_sym nm_model_prefixed(nm_elab *e, nm_sym path);
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
