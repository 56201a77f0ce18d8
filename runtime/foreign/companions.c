// Companions are copied by name: a table of the files that Hugging Face's libraries write.
#include "runtime/foreign/companions.h"

#include "runtime/aside.h"
#include "runtime/foreign/record.h"
#include "runtime/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// OF_EXPORT: an export writes its own. OF_RECORD: an import makes it, an export reads it.
typedef enum { OF_MODEL, OF_TOKENIZER, OF_EXPORT, OF_RECORD } belongs;

typedef struct companion {
    const char *name;
    belongs to;
} companion;

static const companion companions[] = {
    {"config.json", OF_EXPORT},
    {"generation_config.json", OF_MODEL},
    {"tokenizer.json", OF_TOKENIZER},
    {"tokenizer.model", OF_TOKENIZER},
    {"tokenizer_config.json", OF_TOKENIZER},
    {"special_tokens_map.json", OF_TOKENIZER},
    {"added_tokens.json", OF_TOKENIZER},
    {"vocab.json", OF_TOKENIZER},
    {"merges.txt", OF_TOKENIZER},
    {"chat_template.jinja", OF_TOKENIZER},
    {"preprocessor_config.json", OF_MODEL},
    {nmrt_record_name, OF_RECORD},
};
enum { N_COMPANIONS = sizeof companions / sizeof *companions };

static const char FOLDER[] = "companions";

// --- where they are ----------------------------------------------------------------------------

static bool has_file(const char *folder, const char *name)
{
    char path[NMRT_PATH];
    nmrt_error e;
    return nmrt_path_join(path, folder, name, &e) == NMRT_OK && nmrt_path_exists(path);
}

static bool has_any(const char *folder)
{
    for (int i = 0; i < N_COMPANIONS; i++)
        if (has_file(folder, companions[i].name))
            return true;
    return false;
}

bool nmrt_companions_find(const char *checkpoint, char folder[NMRT_PATH])
{
    static const char *const place[] = {"companions", "companions.old.part", "../companions",
                                        "../companions.old.part",
                                        "."}; // .old.part: runtime/aside.h
    nmrt_error e;
    for (size_t i = 0; i < sizeof place / sizeof *place; i++)
        if (nmrt_path_join(folder, checkpoint, place[i], &e) == NMRT_OK && has_any(folder))
            return true;
    return false;
}

bool nmrt_companions_tokenizer(const char *checkpoint, char path[NMRT_PATH])
{
    return nmrt_companions_find(checkpoint, path) && nmrt_tokenizer_is_in(path);
}

// --- copies ------------------------------------------------------------------------------------

static nmrt_status copy_file(const char *from, const char *folder, const char *name, nmrt_error *e)
{
    char to[NMRT_PATH];
    nmrt_map map;
    NMRT_TRY(nmrt_path_join(to, folder, name, e));
    NMRT_TRY(nmrt_map_open(&map, from, e));
    nmrt_status status = nmrt_file_create(to, map.at, map.n, e);
    nmrt_map_close(&map);
    return status;
}

// Those that are there and belong to one of the kinds, which are bits.
static nmrt_status copy_kinds(const char *from, const char *folder, int kinds, nmrt_error *e)
{
    for (int i = 0; i < N_COMPANIONS; i++) {
        char path[NMRT_PATH];
        if (!(kinds >> companions[i].to & 1) || !has_file(from, companions[i].name))
            continue;
        NMRT_TRY(nmrt_path_join(path, from, companions[i].name, e));
        NMRT_TRY(copy_file(path, folder, companions[i].name, e));
    }
    return NMRT_OK;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static nmrt_status copy_tokenizer(const char *tokenizer, const char *folder, nmrt_error *e)
{
    if (nmrt_tokenizer_is_in(tokenizer))
        return copy_kinds(tokenizer, folder, 1 << OF_TOKENIZER, e);
    bool pieces = ends_in(tokenizer, ".model");
    return copy_file(tokenizer, folder, pieces ? "tokenizer.model" : "tokenizer.json", e);
}

static nmrt_status fill(const nmrt_companions *c, const char *folder, nmrt_error *e)
{
    int kinds = 1 << OF_EXPORT | 1 << OF_MODEL | (c->tokenizer ? 0 : 1 << OF_TOKENIZER) |
                (c->imported ? 0 : 1 << OF_RECORD);
    NMRT_TRY(nmrt_dir_make(folder, e));
    if (c->from)
        NMRT_TRY(copy_kinds(c->from, folder, kinds, e));
    if (c->imported)
        NMRT_TRY(nmrt_record_write(c->from, folder, e));
    if (c->tokenizer)
        NMRT_TRY(copy_tokenizer(c->tokenizer, folder, e));
    return nmrt_dir_sync(folder, e);
}

static bool is_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

nmrt_status nmrt_companions_save(const char *save, const nmrt_companions *c, nmrt_error *e)
{
    char folder[NMRT_PATH], part[NMRT_PATH];
    nmrt_error late;
    if (!c->from && !c->tokenizer)
        return NMRT_OK;
    NMRT_TRY(nmrt_path_join(folder, save, FOLDER, e));
    NMRT_TRY(nmrt_path_join(part, save, "companions.part", e));
    if (!c->tokenizer && is_same(c->from, folder))
        return NMRT_OK;
    NMRT_TRY(nmrt_dir_remove(part, e)); // of a run that was killed
    nmrt_status status = fill(c, part, e);
    if (status == NMRT_OK)
        status = nmrt_aside_replace(part, folder, e);
    if (status != NMRT_OK)
        nmrt_dir_remove(part, &late); // the first failure is the one to tell
    return status;
}

nmrt_status nmrt_companions_copy(const char *from, const char *folder, nmrt_error *e)
{
    return copy_kinds(from, folder, 1 << OF_MODEL | 1 << OF_TOKENIZER, e);
}
