// Visiting every expression and statement of a tree, outer ones first, in the order of the text.
#ifndef NM_FRONTEND_WALK_H
#define NM_FRONTEND_WALK_H

#include "frontend/ast.h"

typedef struct nm_ast_visitor { // what to call; NULL: nothing
    void (*expr)(void *user, const nm_ast_expr *e);
    void (*stmt)(void *user, const nm_ast_stmt *s);
    void *user;
} nm_ast_visitor;

void nm_ast_walk_expr(const nm_ast_visitor *v, const nm_ast_expr *e); // e may be NULL
void nm_ast_walk_block(const nm_ast_visitor *v, const nm_ast_block *b);
void nm_ast_walk_def(const nm_ast_visitor *v, const nm_ast_def *d); // defaults of parameters, too

#endif
