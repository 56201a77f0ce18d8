// What scanner.l, grammar.y, parse.c and ast.c share: the state of one parse and the builders of
// tree nodes. Private to the parser; everyone else uses frontend/ast.h.
#ifndef NM_FRONTEND_PARSE_H
#define NM_FRONTEND_PARSE_H

#include "frontend/ast.h"

enum { NM_MAX_SYNTAX_ERRORS = 20 };

typedef enum {
    NM_SKIP_none,
    NM_SKIP_line, // to the first token of a line, or a '}'
    NM_SKIP_item, // to a token in the first column
} nm_skip;

typedef struct nm_parser {
    nm_module *m;
    const nm_source *src;
    void *scanner;     // flex's yyscan_t
    uint32_t off;      // of the scanner in src->text
    bool after_dot;    // the last token was '.', so 0.1 is two steps of a path
    bool line_start;   // the token just read is the first of its line
    int brackets;      // open ones
    nm_loc prev, last; // the token before the lookahead, the lookahead
    nm_skip skip;      // what recovery drops
    unsigned n_errors;
    bool stop; // no sense in going on: too deep
    nm_ast_file *file;
} nm_parser;

// One more element at the end of an arena array of n elements, doubling as needed.
#define NM_PUSH(ps, n, array, value)                                                               \
    ((array) = nm_arena_grow((ps)->m->arena, (array), (n), sizeof *(array)),                       \
     (array)[(n)++] = (value))

// Report at a place of the text, with " [syntax-1]" after the message.
void nm_syntax_error(nm_parser *ps, nm_loc at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// "expected ',' or ')' after 's', found 'kv'": the n expected tokens by the grammar's names.
void nm_syntax_expected(nm_parser *ps, nm_loc at, int n, const char **expected);
nm_loc nm_loc_join(nm_loc a, nm_loc b); // from the start of a to the end of b

// --- builders: each node gets its span and its depth; too deep a tree is an error ----------------

nm_ast_name nm_ast_name_of(nm_parser *ps, nm_ast_word word);
nm_ast_name nm_ast_name_dot(nm_parser *ps, nm_ast_name name, nm_ast_word word);
nm_ast_expr *nm_ast_number(nm_parser *ps, nm_loc at, bool is_int, int64_t i, double f);
nm_ast_expr *nm_ast_string(nm_parser *ps, nm_loc at, nm_sym text);
nm_ast_expr *nm_ast_name_expr(nm_parser *ps, nm_ast_name name);
nm_ast_expr *nm_ast_tuple(nm_parser *ps, nm_loc at, nm_ast_exprs items);
nm_ast_expr *nm_ast_unary(nm_parser *ps, nm_loc op, nm_ast_unary_op code, nm_ast_expr *a);
nm_ast_expr *nm_ast_binary(nm_parser *ps, nm_ast_binary_op code, nm_loc op, nm_ast_expr *a,
                           nm_ast_expr *b);
nm_ast_expr *nm_ast_choose(nm_parser *ps, nm_loc if_, nm_ast_expr *cond, nm_ast_expr *then,
                           nm_ast_expr *other);

typedef struct nm_ast_args {
    nm_loc close;
    int n;
    nm_ast_arg *arg;
} nm_ast_args;
nm_ast_expr *nm_ast_call(nm_parser *ps, nm_ast_expr *callee, nm_ast_args args);
nm_ast_expr *nm_ast_labelled(nm_ast_word label, nm_ast_expr *call);

typedef struct nm_ast_views {
    nm_loc loc;
    int n;
    nm_ast_view *view;
} nm_ast_views;
nm_ast_expr *nm_ast_view_expr(nm_parser *ps, nm_ast_expr *of, nm_ast_views views);

nm_ast_stmt *nm_ast_stmt_new(nm_parser *ps, nm_ast_stmt_kind kind, nm_loc at);
nm_ast_block nm_ast_block_of(nm_parser *ps, nm_loc at, nm_ast_block stmts);
nm_ast_block nm_ast_block_of_one(nm_parser *ps, nm_ast_stmt *stmt);
nm_ast_stmt *nm_ast_loop(nm_ast_stmt *s, nm_ast_name dim, nm_ast_word as, nm_ast_block body);

#endif
