// Weight maps as far as sizes and constants say them: the rows of their `config`, as JSON.
//
// A row whose `if` does not hold says nothing here, and a file may say of it what it would mean
// without the key. Its twin under the `else` stands for both.
#include "frontend/elab_config.h"

#include "frontend/walk.h"
#include "frontend/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- names ---------------------------------------------------------------------------------------

typedef struct name_check {
    nm_elab *e;
    bool ok, any;
} name_check;

static void unknown_name(nm_elab *e, const nm_ast_expr *x)
{
    nm_sym known[256];
    int n = 0;
    for (nm_item *i = e->main->item; i && n < 256; i = i->next)
        if (i->kind == NM_ITEM_dim || i->kind == NM_ITEM_const)
            known[n++] = i->name;
    nm_sym near = nm_elab_nearest(e, x->u.name.sym, n, known);
    nm_elab_error(e, NULL, x->loc,
                  "'%s' is neither a dim nor a const of this program%s%s%s [map-3]", x->u.name.sym,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void check_name(void *user, const nm_ast_expr *x)
{
    name_check *c = user;
    if (x->kind != NM_EXPR_name || nm_name_is_predeclared(x->u.name.sym))
        return;
    nm_item *item = nm_unit_find(c->e, c->e->main, x->u.name.sym);
    c->any = true;
    if (item && (item->kind == NM_ITEM_dim || item->kind == NM_ITEM_const))
        return;
    unknown_name(c->e, x);
    c->ok = false;
}

// Does an expression of a row name dims and consts alone? any: it names one.
static bool check_names(nm_elab *e, const nm_ast_expr *x, bool *any)
{
    name_check c = {.e = e, .ok = true};
    nm_ast_visitor v = {.expr = check_name, .user = &c};
    nm_ast_walk_expr(&v, x);
    *any = c.any;
    return c.ok;
}

// --- values --------------------------------------------------------------------------------------

// Is a number one that is written with a point? A dim never is, a const as it was declared.
static bool is_real(nm_elab *e, const nm_ast_expr *x)
{
    nm_item *item;
    switch (x->kind) {
    case NM_EXPR_number: return !x->u.number.is_int;
    case NM_EXPR_unary: return is_real(e, x->u.unary.a);
    case NM_EXPR_binary:
        return x->u.binary.op == NM_BIN_div || is_real(e, x->u.binary.a) ||
               is_real(e, x->u.binary.b);
    case NM_EXPR_if: return is_real(e, x->u.if_.then) || is_real(e, x->u.if_.other);
    case NM_EXPR_name:
        item = nm_unit_find(e, e->main, x->u.name.sym);
        return item && item->kind == NM_ITEM_const && item->constant->value != x &&
               item->constant->value->kind == NM_EXPR_number && is_real(e, item->constant->value);
    default: return false;
    }
}

const char *nm_config_quote(nm_elab *e, const char *s)
{
    char *out = nm_arena_alloc(e->a, 6 * strlen(s) + 3), *at = out;
    *at++ = '"';
    for (; *s; s++)
        if ((unsigned char)*s < ' ')
            at += sprintf(at, "\\u%04x", (unsigned)*s);
        else
            at += sprintf(at, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
    *at = '"';
    return out;
}

// The shortest that reads back as the same.
static const char *number(nm_elab *e, double v, bool real)
{
    if (v == floor(v) && fabs(v) < 1e15)
        return nm_arena_fmt(e->a, real ? "%.1f" : "%.0f", v);
    for (int precision = 6;; precision++) {
        const char *text = nm_arena_fmt(e->a, "%.*g", precision, v);
        if (precision == 17 || strtod(text, NULL) == v)
            return text;
    }
}

static const char *json_of(nm_elab *e, nm_ev v, const nm_ast_expr *x);

static const char *array_of(nm_elab *e, nm_ev v, const nm_ast_expr *x)
{
    bool written = x->kind == NM_EXPR_tuple && x->u.tuple.n == v.u.tuple.n;
    const char *array = "[";
    for (int i = 0; i < v.u.tuple.n; i++) {
        const char *item = json_of(e, v.u.tuple.item[i], written ? x->u.tuple.item[i] : x);
        if (!*item)
            return "";
        array = nm_arena_fmt(e->a, "%s%s%s", array, i ? ", " : "", item);
    }
    return nm_arena_fmt(e->a, "%s]", array);
}

// "": none, or reported.
static const char *json_of(nm_elab *e, nm_ev v, const nm_ast_expr *x)
{
    if (v.kind == NM_EV_dims)
        v = nm_ev_number(e, e->main->frame, v);
    switch (v.kind) {
    case NM_EV_none:
    case NM_EV_poison: return "";
    case NM_EV_tuple: return array_of(e, v, x);
    case NM_EV_num: return number(e, v.u.num, is_real(e, x));
    case NM_EV_bool: return v.u.b ? "true" : "false";
    case NM_EV_string: return nm_config_quote(e, v.u.sym);
    default:
        nm_elab_error(e, NULL, x->loc,
                      "a key of config.json is a number, a string, true, false, none or a list of "
                      "these, not %s [map-3]",
                      nm_ev_describe(e, v));
        return "";
    }
}

static const char *evaluate(nm_elab *e, const nm_ast_expr *x)
{
    return json_of(e, nm_elab_expr(e, e->main->frame, x), x);
}

// --- rows ----------------------------------------------------------------------------------------

static bool holds(nm_elab *e, const nm_condition *when)
{
    bool yes, any;
    for (; when; when = when->outer)
        if (!check_names(e, when->cond, &any) ||
            !nm_elab_static(e, e->main->frame, when->cond, NULL, &yes) || yes != when->is)
            return false;
    return true;
}

// Without `=`, a file that lacks the key says what the row does, if that is the same for all sizes.
static nm_config_value value_of(nm_elab *e, const nm_flat_row *row, bool taken)
{
    bool named = false, any;
    const nm_ast_config *ast = row->ast;
    nm_config_value v = {"", ""};
    if (!check_names(e, ast->value, &named) || (ast->absent && !check_names(e, ast->absent, &any)))
        return v;
    if (taken || !named)
        v.value = evaluate(e, ast->value);
    v.absent = ast->absent ? evaluate(e, ast->absent) : named ? "" : v.value;
    if (!taken)
        v.value = "";
    return v;
}

// A row that holds has this key.
static bool is_said(nm_elab *e, const nm_flat_rows *rows, nm_sym key)
{
    for (int i = 0; i < rows->n; i++)
        if (rows->row[i].key[0] == key && holds(e, rows->row[i].when))
            return true;
    return false;
}

static void add_row(nm_elab *e, nm_weights *w, const nm_flat_row *row, nm_config_value v)
{
    w->row = nm_arena_grow(e->a, w->row, w->n_rows, sizeof *w->row);
    w->row[w->n_rows++] = (nm_config_row){.loc = row->ast->loc,
                                          .n_keys = row->n_keys,
                                          .key = row->key,
                                          .value = v.value,
                                          .absent = v.absent,
                                          .written = row->written};
}

static void elaborate_map(nm_elab *e, const nm_ast_weights *ast, nm_weights *out)
{
    nm_flat_rows rows = nm_config_flat(e, ast);
    *out = (nm_weights){.name = ast->name.sym, .loc = ast->name.loc};
    for (int i = 0; i < rows.n; i++) {
        const nm_flat_row *row = &rows.row[i];
        bool taken = holds(e, row->when);
        if (!taken && is_said(e, &rows, row->key[0]))
            continue;
        nm_config_value v = value_of(e, row, taken);
        add_row(e, out, row, v);
        if (e->opts->config && !row->written && ast == e->config_map)
            nm_config_compare(e, row, v);
    }
}

void nm_config_elaborate(nm_elab *e)
{
    nm_module *m = e->m;
    const nm_ast_weights **list = nm_weights_list(m, e->prog);
    while (list[m->n_weights])
        m->n_weights++;
    m->weights = nm_new_n(m->arena, nm_weights, (size_t)m->n_weights + 1);
    for (int i = 0; i < m->n_weights; i++)
        elaborate_map(e, list[i], &m->weights[i]);
}
