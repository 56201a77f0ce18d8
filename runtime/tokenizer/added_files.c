// The list of added tokens, from up to three files.
#include "runtime/tokenizer/added_files.h"

#include "runtime/tokenizer/added.h"
#include "runtime/tokenizer/fields.h"

#include <stdlib.h>
#include <string.h>

// --- a file of JSON ------------------------------------------------------------------------------

static nmrt_status parse(nmrt_json_file *f, const char *name, nmrt_error *e)
{
    nmrt_error why;
    nmrt_status status = nmrt_json_parse(&f->doc, (const char *)f->map.at, f->map.n, &why);
    if (status != NMRT_OK)
        return nmrt_fail(e, status, "%s: %s", name, why.text);
    if (f->doc.node[0].kind != NM_JSON_OBJECT)
        return nmrt_fail(e, NMRT_CORRUPT, "%s is not an object", name);
    return NMRT_OK;
}

nmrt_status nmrt_json_file_open(nmrt_json_file *f, const char *folder, const char *name,
                                nmrt_error *e)
{
    char path[NMRT_PATH];
    *f = (nmrt_json_file){0};
    NMRT_TRY(nmrt_path_join(path, folder, name, e));
    if (!nmrt_path_exists(path))
        return nmrt_json_parse(&f->doc, "{}", 2, e);
    NMRT_TRY(nmrt_map_open(&f->map, path, e));
    return parse(f, name, e);
}

void nmrt_json_file_close(nmrt_json_file *f)
{
    nm_json_release(&f->doc);
    nmrt_map_close(&f->map);
}

// --- tokens --------------------------------------------------------------------------------------

typedef struct token {
    nmrt_text content;
    int64_t id;  // that its file gives it: their order
    bool name;   // what it is has a name
    bool listed; // of a name, or a list, that makes a token of added_tokens.json special
    nmrt_added_token flags;
} token;

typedef struct tokens {
    token *at; // [n]
    int n, cap;
} tokens;

static token *find(const tokens *all, const nmrt_text *content)
{
    for (int i = 0; i < all->n; i++)
        if (all->at[i].content.n == content->n &&
            memcmp(all->at[i].content.at, content->at, content->n) == 0)
            return &all->at[i];
    return NULL;
}

// Takes the token, unless there is one like it, whose flags stay.
static nmrt_status add(tokens *all, token *t, nmrt_error *e)
{
    bool bad = !t->content.n || memchr(t->content.at, 0, t->content.n);
    if (bad || find(all, &t->content)) {
        nmrt_text_release(&t->content);
        return bad ? nmrt_fail(e, NMRT_CORRUPT, "an added token is empty, or has a NUL") : NMRT_OK;
    }
    if (all->n == all->cap) {
        int cap = all->cap ? 2 * all->cap : 16;
        token *more = realloc(all->at, (size_t)cap * sizeof *more);
        if (!more) {
            nmrt_text_release(&t->content);
            return nmrt_fail(e, NMRT_WORLD, "no memory for its added tokens");
        }
        all->at = more;
        all->cap = cap;
    }
    all->at[all->n++] = *t;
    return NMRT_OK;
}

static void release(tokens *all)
{
    for (int i = 0; i < all->n; i++)
        nmrt_text_release(&all->at[i].content);
    free(all->at);
}

static nmrt_status read_flags(token *t, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_added_token *flags = &t->flags;
    bool given = !nmrt_field_absent(doc, node, "normalized");
    NMRT_TRY(nmrt_added_flags(flags, doc, node, e));
    if (!given)
        flags->normalized = !flags->special;
    flags->special |= t->name;
    return NMRT_OK;
}

// A string, or an object with its content and flags; *t says what it is without them.
static nmrt_status read_token(tokens *all, token *t, const nm_json *doc, int node, nmrt_error *e)
{
    int content = nm_json_get(doc, node, "content");
    nmrt_status status = nmrt_field_unescape(doc, content >= 0 ? content : node, &t->content, e);
    if (status == NMRT_OK && content >= 0)
        status = read_flags(t, doc, node, e);
    if (status == NMRT_OK)
        return add(all, t, e);
    nmrt_text_release(&t->content);
    return status;
}

// --- those with names ----------------------------------------------------------------------------

static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { N_NAMES = sizeof names / sizeof *names, N_DEFAULTS = 3 }; // the first have a default

static nmrt_status add_default(tokens *all, nmrt_error *e)
{
    token t = {.flags.special = true, .name = true};
    nmrt_text_add(&t.content, "<|endoftext|>");
    return add(all, &t, e);
}

static bool is_name(const nm_json_node *member)
{
    for (int i = 0; i < N_NAMES; i++)
        if (nm_json_is_named(member, names[i], strlen(names[i])))
            return true;
    return false;
}

// bos_token has a place of its own, image_token has not: transformers makes a special token of it.
static bool is_own_name(const nm_json_node *member)
{
    static const char end[] = "_token";
    size_t n = sizeof end - 1;
    return (member->kind == NM_JSON_STRING || member->kind == NM_JSON_OBJECT) &&
           member->n_key >= n && memcmp(member->key + member->n_key - n, end, n) == 0 &&
           !is_name(member);
}

// What changes ids in ways that are not read here; {} changes none.
static bool is_foreign(const nm_json *doc, int i)
{
    const nm_json_node *member = &doc->node[i];
    bool filled = nm_json_first(doc, i) >= 0;
    if (nm_json_is_named(member, "split_special_tokens", strlen("split_special_tokens")))
        return member->kind == NM_JSON_TRUE;
    if (nm_json_is_named(member, "model_specific_special_tokens",
                         strlen("model_specific_special_tokens")))
        return filled;
    if (nm_json_is_named(member, "extra_special_tokens", strlen("extra_special_tokens")))
        return filled && member->kind == NM_JSON_OBJECT;
    return is_own_name(member);
}

static nmrt_status check_members(const nm_json *doc, const char *name, nmrt_error *e)
{
    for (int i = nm_json_first(doc, 0); i >= 0; i = doc->node[i].next)
        if (is_foreign(doc, i))
            return nmrt_fail(e, NMRT_FOREIGN,
                             "%s: %.*s is read of a tokenizer.json alone: save_pretrained of "
                             "transformers writes one",
                             name, doc->node[i].n_key < 64 ? (int)doc->node[i].n_key : 64,
                             doc->node[i].key);
    return NMRT_OK;
}

// `map` goes before `config`; a null is no token.
static nmrt_status read_names(tokens *all, const nm_json *map, const nm_json *config, nmrt_error *e)
{
    for (int i = 0; i < N_NAMES; i++) {
        const nm_json *doc = nm_json_get(map, 0, names[i]) >= 0 ? map : config;
        int node = nm_json_get(doc, 0, names[i]);
        if (node < 0 && i < N_DEFAULTS)
            NMRT_TRY(add_default(all, e));
        if (!nmrt_field_absent(doc, 0, names[i]))
            NMRT_TRY(read_token(all, &(token){.flags.special = true, .name = true, .listed = true},
                                doc, node, e));
    }
    return NMRT_OK;
}

// A list of further special tokens.
static nmrt_status read_list(tokens *all, const nm_json *doc, const char *key, bool listed,
                             nmrt_error *e)
{
    int list = nm_json_get(doc, 0, key);
    bool is_list = list >= 0 && doc->node[list].kind == NM_JSON_ARRAY;
    for (int i = is_list ? nm_json_first(doc, list) : -1; i >= 0; i = doc->node[i].next)
        NMRT_TRY(read_token(all, &(token){.flags.special = true, .listed = listed}, doc, i, e));
    return NMRT_OK;
}

static nmrt_status read_special(tokens *all, const nm_json *map, const nm_json *config,
                                nmrt_error *e)
{
    NMRT_TRY(check_members(config, "tokenizer_config.json", e));
    NMRT_TRY(check_members(map, "special_tokens_map.json", e));
    NMRT_TRY(read_names(all, map, config, e));
    NMRT_TRY(read_list(all, config, "extra_special_tokens", true, e));
    NMRT_TRY(read_list(all, config, "additional_special_tokens", true, e));
    NMRT_TRY(read_list(all, map, "extra_special_tokens", true, e));
    return read_list(all, map, "additional_special_tokens", false, e);
}

// --- those with ids ------------------------------------------------------------------------------

// {"id": {"content": ..}, ...}
static nmrt_status read_decoder(tokens *all, const nm_json *doc, int node, nmrt_error *e)
{
    for (int i = nm_json_first(doc, node); i >= 0; i = doc->node[i].next) {
        char id[24] = "";
        if (!doc->node[i].key ||
            !nm_json_unquote(doc->node[i].key, doc->node[i].n_key, id, sizeof id))
            return nmrt_fail(e, NMRT_CORRUPT, "added_tokens_decoder has no ids");
        NMRT_TRY(read_token(all, &(token){.id = strtoll(id, NULL, 10)}, doc, i, e));
    }
    return NMRT_OK;
}

// {"content": id, ...}
static nmrt_status read_added(tokens *all, const nm_json *doc, const tokens *special, nmrt_error *e)
{
    for (int i = nm_json_first(doc, 0); i >= 0; i = doc->node[i].next) {
        token t = {0};
        if (!nm_json_int(doc, i, &t.id) ||
            !nmrt_json_unescape(doc->node[i].key, doc->node[i].n_key, &t.content)) {
            nmrt_text_release(&t.content);
            return nmrt_fail(e, NMRT_CORRUPT, "added_tokens.json: a token has no id");
        }
        const token *same = t.content.n ? find(special, &t.content) : NULL;
        t.flags.special = same && same->listed;
        t.flags.normalized = !t.flags.special;
        NMRT_TRY(add(all, &t, e));
    }
    return NMRT_OK;
}

static int by_id(const void *a, const void *b)
{
    const token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

// --- all of them ---------------------------------------------------------------------------------

static nmrt_status print(tokens *all, tokens *special, nmrt_text *out, nmrt_error *e)
{
    if (all->n)
        qsort(all->at, (size_t)all->n, sizeof *all->at, by_id);
    for (int i = 0; i < special->n; i++) {
        token *same = find(all, &special->at[i].content), *t = &special->at[i];
        if (same)
            same->flags.special |= t->name;
        else
            NMRT_TRY(add(all, t, e));
        t->content = same ? t->content : (nmrt_text){0}; // it is theirs now
    }
    for (int i = 0; i < all->n; i++) {
        const token *t = &all->at[i];
        nmrt_text_add(out, "%s{\"id\": %d, \"special\": %s, \"single_word\": %s, ", i ? ",\n" : "",
                      i, t->flags.special ? "true" : "false",
                      t->flags.single_word ? "true" : "false");
        nmrt_text_add(out, "\"lstrip\": %s, \"rstrip\": %s, \"normalized\": %s, \"content\": ",
                      t->flags.lstrip ? "true" : "false", t->flags.rstrip ? "true" : "false",
                      t->flags.normalized ? "true" : "false");
        nmrt_text_add_json(out, t->content.at);
        nmrt_text_add(out, "}");
    }
    return NMRT_OK;
}

typedef struct sources { // special_tokens_map.json and added_tokens.json; empty objects: not read
    nmrt_json_file map, added;
} sources;

static nmrt_status open_sources(sources *s, const char *folder, bool read, nmrt_error *e)
{
    if (read)
        NMRT_TRY(nmrt_json_file_open(&s->map, folder, "special_tokens_map.json", e));
    else
        NMRT_TRY(nmrt_json_parse(&s->map.doc, "{}", 2, e));
    return read ? nmrt_json_file_open(&s->added, folder, "added_tokens.json", e)
                : nmrt_json_parse(&s->added.doc, "{}", 2, e);
}

nmrt_status nmrt_added_files_print(const char *folder, const nm_json *config, nmrt_text *out,
                                   nmrt_error *e)
{
    sources s = {0};
    tokens all = {0}, special = {0};
    int decoder = nm_json_get(config, 0, "added_tokens_decoder");
    bool decodes = decoder >= 0 && config->node[decoder].kind == NM_JSON_OBJECT;
    nmrt_status status = open_sources(&s, folder, !decodes, e);
    if (status == NMRT_OK)
        status = read_special(&special, &s.map.doc, config, e);
    if (status == NMRT_OK)
        status = decodes ? read_decoder(&all, config, decoder, e)
                         : read_added(&all, &s.added.doc, &special, e);
    if (status == NMRT_OK)
        status = print(&all, &special, out, e);
    release(&all);
    release(&special);
    nmrt_json_file_close(&s.map);
    nmrt_json_file_close(&s.added);
    return status;
}
