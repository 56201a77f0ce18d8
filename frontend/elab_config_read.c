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

// In the arena; NULL: reported.
static nm_json *parse(nm_elab *e, const nm_source *src)
{
    nm_json doc, *kept = nm_new(e->a, nm_json);
    nm_json_error why;
    if (!nm_json_parse(&doc, src->text, src->len, &why)) {
        nm_loc here = {src, (uint32_t)why.at, 1};
        nm_error(e->m->diag, here, "this is not JSON: %s", why.what ? why.what : "no memory");
        return NULL;
    }
    *kept = doc;
    kept->node = nm_new_n(e->a, nm_json_node, (size_t)doc.n);
    memcpy(kept->node, doc.node, (size_t)doc.n * sizeof *doc.node);
    nm_json_release(&doc);
    return kept;
}

static const nm_json_node *node_at(const nm_elab *e, int node) { return &e->config->node[node]; }

static nm_loc loc_of(const nm_elab *e, int node)
{
    const nm_json_node *j = node_at(e, node);
    const nm_source *src = e->opts->config;
    uint32_t quote = j->kind == NM_JSON_STRING;
    return (nm_loc){src, (uint32_t)(j->text - src->text) - quote, j->n_text + 2 * quote};
}

// The first spelling that the file has; -1: none.
static int find_key(const nm_elab *e, const nm_flat_row *row, nm_sym *key)
{
    int node = -1;
    for (int i = 0; i < row->n_keys && node < 0; i++)
        node = nm_json_find(e->config, *key = row->key[i]);
    return node;
}

static nm_ev value_of(nm_elab *e, int node);

static nm_ev list_of(nm_elab *e, int node)
{
    int n = 0;
    for (int i = nm_json_first(e->config, node); i >= 0; i = node_at(e, i)->next)
        n++;
    nm_ev *item = nm_new_n(e->a, nm_ev, (size_t)n);
    n = 0;
    for (int i = nm_json_first(e->config, node); i >= 0; i = node_at(e, i)->next)
        item[n++] = value_of(e, i);
    return nm_ev_tuple(e, n, item);
}

static nm_ev string_of(nm_elab *e, int node)
{
    size_t room = node_at(e, node)->n_text + 1;
    char *s = nm_arena_alloc(e->a, room);
    return nm_json_string(e->config, node, s, room) ? nm_ev_word(NM_EV_string, nm_sym_get(e->m, s))
                                                    : nm_ev_none();
}

// None: null, an object, or a string with a NUL.
static nm_ev value_of(nm_elab *e, int node)
{
    double number;
    switch (node_at(e, node)->kind) {
    case NM_JSON_TRUE: return nm_ev_bool(true);
    case NM_JSON_FALSE: return nm_ev_bool(false);
    case NM_JSON_NUMBER:
        return nm_json_real(e->config, node, &number) ? nm_ev_num(number) : nm_ev_none();
    case NM_JSON_STRING: return string_of(e, node);
    case NM_JSON_ARRAY: return list_of(e, node);
    default: return nm_ev_none();
    }
}

// As messages have it.
static const char *brief(nm_elab *e, int node)
{
    char *text = nm_arena_alloc(e->a, NM_JSON_BRIEF);
    nm_json_brief(e->config, node, text);
    return text;
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
static bool is_finite(nm_ev v)
{
    bool all = v.kind != NM_EV_num || isfinite(v.u.num);
    for (int i = 0; v.kind == NM_EV_tuple && i < v.u.tuple.n; i++)
        all &= is_finite(v.u.tuple.item[i]);
    return all;
}

// A const stays what it is: a number, a bool, a string.
static bool has_kind(nm_elab *e, const nm_item *item, int node, nm_sym key)
{
    const nm_ast_expr *x = item->kind == NM_ITEM_const ? item->constant->value : NULL;
    bool number = item->kind == NM_ITEM_dim || (x && x->kind == NM_EXPR_number);
    bool truth = x && x->kind == NM_EXPR_name &&
                 (!strcmp(x->u.name.sym, "true") || !strcmp(x->u.name.sym, "false"));
    nm_ev v = value_of(e, node);
    if (!is_finite(v)) {
        nm_elab_error(e, NULL, loc_of(e, node), "\"%s\" sets '%s', and is not finite [map-5]", key,
                      item->name);
        return false;
    }
    if ((!number || v.kind == NM_EV_num) && (!truth || v.kind == NM_EV_bool))
        return true;
    nm_loc loc = loc_of(e, node);
    nm_elab_error(e, NULL, loc, "\"%s\" is %s, and sets '%s' (%s), which is %s [map-5]", key,
                  brief(e, node), item->name, nm_elab_place(e, item->loc, loc),
                  number ? "a number" : "true or false");
    return false;
}

static void set_from_file(nm_elab *e, const nm_flat_row *row)
{
    nm_sym key;
    const nm_item *item = nm_config_sets(e, row);
    int node = item ? find_key(e, row, &key) : -1;
    if (node >= 0 && !find_setting(e, item->name) && has_kind(e, item, node, key))
        add_setting(e, (nm_setting){
                           .name = item->name, .loc = loc_of(e, node), .value = value_of(e, node)});
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
        nm_elab_error(e, NULL, loc_of(e, 0), "it lacks \"%s\", which says '%s' (%s) [map-5]",
                      row->key[0], item->name, nm_elab_place(e, row->ast->loc, loc_of(e, 0)));
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

typedef struct difference {
    nm_sym key;
    int node; // of the file; -1: it has none
    const char *ours;
} difference;

static void refuse(nm_elab *e, const nm_flat_row *row, difference d)
{
    nm_loc loc = loc_of(e, d.node < 0 ? 0 : d.node);
    const char *where = nm_elab_place(e, row->ast->loc, loc);
    if (d.node >= 0)
        nm_elab_error(e, NULL, loc, "\"%s\" is %s, and %s computes %s (%s) [map-5]", d.key,
                      brief(e, d.node), e->prog->main->stem, d.ours, where);
    else
        nm_elab_error(e, NULL, loc, "it lacks \"%s\", and %s computes %s (%s) [map-5]", d.key,
                      e->prog->main->stem, d.ours, where);
}

void nm_config_compare(nm_elab *e, const nm_flat_row *row, nm_config_value v)
{
    const nm_json_row compared = {row->n_keys, row->key, v.value, v.absent};
    const char *ours = *v.value ? v.value : *v.absent ? v.absent : "nothing of the kind";
    int node;
    nm_sym key = is_defined(e, row) ? NULL : nm_json_differs(e->config, &compared, &node);
    if (key)
        refuse(e, row, (difference){key, node, ours});
}

// --- reading -------------------------------------------------------------------------------------

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

// Of another kind of model little else would be there: say that first. A row under an `if` has a
// word for each kind that the model computes, one of them behind its `=`.
static void compare_words(nm_elab *e, const nm_flat_row *row)
{
    const nm_ast_expr *x = row->ast->value, *other = row->ast->absent;
    if (x->kind != NM_EXPR_string || row->written || is_defined(e, row))
        return;
    const char *word = nm_config_quote(e, x->u.string);
    if (!row->when && !other)
        nm_config_compare(e, row, (nm_config_value){word, word});
    if (!row->when || !other || other->kind != NM_EXPR_string)
        return;
    const char *or = nm_config_quote(e, other->u.string);
    nm_sym key;
    int node = find_key(e, row, &key);
    if (node >= 0 && !nm_json_says(e->config, node, word) && !nm_json_says(e->config, node, or))
        refuse(e, row, (difference){key, node, nm_arena_fmt(e->a, "%s or %s", word, or)});
}

bool nm_config_read(nm_elab *e)
{
    if (!e->opts->config)
        return true;
    e->config = parse(e, e->opts->config);
    if (!e->config)
        return false;
    if (e->config->node[0].kind != NM_JSON_OBJECT)
        return nm_error(e->m->diag, loc_of(e, 0), "a config.json is an object [map-5]");
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
