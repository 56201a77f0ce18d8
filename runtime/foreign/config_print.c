// The file as a tree of JSON; rows set and remove members of its objects, and it is printed again.
// Of equal keys the last counts, so a change takes the others away.
#include "runtime/foreign/config_print.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct config {
    nm_json doc;  // node 0: an object
    bool is_file; // of the model that was imported
    bool changed, failed;
} config;

// --- the tree ----------------------------------------------------------------------------------

// A member behind the others of the object; -1: no memory.
static int add_member(config *c, int object, const char *key, size_t n)
{
    nm_json *doc = &c->doc;
    if (doc->n == doc->cap) {
        int cap = doc->cap < INT_MAX / 2 ? 2 * doc->cap + 1 : 0;
        nm_json_node *more = cap ? realloc(doc->node, (size_t)cap * sizeof *more) : NULL;
        if (!more) {
            c->failed = true;
            return -1;
        }
        doc->node = more;
        doc->cap = cap;
    }
    int *end = &doc->node[object].first;
    while (*end >= 0)
        end = &doc->node[*end].next;
    *end = doc->n;
    doc->node[doc->n] = (nm_json_node){.key = key, .n_key = (uint32_t)n, .first = -1, .next = -1};
    return doc->n++;
}

// All of that name but `kept`.
static void drop_members(config *c, int object, const char *key, size_t n, int kept)
{
    nm_json_node *node = c->doc.node;
    for (int *at = &node[object].first; *at >= 0;)
        if (*at != kept && nm_json_is_named(&node[*at], key, n))
            *at = node[*at].next;
        else
            at = &node[*at].next;
}

// "rope_scaling.factor": what is on the way is an object behind this.
static void set(config *c, int object, const char *key, const char *value)
{
    size_t n = strcspn(key, ".");
    if (c->doc.node[object].kind != NM_JSON_OBJECT)
        c->doc.node[object].first = -1;
    c->doc.node[object].kind = NM_JSON_OBJECT;
    int member = nm_json_member(&c->doc, object, key, n);
    drop_members(c, object, key, n, member);
    if (member < 0)
        member = add_member(c, object, key, n);
    if (member < 0)
        return;
    if (key[n]) {
        set(c, member, key + n + 1, value);
        return;
    }
    nm_json_node *node = &c->doc.node[member];
    node->kind = NM_JSON_NUMBER; // of any kind, but printed as it stands
    node->text = value;
    node->n_text = (uint32_t)strlen(value);
    c->changed = true;
}

// Of a key that is there; an object that had nothing else goes with it.
static void drop(config *c, int object, const char *key)
{
    size_t n = strcspn(key, ".");
    int member = nm_json_member(&c->doc, object, key, n);
    if (key[n]) {
        drop(c, member, key + n + 1);
        if (nm_json_first(&c->doc, member) >= 0)
            return;
    }
    drop_members(c, object, key, n, -1);
    c->changed = true;
}

// --- the rows ----------------------------------------------------------------------------------

// A spelling that the file has.
static void apply_to(config *c, const nmdrv_config_row *row, const char *key, int node)
{
    const char *means = *row->value ? row->value : row->absent;
    if (nm_json_says(&c->doc, node, means))
        return;
    if (*row->value)
        set(c, 0, key, row->value);
    else
        drop(c, 0, key);
}

static void apply(config *c, const nmdrv_config_row *row)
{
    bool any = false;
    for (int64_t i = 0; i < row->n_keys; i++) {
        int node = nm_json_find(&c->doc, row->key[i]);
        any = any || node >= 0;
        if (node >= 0 && !row->written)
            apply_to(c, row, row->key[i], node);
    }
    int node;
    const nm_json_row compared = nmrt_config_row(row);
    bool as_absent = c->is_file && !nm_json_differs(&c->doc, &compared, &node);
    if (!any && *row->value && !as_absent)
        set(c, 0, row->key[0], row->value);
}

// transformers 5 says dtype, 4 torch_dtype, which 5 reads, too; a file that says neither means f32.
// `value`: as JSON.
static void apply_dtype(config *c, const char *value)
{
    const char *key = nm_json_find(&c->doc, "dtype") >= 0 ? "dtype" : "torch_dtype";
    int node = nm_json_find(&c->doc, key);
    bool as_absent = c->is_file && node < 0 && strcmp(value, "\"float32\"") == 0;
    if (!as_absent && (node < 0 || !nm_json_says(&c->doc, node, value)))
        set(c, 0, key, value);
}

// --- the text ----------------------------------------------------------------------------------

static void print_object(const nm_json *doc, int object, int depth, nmrt_text *out)
{
    int first = nm_json_first(doc, object);
    for (int i = first; i >= 0; i = doc->node[i].next) {
        const nm_json_node *node = &doc->node[i];
        nmrt_text_add(out, "%s\n%*s\"%.*s\": ", i == first ? "{" : ",", 2 * depth, "",
                      (int)node->n_key, node->key);
        const char *quote = node->kind == NM_JSON_STRING ? "\"" : "";
        if (node->kind == NM_JSON_OBJECT)
            print_object(doc, i, depth + 1, out);
        else
            nmrt_text_add(out, "%s%.*s%s", quote, (int)node->n_text, node->text, quote);
    }
    if (first < 0)
        nmrt_text_add(out, "{}");
    else
        nmrt_text_add(out, "\n%*s}", 2 * (depth - 1), "");
}

static void print(config *c, const nmdrv_weights *map, const char *dtype, nmrt_text *out)
{
    for (int64_t i = 0; i < map->n_config; i++)
        apply(c, &map->config[i]);
    apply_dtype(c, dtype);
    if (!c->changed)
        return;
    print_object(&c->doc, 0, 1, out);
    nmrt_text_add(out, "\n");
}

nmrt_status nmrt_config_print(const nmdrv_weights *map, const char *base, size_t n,
                              const char *dtype, nmrt_text *out, nmrt_error *e)
{
    config c = {.is_file = base != NULL};
    NMRT_TRY(nmrt_json_parse(&c.doc, base ? base : "{}", base ? n : 2, e));
    bool object = c.doc.node[0].kind == NM_JSON_OBJECT;
    nmrt_text word = {0};
    nmrt_text_add_json(&word, dtype);
    if (object && !word.failed)
        print(&c, map, word.at, out);
    if (object && !c.changed)
        nmrt_text_add_bytes(out, base, n);
    bool failed = c.failed || word.failed || out->failed;
    nmrt_text_release(&word);
    nm_json_release(&c.doc);
    if (!object)
        return nmrt_fail(e, NMRT_CORRUPT, "config.json is not an object");
    return failed ? nmrt_fail(e, NMRT_WORLD, "no memory for config.json") : NMRT_OK;
}
