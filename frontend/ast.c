// Builders of tree nodes, for the grammar's actions. Invariant: no tree is deeper than
// NM_AST_MAX_DEPTH, counted through every child, so that what walks trees may recurse.
#include "frontend/parse.h"

nm_loc nm_loc_join(nm_loc a, nm_loc b)
{
    if (!a.src || !b.src)
        return a.src ? a : b;
    return (nm_loc){.src = a.src, .off = a.off, .len = b.off + b.len - a.off};
}

static void too_deep(nm_parser *ps, nm_loc at)
{
    if (!ps->stop)
        nm_syntax_error(ps, at, "this nests deeper than %d", NM_AST_MAX_DEPTH);
    ps->stop = true;
}

// --- names ---------------------------------------------------------------------------------------

nm_ast_name nm_ast_name_of(nm_parser *ps, nm_ast_word word)
{
    nm_ast_name name = {.loc = word.loc, .sym = word.sym};
    NM_PUSH(ps, name.n, name.part, word);
    return name;
}

nm_ast_name nm_ast_name_dot(nm_parser *ps, nm_ast_name name, nm_ast_word word)
{
    NM_PUSH(ps, name.n, name.part, word);
    name.loc = nm_loc_join(name.loc, word.loc);
    name.sym = nm_sym_fmt(ps->m, "%s.%s", name.sym, word.sym);
    return name;
}

// --- depth ---------------------------------------------------------------------------------------

static int deeper(int depth, const nm_ast_expr *child)
{
    return child && child->depth >= depth ? child->depth + 1 : depth;
}

static int deeper_dims(int depth, const nm_ast_dims *dims)
{
    for (int i = 0; i < dims->n; i++)
        depth = deeper(depth, dims->dim[i].size);
    return depth;
}

static int deeper_view(int depth, const nm_ast_view *v)
{
    const nm_ast_expr *child[] = {v->index, v->lo, v->hi, v->grown.size, v->call};
    for (size_t i = 0; i < sizeof child / sizeof *child; i++)
        depth = deeper(depth, child[i]);
    return deeper_dims(depth, &v->arrow.to);
}

static int deeper_arg(int depth, const nm_ast_arg *a)
{
    return deeper_dims(deeper(deeper(depth, a->expr), a->hi), &a->arrow.to);
}

// --- expressions ---------------------------------------------------------------------------------

static nm_ast_expr *new_expr(nm_parser *ps, nm_ast_expr_kind kind, nm_loc at, int depth)
{
    if (depth > NM_AST_MAX_DEPTH)
        too_deep(ps, at);
    nm_ast_expr *e = nm_new(ps->m->arena, nm_ast_expr);
    e->kind = kind;
    e->loc = e->op_loc = at;
    e->depth = depth;
    return e;
}

nm_ast_expr *nm_ast_number(nm_parser *ps, nm_loc at, bool is_int, int64_t i, double f)
{
    nm_ast_expr *e = new_expr(ps, NM_EXPR_number, at, 1);
    e->u.number.is_int = is_int;
    e->u.number.i = i;
    e->u.number.f = f;
    return e;
}

nm_ast_expr *nm_ast_string(nm_parser *ps, nm_loc at, nm_sym text)
{
    nm_ast_expr *e = new_expr(ps, NM_EXPR_string, at, 1);
    e->u.string = text;
    return e;
}

nm_ast_expr *nm_ast_name_expr(nm_parser *ps, nm_ast_name name)
{
    nm_ast_expr *e = new_expr(ps, NM_EXPR_name, name.loc, 1);
    e->u.name = name;
    return e;
}

nm_ast_expr *nm_ast_tuple(nm_parser *ps, nm_loc at, nm_ast_exprs items)
{
    int depth = 1;
    for (int i = 0; i < items.n; i++)
        depth = deeper(depth, items.expr[i]);
    nm_ast_expr *e = new_expr(ps, NM_EXPR_tuple, at, depth);
    e->u.tuple.n = items.n;
    e->u.tuple.item = items.expr;
    return e;
}

nm_ast_expr *nm_ast_unary(nm_parser *ps, nm_loc op, nm_ast_unary_op code, nm_ast_expr *a)
{
    nm_ast_expr *e = new_expr(ps, NM_EXPR_unary, nm_loc_join(op, a->loc), deeper(1, a));
    e->op_loc = op;
    e->u.unary.op = code;
    e->u.unary.a = a;
    return e;
}

nm_ast_expr *nm_ast_binary(nm_parser *ps, nm_ast_binary_op code, nm_loc op, nm_ast_expr *a,
                           nm_ast_expr *b)
{
    nm_loc at = nm_loc_join(a->loc, b->loc);
    nm_ast_expr *e = new_expr(ps, NM_EXPR_binary, at, deeper(deeper(1, a), b));
    e->op_loc = op;
    e->u.binary.op = code;
    e->u.binary.a = a;
    e->u.binary.b = b;
    return e;
}

nm_ast_expr *nm_ast_choose(nm_parser *ps, nm_loc if_, nm_ast_expr *cond, nm_ast_expr *then,
                           nm_ast_expr *other)
{
    int depth = deeper(deeper(deeper(1, cond), then), other);
    nm_ast_expr *e = new_expr(ps, NM_EXPR_if, nm_loc_join(if_, other->loc), depth);
    e->op_loc = if_;
    e->u.if_.cond = cond;
    e->u.if_.then = then;
    e->u.if_.other = other;
    return e;
}

nm_ast_expr *nm_ast_call(nm_parser *ps, nm_ast_expr *callee, nm_ast_args args)
{
    int depth = deeper(1, callee);
    for (int i = 0; i < args.n; i++)
        depth = deeper_arg(depth, &args.arg[i]);
    nm_ast_expr *e = new_expr(ps, NM_EXPR_call, nm_loc_join(callee->loc, args.close), depth);
    e->op_loc = callee->loc;
    e->u.call.callee = callee;
    e->u.call.n_args = args.n;
    e->u.call.arg = args.arg;
    e->u.call.close = args.close;
    return e;
}

nm_ast_expr *nm_ast_labelled(nm_ast_word label, nm_ast_expr *call)
{
    call->loc = nm_loc_join(label.loc, call->loc);
    call->u.call.label = label;
    return call;
}

nm_ast_expr *nm_ast_view_expr(nm_parser *ps, nm_ast_expr *of, nm_ast_views views)
{
    int depth = deeper(1, of);
    for (int i = 0; i < views.n; i++)
        depth = deeper_view(depth, &views.view[i]);
    nm_ast_expr *e = new_expr(ps, NM_EXPR_view, nm_loc_join(of->loc, views.loc), depth);
    e->op_loc = views.loc;
    e->u.view.of = of;
    e->u.view.loc = views.loc;
    e->u.view.n = views.n;
    e->u.view.item = views.view;
    return e;
}

// --- statements ----------------------------------------------------------------------------------

nm_ast_stmt *nm_ast_stmt_new(nm_parser *ps, nm_ast_stmt_kind kind, nm_loc at)
{
    nm_ast_stmt *s = nm_new(ps->m->arena, nm_ast_stmt);
    s->kind = kind;
    s->loc = at;
    return s;
}

static int stmt_depth(const nm_ast_stmt *s)
{
    switch (s->kind) {
    case NM_STMT_repeat:
    case NM_STMT_scan: return s->u.loop.body.depth;
    case NM_STMT_for: return s->u.for_.body.depth;
    case NM_STMT_if: {
        int a = s->u.if_.then.depth, b = s->u.if_.other.depth;
        return a > b ? a : b;
    }
    default: return 0;
    }
}

nm_ast_block nm_ast_block_of(nm_parser *ps, nm_loc at, nm_ast_block stmts)
{
    stmts.loc = at;
    for (int i = 0; i < stmts.n; i++)
        if (stmt_depth(stmts.stmt[i]) > stmts.depth)
            stmts.depth = stmt_depth(stmts.stmt[i]);
    if (++stmts.depth > NM_AST_MAX_DEPTH)
        too_deep(ps, at);
    return stmts;
}

nm_ast_block nm_ast_block_of_one(nm_parser *ps, nm_ast_stmt *stmt)
{
    nm_ast_block block = {0};
    NM_PUSH(ps, block.n, block.stmt, stmt);
    return nm_ast_block_of(ps, stmt->loc, block);
}

nm_ast_stmt *nm_ast_loop(nm_ast_stmt *s, nm_ast_name dim, nm_ast_word as, nm_ast_block body)
{
    s->u.loop.dim = dim;
    s->u.loop.as = as;
    s->u.loop.body = body;
    return s;
}

// --- printing ------------------------------------------------------------------------------------

const char *nm_ast_binary_text(nm_ast_binary_op op)
{
    static const char *const text[] = {
        [NM_BIN_or] = "or",   [NM_BIN_and] = "and", [NM_BIN_eq] = "==", [NM_BIN_ne] = "!=",
        [NM_BIN_lt] = "<",    [NM_BIN_le] = "<=",   [NM_BIN_gt] = ">",  [NM_BIN_ge] = ">=",
        [NM_BIN_add] = "+",   [NM_BIN_sub] = "-",   [NM_BIN_mul] = "*", [NM_BIN_div] = "/",
        [NM_BIN_idiv] = "//", [NM_BIN_mod] = "%",   [NM_BIN_pow] = "^",
    };
    return text[op];
}
