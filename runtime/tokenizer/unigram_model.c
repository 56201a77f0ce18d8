// The model Unigram of a tokenizer.json: a list of pieces, each with its score. Words are cut by
// unigram.h; neighbours that are unknown are one token, or their bytes if all of these are pieces.
#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/unigram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double UNKNOWN_PENALTY = 10; // below the least score

typedef struct unigram {
    nmrt_word_model model;
    nmrt_trie trie;
    double *score; // [model.vocabulary.size]
    double least;  // of all scores
    int64_t unknown;
    int32_t byte[256]; // pieces "<0x00>" ..., or -1
    bool byte_fallback;
} unigram;

// --- reading -------------------------------------------------------------------------------------

// ["piece", score]; its id is its place in the list.
static nmrt_status read_piece(unigram *u, const nm_json *doc, int node, int64_t id, nmrt_error *e)
{
    int text = nm_json_first(doc, node), score = text < 0 ? -1 : doc->node[text].next;
    nmrt_text piece = {0};
    if (!nm_json_real(doc, score, &u->score[id]) || !isfinite(u->score[id]) ||
        doc->node[score].next >= 0)
        return nmrt_fail(e, NMRT_CORRUPT, "vocab: entry %lld is not a piece with its score",
                         (long long)id);
    nmrt_text_add_bytes(&piece, "", 0); // an empty piece has an address, too
    nmrt_status status = nmrt_field_unescape(doc, text, &piece, e);
    if (status == NMRT_OK)
        status = nmrt_vocabulary_add(&u->model.vocabulary, piece.at, piece.n, id, e);
    nmrt_text_release(&piece);
    u->least = fmin(u->least, u->score[id]);
    return status;
}

static nmrt_status read_vocabulary(unigram *u, const nm_json *doc, int node, nmrt_error *e)
{
    int vocab = nm_json_get(doc, node, "vocab");
    int64_t n = 0, id = 0;
    if (vocab < 0 || doc->node[vocab].kind != NM_JSON_ARRAY)
        return nmrt_fail(e, NMRT_CORRUPT, "vocab is not a list");
    for (int i = nm_json_first(doc, vocab); i >= 0; i = doc->node[i].next)
        n++;
    u->score = calloc((size_t)n + 1, sizeof *u->score);
    if (!u->score)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %lld pieces", (long long)n);
    for (int i = nm_json_first(doc, vocab); i >= 0; i = doc->node[i].next)
        NMRT_TRY(read_piece(u, doc, i, id++, e));
    u->model.count = n;
    return NMRT_OK;
}

static nmrt_status build_trie(unigram *u, nmrt_error *e)
{
    const nmrt_vocabulary *v = &u->model.vocabulary;
    nmrt_trie_key *key = malloc(((size_t)v->n + 1) * sizeof *key);
    if (!key)
        return nmrt_fail(e, NMRT_WORLD, "no memory for %d pieces", v->n);
    for (int32_t i = 0; i < v->n; i++) // of equal pieces the vocabulary has the last
        key[i] = (nmrt_trie_key){v->bytes.at + v->entry[i].at, v->entry[i].n, v->entry[i].id};
    nmrt_status status = nmrt_trie_build(&u->trie, key, v->n, NULL, e);
    free(key);
    return status;
}

static void find_bytes(unigram *u)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char s[8];
        snprintf(s, sizeof s, "<0x%02X>", byte);
        u->byte[byte] = (int32_t)nmrt_vocabulary_id(&u->model.vocabulary, s, 6);
    }
}

static nmrt_status read_model(nmrt_word_model *m, const nm_json *doc, int node, nmrt_error *e)
{
    unigram *u = (unigram *)m;
    u->least = INFINITY;
    u->unknown = -1;
    NMRT_TRY(nmrt_field_bool(doc, node, "byte_fallback", &u->byte_fallback, e));
    NMRT_TRY(nmrt_field_int(doc, node, "unk_id", &u->unknown, e));
    NMRT_TRY(read_vocabulary(u, doc, node, e));
    if (u->unknown < -1 || u->unknown >= u->model.count)
        return nmrt_fail(e, NMRT_CORRUPT, "unk_id %lld is no piece of vocab",
                         (long long)u->unknown);
    find_bytes(u);
    return build_trie(u, e);
}

static void release(nmrt_word_model *m)
{
    unigram *u = (unigram *)m;
    nmrt_trie_release(&u->trie);
    free(u->score);
}

// --- encoding ------------------------------------------------------------------------------------

typedef struct scratch {
    nmrt_word_scratch base;
    nmrt_unigram_path path;
} scratch;

static void release_scratch(nmrt_word_scratch *s)
{
    nmrt_unigram_path_release(&((scratch *)s)->path);
}

static void add_unknown(const unigram *u, const char *text, size_t n, nmrt_ids *out)
{
    int64_t piece = nmrt_vocabulary_id(&u->model.vocabulary, text, n);
    bool bytes = u->byte_fallback && piece < 0;
    for (size_t i = 0; i < n && bytes; i++)
        bytes = u->byte[(unsigned char)text[i]] >= 0;
    if (!bytes)
        nmrt_ids_add(out, (int32_t)(piece < 0 ? u->unknown : piece));
    for (size_t i = 0; i < n && bytes; i++)
        nmrt_ids_add(out, u->byte[(unsigned char)text[i]]);
}

static void add_path(const unigram *u, const nmrt_unigram_path *path, const char *text,
                     nmrt_ids *out)
{
    size_t unknown = 0; // bytes before `text`
    for (size_t i = 0; i < path->n_step; i++) {
        const nmrt_unigram_step *step = &path->step[i];
        bool is_unknown = step->piece == u->unknown;
        if (unknown && !is_unknown)
            add_unknown(u, text - unknown, unknown, out);
        if (!is_unknown)
            nmrt_ids_add(out, step->piece);
        unknown = is_unknown ? unknown + (size_t)step->n : 0;
        text += step->n;
    }
    if (unknown)
        add_unknown(u, text - unknown, unknown, out);
}

static nmrt_status encode(const nmrt_word_model *m, nmrt_word_scratch *opened, const char *word,
                          size_t n, nmrt_ids *out, nmrt_error *e)
{
    const unigram *u = (const unigram *)m;
    nmrt_unigram_path *path = &((scratch *)opened)->path;
    nmrt_unigram cut = {.trie = &u->trie,
                        .score = u->score,
                        .unknown = (int32_t)u->unknown,
                        .unknown_score = u->least - UNKNOWN_PENALTY};
    NMRT_TRY(nmrt_unigram_cut(&cut, word, n, path, e));
    add_path(u, path, word, out);
    return NMRT_OK;
}

const nmrt_word_model_type nmrt_unigram_type = {
    .name = "Unigram",
    .bytes = sizeof(unigram),
    .scratch_bytes = sizeof(scratch),
    .read = read_model,
    .release = release,
    .scratch_release = release_scratch,
    .encode = encode,
};
