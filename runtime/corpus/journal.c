// The journal of a run: one JSON object in a small file.
#include "runtime/corpus/journal.h"

#include "runtime/aside.h"
#include "runtime/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct field {
    const char *name;
    size_t at;
} field;

static const field fields[] = {
    {"file", offsetof(nmrt_corpus_journal, place.file)},
    {"byte", offsetof(nmrt_corpus_journal, place.byte)},
    {"line", offsetof(nmrt_corpus_journal, place.line)},
    {"bin", offsetof(nmrt_corpus_journal, mark.bin)},
    {"sequences", offsetof(nmrt_corpus_journal, mark.sequences)},
    {"documents", offsetof(nmrt_corpus_journal, documents)},
    {"tokens", offsetof(nmrt_corpus_journal, tokens)},
    {"bad", offsetof(nmrt_corpus_journal, bad)},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static void print(const nmrt_corpus_journal *j, const nmrt_text *settings, nmrt_text *out)
{
    nmrt_text_add(out, "{");
    for (int i = 0; i < N_FIELDS; i++)
        nmrt_text_add_count(out, fields[i].name,
                            *(const int64_t *)((const char *)j + fields[i].at));
    nmrt_text_add(out, "\"settings\": {%.*s}}\n", (int)settings->n - 2, settings->at); // less ", "
}

nmrt_status nmrt_corpus_journal_write(const nmrt_corpus_journal *j, const char *prefix,
                                      const nmrt_text *settings, nmrt_error *e)
{
    char path[NMRT_PATH], fresh[NMRT_PATH];
    nmrt_text text = {0};
    NMRT_TRY(nmrt_path_append(path, prefix, ".journal.part", e));
    NMRT_TRY(nmrt_path_append(fresh, prefix, ".journal.new.part", e));
    if (unlink(fresh) && errno != ENOENT)
        return nmrt_fail_errno(e, "cannot remove %s", fresh);
    print(j, settings, &text);
    nmrt_status status = text.failed ? nmrt_fail(e, NMRT_WORLD, "no memory for the journal")
                                     : nmrt_file_create(fresh, text.at, text.n, e);
    nmrt_text_release(&text);
    return status == NMRT_OK ? nmrt_aside_place(fresh, path, e) : status;
}

// --- reading -------------------------------------------------------------------------------------

static bool same_value(const nm_json_node *a, const nm_json_node *b)
{
    return a->kind == b->kind && a->n_text == b->n_text && !memcmp(a->text, b->text, a->n_text);
}

static nmrt_status compare(const nm_json *journal, const nm_json *run, const char *path,
                           nmrt_error *e)
{
    int settings = nm_json_get(journal, 0, "settings");
    for (int i = nm_json_first(run, 0); i >= 0; i = run->node[i].next) {
        const nm_json_node *now = &run->node[i];
        char key[64];
        nm_json_unquote(now->key, now->n_key, key, sizeof key);
        int was = nm_json_get(journal, settings, key);
        if (was >= 0 && same_value(now, &journal->node[was]))
            continue;
        const nm_json_node *old = was >= 0 ? &journal->node[was] : NULL;
        return nmrt_fail(e, NMRT_WORLD,
                         "%s is of a run that was interrupted, whose %s was %.*s, and now it is "
                         "%.*s: give the old command to go on, or --fresh to begin anew",
                         path, key, old ? (int)old->n_text : 7, old ? old->text : "unknown",
                         (int)now->n_text, now->text);
    }
    return NMRT_OK;
}

static nmrt_status take_fields(nmrt_corpus_journal *j, const nm_json *doc, const char *path,
                               nmrt_error *e)
{
    for (int i = 0; i < N_FIELDS; i++) {
        int64_t *x = (int64_t *)((char *)j + fields[i].at);
        if (!nm_json_int(doc, nm_json_get(doc, 0, fields[i].name), x) || *x < 0)
            return nmrt_fail(e, NMRT_CORRUPT, "%s has no %s: remove it to begin anew", path,
                             fields[i].name);
    }
    return NMRT_OK;
}

static nmrt_status parse(nmrt_corpus_journal *j, nmrt_map map, const nmrt_text *settings,
                         const char *path, nmrt_error *e)
{
    nm_json journal, run;
    nmrt_error why;
    nmrt_text text = {0};
    if (nmrt_json_parse(&journal, (const char *)map.at, map.n, &why) != NMRT_OK)
        return nmrt_fail(e, NMRT_CORRUPT, "%s cannot be read (%s): remove it to begin anew", path,
                         why.text);
    nmrt_text_add(&text, "{%.*s}", (int)settings->n - 2, settings->at);
    nmrt_status status = text.failed ? nmrt_fail(e, NMRT_WORLD, "no memory for the journal")
                                     : nmrt_json_parse(&run, text.at, text.n, e);
    if (status == NMRT_OK) {
        status = compare(&journal, &run, path, e);
        nm_json_release(&run);
    }
    if (status == NMRT_OK)
        status = take_fields(j, &journal, path, e);
    nm_json_release(&journal);
    nmrt_text_release(&text);
    return status;
}

nmrt_status nmrt_corpus_journal_read(nmrt_corpus_journal *j, const char *prefix,
                                     const nmrt_text *settings, bool *found, nmrt_error *e)
{
    char path[NMRT_PATH];
    nmrt_map map;
    NMRT_TRY(nmrt_path_append(path, prefix, ".journal.part", e));
    *found = nmrt_path_exists(path);
    if (!*found)
        return NMRT_OK;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    nmrt_status status = parse(j, map, settings, path, e);
    nmrt_map_close(&map);
    return status;
}

nmrt_status nmrt_corpus_journal_remove(const char *prefix, nmrt_error *e)
{
    static const char *const suffix[] = {".journal.part", ".journal.new.part"};
    for (int i = 0; i < 2; i++) {
        char path[NMRT_PATH];
        NMRT_TRY(nmrt_path_append(path, prefix, suffix[i], e));
        if (unlink(path) && errno != ENOENT)
            return nmrt_fail_errno(e, "cannot remove %s", path);
    }
    return NMRT_OK;
}
