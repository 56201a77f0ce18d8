// The syntax tree (ast.h) of what may stand in an expression: names, dims, arrows, views, shapes,
// and expressions themselves.
#ifndef NM_FRONTEND_AST_EXPR_H
#define NM_FRONTEND_AST_EXPR_H

#include "base/diag.h"
#include "base/intern.h"
#include "ir/ir.h"

typedef struct nm_ast_expr nm_ast_expr;

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

#endif
