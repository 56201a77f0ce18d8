// The syntax tree (ast.h) of what may stand in a body: statements, and the paths that name
// parameters.
#ifndef NM_FRONTEND_AST_STMT_H
#define NM_FRONTEND_AST_STMT_H

#include "frontend/ast_expr.h"

typedef struct nm_ast_stmt nm_ast_stmt;

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

#endif
