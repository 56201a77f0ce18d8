// --hf-config: a config.json as sizes and constants, by the rows of the model's map read backwards.
//
// A row whose value is a name alone sets that dim or const from its key; where the file lacks the
// key, from what stands behind the row's `=`. When all names have their values, each row is
// compared with the file (map-5), so that what the model would compute differently is told, not
// computed. -D wins over the file; rows that depend on it are not compared.
#include "frontend/elab_config.h"

#include "frontend/walk.h"
#include "frontend/weights.h"

#include <math.h>
#include <string.h>

// --- the file ------------------------------------------------------------------------------------

// The first spelling that the file has; NULL: none.
static const nm_json *find_key(const nm_elab *e, const nm_flat_row *row, nm_sym *key)
{
    for (int i = 0; i < row->n_keys; i++) {
        const nm_json *j = nm_json_find(e->config, row->key[i]);
        *key = row->key[i];
        if (j)
            return j;
    }
    return NULL;
}

static nm_ev value_of(nm_elab *e, const nm_json *j)
{
    nm_ev *item;
    int n = 0;
    switch (j->kind) {
    case NM_JSON_bool: return nm_ev_bool(j->b);
    case NM_JSON_number: return nm_ev_num(j->number);
    case NM_JSON_string: return nm_ev_word(NM_EV_string, nm_sym_get(e->m, j->string));
    case NM_JSON_array:
        for (const nm_json *k = j->first; k; k = k->next)
            n++;
        item = nm_new_n(e->a, nm_ev, (size_t)n);
        n = 0;
        for (const nm_json *k = j->first; k; k = k->next)
            item[n++] = value_of(e, k);
        return nm_ev_tuple(e, n, item);
    default: return nm_ev_none();
    }
}

// As messages have it.
static const char *brief(nm_elab *e, const nm_json *j)
{
    enum { LONG = 160 };
    const char *text = nm_json_text(e->a, j);
    return strlen(text) < LONG ? text : nm_arena_fmt(e->a, "%.*s...", LONG, text);
}

// --- setting -------------------------------------------------------------------------------------

static nm_setting *find_setting(const nm_elab *e, nm_sym name)
{
    for (nm_setting *s = e->main->config_settings; s; s = s->next)
        if (s->name == name)
            return s;
    return NULL;
}

static void add_setting(nm_elab *e, nm_setting s)
{
    nm_setting *kept = nm_new(e->a, nm_setting);
    *kept = s;
    kept->next = e->main->config_settings;
    e->main->config_settings = kept;
}

// NaN and Infinity are numbers of JSON as Python writes it, and of no model.
static bool is_finite(const nm_json *j)
{
    bool all = j->kind != NM_JSON_number || isfinite(j->number);
    for (const nm_json *k = j->kind == NM_JSON_array ? j->first : NULL; k; k = k->next)
        all &= is_finite(k);
    return all;
}

// A const stays what it is: a number, a bool, a string.
static bool has_kind(nm_elab *e, const nm_item *item, const nm_json *j, nm_sym key)
{
    const nm_ast_expr *x = item->kind == NM_ITEM_const ? item->constant->value : NULL;
    bool number = item->kind == NM_ITEM_dim || (x && x->kind == NM_EXPR_number);
    bool truth = x && x->kind == NM_EXPR_name &&
                 (!strcmp(x->u.name.sym, "true") || !strcmp(x->u.name.sym, "false"));
    if (!is_finite(j)) {
        nm_elab_error(e, NULL, j->loc, "\"%s\" sets '%s', and is not finite [map-5]", key,
                      item->name);
        return false;
    }
    if ((!number || j->kind == NM_JSON_number) && (!truth || j->kind == NM_JSON_bool))
        return true;
    nm_elab_error(e, NULL, j->loc, "\"%s\" is %s, and sets '%s' (%s), which is %s [map-5]", key,
                  brief(e, j), item->name, nm_elab_place(e, item->loc, j->loc),
                  number ? "a number" : "true or false");
    return false;
}

static void set_from_file(nm_elab *e, const nm_flat_row *row)
{
    nm_sym key;
    const nm_item *item = nm_config_sets(e, row);
    const nm_json *j = item ? find_key(e, row, &key) : NULL;
    if (j && !find_setting(e, item->name) && has_kind(e, item, j, key))
        add_setting(e, (nm_setting){.name = item->name, .loc = j->loc, .value = value_of(e, j)});
}

static void set_otherwise(nm_elab *e, const nm_flat_row *row)
{
    const nm_item *item = nm_config_sets(e, row);
    if (!item || find_setting(e, item->name))
        return;
    if (row->ast->absent)
        add_setting(e, (nm_setting){.name = item->name,
                                    .loc = row->ast->loc,
                                    .expr = row->ast->absent,
                                    .unit = e->main});
    else if (!row->when)
        nm_elab_error(e, NULL, e->config->loc, "it lacks \"%s\", which says '%s' (%s) [map-5]",
                      row->key[0], item->name, nm_elab_place(e, row->ast->loc, e->config->loc));
}

// The first map that has a config.
static nm_flat_rows find_rows(nm_elab *e)
{
    for (const nm_ast_weights **w = nm_weights_list(e->m, e->prog); *w; w++) {
        nm_flat_rows rows = nm_config_flat(e, *w);
        e->config_map = *w;
        if (rows.n)
            return rows;
    }
    nm_elab_error(e, NULL, (nm_loc){0},
                  "%s has no weights map with a config block, by which --hf-config is read [map-5]",
                  e->prog->main->stem);
    return (nm_flat_rows){0};
}

// What a -D takes the place of.
static void tell_define(nm_elab *e, const nm_define *d)
{
    const nm_setting *s = find_setting(e, nm_sym_get(e->m, d->name));
    if (s && !s->expr)
        nm_warning(e->m->diag, s->loc, "-D %s=%s is taken, not this", d->name, d->value);
}

// Of another kind of model little else would be there: say that first.
static void compare_words(nm_elab *e, const nm_flat_row *row)
{
    const nm_ast_expr *x = row->ast->value;
    if (x->kind != NM_EXPR_string || row->when || row->written || row->ast->absent)
        return;
    nm_json word = {.kind = NM_JSON_string, .string = x->u.string};
    nm_config_compare(e, row, (nm_config_value){&word, &word});
}

bool nm_config_read(nm_elab *e)
{
    if (!e->opts->config)
        return true;
    e->config = nm_json_parse(e->a, e->m->diag, e->opts->config);
    if (!e->config)
        return false;
    if (e->config->kind != NM_JSON_object)
        return nm_error(e->m->diag, e->config->loc, "a config.json is an object [map-5]");
    unsigned before = e->fails;
    nm_flat_rows rows = find_rows(e);
    for (int i = 0; i < rows.n; i++)
        compare_words(e, &rows.row[i]);
    if (e->fails != before)
        return false;
    for (int i = 0; i < rows.n; i++)
        set_from_file(e, &rows.row[i]);
    bool right = e->fails == before;
    for (int i = 0; i < rows.n && right; i++)
        set_otherwise(e, &rows.row[i]);
    for (int i = 0; i < e->opts->n_defines; i++)
        tell_define(e, &e->opts->define[i]);
    return e->fails == before;
}

// --- comparing -----------------------------------------------------------------------------------

static void note_define(void *user, const nm_ast_expr *x)
{
    nm_elab *e = user;
    for (int i = 0; i < e->opts->n_defines && x->kind == NM_EXPR_name; i++)
        e->config_defined |= !strcmp(e->opts->define[i].name, x->u.name.sym);
}

// Is one of its names set by -D?
static bool is_defined(nm_elab *e, const nm_flat_row *row)
{
    nm_ast_visitor v = {.expr = note_define, .user = e};
    e->config_defined = false;
    nm_ast_walk_expr(&v, row->ast->value);
    for (const nm_condition *w = row->when; w; w = w->outer)
        nm_ast_walk_expr(&v, w->cond);
    return e->config_defined;
}

static void differs(nm_elab *e, const nm_flat_row *row, nm_sym key, const nm_json *theirs,
                    const nm_json *ours)
{
    const char *where = nm_elab_place(e, row->ast->loc, e->config->loc);
    const char *what = ours ? brief(e, ours) : "nothing of the kind";
    if (theirs)
        nm_elab_error(e, NULL, theirs->loc, "\"%s\" is %s, and %s computes %s (%s) [map-5]", key,
                      brief(e, theirs), e->prog->main->stem, what, where);
    else
        nm_elab_error(e, NULL, e->config->loc, "it lacks \"%s\", and %s computes %s (%s) [map-5]",
                      key, e->prog->main->stem, what, where);
}

void nm_config_compare(nm_elab *e, const nm_flat_row *row, nm_config_value v)
{
    const nm_json *ours = v.value ? v.value : v.absent;
    bool said = false;
    if (is_defined(e, row))
        return;
    for (int i = 0; i < row->n_keys; i++) {
        const nm_json *theirs = nm_json_find(e->config, row->key[i]);
        said |= theirs != NULL;
        if (theirs && (!ours || !nm_json_same(theirs, ours)))
            differs(e, row, row->key[i], theirs, ours);
    }
    if (!said && (v.absent ? !ours || !nm_json_same(v.absent, ours) : ours != NULL))
        differs(e, row, row->key[0], NULL, ours);
}
