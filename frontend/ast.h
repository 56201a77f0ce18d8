// The syntax tree of a .nm file: what was written, with names interned and a span on every node.
// It says nothing about meaning: whether `d` is a dim or a value is for the elaborator.
//
// Nodes live in the module's arena and are never changed after parsing (but for nm_ast_use.file).
// A tree that nm_parse_nm gives is complete: an erroneous file has no tree. Lists are arrays by
// value with a count, in the order of the text. An optional part that is absent is NULL or empty.
#ifndef NM_FRONTEND_AST_H
#define NM_FRONTEND_AST_H

#include "frontend/ast_expr.h"
#include "frontend/ast_stmt.h"
#include "frontend/ast_weights.h"

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
