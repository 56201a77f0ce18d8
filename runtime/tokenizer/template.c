// Post-processors of a tokenizer.json. Of a sequence, each puts its ids around those before it.
#include "runtime/tokenizer/template.h"

#include "runtime/tokenizer/fields.h"

#include <string.h>

static nmrt_status add_id(nmrt_ids *ids, const nm_json *doc, int node, nmrt_error *e)
{
    int64_t id = -1;
    if (!nm_json_int(doc, node, &id) || id < 0 || id > INT32_MAX)
        return nmrt_fail(e, NMRT_CORRUPT, "an id is none");
    nmrt_ids_add(ids, (int32_t)id);
    return NMRT_OK;
}

// The ids that special_tokens has for the piece of a template.
static nmrt_status add_special(nmrt_ids *ids, const nm_json *doc, int node, int piece,
                               nmrt_error *e)
{
    char name[256];
    if (!nm_json_string(doc, nm_json_get(doc, piece, "id"), name, sizeof name))
        return nmrt_fail(e, NMRT_CORRUPT, "a SpecialToken has no id");
    int special = nm_json_get(doc, nm_json_get(doc, node, "special_tokens"), name);
    int list = nm_json_get(doc, special, "ids");
    if (list < 0)
        return nmrt_fail(e, NMRT_CORRUPT, "special_tokens has no ids of %s", name);
    for (int i = nm_json_first(doc, list); i >= 0; i = doc->node[i].next)
        NMRT_TRY(add_id(ids, doc, i, e));
    return NMRT_OK;
}

static nmrt_status read_template(nmrt_template *t, const nm_json *doc, int node, nmrt_error *e)
{
    int single = nm_json_get(doc, node, "single"), texts = 0;
    if (single < 0 || doc->node[single].kind != NM_JSON_ARRAY)
        return nmrt_fail(e, NMRT_CORRUPT, "single is not a list");
    for (int i = nm_json_first(doc, single); i >= 0; i = doc->node[i].next) {
        int special = nm_json_get(doc, i, "SpecialToken");
        int sequence = nm_json_get(doc, i, "Sequence");
        if (special >= 0)
            NMRT_TRY(add_special(texts ? &t->after : &t->before, doc, node, special, e));
        else if (nmrt_field_is(doc, sequence, "id", "A") && !texts)
            texts = 1;
        else
            return nmrt_fail(e, NMRT_FOREIGN,
                             "single has something besides SpecialTokens and one Sequence A");
    }
    return texts ? NMRT_OK : nmrt_fail(e, NMRT_FOREIGN, "single has no Sequence A");
}

// RoBERTa's and BERT's: "cls": ["<s>", 0], "sep": ["</s>", 2]
static nmrt_status read_ends(nmrt_template *t, const nm_json *doc, int node, nmrt_error *e)
{
    for (int i = 0; i < 2; i++) {
        int pair = nm_json_get(doc, node, i ? "sep" : "cls"), text = nm_json_first(doc, pair);
        NMRT_TRY(add_id(i ? &t->after : &t->before, doc, text < 0 ? -1 : doc->node[text].next, e));
    }
    return NMRT_OK;
}

static nmrt_status read_nothing(nmrt_template *t, const nm_json *doc, int node, nmrt_error *e)
{
    (void)t, (void)doc, (void)node, (void)e; // ByteLevel's changes offsets alone
    return NMRT_OK;
}

static nmrt_status read_sequence(nmrt_template *t, const nm_json *doc, int node, nmrt_error *e)
{
    int list = nm_json_get(doc, node, "processors");
    for (int i = nm_json_first(doc, list); i >= 0; i = doc->node[i].next)
        NMRT_TRY(nmrt_template_read(t, doc, i, e));
    return NMRT_OK;
}

static const struct {
    const char *name;
    nmrt_status (*read)(nmrt_template *t, const nm_json *doc, int node, nmrt_error *e);
} types[] = {
    {"TemplateProcessing", read_template}, {"ByteLevel", read_nothing},
    {"Sequence", read_sequence},           {"RobertaProcessing", read_ends},
    {"BertProcessing", read_ends},
};

// Puts `inner` in the middle of t.
static void surround(nmrt_template *t, nmrt_template *inner)
{
    nmrt_ids_add_all(&t->before, inner->before.at, inner->before.n);
    nmrt_ids_add_all(&inner->after, t->after.at, t->after.n);
    nmrt_ids after = t->after;
    t->after = inner->after;
    inner->after = after;
}

nmrt_status nmrt_template_read(nmrt_template *t, const nm_json *doc, int node, nmrt_error *e)
{
    if (node < 0 || doc->node[node].kind == NM_JSON_NULL)
        return NMRT_OK;
    nmrt_type_name name = nmrt_field_type(doc, node);
    size_t i = 0, n = sizeof types / sizeof *types;
    while (i < n && strcmp(types[i].name, name.s) != 0)
        i++;
    if (i == n)
        return nmrt_fail(e, NMRT_FOREIGN, "post-processors of the type %s are not supported",
                         name.s);
    nmrt_template inner = *t;
    *t = (nmrt_template){0};
    nmrt_status status = types[i].read(t, doc, node, e);
    surround(t, &inner);
    nmrt_template_release(&inner);
    if (status == NMRT_OK && (t->before.failed || t->after.failed))
        return nmrt_fail(e, NMRT_WORLD, "no memory for its post-processor");
    return status;
}

void nmrt_template_release(nmrt_template *t)
{
    nmrt_ids_release(&t->before);
    nmrt_ids_release(&t->after);
}
