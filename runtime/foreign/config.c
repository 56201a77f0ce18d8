// The rows of a config block, compared with a file (driver_abi.h: nmdrv_config_row has the rule).
#include "runtime/foreign/config.h"

#include "runtime/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- values ------------------------------------------------------------------------------------

int nmrt_config_find(const nmrt_json *doc, const char *key)
{
    int node = doc->n ? 0 : -1;
    while (node >= 0 && *key) {
        size_t n = strcspn(key, ".");
        node = nmrt_json_member(doc, node, key, n);
        key += n + (key[n] == '.');
    }
    return node >= 0 && doc->node[node].kind == NMRT_JSON_NULL ? -1 : node;
}

static double number_of(const nmrt_json *doc, int node)
{
    char text[64] = "";
    uint32_t n = doc->node[node].n_text;
    memcpy(text, doc->node[node].text, n < sizeof text ? n : sizeof text - 1);
    return strtod(text, NULL);
}

static bool same_number(double a, double b)
{
    return a == b || (a != floor(a) && b != floor(b) && (float)a == (float)b);
}

static bool same_children(const nmrt_json *a, int i, const nmrt_json *b, int k)
{
    int x = nmrt_json_first(a, i), y = nmrt_json_first(b, k);
    for (; x >= 0 && y >= 0; x = a->node[x].next, y = b->node[y].next)
        if (!nmrt_config_same(a, x, b, y))
            return false;
    return x < 0 && y < 0;
}

bool nmrt_config_same(const nmrt_json *a, int i, const nmrt_json *b, int k)
{
    const nmrt_json_node *x = &a->node[i], *y = &b->node[k];
    if (x->kind != y->kind)
        return false;
    switch (x->kind) {
    case NMRT_JSON_NULL:
    case NMRT_JSON_FALSE:
    case NMRT_JSON_TRUE: return true;
    case NMRT_JSON_NUMBER: return same_number(number_of(a, i), number_of(b, k));
    case NMRT_JSON_STRING:
        return x->n_text == y->n_text && memcmp(x->text, y->text, x->n_text) == 0;
    case NMRT_JSON_ARRAY: return same_children(a, i, b, k);
    case NMRT_JSON_OBJECT: return false; // rows name what is in an object
    }
    return false;
}

void nmrt_config_print_value(const nmrt_json *doc, int node, nmrt_text *out)
{
    const nmrt_json_node *n = &doc->node[node];
    bool object = n->kind == NMRT_JSON_OBJECT;
    if (!object && n->kind != NMRT_JSON_ARRAY) {
        const char *quote = n->kind == NMRT_JSON_STRING ? "\"" : "";
        nmrt_text_add(out, "%s%.*s%s", quote, (int)n->n_text, n->text, quote);
        return;
    }
    nmrt_text_add(out, object ? "{" : "[");
    for (int i = nmrt_json_first(doc, node); i >= 0; i = doc->node[i].next) {
        if (object)
            nmrt_text_add(out, "\"%.*s\": ", (int)doc->node[i].n_key, doc->node[i].key);
        nmrt_config_print_value(doc, i, out);
        nmrt_text_add(out, doc->node[i].next < 0 ? "" : ", ");
    }
    nmrt_text_add(out, object ? "}" : "]");
}

// --- a row and the file ------------------------------------------------------------------------

typedef struct check {
    const nmrt_json *file;
    const char *folder;
} check;

static const char *or_nothing(const char *value) { return *value ? value : "nothing"; }

static nmrt_status refuse(const check *c, const nmdrv_config_row *row, const char *key,
                          const char *theirs, const char *ours, nmrt_error *e)
{
    return nmrt_fail(e, NMRT_FOREIGN,
                     "%s/config.json: %s is %.200s, and this binary was compiled for %.200s "
                     "(%s): compile the model for it by `nemocc MODEL --hf-config %s/config.json`",
                     c->folder, key, theirs, ours, row->where, c->folder);
}

// `ours` is the row's value or, where this binary has none, what its absence means; "": nothing.
static nmrt_status check_node(const check *c, const nmdrv_config_row *row, const char *key,
                              int node, nmrt_error *e)
{
    const char *ours = *row->value ? row->value : row->absent;
    nmrt_json doc = {0};
    nmrt_text theirs = {0};
    nmrt_error inner;
    bool same = *ours && nmrt_json_parse(&doc, ours, strlen(ours), &inner) == NMRT_OK &&
                nmrt_config_same(c->file, node, &doc, 0);
    if (!same) {
        nmrt_config_print_value(c->file, node, &theirs);
        refuse(c, row, key, theirs.at ? theirs.at : "", or_nothing(ours), e);
    }
    nmrt_json_release(&doc);
    nmrt_text_release(&theirs);
    return same ? NMRT_OK : NMRT_FOREIGN;
}

static nmrt_status check_absent(const check *c, const nmdrv_config_row *row, nmrt_error *e)
{
    nmrt_json ours = {0}, theirs = {0};
    nmrt_error inner;
    bool same = !*row->value;
    if (*row->value && *row->absent)
        same = nmrt_json_parse(&ours, row->value, strlen(row->value), &inner) == NMRT_OK &&
               nmrt_json_parse(&theirs, row->absent, strlen(row->absent), &inner) == NMRT_OK &&
               nmrt_config_same(&ours, 0, &theirs, 0);
    nmrt_json_release(&ours);
    nmrt_json_release(&theirs);
    if (same)
        return NMRT_OK;
    nmrt_text means = {0};
    nmrt_text_add(&means, *row->absent ? "not there, which means %s" : "not there%s", row->absent);
    refuse(c, row, row->key[0], means.at ? means.at : "", or_nothing(row->value), e);
    nmrt_text_release(&means);
    return NMRT_FOREIGN;
}

static nmrt_status check_row(const check *c, const nmdrv_config_row *row, nmrt_error *e)
{
    bool any = false;
    for (int64_t i = 0; i < row->n_keys && !row->written; i++) {
        int node = nmrt_config_find(c->file, row->key[i]);
        any = any || node >= 0;
        if (node >= 0)
            NMRT_TRY(check_node(c, row, row->key[i], node, e));
    }
    return any || row->written ? NMRT_OK : check_absent(c, row, e);
}

// --- the file ----------------------------------------------------------------------------------

static nmrt_status check_rows(const nmdrv_weights *map, const check *c, nmrt_error *e)
{
    if (c->file->node[0].kind != NMRT_JSON_OBJECT)
        return nmrt_fail(e, NMRT_CORRUPT, "%s/config.json is not an object", c->folder);
    for (int64_t i = 0; i < map->n_config; i++)
        NMRT_TRY(check_row(c, &map->config[i], e));
    return NMRT_OK;
}

nmrt_status nmrt_config_check_text(const nmdrv_weights *map, const char *text, size_t n,
                                   const char *folder, nmrt_error *e)
{
    nmrt_json doc;
    nmrt_error why;
    nmrt_status status = nmrt_json_parse(&doc, text, n, &why);
    if (status != NMRT_OK)
        nmrt_fail(e, status, "%s/config.json: %s", folder, why.text);
    else
        status = check_rows(map, &(check){&doc, folder}, e);
    nmrt_json_release(&doc);
    return status;
}

nmrt_status nmrt_config_check(const nmdrv_weights *map, const char *folder, nmrt_text *notes,
                              nmrt_error *e)
{
    char path[NMRT_PATH];
    nmrt_map file;
    NMRT_TRY(nmrt_path_join(path, folder, "config.json", e));
    if (!nmrt_path_exists(path)) {
        nmrt_text_add(notes,
                      "note: there is no %s: whether its weights are of a model that "
                      "computes what this binary does is not checked\n",
                      path);
        return NMRT_OK;
    }
    NMRT_TRY(nmrt_map_open(&file, path, e));
    nmrt_status status = nmrt_config_check_text(map, (const char *)file.at, file.n, folder, e);
    nmrt_map_close(&file);
    return status;
}
