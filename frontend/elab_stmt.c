// Statements. `if`, `for` and their data are known when nemocc runs, so a body is run from top to
// bottom and only the branches that are taken exist.
#include "frontend/elab_internal.h"
#include "frontend/walk.h"

#include <stdlib.h>
#include <string.h>

// --- names ---------------------------------------------------------------------------------------

static void add_name(nm_elab *e, nm_names *names, const nm_ast_word *w)
{
    for (int i = 0; i < names->n; i++)
        if (names->word[i].sym == w->sym) {
            names->word[i] = *w;
            return;
        }
    names->word = nm_arena_grow(e->a, names->word, names->n, sizeof *names->word);
    names->word[names->n++] = *w;
}

typedef struct collector {
    nm_elab *e;
    nm_names names;
} collector;

static void see_stmt(void *user, const nm_ast_stmt *s)
{
    collector *c = user;
    if (s->kind == NM_STMT_assign)
        for (int i = 0; i < s->u.assign.names.n; i++)
            add_name(c->e, &c->names, &s->u.assign.names.word[i]);
    else if (s->kind == NM_STMT_draw)
        add_name(c->e, &c->names, &s->u.decl.name);
}

nm_names nm_block_assigns(nm_elab *e, const nm_ast_block *b)
{
    collector c = {.e = e};
    nm_ast_walk_block(&(nm_ast_visitor){.stmt = see_stmt, .user = &c}, b);
    return c.names;
}

static void poison_names(nm_elab *e, nm_frame *f, const nm_ast_block *b)
{
    nm_names n = nm_block_assigns(e, b);
    for (int i = 0; i < n.n; i++)
        nm_frame_set(e, f, n.word[i].sym, nm_ev_poison());
}

static bool may_be_value(nm_elab *e, nm_frame *f, const nm_ast_word *w)
{
    static const char *const kind[] = {"a dim", "a const", "a module or fn", "an extern", "a file"};
    if (nm_name_is_predeclared(w->sym)) {
        nm_elab_error(e, f, w->loc, "'%s' is predeclared; a value needs another name [name-1]",
                      w->sym);
        return false;
    }
    if (nm_frame_dim(f, w->sym)) {
        nm_elab_error(e, f, w->loc, "'%s' is a dim; a value needs another name [name-1]", w->sym);
        return false;
    }
    nm_item *item =
        f->unit == e->std || nm_frame_var(f, w->sym) ? NULL : nm_unit_find(e, f->unit, w->sym);
    if (!item || item->loc.src == e->prog->std->src)
        return true;
    if (item->kind == NM_ITEM_def)
        nm_elab_error(e, f, w->loc, "'%s' is %s (%s); a value needs another name [name-1]", w->sym,
                      item->def->kind == NM_DEF_fn ? "an fn" : "a module",
                      nm_elab_place(e, item->loc, w->loc));
    else
        nm_elab_error(e, f, w->loc, "'%s' is %s (%s); a value needs another name [name-1]", w->sym,
                      kind[item->kind], nm_elab_place(e, item->loc, w->loc));
    return false;
}

// --- assignments ---------------------------------------------------------------------------------

static void set_name(nm_elab *e, nm_frame *f, const nm_ast_word *w, nm_ev v)
{
    if (!may_be_value(e, f, w))
        v = nm_ev_poison();
    if (v.kind == NM_EV_tensor && !v.u.t->v->name && v.u.t->v->def && !f->user_fn)
        v.u.t->v->name = w->sym;
    v.made = w->loc;
    nm_frame_set(e, f, w->sym, v);
}

static void assign(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    const nm_ast_words *names = &s->u.assign.names;
    nm_ev v = nm_elab_exprs(e, f, &s->u.assign.values);
    bool fits = names->n == 1 || (v.kind == NM_EV_tuple && v.u.tuple.n == names->n);
    if (!fits && v.kind != NM_EV_poison) {
        const char *what =
            v.kind == NM_EV_tuple ? nm_arena_fmt(e->a, "%d", v.u.tuple.n) : nm_ev_describe(e, v);
        nm_elab_error(e, f, s->u.assign.values.loc,
                      "%d names take %d values, and this gives %s [call-3]", names->n, names->n,
                      what);
    }
    for (int i = 0; i < names->n; i++) {
        nm_ev part = !fits || v.kind == NM_EV_poison ? nm_ev_poison()
                     : names->n == 1                 ? v
                                                     : v.u.tuple.item[i];
        set_name(e, f, &names->word[i], part);
    }
}

static void body_consts(nm_elab *e, nm_frame *f, const nm_ast_settings *s)
{
    for (int i = 0; i < s->n; i++)
        set_name(e, f, &s->item[i].word,
                 s->item[i].value ? nm_elab_expr(e, f, s->item[i].value) : nm_ev_none());
}

static void body_require(nm_elab *e, nm_frame *f, const nm_ast_require *r)
{
    nm_ev v = nm_elab_expr(e, f, r->cond);
    if (v.kind == NM_EV_bool && !v.u.b)
        nm_elab_error(e, f, r->cond->loc, "%s does not hold%s%s",
                      nm_elab_source_text(e, r->cond->loc), r->text ? ": " : "",
                      r->text ? r->text : "");
}

// --- if and for ----------------------------------------------------------------------------------

static void choose(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    bool yes;
    if (!nm_elab_static(e, f, s->u.if_.cond, NULL, &yes)) {
        poison_names(e, f, &s->u.if_.then);
        if (s->u.if_.has_else)
            poison_names(e, f, &s->u.if_.other);
    } else if (yes) {
        nm_elab_block(e, f, &s->u.if_.then);
    } else if (s->u.if_.has_else) {
        nm_elab_block(e, f, &s->u.if_.other);
    }
}

static bool span_of(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, int64_t *lo, int64_t *hi)
{
    nm_ev a = nm_ev_number(e, f, nm_elab_expr(e, f, s->u.for_.over));
    nm_ev b = nm_ev_number(e, f, nm_elab_expr(e, f, s->u.for_.hi));
    if (nm_ev_is_whole(a, lo) && nm_ev_is_whole(b, hi))
        return true;
    nm_ev odd = nm_ev_is_whole(a, lo) ? b : a;
    if (a.kind != NM_EV_poison && b.kind != NM_EV_poison)
        nm_elab_error(e, f, s->u.for_.over->loc,
                      "'for' runs over whole numbers that are known when nemocc runs, and this is "
                      "%s [static-1]",
                      nm_ev_describe(e, odd));
    return false;
}

static void one_turn(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, nm_ev v, int64_t turn)
{
    const nm_ast_words *names = &s->u.for_.names;
    nm_sym turns = f->turns;
    bool fits = names->n == 1 || (v.kind == NM_EV_tuple && v.u.tuple.n == names->n);
    if (!fits && v.kind != NM_EV_poison)
        nm_elab_error(e, f, s->u.for_.over->loc,
                      "%d names take %d values a turn, and this gives %s [static-1]", names->n,
                      names->n, nm_ev_describe(e, v));
    for (int i = 0; i < names->n; i++)
        set_name(e, f, &names->word[i],
                 !fits           ? nm_ev_poison()
                 : names->n == 1 ? v
                                 : v.u.tuple.item[i]);
    f->turns = nm_sym_fmt(e->m, "%s.%lld", turns, (long long)turn);
    nm_elab_block(e, f, &s->u.for_.body);
    f->turns = turns;
}

static void unroll(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    int64_t lo, hi;
    if (s->u.for_.hi) {
        if (!span_of(e, f, s, &lo, &hi))
            poison_names(e, f, &s->u.for_.body);
        else
            for (int64_t i = lo; i < hi && !f->returned && !e->gave_up; i++)
                if (nm_elab_enter(e, f, s->loc)) {
                    one_turn(e, f, s, nm_ev_num((double)i), i);
                    nm_elab_leave(e);
                }
        return;
    }
    nm_ev v = nm_elab_expr(e, f, s->u.for_.over);
    if (v.kind != NM_EV_tuple) {
        if (v.kind != NM_EV_poison)
            nm_elab_error(e, f, s->u.for_.over->loc,
                          "'for' runs over a tuple or a span, and this is %s [static-1]",
                          nm_ev_describe(e, v));
        poison_names(e, f, &s->u.for_.body);
        return;
    }
    for (int i = 0; i < v.u.tuple.n && !f->returned && !e->gave_up; i++)
        one_turn(e, f, s, v.u.tuple.item[i], i);
}

// --- emit and return -----------------------------------------------------------------------------

void nm_stmt_emit(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    nm_ev v = nm_elab_expr(e, f, s->u.emit.value);
    if (f->is_fn) {
        nm_elab_error(e, f, s->loc, "an fn publishes nothing; make %s a module [def-2]", f->what);
        return;
    }
    nm_emit *m = nm_new(e->a, nm_emit);
    *m = (nm_emit){.path = nm_path_join(e, f->inst->path, s->u.emit.name.sym),
                   .value = v,
                   .region = e->at,
                   .next = e->fn->emit};
    m->loc = s->loc;
    m->of_entry = f->is_entry;
    e->fn->emit = m;
}

static void do_return(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    if (f->in_loop) {
        nm_elab_error(e, f, s->loc, "a loop's body does not return [def-1]");
        return;
    }
    f->result = nm_elab_exprs(e, f, &s->u.ret);
    f->returned = true;
}

// --- all -----------------------------------------------------------------------------------------

// What a body's dims and requires say holds in all that follows: where it does not, errors there
// would be about that, too.
static void check(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    unsigned before = e->fails;
    if (s->kind == NM_STMT_dims)
        nm_body_dims(e, f, s);
    else
        body_require(e, f, &s->u.require);
    if (e->fails == before)
        return;
    f->result = nm_ev_poison();
    f->returned = true;
}

static void run(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    switch (s->kind) {
    case NM_STMT_assign: assign(e, f, s); break;
    case NM_STMT_next: nm_stmt_next(e, f, s); break;
    case NM_STMT_draw: nm_stmt_draw(e, f, s); break;
    case NM_STMT_param: nm_stmt_param(e, f, s); break;
    case NM_STMT_state: nm_stmt_state(e, f, s); break;
    case NM_STMT_emit: nm_stmt_emit(e, f, s); break;
    case NM_STMT_return: do_return(e, f, s); break;
    case NM_STMT_repeat:
    case NM_STMT_scan: nm_stmt_loop(e, f, s); break;
    case NM_STMT_for: unroll(e, f, s); break;
    case NM_STMT_if: choose(e, f, s); break;
    case NM_STMT_minimize: nm_stmt_minimize(e, f, s); break;
    case NM_STMT_dims:
    case NM_STMT_require: check(e, f, s); break;
    case NM_STMT_const: body_consts(e, f, &s->u.consts); break;
    }
}

void nm_elab_block(nm_elab *e, nm_frame *f, const nm_ast_block *b)
{
    for (int i = 0; i < b->n && !f->returned && !e->gave_up; i++) {
        if (!nm_elab_enter(e, f, b->stmt[i]->loc))
            return;
        run(e, f, b->stmt[i]);
        nm_elab_leave(e);
    }
}
