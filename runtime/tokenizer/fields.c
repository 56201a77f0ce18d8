// Members of a tokenizer.json's objects.
#include "runtime/tokenizer/fields.h"

#include <string.h>

bool nmrt_field_absent(const nm_json *doc, int object, const char *key)
{
    int node = nm_json_get(doc, object, key);
    return node < 0 || doc->node[node].kind == NM_JSON_NULL;
}

nmrt_status nmrt_field_unescape(const nm_json *doc, int node, nmrt_text *out, nmrt_error *e)
{
    if (node < 0 || doc->node[node].kind != NM_JSON_STRING)
        return nmrt_fail(e, NMRT_CORRUPT, "a string was expected");
    const nm_json_node *s = &doc->node[node];
    if (!nmrt_json_unescape(s->text, s->n_text, out))
        return nmrt_fail(e, NMRT_CORRUPT, "\"%.*s\" has a wrong escape",
                         s->n_text < 100 ? (int)s->n_text : 100, s->text);
    if (out->failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for its strings");
    return NMRT_OK;
}

nmrt_status nmrt_field_text(const nm_json *doc, int object, const char *key, nmrt_text *out,
                            nmrt_error *e)
{
    int node = nm_json_get(doc, object, key);
    if (node < 0 || doc->node[node].kind != NM_JSON_STRING)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is not a string", key);
    return nmrt_field_unescape(doc, node, out, e);
}

nmrt_status nmrt_field_bool(const nm_json *doc, int object, const char *key, bool *value,
                            nmrt_error *e)
{
    if (nmrt_field_absent(doc, object, key))
        return NMRT_OK;
    nm_json_kind kind = doc->node[nm_json_get(doc, object, key)].kind;
    if (kind != NM_JSON_TRUE && kind != NM_JSON_FALSE)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is neither true nor false", key);
    *value = kind == NM_JSON_TRUE;
    return NMRT_OK;
}

nmrt_status nmrt_field_int(const nm_json *doc, int object, const char *key, int64_t *value,
                           nmrt_error *e)
{
    if (nmrt_field_absent(doc, object, key) ||
        nm_json_int(doc, nm_json_get(doc, object, key), value))
        return NMRT_OK;
    return nmrt_fail(e, NMRT_CORRUPT, "%s is not a whole number", key);
}

bool nmrt_field_is(const nm_json *doc, int object, const char *key, const char *value)
{
    char s[64];
    return nm_json_string(doc, nm_json_get(doc, object, key), s, sizeof s) && strcmp(s, value) == 0;
}

nmrt_type_name nmrt_field_type(const nm_json *doc, int object)
{
    nmrt_type_name name;
    if (!nm_json_string(doc, nm_json_get(doc, object, "type"), name.s, sizeof name.s))
        strcpy(name.s, "(no type)");
    return name;
}
