// The model BPE of a tokenizer.json: its vocabulary and merges, read and checked.
#include "runtime/tokenizer/bpe.h"

#include "runtime/tokenizer/fields.h"
#include "runtime/tokenizer/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char meta[] = "\xE2\x96\x81"; // U+2581, SentencePiece's space

// --- vocabulary ----------------------------------------------------------------------------------

static nmrt_status read_vocabulary(nmrt_bpe *b, const nm_json *doc, int node, nmrt_error *e)
{
    int vocab = nm_json_get(doc, node, "vocab");
    if (vocab < 0 || doc->node[vocab].kind != NM_JSON_OBJECT)
        return nmrt_fail(e, NMRT_CORRUPT, "vocab is not an object");
    nmrt_text piece = {0};
    nmrt_status status = NMRT_OK;
    for (int i = nm_json_first(doc, vocab); i >= 0 && status == NMRT_OK; i = doc->node[i].next) {
        const nm_json_node *member = &doc->node[i];
        int64_t id = -1;
        piece.n = 0;
        nmrt_text_add_bytes(&piece, "", 0);
        if (!nmrt_json_unescape(member->key, member->n_key, &piece) || piece.failed ||
            !nm_json_int(doc, i, &id))
            status = nmrt_fail(e, NMRT_CORRUPT, "vocab: \"%.*s\" is not a piece with an id",
                               member->n_key < 100 ? (int)member->n_key : 100, member->key);
        else
            status = nmrt_vocabulary_add(&b->model.vocabulary, piece.at, piece.n, id, e);
    }
    nmrt_text_release(&piece);
    b->model.count = b->model.vocabulary.n;
    return status;
}

static void find_characters(nmrt_bpe *b)
{
    for (int32_t c = 0; c < 0x200; c++) {
        char s[4];
        b->first[c] =
            (int32_t)nmrt_vocabulary_id(&b->model.vocabulary, s, (size_t)nmrt_utf8_put(s, c));
    }
    for (int c = 0; c < 256; c++) {
        char s[8];
        snprintf(s, sizeof s, "<0x%02X>", c);
        b->fallback[c] = (int32_t)nmrt_vocabulary_id(&b->model.vocabulary, s, 6);
    }
}

// --- merges --------------------------------------------------------------------------------------

typedef struct merge { // two pieces, behind each other in `both`
    nmrt_text both;
    size_t left; // bytes of the first
} merge;

// "left right"
static bool read_words(merge *m, const nm_json *doc, int node, nmrt_error *e)
{
    if (nmrt_field_unescape(doc, node, &m->both, e) != NMRT_OK || !m->both.n)
        return false;
    char *space = memchr(m->both.at, ' ', m->both.n);
    if (!space)
        return false;
    m->left = (size_t)(space - m->both.at);
    size_t right = m->both.n - m->left - 1;
    memmove(space, space + 1, right);
    m->both.n--;
    return !memchr(space, ' ', right);
}

// ["left", "right"]
static bool read_pair(merge *m, const nm_json *doc, int node, nmrt_error *e)
{
    int left = nm_json_first(doc, node), right = left < 0 ? -1 : doc->node[left].next;
    if (right < 0 || doc->node[right].next >= 0 ||
        nmrt_field_unescape(doc, left, &m->both, e) != NMRT_OK)
        return false;
    m->left = m->both.n;
    return nmrt_field_unescape(doc, right, &m->both, e) == NMRT_OK && m->both.n;
}

// Does a piece go on from another character to U+2581?
static bool crosses(const char *piece, size_t n)
{
    for (size_t i = 1; i + 3 <= n; i++)
        if (memcmp(piece + i, meta, 3) == 0 && (i < 3 || memcmp(piece + i - 3, meta, 3) != 0))
            return true;
    return false;
}

static nmrt_status add_merge(nmrt_bpe *b, merge *m, int32_t rank, nmrt_error *e)
{
    const char *left = m->both.at, *right = left + m->left;
    size_t n_right = m->both.n - m->left, skip = b->prefix.n;
    int64_t x = nmrt_vocabulary_id(&b->model.vocabulary, left, m->left);
    int64_t y = nmrt_vocabulary_id(&b->model.vocabulary, right, n_right), z = -1;
    if (skip && n_right >= skip) { // the joined piece has the prefix of the first alone
        memmove(m->both.at + m->left, right + skip, n_right - skip);
        m->both.n -= skip;
    }
    if (x >= 0 && y >= 0 && n_right >= skip)
        z = nmrt_vocabulary_id(&b->model.vocabulary, m->both.at, m->both.n);
    if (z < 0)
        return nmrt_fail(
            e, NMRT_CORRUPT,
            "merges: of merge %d the pieces, or what they make, \"%.*s\", are not in vocab", rank,
            m->both.n < 100 ? (int)m->both.n : 100, m->both.at);
    b->cuts = b->cuts && !crosses(m->both.at, m->both.n);
    if (!nmrt_pairs_put(&b->merges, (nmrt_pair_slot){(int32_t)x, (int32_t)y, rank, (int32_t)z}))
        return nmrt_fail(e, NMRT_WORLD, "no memory for its merges");
    return NMRT_OK;
}

static bool is_version(const nm_json_node *s)
{
    return s->kind == NM_JSON_STRING && s->n_text >= 8 && memcmp(s->text, "#version", 8) == 0;
}

static nmrt_status read_merges(nmrt_bpe *b, const nm_json *doc, int node, nmrt_error *e)
{
    int merges = nm_json_get(doc, node, "merges");
    if (merges < 0 || doc->node[merges].kind != NM_JSON_ARRAY)
        return nmrt_fail(e, NMRT_CORRUPT, "merges is not a list");
    b->cuts = nmrt_vocabulary_id(&b->model.vocabulary, meta, 3) >= 0 && !b->ignore_merges &&
              !b->prefix.n && !b->suffix.n;
    merge m = {0};
    nmrt_status status = NMRT_OK;
    int32_t rank = 0;
    for (int i = nm_json_first(doc, merges); i >= 0 && status == NMRT_OK; i = doc->node[i].next) {
        if (is_version(&doc->node[i]))
            continue;
        m.both.n = 0;
        bool words = doc->node[i].kind == NM_JSON_STRING;
        if (words ? read_words(&m, doc, i, e) : read_pair(&m, doc, i, e))
            status = add_merge(b, &m, rank++, e);
        else
            status = nmrt_fail(e, NMRT_CORRUPT, "merges: merge %d is not two pieces", rank);
    }
    nmrt_text_release(&m.both);
    return status;
}

// --- the model -----------------------------------------------------------------------------------

static nmrt_status read_affix(const nm_json *doc, int node, const char *key, nmrt_text *out,
                              nmrt_error *e)
{
    return nmrt_field_absent(doc, node, key) ? NMRT_OK : nmrt_field_text(doc, node, key, out, e);
}

static nmrt_status read_unk(nmrt_bpe *b, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_text unk = {0};
    b->unk = -1;
    if (nmrt_field_absent(doc, node, "unk_token"))
        return NMRT_OK;
    nmrt_status status = nmrt_field_text(doc, node, "unk_token", &unk, e);
    if (status == NMRT_OK)
        b->unk = nmrt_vocabulary_id(&b->model.vocabulary, unk.at ? unk.at : "", unk.n);
    b->unk_lost = b->unk < 0;
    nmrt_text_release(&unk);
    return status;
}

static bool is_zero(const nm_json_node *number)
{
    for (uint32_t i = 0; i < number->n_text; i++)
        if (number->text[i] != '0' && number->text[i] != '.')
            return false;
    return number->kind == NM_JSON_NUMBER;
}

nmrt_status nmrt_bpe_read(nmrt_word_model *m, const nm_json *doc, int node, nmrt_error *e)
{
    nmrt_bpe *b = (nmrt_bpe *)m;
    int dropout = nm_json_get(doc, node, "dropout");
    if (!nmrt_field_absent(doc, node, "dropout") && !is_zero(&doc->node[dropout]))
        return nmrt_fail(e, NMRT_FOREIGN,
                         "dropout is not null: merges left out at random are not supported; set "
                         "it to null, what evaluation wants anyway");
    NMRT_TRY(nmrt_field_bool(doc, node, "fuse_unk", &b->fuse_unk, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "byte_fallback", &b->byte_fallback, e));
    NMRT_TRY(nmrt_field_bool(doc, node, "ignore_merges", &b->ignore_merges, e));
    NMRT_TRY(read_affix(doc, node, "continuing_subword_prefix", &b->prefix, e));
    NMRT_TRY(read_affix(doc, node, "end_of_word_suffix", &b->suffix, e));
    NMRT_TRY(read_vocabulary(b, doc, node, e));
    NMRT_TRY(read_unk(b, doc, node, e));
    find_characters(b);
    return read_merges(b, doc, node, e);
}

void nmrt_bpe_release(nmrt_word_model *m)
{
    nmrt_bpe *b = (nmrt_bpe *)m;
    nmrt_pairs_release(&b->merges);
    nmrt_text_release(&b->prefix);
    nmrt_text_release(&b->suffix);
}
