// What ends a document, by the files that lie beside a tokenizer's.
#include "runtime/tokenizer/ends.h"

#include "runtime/tokenizer/fields.h"

#include <stdlib.h>
#include <string.h>

static int64_t find_usual(const nmrt_tokenizer *t)
{
    static const char *const names[] = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>"};
    int64_t id = -1;
    for (size_t i = 0; i < sizeof names / sizeof *names && id < 0; i++)
        id = t->kind->id(t, names[i], strlen(names[i]));
    return id;
}

// eos_token; a file that does not say, or names a token that there is not, changes nothing.
static void read_token(nmrt_tokenizer *t, const nm_json *doc)
{
    int node = nm_json_get(doc, 0, "eos_token");
    int content = nm_json_get(doc, node, "content");
    nmrt_text name = {0};
    nmrt_error ignored;
    if (nmrt_field_unescape(doc, content >= 0 ? content : node, &name, &ignored) == NMRT_OK &&
        name.n)
        t->eos = t->kind->id(t, name.at, name.n);
    nmrt_text_release(&name);
}

static void take_id(nmrt_tokenizer *t, int64_t id)
{
    if (t->eos < 0 && id >= 0 && id < t->size)
        t->eos = id;
}

// eos_token_id: one id, or a list of them.
static void read_ids(nmrt_tokenizer *t, const nm_json *doc)
{
    int node = nm_json_get(doc, 0, "eos_token_id");
    bool list = node >= 0 && doc->node[node].kind == NM_JSON_ARRAY;
    for (int i = list ? nm_json_first(doc, node) : node; i >= 0; i = doc->node[i].next) {
        int64_t id;
        if (nm_json_int(doc, i, &id)) {
            take_id(t, id);
            if (t->n_ends < NMRT_MOST_ENDS)
                t->end[t->n_ends++] = id;
        }
        if (!list)
            return;
    }
}

static nmrt_status read_file(nmrt_tokenizer *t, const char *path,
                             void (*read)(nmrt_tokenizer *t, const nm_json *doc), nmrt_error *e)
{
    nmrt_map map;
    nm_json doc;
    nmrt_error why;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    nmrt_status status = nmrt_json_parse(&doc, (const char *)map.at, map.n, &why);
    if (status == NMRT_OK) {
        read(t, &doc);
        nm_json_release(&doc);
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

nmrt_status nmrt_ends_read(nmrt_tokenizer *t, const char *path, nmrt_error *e)
{
    static const struct {
        const char *name;
        bool always; // not for eos alone
        void (*read)(nmrt_tokenizer *t, const nm_json *doc);
    } files[] = {{"tokenizer_config.json", .read = read_token},
                 {"special_tokens_map.json", .read = read_token},
                 {"generation_config.json", .always = true, .read = read_ids},
                 {"config.json", .read = read_ids}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char file[NMRT_PATH];
        NMRT_TRY(find_beside(file, path, files[i].name, e));
        if ((files[i].always || t->eos < 0) && nmrt_path_exists(file))
            NMRT_TRY(read_file(t, file, files[i].read, e));
    }
    if (t->eos < 0)
        t->eos = find_usual(t);
    return NMRT_OK;
}

// --- --eod ---------------------------------------------------------------------------------------

static bool is_number(const char *text) { return *text && !text[strspn(text, "0123456789")]; }

nmrt_status nmrt_end_find(const char *eod, const nmrt_tokenizer *t, const char *name, int64_t *id,
                          nmrt_error *e)
{
    int64_t size = t ? t->size : (int64_t)INT32_MAX + 1;
    if (!eod)
        *id = t->eos;
    else
        *id = is_number(eod) ? strtoll(eod, NULL, 10) : t ? nmrt_tokenizer_id(t, eod) : -1;
    if (*id >= 0 && *id < size)
        return NMRT_OK;
    if (!eod)
        return nmrt_fail(e, NMRT_USAGE,
                         "%s does not say which token ends a document: --eod TOKEN says it", name);
    if (!t)
        return nmrt_fail(e, NMRT_USAGE, "--eod %s is no id, and a token's text needs --tokenizer",
                         eod);
    return nmrt_fail(e, NMRT_USAGE, "--eod %s is no token of %s, and no id below %lld", eod, name,
                     (long long)size);
}
