// What begins and ends a document: bos_token and eos_token of tokenizer_config.json, or of
// special_tokens_map.json, each a string or an object with its `content`. Without such files, the
// first of some usual names that the tokenizer has.
#include "runtime/tokenizer/special.h"

#include "runtime/tokenizer/fields.h"

#include <string.h>

static const char *const bos_names[] = {"<s>", "<|begin_of_text|>", "<bos>", NULL};
static const char *const eos_names[] = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", NULL};

static int64_t find_usual(const nmrt_tokenizer *t, const char *const *name)
{
    int64_t id = -1;
    for (; *name && id < 0; name++)
        id = t->kind->id(t, *name, strlen(*name));
    return id;
}

// Leaves *id as it is where the file does not say, or names a token that there is not.
static void read_token(const nmrt_tokenizer *t, const nmrt_json *doc, const char *key, int64_t *id)
{
    int node = nmrt_json_get(doc, 0, key);
    int content = nmrt_json_get(doc, node, "content");
    nmrt_text name = {0};
    nmrt_error ignored;
    if (nmrt_field_unescape(doc, content >= 0 ? content : node, &name, &ignored) == NMRT_OK &&
        name.n) {
        int64_t found = t->kind->id(t, name.at, name.n);
        *id = found >= 0 ? found : *id;
    }
    nmrt_text_release(&name);
}

static void read_tokens(nmrt_tokenizer *t, const nmrt_json *doc)
{
    read_token(t, doc, "bos_token", &t->bos);
    read_token(t, doc, "eos_token", &t->eos);
}

// One id, or a list of them.
static void read_ends(nmrt_tokenizer *t, const nmrt_json *doc)
{
    int node = nmrt_json_get(doc, 0, "eos_token_id");
    bool list = node >= 0 && doc->node[node].kind == NMRT_JSON_ARRAY;
    for (int i = list ? nmrt_json_first(doc, node) : node; i >= 0; i = doc->node[i].next) {
        if (t->n_ends < NMRT_MOST_ENDS && nmrt_json_int(doc, i, &t->end[t->n_ends]))
            t->n_ends++;
        if (!list)
            return;
    }
}

static nmrt_status read_file(nmrt_tokenizer *t, const char *path,
                             void (*read)(nmrt_tokenizer *t, const nmrt_json *doc), nmrt_error *e)
{
    nmrt_map map;
    nmrt_json doc;
    nmrt_error why;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    nmrt_status status = nmrt_json_parse(&doc, (const char *)map.at, map.n, &why);
    if (status == NMRT_OK) {
        read(t, &doc);
        nmrt_json_release(&doc);
    } else
        nmrt_fail(e, status, "%s: %s", path, why.text);
    nmrt_map_close(&map);
    return status;
}

// The file `name` beside `path`.
static nmrt_status find_beside(char out[NMRT_PATH], const char *path, const char *name,
                               nmrt_error *e)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    if (folder + strlen(name) >= NMRT_PATH)
        return nmrt_fail(e, NMRT_USAGE, "%s: the path is too long", path);
    memcpy(out, path, folder);
    strcpy(out + folder, name);
    return NMRT_OK;
}

nmrt_status nmrt_special_read(nmrt_tokenizer *t, const char *path, nmrt_error *e)
{
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
    t->bos = t->eos = -1;
    for (int i = 0; i < 2; i++) {
        char file[NMRT_PATH];
        NMRT_TRY(find_beside(file, path, files[i], e));
        if (nmrt_path_exists(file))
            return read_file(t, file, read_tokens, e);
    }
    t->bos = find_usual(t, bos_names);
    t->eos = find_usual(t, eos_names);
    return NMRT_OK;
}

nmrt_status nmrt_ends_read(nmrt_tokenizer *t, const char *path, nmrt_error *e)
{
    char file[NMRT_PATH];
    NMRT_TRY(find_beside(file, path, "generation_config.json", e));
    return nmrt_path_exists(file) ? read_file(t, file, read_ends, e) : NMRT_OK;
}
