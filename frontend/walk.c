// The one place that knows where expressions hide in the tree: arguments, views, sizes of dims,
// defaults. The parser bounds the depth, so recursion is safe.
#include "frontend/walk.h"

static void walk_dims(const nm_ast_visitor *v, const nm_ast_dims *dims)
{
    for (int i = 0; i < dims->n; i++)
        nm_ast_walk_expr(v, dims->dim[i].size);
}

static void walk_exprs(const nm_ast_visitor *v, int n, nm_ast_expr *const *e)
{
    for (int i = 0; i < n; i++)
        nm_ast_walk_expr(v, e[i]);
}

static void walk_view(const nm_ast_visitor *v, const nm_ast_view *view)
{
    walk_dims(v, &view->arrow.to);
    nm_ast_walk_expr(v, view->index);
    nm_ast_walk_expr(v, view->lo);
    nm_ast_walk_expr(v, view->hi);
    nm_ast_walk_expr(v, view->grown.size);
    nm_ast_walk_expr(v, view->call);
}

static void walk_call(const nm_ast_visitor *v, const nm_ast_expr *e)
{
    nm_ast_walk_expr(v, e->u.call.callee);
    for (int i = 0; i < e->u.call.n_args; i++) {
        const nm_ast_arg *a = &e->u.call.arg[i];
        nm_ast_walk_expr(v, a->expr);
        nm_ast_walk_expr(v, a->hi);
        walk_dims(v, &a->arrow.to);
    }
}

void nm_ast_walk_expr(const nm_ast_visitor *v, const nm_ast_expr *e)
{
    if (!e)
        return;
    if (v->expr)
        v->expr(v->user, e);
    switch (e->kind) {
    case NM_EXPR_number:
    case NM_EXPR_string:
    case NM_EXPR_name: break;
    case NM_EXPR_tuple: walk_exprs(v, e->u.tuple.n, e->u.tuple.item); break;
    case NM_EXPR_unary: nm_ast_walk_expr(v, e->u.unary.a); break;
    case NM_EXPR_binary:
        nm_ast_walk_expr(v, e->u.binary.a);
        nm_ast_walk_expr(v, e->u.binary.b);
        break;
    case NM_EXPR_if:
        nm_ast_walk_expr(v, e->u.if_.cond);
        nm_ast_walk_expr(v, e->u.if_.then);
        nm_ast_walk_expr(v, e->u.if_.other);
        break;
    case NM_EXPR_call: walk_call(v, e); break;
    case NM_EXPR_view:
        nm_ast_walk_expr(v, e->u.view.of);
        for (int i = 0; i < e->u.view.n; i++)
            walk_view(v, &e->u.view.item[i]);
        break;
    }
}

static void walk_shape(const nm_ast_visitor *v, const nm_ast_shape *s)
{
    for (int i = 0; i < s->n; i++) {
        nm_ast_walk_expr(v, s->axis[i].dim.size);
        nm_ast_walk_expr(v, s->axis[i].call);
        walk_dims(v, &s->axis[i].arrow.to);
    }
}

static void walk_minimize(const nm_ast_visitor *v, const nm_ast_stmt *s)
{
    nm_ast_walk_expr(v, s->u.minimize.loss);
    for (int i = 0; i < s->u.minimize.n; i++) {
        nm_ast_walk_expr(v, s->u.minimize.item[i].optimizer);
        nm_ast_walk_expr(v, s->u.minimize.item[i].setting.value);
    }
}

static void walk_stmt(const nm_ast_visitor *v, const nm_ast_stmt *s)
{
    if (v->stmt)
        v->stmt(v->user, s);
    switch (s->kind) {
    case NM_STMT_assign: walk_exprs(v, s->u.assign.values.n, s->u.assign.values.expr); break;
    case NM_STMT_next: nm_ast_walk_expr(v, s->u.next.value); break;
    case NM_STMT_emit: nm_ast_walk_expr(v, s->u.emit.value); break;
    case NM_STMT_draw:
    case NM_STMT_param:
    case NM_STMT_state:
        walk_shape(v, &s->u.decl.shape);
        nm_ast_walk_expr(v, s->u.decl.init);
        break;
    case NM_STMT_return: walk_exprs(v, s->u.ret.n, s->u.ret.expr); break;
    case NM_STMT_repeat:
    case NM_STMT_scan: nm_ast_walk_block(v, &s->u.loop.body); break;
    case NM_STMT_for:
        nm_ast_walk_expr(v, s->u.for_.over);
        nm_ast_walk_expr(v, s->u.for_.hi);
        nm_ast_walk_block(v, &s->u.for_.body);
        break;
    case NM_STMT_if:
        nm_ast_walk_expr(v, s->u.if_.cond);
        nm_ast_walk_block(v, &s->u.if_.then);
        nm_ast_walk_block(v, &s->u.if_.other);
        break;
    case NM_STMT_minimize: walk_minimize(v, s); break;
    case NM_STMT_dims:
        for (int i = 0; i < s->u.dims.n; i++)
            nm_ast_walk_expr(v, s->u.dims.decl[i].size);
        break;
    case NM_STMT_const:
        for (int i = 0; i < s->u.consts.n; i++)
            nm_ast_walk_expr(v, s->u.consts.item[i].value);
        break;
    case NM_STMT_require: nm_ast_walk_expr(v, s->u.require.cond); break;
    }
}

void nm_ast_walk_block(const nm_ast_visitor *v, const nm_ast_block *b)
{
    for (int i = 0; i < b->n; i++)
        walk_stmt(v, b->stmt[i]);
}

void nm_ast_walk_def(const nm_ast_visitor *v, const nm_ast_def *d)
{
    for (int i = 0; i < d->pars.n; i++)
        nm_ast_walk_expr(v, d->pars.par[i].otherwise);
    walk_exprs(v, d->value.n, d->value.expr);
    nm_ast_walk_block(v, &d->body);
}
