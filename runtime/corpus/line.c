// A line of JSONL. All of it must be JSON (RFC 8259) in UTF-8, not only the member that is read: a
// line that is damaged elsewhere is a line to be told of.
#include "runtime/corpus/line.h"

#include "runtime/tokenizer/utf8.h"

static const char *kind_name(nm_json_kind kind)
{
    static const char *const names[] = {
        [NM_JSON_NULL] = "null",        [NM_JSON_FALSE] = "false",     [NM_JSON_TRUE] = "true",
        [NM_JSON_NUMBER] = "a number",  [NM_JSON_STRING] = "a string", [NM_JSON_ARRAY] = "a list",
        [NM_JSON_OBJECT] = "an object",
    };
    return names[kind];
}

static nmrt_status find_texts(nmrt_line *l, const char *key, nmrt_error *e)
{
    const nm_json *doc = &l->json;
    if (doc->node[0].kind != NM_JSON_OBJECT)
        return nmrt_fail(e, NMRT_CORRUPT, "it is %s, not an object", kind_name(doc->node[0].kind));
    int node = nm_json_get(doc, 0, key);
    if (node < 0)
        return nmrt_fail(e, NMRT_CORRUPT, "it has no \"%s\"", key);
    nm_json_kind kind = doc->node[node].kind;
    if (kind != NM_JSON_STRING && kind != NM_JSON_ARRAY)
        return nmrt_fail(e, NMRT_CORRUPT, "\"%s\" is %s, not a string", key, kind_name(kind));
    l->next = kind == NM_JSON_STRING ? node : doc->node[node].first;
    if (kind == NM_JSON_STRING)
        l->json.node[node].next = -1; // its siblings are no texts
    for (int i = l->next; i >= 0; i = doc->node[i].next)
        if (doc->node[i].kind != NM_JSON_STRING)
            return nmrt_fail(e, NMRT_CORRUPT, "\"%s\" has %s in its list, not strings alone", key,
                             kind_name(doc->node[i].kind));
    return NMRT_OK;
}

nmrt_status nmrt_line_open(nmrt_line *l, const nmrt_document *d, const char *key, nmrt_error *e)
{
    *l = (nmrt_line){.next = -1};
    if (!nmrt_utf8_is_whole(d->text, d->n))
        return nmrt_fail(e, NMRT_CORRUPT, "it is not UTF-8");
    NMRT_TRY(nmrt_json_parse(&l->json, d->text, d->n, e));
    nmrt_status status = find_texts(l, key, e);
    if (status != NMRT_OK)
        nmrt_line_close(l);
    return status;
}

void nmrt_line_close(nmrt_line *l)
{
    nm_json_release(&l->json);
    nmrt_text_release(&l->text);
}

nmrt_status nmrt_line_next(nmrt_line *l, bool *end, nmrt_error *e)
{
    *end = l->next < 0;
    if (*end)
        return NMRT_OK;
    const nm_json_node *node = &l->json.node[l->next];
    l->next = node->next;
    l->text.n = 0;
    bool whole = nmrt_json_unescape(node->text, node->n_text, &l->text) && !l->text.failed;
    return whole ? NMRT_OK : nmrt_fail(e, NMRT_WORLD, "no memory for a string");
}
