// Blocks of `config` as flat rows: objects in objects are paths with points, spellings are
// multiplied out, `if`s are conditions of each row inside.
#include "frontend/elab_config.h"

#include "frontend/walk.h"

#include <string.h>

typedef struct around { // what is around a row
    int n_keys;
    nm_sym *key; // "", or with a point behind
    const nm_condition *when;
    bool written;
} around;

static void flatten(nm_elab *e, nm_flat_rows *out, const around *a, const nm_ast_configs *rows);

// "rope_scaling.factor", "rope_parameters.factor": the outer spellings vary slowest.
static nm_sym *join_keys(nm_elab *e, const around *a, const nm_ast_names *keys, const char *behind)
{
    nm_sym *joined = nm_new_n(e->a, nm_sym, (size_t)(a->n_keys * keys->n));
    for (int i = 0; i < a->n_keys; i++)
        for (int k = 0; k < keys->n; k++)
            joined[i * keys->n + k] =
                nm_sym_fmt(e->m, "%s%s%s", a->key[i], keys->name[k].sym, behind);
    return joined;
}

static void add_row(nm_elab *e, nm_flat_rows *out, const around *a, const nm_ast_config *row)
{
    nm_flat_row flat = {.ast = row, .when = a->when, .written = a->written};
    flat.n_keys = a->n_keys * row->keys.n;
    flat.key = join_keys(e, a, &row->keys, "");
    out->row = nm_arena_grow(e->a, out->row, out->n, sizeof *out->row);
    out->row[out->n++] = flat;
}

static void enter_object(nm_elab *e, nm_flat_rows *out, const around *a, const nm_ast_config *row)
{
    around inner = *a;
    inner.n_keys = a->n_keys * row->keys.n;
    inner.key = join_keys(e, a, &row->keys, ".");
    flatten(e, out, &inner, &row->rows);
}

static void enter_if(nm_elab *e, nm_flat_rows *out, const around *a, const nm_ast_config *row)
{
    for (int k = 0; k < 2; k++) {
        nm_condition *when = nm_new(e->a, nm_condition);
        *when = (nm_condition){.cond = row->cond, .is = k == 0, .outer = a->when};
        around inner = *a;
        inner.when = when;
        flatten(e, out, &inner, k ? &row->other : &row->rows);
    }
}

static void flatten(nm_elab *e, nm_flat_rows *out, const around *a, const nm_ast_configs *rows)
{
    enum { MOST_SPELLINGS = 64 };
    for (int i = 0; i < rows->n; i++) {
        const nm_ast_config *row = &rows->row[i];
        if (row->keys.n * a->n_keys > MOST_SPELLINGS)
            nm_elab_error(e, NULL, row->loc, "a key has %d spellings at most [map-3]",
                          MOST_SPELLINGS);
        else if (row->kind == NM_CONFIG_row)
            add_row(e, out, a, row);
        else if (row->kind == NM_CONFIG_object)
            enter_object(e, out, a, row);
        else
            enter_if(e, out, a, row);
    }
}

nm_flat_rows nm_config_flat(nm_elab *e, const nm_ast_weights *w)
{
    nm_flat_rows out = {0};
    nm_sym none[] = {""};
    for (int i = 0; i < w->n_maps; i++) {
        const nm_ast_map *map = &w->map[i];
        if (map->kind != NM_MAP_config)
            continue;
        bool written = !strcmp(map->word.sym, "export");
        if (!written && strcmp(map->word.sym, "config") != 0)
            nm_elab_error(e, NULL, map->word.loc,
                          "a block of keys is config { } or export { }, not '%s' [map-3]",
                          map->word.sym);
        around outside = {.n_keys = 1, .key = none, .written = written};
        flatten(e, &out, &outside, &map->config);
    }
    return out;
}

nm_item *nm_config_sets(nm_elab *e, const nm_flat_row *row)
{
    const nm_ast_expr *x = row->ast->value;
    if (row->written || x->kind != NM_EXPR_name || x->u.name.n != 1)
        return NULL;
    nm_item *item = nm_unit_find(e, e->main, x->u.name.sym);
    return item && (item->kind == NM_ITEM_dim || item->kind == NM_ITEM_const) ? item : NULL;
}
