// The file as a flat list of leaves, each with its path; rows change, add and remove leaves, and
// neighbours with one beginning are printed as an object again.
#include "runtime/foreign/config_print.h"

#include <stdlib.h>
#include <string.h>

enum { SEPARATOR = 1 }; // between the keys of a path: no byte of JSON text

typedef struct leaf {
    nmrt_text path, value; // keys as they stand in JSON, without quotes; JSON
} leaf;

typedef struct leaves {
    leaf *at;
    size_t n;
    bool changed, failed;
} leaves;

// --- the list ----------------------------------------------------------------------------------

static void release(leaf *l)
{
    nmrt_text_release(&l->path);
    nmrt_text_release(&l->value);
}

static leaf *insert(leaves *all, size_t index)
{
    leaf *more = realloc(all->at, (all->n + 1) * sizeof *more);
    if (!more) {
        all->failed = true;
        return NULL;
    }
    all->at = more;
    memmove(&more[index + 1], &more[index], (all->n++ - index) * sizeof *more);
    more[index] = (leaf){0};
    return &more[index];
}

static size_t find(const leaves *all, const char *path)
{
    size_t i = 0;
    while (i < all->n && strcmp(all->at[i].path.at, path) != 0)
        i++;
    return i;
}

// How many bytes of both paths are the same keys, separators included.
static size_t shared(const char *a, const char *b)
{
    size_t n = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == SEPARATOR)
            n = i + 1;
    return n;
}

// Behind the last leaf of the innermost object that both share, so that objects stay together.
static size_t place_of(const leaves *all, const char *path)
{
    size_t place = all->n, best = 0;
    for (size_t i = 0; i < all->n; i++) {
        size_t n = shared(all->at[i].path.at, path);
        if (n && n >= best) {
            best = n;
            place = i + 1;
        }
    }
    return place;
}

static void set(leaves *all, const char *path, const char *value)
{
    size_t i = find(all, path);
    if (i == all->n) {
        leaf *l = insert(all, place_of(all, path));
        if (!l)
            return;
        nmrt_text_add(&l->path, "%s", path);
        i = (size_t)(l - all->at);
    }
    nmrt_text_release(&all->at[i].value);
    nmrt_text_add(&all->at[i].value, "%s", value);
    all->changed = true;
}

static void drop(leaves *all, const char *path)
{
    size_t i = find(all, path);
    if (i == all->n)
        return;
    release(&all->at[i]);
    memmove(&all->at[i], &all->at[i + 1], (--all->n - i) * sizeof *all->at);
    all->changed = true;
}

// --- from a file -------------------------------------------------------------------------------

static void add_leaves(leaves *all, const nmrt_json *doc, int node, const char *path)
{
    if (doc->node[node].kind == NMRT_JSON_OBJECT && nmrt_json_first(doc, node) >= 0) {
        for (int i = nmrt_json_first(doc, node); i >= 0; i = doc->node[i].next) {
            nmrt_text inner = {0};
            if (*path)
                nmrt_text_add(&inner, "%s%c", path, SEPARATOR);
            nmrt_text_add(&inner, "%.*s", (int)doc->node[i].n_key, doc->node[i].key);
            if (inner.failed)
                all->failed = true;
            else
                add_leaves(all, doc, i, inner.at);
            nmrt_text_release(&inner);
        }
        return;
    }
    leaf *l = *path ? insert(all, all->n) : NULL;
    if (!l)
        return;
    nmrt_text_add(&l->path, "%s", path);
    nmrt_config_print_value(doc, node, &l->value);
}

// --- the rows ----------------------------------------------------------------------------------

static bool says(const nmrt_json *file, int node, const char *value)
{
    nmrt_json ours;
    nmrt_error e;
    if (nmrt_json_parse(&ours, value, strlen(value), &e) != NMRT_OK)
        return false;
    bool same = nmrt_config_same(file, node, &ours, 0);
    nmrt_json_release(&ours);
    return same;
}

static void path_of(const char *key, nmrt_text *path)
{
    nmrt_text_add(path, "%s", key);
    for (size_t i = 0; !path->failed && i < path->n; i++)
        if (path->at[i] == '.')
            path->at[i] = SEPARATOR;
}

// A spelling that the file has.
static void apply_to(leaves *all, const nmdrv_config_row *row, const char *path,
                     const nmrt_json *file, int node)
{
    const char *means = *row->value ? row->value : row->absent;
    if (*means && says(file, node, means))
        return;
    if (*row->value)
        set(all, path, row->value);
    else
        drop(all, path);
}

static void apply(leaves *all, const nmdrv_config_row *row, const nmrt_json *file)
{
    bool any = false;
    nmrt_text path = {0};
    for (int64_t i = 0; i < row->n_keys; i++) {
        int node = file ? nmrt_config_find(file, row->key[i]) : -1;
        nmrt_text_release(&path);
        path_of(row->key[i], &path);
        all->failed = all->failed || path.failed;
        if (node < 0 || path.failed)
            continue;
        any = true;
        if (!row->written)
            apply_to(all, row, path.at, file, node);
    }
    nmrt_text_release(&path);
    path_of(row->key[0], &path);
    bool as_absent = file && *row->absent && strcmp(row->absent, row->value) == 0;
    if (!any && *row->value && !as_absent && !path.failed)
        set(all, path.at, row->value);
    nmrt_text_release(&path);
}

// transformers 5 says dtype, 4 torch_dtype, which 5 reads, too; a file that says neither means f32.
static void apply_dtype(leaves *all, const char *dtype, const nmrt_json *file)
{
    const char *key = file && nmrt_config_find(file, "dtype") >= 0 ? "dtype" : "torch_dtype";
    int node = file ? nmrt_config_find(file, key) : -1;
    nmrt_text value = {0};
    nmrt_text_add_json(&value, dtype);
    bool as_absent = file && node < 0 && strcmp(dtype, "float32") == 0;
    if (!as_absent && !value.failed && (node < 0 || !says(file, node, value.at)))
        set(all, key, value.at);
    nmrt_text_release(&value);
}

// --- the text ----------------------------------------------------------------------------------

static void print_leaves(const leaf *at, size_t n, size_t skip, int depth, nmrt_text *out)
{
    nmrt_text_add(out, "{");
    for (size_t i = 0, k; i < n; i = k) {
        const char *path = at[i].path.at + skip;
        size_t key = strcspn(path, (char[]){SEPARATOR, 0});
        for (k = i + 1; path[key] && k < n; k++)
            if (strncmp(at[k].path.at + skip, path, key + 1) != 0)
                break;
        nmrt_text_add(out, "%s\n%*s\"%.*s\": ", i ? "," : "", 2 * depth, "", (int)key, path);
        if (path[key])
            print_leaves(&at[i], k - i, skip + key + 1, depth + 1, out);
        else
            nmrt_text_add_bytes(out, at[i].value.at, at[i].value.n);
    }
    nmrt_text_add(out, "\n%*s}", 2 * (depth - 1), "");
}

static nmrt_status print(leaves *all, const nmdrv_weights *map, const nmrt_json *file,
                         const char *dtype, nmrt_text *out, nmrt_error *e)
{
    if (file)
        add_leaves(all, file, 0, "");
    for (int64_t i = 0; i < map->n_config; i++)
        apply(all, &map->config[i], file);
    apply_dtype(all, dtype, file);
    for (size_t i = 0; i < all->n; i++)
        all->failed = all->failed || all->at[i].path.failed || all->at[i].value.failed;
    if (!all->failed && (all->changed || !file)) {
        print_leaves(all->at, all->n, 0, 1, out);
        nmrt_text_add(out, "\n");
    }
    return all->failed || out->failed ? nmrt_fail(e, NMRT_WORLD, "no memory for config.json")
                                      : NMRT_OK;
}

nmrt_status nmrt_config_print(const nmdrv_weights *map, const char *base, size_t n,
                              const char *dtype, nmrt_text *out, nmrt_error *e)
{
    leaves all = {0};
    nmrt_json doc = {0};
    if (base)
        NMRT_TRY(nmrt_json_parse(&doc, base, n, e));
    nmrt_status status = base && doc.node[0].kind != NMRT_JSON_OBJECT
                             ? nmrt_fail(e, NMRT_CORRUPT, "config.json is not an object")
                             : print(&all, map, base ? &doc : NULL, dtype, out, e);
    if (status == NMRT_OK && !out->n)
        nmrt_text_add_bytes(out, base, n);
    for (size_t i = 0; i < all.n; i++)
        release(&all.at[i]);
    free(all.at);
    nmrt_json_release(&doc);
    return status;
}
