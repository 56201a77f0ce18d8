// The syntax tree of a .nm file: what was written, with names interned and a span on every node.
// It says nothing about meaning: whether `d` is a dim or a value is for the elaborator.
//
// Nodes live in the module's arena and are never changed after parsing (but for nm_ast_use.file).
// A tree that nm_parse_nm gives is complete: an erroneous file has no tree. Lists are arrays by
// value with a count, in the order of the text. An optional part that is absent is NULL or empty.
#ifndef NM_FRONTEND_AST_H
#define NM_FRONTEND_AST_H

#include "base/diag.h"
#include "base/intern.h"
#include "ir/ir.h"

typedef struct nm_ast_expr nm_ast_expr;
typedef struct nm_ast_stmt nm_ast_stmt;
typedef struct nm_ast_file nm_ast_file;

// No expression, block or bracket nests deeper, so recursion over a tree is safe.
enum { NM_AST_MAX_DEPTH = 200 };

// --- names ---------------------------------------------------------------------------------------

typedef struct nm_ast_word { // one name as it stands in the text: q, seq', 8b
    nm_loc loc;
    nm_sym sym; // NULL: absent
} nm_ast_word;

typedef struct nm_ast_name { // d, lm.decoder, decoder.moe.aux
    nm_loc loc;
    int n; // parts; 1 for a plain name
    nm_ast_word *part;
    nm_sym sym; // the whole, dots included: for n == 1 the same as part[0].sym
} nm_ast_name;

typedef struct nm_ast_names { // heads hd
    nm_loc loc;
    int n;
    nm_ast_name *name;
} nm_ast_names;

typedef struct nm_ast_words { // no_decay, frozen
    int n;
    nm_ast_word *word;
} nm_ast_words;

// --- dims, arrows, views, shapes -----------------------------------------------------------------

typedef struct nm_ast_dim { // d, two=2, c=(c / 2), rank=r
    nm_loc loc;
    nm_ast_name name;
    nm_ast_expr *size; // what follows '='
} nm_ast_dim;

typedef struct nm_ast_dims { // gate=4 hid
    nm_loc loc;
    int n;
    nm_ast_dim *dim;
} nm_ast_dims;

typedef struct nm_ast_arrow { // d -> heads hd
    nm_loc loc;
    nm_ast_names from;
    nm_ast_dims to;
} nm_ast_arrow;

typedef enum {
    NM_VIEW_arrow,     // d -> heads hd
    NM_VIEW_pick,      // seq = -1, vocab = tokens
    NM_VIEW_slice,     // time = 0..-1; lo or hi may be absent
    NM_VIEW_grow,      // +copy=2
    NM_VIEW_grow_call, // +shape(from)
} nm_ast_view_kind;

typedef struct nm_ast_view { // one item in brackets
    nm_loc loc;
    nm_ast_view_kind kind;
    nm_ast_arrow arrow;   // arrow
    nm_ast_name dim;      // pick, slice: the dim on the left of '='
    nm_ast_expr *index;   // pick
    nm_ast_expr *lo, *hi; // slice
    nm_ast_dim grown;     // grow
    nm_ast_expr *call;    // grow_call: an NM_EXPR_call
} nm_ast_view;

typedef enum {
    NM_AXIS_rest,  // ...
    NM_AXIS_dim,   // d, c=4
    NM_AXIS_arrow, // ins tap -> outs
    NM_AXIS_call,  // shape(x): the dims that a call gives
} nm_ast_axis_kind;

typedef struct nm_ast_axis {
    nm_loc loc;
    nm_ast_axis_kind kind;
    nm_ast_dim dim;     // dim
    nm_ast_arrow arrow; // arrow
    nm_ast_expr *call;  // call: an NM_EXPR_call
} nm_ast_axis;

typedef struct nm_ast_shape { // [per, ins -> outs]; [] is present with n == 0
    nm_loc loc;               // of the brackets
    bool present;
    int n;
    nm_ast_axis *axis;
} nm_ast_shape;

typedef struct nm_ast_type { // vocab[batch, seq]
    nm_loc loc;
    nm_ast_name elem; // a dtype or a dim; n == 0: not said
    nm_ast_shape shape;
} nm_ast_type;

// --- expressions ---------------------------------------------------------------------------------

typedef enum {
    NM_EXPR_number,
    NM_EXPR_string,
    NM_EXPR_name,
    NM_EXPR_tuple, // (), (a,), (a, b); `a, b` after '=' or return is a list, not a tuple
    NM_EXPR_unary,
    NM_EXPR_binary,
    NM_EXPR_if, // if c then a else b
    NM_EXPR_call,
    NM_EXPR_view, // x[d -> heads hd, seq = 0]
} nm_ast_expr_kind;

typedef enum { NM_UN_neg, NM_UN_not } nm_ast_unary_op;

typedef enum {
    NM_BIN_or,
    NM_BIN_and,
    NM_BIN_eq,
    NM_BIN_ne,
    NM_BIN_lt,
    NM_BIN_le,
    NM_BIN_gt,
    NM_BIN_ge,
    NM_BIN_add,
    NM_BIN_sub,
    NM_BIN_mul,
    NM_BIN_div,
    NM_BIN_idiv,
    NM_BIN_mod,
    NM_BIN_pow,
} nm_ast_binary_op;

const char *nm_ast_binary_text(nm_ast_binary_op op); // as written: "+", "//", "and"

typedef enum {
    NM_ARG_expr,  // x, 3, softmax(s)
    NM_ARG_span,  // 0..5 (expr is the low end, hi the high one)
    NM_ARG_dims,  // heads hd: two names or more; one name alone is an NM_ARG_expr
    NM_ARG_arrow, // d -> heads hd
    NM_ARG_rest,  // ...
} nm_ast_arg_kind;

typedef struct nm_ast_arg {
    nm_loc loc;       // with the keyword
    nm_ast_word word; // the keyword in `eps = 1e-6`; word.sym NULL: positional
    nm_ast_arg_kind kind;
    nm_loc value_loc; // without the keyword
    nm_ast_expr *expr, *hi;
    nm_ast_names dims;
    nm_ast_arrow arrow;
} nm_ast_arg;

struct nm_ast_expr {
    nm_ast_expr_kind kind;
    nm_loc loc;    // the whole expression; parentheses around it belong to it
    nm_loc op_loc; // unary, binary: the operator; call: the callee's name without label; if: `if`
    int depth;     // of the tree below
    union {
        struct {
            bool is_int; // written without point and exponent, and fits
            int64_t i;   // if is_int
            double f;    // always
        } number;
        nm_sym string; // without quotes
        nm_ast_name name;
        struct {
            int n;
            nm_ast_expr **item;
        } tuple;
        struct {
            nm_ast_unary_op op;
            nm_ast_expr *a;
        } unary;
        struct {
            nm_ast_binary_op op;
            nm_ast_expr *a, *b;
        } binary;
        struct {
            nm_ast_expr *cond, *then, *other;
        } if_;
        struct {
            nm_ast_word label;   // q of q: linear(...); label.sym NULL: none
            nm_ast_expr *callee; // mostly an NM_EXPR_name
            int n_args;
            nm_ast_arg *arg;
            nm_loc close; // the ')'
        } call;
        struct {
            nm_ast_expr *of;
            nm_loc loc; // of the brackets
            int n;
            nm_ast_view *item;
        } view;
    } u;
};

typedef struct nm_ast_exprs { // a, b
    nm_loc loc;
    int n;
    nm_ast_expr **expr;
} nm_ast_exprs;

// --- declarations that stand in files and in bodies ----------------------------------------------

typedef struct nm_ast_setting { // heads, d = 512, host = "x.c"
    nm_loc loc;
    nm_ast_word word;
    nm_ast_expr *value; // NULL: the name alone (only in `use`)
} nm_ast_setting;

typedef struct nm_ast_settings {
    int n;
    nm_ast_setting *item;
} nm_ast_settings;

typedef struct nm_ast_dimdecl { // vocab(pad = 128) = 50257, seq = ?
    nm_loc loc;
    nm_ast_word word;
    nm_ast_settings settings;
    nm_ast_expr *size; // NULL: none, or '?'
    bool runtime;      // = ?
} nm_ast_dimdecl;

typedef struct nm_ast_require {
    nm_loc loc;
    nm_ast_expr *cond;
    nm_sym text; // NULL: none
} nm_ast_require;

// --- statements ----------------------------------------------------------------------------------

typedef struct nm_ast_block {
    nm_loc loc; // with the braces
    int depth;
    int n;
    nm_ast_stmt **stmt;
} nm_ast_block;

// decoder.{q, k}.w, **.lora.**, up.0, decoder[layers = 0..4]
typedef enum {
    NM_STEP_name,
    NM_STEP_index,  // 0: the turn of a for
    NM_STEP_any,    // *
    NM_STEP_many,   // **
    NM_STEP_choice, // {q, k}
    NM_STEP_turns,  // decoder[layers = 0..4]
} nm_ast_step_kind;

typedef struct nm_ast_step {
    nm_loc loc;
    nm_ast_step_kind kind;
    nm_ast_word word;     // name, turns
    int64_t index;        // index
    nm_ast_words choices; // choice
    nm_ast_name dim;      // turns
    nm_ast_expr *lo, *hi; // turns; [dim = i] has lo only
} nm_ast_step;

typedef struct nm_ast_path {
    nm_loc loc;
    int n;
    nm_ast_step *step;
} nm_ast_path;

typedef struct nm_ast_paths { // a, b: the union
    nm_loc loc;
    int n; // 0: there is no `on`
    nm_ast_path *path;
} nm_ast_paths;

typedef struct nm_ast_min_item { // adamw(lr = 1e-3) on decoder.**, or clip = 1.0
    nm_loc loc;
    nm_ast_expr *optimizer; // an NM_EXPR_call; NULL: a setting
    nm_ast_paths on;
    nm_ast_setting setting;
} nm_ast_min_item;

typedef enum {
    NM_STMT_assign, // a, b = f(x)
    NM_STMT_next,   // mu := ...
    NM_STMT_draw,   // keep[shape(x)] ~ bernoulli(p)
    NM_STMT_param,  // param w[ins -> outs] ~ init, no_decay
    NM_STMT_state,
    NM_STMT_emit,
    NM_STMT_return,
    NM_STMT_repeat, // repeat layers as i { }
    NM_STMT_scan,
    NM_STMT_for, // for a, b in zip(x, y) { }, for i in 0..n { }
    NM_STMT_if,  // compile-time
    NM_STMT_minimize,
    NM_STMT_dims,
    NM_STMT_const,
    NM_STMT_require,
} nm_ast_stmt_kind;

struct nm_ast_stmt {
    nm_ast_stmt_kind kind;
    nm_loc loc;
    union {
        struct {
            nm_ast_words names;
            nm_ast_exprs values; // one call for several names, or as many as names
        } assign;
        struct {
            nm_ast_word name;
            nm_ast_expr *value;
        } next, emit;
        struct { // draw, param, state
            nm_ast_word name;
            nm_ast_word dtype; // state mu: f32[c]; dtype.sym NULL: real
            nm_ast_shape shape;
            nm_ast_expr *init;  // NULL: none
            nm_ast_words flags; // no_decay, frozen
        } decl;
        nm_ast_exprs ret;
        struct { // repeat, scan
            nm_ast_name dim;
            nm_ast_word as; // as.sym NULL: none
            nm_ast_block body;
        } loop;
        struct {
            nm_ast_words names;
            nm_ast_expr *over, *hi; // hi: `over..hi`, else NULL
            nm_ast_block body;
        } for_;
        struct {
            nm_ast_expr *cond;
            nm_ast_block then;
            nm_ast_block other; // of `else if`: a block of that one statement
            bool has_else;
        } if_;
        struct {
            nm_ast_expr *loss;
            int n;
            nm_ast_min_item *item;
        } minimize;
        struct {
            int n;
            nm_ast_dimdecl *decl;
        } dims;
        nm_ast_settings consts;
        nm_ast_require require;
    } u;
};

// --- definitions ---------------------------------------------------------------------------------

typedef enum {
    NM_PAR_rest,  // ...
    NM_PAR_plain, // x, x[batch, d], p = 0.1: what it is, the call or the default says
    NM_PAR_arrow, // ins -> outs
    NM_PAR_kind,  // seq: dim, over: dims, k: int, base: module, act: fn
    NM_PAR_typed, // t: i32[batch]
} nm_ast_par_kind;

typedef struct nm_ast_par {
    nm_loc loc;
    nm_ast_par_kind kind;
    nm_ast_word name;       // arrow: the left one
    nm_ast_word to;         // arrow: the right one
    nm_ast_word of;         // kind: dim, dims, int, bool, ..., fn, module
    nm_ast_type type;       // typed; plain: type.shape if there is one
    nm_ast_expr *otherwise; // the default; NULL: none
} nm_ast_par;

typedef struct nm_ast_pars {
    nm_loc loc; // with the parentheses
    int n;
    nm_ast_par *par;
} nm_ast_pars;

typedef enum { NM_DEF_module, NM_DEF_model, NM_DEF_fn } nm_ast_def_kind;

typedef struct nm_ast_def {
    nm_loc loc; // the head
    nm_ast_def_kind kind;
    nm_ast_word name;
    nm_ast_pars pars;
    int n_types; // after '->'; 0: not said
    nm_ast_type *type;
    bool is_short;      // fn f(x) = exprs
    nm_ast_exprs value; // is_short
    nm_ast_block body;  // otherwise
    nm_ast_file *file;
} nm_ast_def;

typedef enum { NM_ENTRY_train, NM_ENTRY_eval, NM_ENTRY_infer } nm_ast_entry_kind;

typedef struct nm_ast_entry {
    nm_loc loc; // the head
    nm_ast_entry_kind kind;
    nm_ast_word name; // sym NULL: the unnamed one
    nm_ast_pars pars;
    nm_ast_block body;
    nm_ast_file *file;
} nm_ast_entry;

typedef struct nm_ast_row { // tp: heads kv ff; host: "ctc.c"
    nm_loc loc;
    nm_ast_word label; // without its colon
    nm_ast_names names;
    nm_sym string;    // NULL: names are given
    nm_ast_type type; // of an extern's scratch; its shape is absent otherwise
} nm_ast_row;

typedef struct nm_ast_rows {
    nm_loc loc;
    int n;
    nm_ast_row *row;
} nm_ast_rows;

typedef struct nm_ast_extern {
    nm_loc loc; // the head
    nm_ast_word name;
    nm_ast_pars pars;
    int n_types;
    nm_ast_type *type;
    nm_ast_rows rows;
    nm_ast_file *file;
} nm_ast_extern;

typedef struct nm_ast_preset {
    nm_loc loc;
    nm_ast_word name;
    nm_ast_settings settings;
    nm_ast_file *file;
} nm_ast_preset;

typedef struct nm_ast_adapt { // adapt lora(r = 16) on decoder.{q, k}
    nm_loc loc;
    nm_ast_expr *call; // an NM_EXPR_call
    nm_ast_paths on;
    nm_ast_file *file;
} nm_ast_adapt;

// --- weights -------------------------------------------------------------------------------------

typedef struct nm_ast_lay nm_ast_lay;

typedef struct nm_ast_term { // heads, 3, (ff 2): one thing in a place of a layout
    nm_loc loc;
    nm_ast_name name; // n == 0: a number or a group
    int64_t number;   // 0: a name or a group
    nm_ast_lay *group;
} nm_ast_term;

typedef struct nm_ast_terms { // heads hd: merged, in this order
    nm_loc loc;
    int n;
    nm_ast_term *term;
} nm_ast_terms;

struct nm_ast_lay { // heads hd | kv hd: one place of the file's tensor, parts side by side
    nm_loc loc;
    int n;
    nm_ast_terms *part;
};

typedef struct nm_ast_part { // decoder.q.w[seq = 0], convs.0.w: one parameter, or a part of it
    nm_loc loc;
    nm_sym path; // dots included
    int n_views;
    nm_ast_view *view;
} nm_ast_part;

typedef enum { NM_CONFIG_row, NM_CONFIG_object, NM_CONFIG_if } nm_ast_config_kind;

typedef struct nm_ast_config nm_ast_config;

typedef struct nm_ast_configs { // rows between braces
    int n;
    nm_ast_config *row;
} nm_ast_configs;

struct nm_ast_config { // rope_theta | rope_parameters.rope_theta: theta = 10000.0
    nm_loc loc;
    nm_ast_config_kind kind;
    nm_ast_names keys;           // row, object: its spellings
    nm_ast_expr *value, *absent; // row; absent: what a file says that lacks it, or NULL
    nm_ast_expr *cond;           // if
    nm_ast_configs rows, other;  // object, if; if: those of `else`
};

typedef enum {
    NM_MAP_config, // config { hidden_size: d }, export { ... }
    NM_MAP_use,    // use lm.hf "language_model."
    NM_MAP_scope,  // decoder = "model.layers.{layers}." { ... }
    NM_MAP_tensor, // q.w | k.w = codec("a", "b") [heads hd | kv hd, d]
} nm_ast_map_kind;

typedef struct nm_ast_file_name { // one string of a map
    nm_loc loc;
    nm_sym sym;
} nm_ast_file_name;

typedef struct nm_ast_map {
    nm_loc loc;
    nm_ast_map_kind kind;
    nm_ast_word word;      // config: config or export; tensor: the codec, sym NULL: none
    nm_ast_configs config; // config
    nm_ast_name used;      // use: lm.hf
    int n_parts;
    nm_ast_part *part; // scope, tensor
    int n_names;
    nm_ast_file_name *name; // use, scope: one; tensor: one, or the codec's
    nm_loc layout_loc;      // tensor: of the brackets; len 0: no layout
    int n_lays;
    nm_ast_lay *lay; // tensor
    int n_maps;
    struct nm_ast_map *map; // scope
} nm_ast_map;

typedef struct nm_ast_weights {
    nm_loc loc; // the head
    nm_ast_word name;
    nm_ast_paths on; // n == 0: all parameters
    int n_maps;
    nm_ast_map *map;
    nm_ast_file *file;
} nm_ast_weights;

// --- files and programs --------------------------------------------------------------------------

typedef struct nm_ast_use { // use llama3.8b as lm (vocab, d = 512)
    nm_loc loc;
    nm_ast_word module; // llama3; of a string form: its text
    bool is_path;       // use "dir/file.nm"
    nm_ast_word preset; // 8b; sym NULL: none
    nm_ast_word as;     // lm; sym NULL: all of the file is taken in
    nm_ast_settings settings;
    nm_ast_file *file; // set by nm_load; NULL after nm_parse_nm alone
} nm_ast_use;

struct nm_ast_file {
    const nm_source *src;
    nm_sym stem; // llama3 of models/llama3.nm
    int n_uses, n_dims, n_consts, n_requires, n_meshes, n_defs, n_entries, n_presets, n_weights,
        n_adapts, n_externs;
    nm_ast_use *use;
    nm_ast_dimdecl *dim;
    nm_ast_setting *constant;
    nm_ast_require *require;
    nm_ast_rows *mesh;
    nm_ast_def *def;
    nm_ast_entry *entry;
    nm_ast_preset *preset;
    nm_ast_weights *weights;
    nm_ast_adapt *adapt;
    nm_ast_extern *extern_;
};

typedef struct nm_ast_program {
    nm_ast_file *std;  // the standard library; always there, used by no file by name
    nm_ast_file *main; // what the user named
    int n_files;       // each file once, std first, a used file before its users, main last
    nm_ast_file **file;
} nm_ast_program;

// Parse one text. NULL: at least one syntax error was reported to m->diag (up to 20 in a run).
// The tree lives in m->arena and refers to *src, which has to live as long.
nm_ast_file *nm_parse_nm(nm_module *m, const nm_source *src);

// Read and parse path, std.nm and everything that is `use`d: from the folder of the file that
// uses it, else from the models that nemocc carries. path may itself be the bare name of such a
// model ("gpt2"). NULL: reported.
nm_ast_program *nm_load(nm_module *m, const char *path);
// The same for a text; files that it uses are looked for as if it were a file of src's name.
nm_ast_program *nm_load_text(nm_module *m, const nm_source *src);

#endif
