// GPT-2's own files, vocab.json and merges.txt, as transformers' GPT2Tokenizer reads them: they and
// the added tokens of the files beside them become the text of a tokenizer.json.
#include "runtime/tokenizer/added_files.h"
#include "runtime/tokenizer/kind.h"
#include "runtime/tokenizer/utf8.h"

#include <string.h>

// --- what is not GPT-2's -------------------------------------------------------------------------

static bool is_true(const nm_json *doc, const char *key)
{
    int node = nm_json_get(doc, 0, key);
    return node >= 0 && doc->node[node].kind == NM_JSON_TRUE;
}

static nmrt_status check_config(const nm_json *config, nmrt_error *e)
{
    static const char *const around[] = {"add_bos_token", "add_eos_token"};
    char class[64] = "GPT2Tokenizer";
    nm_json_string(config, nm_json_get(config, 0, "tokenizer_class"), class, sizeof class);
    if (strcmp(class, "GPT2Tokenizer") != 0 && strcmp(class, "GPT2TokenizerFast") != 0)
        return nmrt_fail(e, NMRT_FOREIGN,
                         "its vocab.json is of a %s, and without a tokenizer.json only "
                         "GPT2Tokenizer's is read: transformers' save_pretrained writes one",
                         *class ? class : "class of a long name");
    for (int i = 0; i < 2; i++)
        if (is_true(config, around[i]))
            return nmrt_fail(e, NMRT_FOREIGN,
                             "%s is true, which is read of a tokenizer.json alone: transformers' "
                             "save_pretrained writes one",
                             around[i]);
    return NMRT_OK;
}

// --- merges.txt ----------------------------------------------------------------------------------

static bool is_version(const char *line, size_t n)
{
    return n >= 8 && !memcmp(line, "#version", 8);
}

// A line of it, as JSON; what it has to be is checked where the model reads it.
static nmrt_status add_line(const char *line, size_t n, nmrt_text *out, nmrt_error *e)
{
    nmrt_text copy = {0};
    if (memchr(line, 0, n) || !nmrt_utf8_is_whole(line, n))
        return nmrt_fail(e, NMRT_CORRUPT, "merges.txt is not UTF-8 without NULs");
    nmrt_text_add_bytes(&copy, line, n);
    if (!copy.failed)
        nmrt_text_add_json(out, copy.at ? copy.at : "");
    out->failed |= copy.failed;
    nmrt_text_release(&copy);
    return NMRT_OK;
}

static nmrt_status add_merges(const nmrt_map *file, nmrt_text *out, nmrt_error *e)
{
    const char *at = (const char *)file->at, *end = at + file->n;
    for (const char *comma = ""; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        if (stop > at && stop[-1] == '\r')
            stop--;
        if (!is_version(at, (size_t)(stop - at))) {
            nmrt_text_add(out, "%s\n", comma);
            NMRT_TRY(add_line(at, (size_t)(stop - at), out, e));
            comma = ",";
        }
        at = next;
    }
    return NMRT_OK;
}

// --- a tokenizer.json ----------------------------------------------------------------------------

typedef struct files {
    nmrt_json_file vocab, config;
    nmrt_map merges;
} files;

static nmrt_status open_files(files *f, const char *folder, nmrt_error *e)
{
    char path[NMRT_PATH];
    NMRT_TRY(nmrt_json_file_open(&f->vocab, folder, "vocab.json", e));
    NMRT_TRY(nmrt_json_file_open(&f->config, folder, "tokenizer_config.json", e));
    NMRT_TRY(check_config(&f->config.doc, e));
    NMRT_TRY(nmrt_path_join(path, folder, "merges.txt", e));
    return nmrt_map_open(&f->merges, path, e);
}

static nmrt_status print(const files *f, const char *folder, nmrt_text *out, nmrt_error *e)
{
    bool space = is_true(&f->config.doc, "add_prefix_space");
    nmrt_text_add(out, "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": %s},\n",
                  space ? "true" : "false");
    nmrt_text_add(out, "\"decoder\": {\"type\": \"ByteLevel\"},\n\"added_tokens\": [");
    NMRT_TRY(nmrt_added_files_print(folder, &f->config.doc, out, e));
    nmrt_text_add(out, "],\n\"model\": {\"type\": \"BPE\", \"vocab\": ");
    nmrt_text_add_bytes(out, (const char *)f->vocab.map.at, f->vocab.map.n);
    nmrt_text_add(out, ", \"merges\": [");
    NMRT_TRY(add_merges(&f->merges, out, e));
    nmrt_text_add(out, "]}}\n");
    return out->failed ? nmrt_fail(e, NMRT_WORLD, "no memory for a tokenizer") : NMRT_OK;
}

static nmrt_status make(nmrt_tokenizer **t, files *f, const char *folder, nmrt_text *text,
                        nmrt_error *e)
{
    nmrt_error why;
    nmrt_status status = open_files(f, folder, &why);
    if (status == NMRT_OK)
        status = print(f, folder, text, &why);
    if (status != NMRT_OK)
        return nmrt_fail(e, status, "%s: %.900s", folder, why.text);
    return nmrt_json_tokenizer_make(t, text->at, text->n, folder, e);
}

nmrt_status nmrt_gpt2_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e)
{
    char folder[NMRT_PATH];
    files f = {0};
    nmrt_text text = {0};
    *t = NULL;
    NMRT_TRY(nmrt_path_append(folder, path, "", e));
    folder[strlen(path) - strlen("/vocab.json")] = 0;
    nmrt_status status = make(t, &f, folder, &text, e);
    nmrt_text_release(&text);
    nmrt_json_file_close(&f.vocab);
    nmrt_json_file_close(&f.config);
    nmrt_map_close(&f.merges);
    return status;
}
