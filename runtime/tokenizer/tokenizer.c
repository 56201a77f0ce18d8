// Tokenizers: which kind a path is, and what all kinds share.
#include "runtime/tokenizer/tokenizer.h"

#include "runtime/hash.h"
#include "runtime/tokenizer/ends.h"
#include "runtime/tokenizer/kind.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// --- its files -----------------------------------------------------------------------------------

enum { MAX_BESIDE = 4 };

typedef struct file_kind {
    const char *suffix; // of the file's name; NULL: it is found in a folder alone
    const char *usual;  // its name in a folder
    nmrt_status (*open)(nmrt_tokenizer **t, const char *path, nmrt_error *e);
    int n_needed;                   // of those beside it: without them it is not of this kind
    const char *beside[MAX_BESIDE]; // what else ids depend on, in the same folder
} file_kind;

static const file_kind file_kinds[] = {
    {".json", "tokenizer.json", nmrt_json_tokenizer_open, 0, {0}},
    {".model", "tokenizer.model", nmrt_spm_tokenizer_open, 0, {0}},
    {NULL,
     "vocab.json",
     nmrt_gpt2_tokenizer_open,
     1,
     {"merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}},
};
enum { N_FILE_KINDS = sizeof file_kinds / sizeof *file_kinds };

static bool has_file(const char *folder, const char *name)
{
    char path[NMRT_PATH];
    nmrt_error e;
    return nmrt_path_join(path, folder, name, &e) == NMRT_OK && nmrt_path_exists(path);
}

static const file_kind *find_in(const char *folder)
{
    for (int i = 0; i < N_FILE_KINDS; i++) {
        const file_kind *kind = &file_kinds[i];
        int n = 0;
        while (n < kind->n_needed && has_file(folder, kind->beside[n]))
            n++;
        if (n == kind->n_needed && has_file(folder, kind->usual))
            return kind;
    }
    return NULL;
}

bool nmrt_tokenizer_is_in(const char *folder) { return find_in(folder) != NULL; }

static const file_kind *find_named(const char *path)
{
    size_t n = strlen(path);
    for (int i = 0; i < N_FILE_KINDS; i++) {
        size_t s = file_kinds[i].suffix ? strlen(file_kinds[i].suffix) : n;
        if (n > s && strcmp(path + n - s, file_kinds[i].suffix) == 0)
            return &file_kinds[i];
    }
    return NULL;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

// The kind of what `path` names, and its file.
static nmrt_status find(const char *path, const file_kind **kind, char file[NMRT_PATH],
                        nmrt_error *e)
{
    bool folder = is_folder(path);
    *kind = folder ? find_in(path) : find_named(path);
    if (!*kind && folder)
        return nmrt_fail(e, NMRT_WORLD,
                         "%s has neither tokenizer.json nor tokenizer.model, nor both vocab.json "
                         "and merges.txt",
                         path);
    if (!*kind)
        return nmrt_fail(e, NMRT_USAGE,
                         "%s: no tokenizer has such a name; give a tokenizer.json, a SentencePiece "
                         ".model, a folder that has one of them, or the word bytes",
                         path);
    return folder ? nmrt_path_join(file, path, (*kind)->usual, e)
                  : nmrt_path_append(file, path, "", e);
}

static nmrt_status hash_file(nmrt_hash *hash, const char *path, nmrt_error *e)
{
    nmrt_map map;
    NMRT_TRY(nmrt_map_open(&map, path, e));
    uint64_t one = nmrt_hash_of(map.at, map.n);
    nmrt_hash_add(hash, &one, sizeof one);
    nmrt_map_close(&map);
    return NMRT_OK;
}

nmrt_status nmrt_tokenizer_hash(const char *path, uint64_t *value, nmrt_error *e)
{
    char file[NMRT_PATH];
    const file_kind *kind;
    nmrt_hash hash;
    *value = 0;
    if (strcmp(path, "bytes") == 0)
        return NMRT_OK;
    nmrt_hash_init(&hash);
    NMRT_TRY(find(path, &kind, file, e));
    NMRT_TRY(hash_file(&hash, file, e));
    for (int i = 0; i < MAX_BESIDE && kind->beside[i]; i++) {
        if (!has_file(path, kind->beside[i]))
            continue;
        nmrt_hash_add(&hash, kind->beside[i], strlen(kind->beside[i]));
        NMRT_TRY(nmrt_path_join(file, path, kind->beside[i], e));
        NMRT_TRY(hash_file(&hash, file, e));
    }
    *value = nmrt_hash_value(&hash);
    return NMRT_OK;
}

// --- opening -------------------------------------------------------------------------------------

static nmrt_status open_kind(nmrt_tokenizer **t, const file_kind *kind, const char *path,
                             nmrt_error *e)
{
    NMRT_TRY(kind->open(t, path, e));
    nmrt_status status = nmrt_ends_read(*t, path, e);
    if (status != NMRT_OK) {
        nmrt_tokenizer_close(*t);
        *t = NULL;
    }
    return status;
}

nmrt_status nmrt_tokenizer_open(nmrt_tokenizer **t, const char *path, nmrt_error *e)
{
    char file[NMRT_PATH];
    const file_kind *kind;
    *t = NULL;
    if (strcmp(path, "bytes") == 0)
        return nmrt_bytes_tokenizer_open(t, path, e);
    NMRT_TRY(find(path, &kind, file, e));
    return open_kind(t, kind, file, e);
}

void nmrt_tokenizer_close(nmrt_tokenizer *t)
{
    if (t)
        t->kind->close(t);
}

int64_t nmrt_tokenizer_size(const nmrt_tokenizer *t) { return t->size; }
int64_t nmrt_tokenizer_eos(const nmrt_tokenizer *t) { return t->eos; }

bool nmrt_tokenizer_ends(const nmrt_tokenizer *t, int64_t id)
{
    for (int i = 0; i < t->n_ends; i++)
        if (t->end[i] == id)
            return true;
    return id >= 0 && id == t->eos;
}

int64_t nmrt_tokenizer_id(const nmrt_tokenizer *t, const char *piece)
{
    return t->kind->id(t, piece, strlen(piece));
}

// --- encoding and decoding -----------------------------------------------------------------------

struct nmrt_encoder {
    const nmrt_tokenizer *t;
    void *scratch;  // the kind's
    nmrt_text mend; // a text that is not UTF-8, mended
};

nmrt_status nmrt_encoder_open(nmrt_encoder **enc, const nmrt_tokenizer *t, nmrt_error *e)
{
    nmrt_encoder *new = calloc(1, sizeof *new);
    *enc = NULL;
    if (!new)
        return nmrt_fail(e, NMRT_WORLD, "no memory to encode texts");
    new->t = t;
    nmrt_status status =
        t->kind->scratch_open ? t->kind->scratch_open(&new->scratch, t, e) : NMRT_OK;
    if (status == NMRT_OK)
        *enc = new;
    else
        free(new);
    return status;
}

void nmrt_encoder_close(nmrt_encoder *enc)
{
    if (!enc)
        return;
    if (enc->t->kind->scratch_close)
        enc->t->kind->scratch_close(enc->scratch);
    nmrt_text_release(&enc->mend);
    free(enc);
}

nmrt_status nmrt_encode(nmrt_encoder *enc, const char *text, size_t n, bool special, nmrt_ids *out,
                        nmrt_error *e)
{
    const nmrt_tokenizer_kind *kind = enc->t->kind;
    if (!kind->takes_bytes && !nmrt_utf8_is_whole(text, n)) {
        enc->mend.n = 0;
        nmrt_utf8_mend(&enc->mend, text, n);
        if (enc->mend.failed)
            return nmrt_fail(e, NMRT_WORLD, "no memory to encode a text of %zu bytes", n);
        text = enc->mend.at;
        n = enc->mend.n;
    }
    NMRT_TRY(kind->encode(enc->t, enc->scratch, text, n, special, out, e));
    if (out->failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the tokens of a text of %zu bytes", n);
    return NMRT_OK;
}

nmrt_status nmrt_decode(const nmrt_tokenizer *t, const int32_t *id, int64_t n, bool skip_special,
                        nmrt_text *out, nmrt_error *e)
{
    NMRT_TRY(t->kind->decode(t, id, n, skip_special, out, e));
    if (out->failed)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the text of %lld tokens", (long long)n);
    return NMRT_OK;
}
