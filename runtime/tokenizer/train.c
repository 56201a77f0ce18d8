// Byte pair encoding's training (Sennrich et al., 2016: arxiv.org/abs/1508.07909) as tokenizers
// does it (models/bpe/trainer.rs): each distinct word is a list of ids, and only the words that
// have the pair that is merged are gone through. Their changes keep the counts of the pairs around
// it true; the merged pair's own count is not looked at again.
#include "runtime/tokenizer/train.h"

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/train_pairs.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { TELL_EVERY = 128 }; // merges

typedef struct trained_word {
    size_t at; // its ids
    uint32_t n;
} trained_word;

typedef struct trainer {
    const nmrt_training *options;
    const nmrt_counts *words;
    nmrt_trained *t;
    nmrt_train_pairs pairs;
    trained_word *word; // [words->n]
    int32_t *id;        // of all words, one behind the other
    nmrt_text piece;    // that a merge gives
    nmrt_error *e;
} trainer;

static nmrt_status no_memory(trainer *r)
{
    return nmrt_fail(r->e, NMRT_WORLD, "no memory to train on %zu words; --max-words bounds them",
                     r->words->n);
}

// --- the first pieces ----------------------------------------------------------------------------

static nmrt_status add_piece(trainer *r, const char *piece, size_t n)
{
    nmrt_vocabulary *v = &r->t->vocabulary;
    return nmrt_vocabulary_id(v, piece, n) >= 0 ? NMRT_OK
                                                : nmrt_vocabulary_add(v, piece, n, v->size, r->e);
}

static nmrt_status add_first_pieces(trainer *r)
{
    char character[4];
    for (int i = 0; i < r->options->n_special; i++)
        NMRT_TRY(add_piece(r, r->options->special[i], strlen(r->options->special[i])));
    for (int32_t c = 0; c < NMRT_BYTE_LEVEL_END; c++)
        if (nmrt_byte_level_byte(c) >= 0)
            NMRT_TRY(add_piece(r, character, (size_t)nmrt_utf8_put(character, c)));
    if (r->t->vocabulary.size > r->options->vocabulary_size)
        return nmrt_fail(r->e, NMRT_USAGE,
                         "a vocabulary of %lld has no room for %lld special tokens and bytes",
                         (long long)r->options->vocabulary_size, (long long)r->t->vocabulary.size);
    return NMRT_OK;
}

static void find_byte_ids(const trainer *r, int32_t id[256])
{
    for (int byte = 0; byte < 256; byte++) {
        char character[4];
        int n = nmrt_utf8_put(character, nmrt_byte_level_character((unsigned char)byte));
        id[byte] = (int32_t)nmrt_vocabulary_id(&r->t->vocabulary, character, (size_t)n);
    }
}

static nmrt_status spell_words(trainer *r)
{
    const nmrt_counts *words = r->words;
    int32_t of_byte[256];
    find_byte_ids(r, of_byte);
    r->word = malloc((words->n + 1) * sizeof *r->word);
    r->id = malloc((words->bytes.n + 1) * sizeof *r->id);
    if (!r->word || !r->id)
        return no_memory(r);
    for (size_t i = 0, at = 0; i < words->n; i++) {
        const nmrt_counted *w = &words->word[i];
        r->word[i] = (trained_word){at, w->n};
        for (uint32_t k = 0; k < w->n; k++)
            r->id[at++] = of_byte[(unsigned char)words->bytes.at[w->at + k]];
    }
    return NMRT_OK;
}

static void count_pairs(trainer *r)
{
    for (size_t i = 0; i < r->words->n && !r->pairs.failed; i++) {
        const int32_t *id = r->id + r->word[i].at;
        for (uint32_t k = 1; k < r->word[i].n; k++)
            nmrt_train_pairs_change(&r->pairs, id[k - 1], id[k], r->words->word[i].count,
                                    (uint32_t)i);
    }
    nmrt_train_pairs_queue(&r->pairs);
}

// --- merging -------------------------------------------------------------------------------------

static nmrt_status merged_piece(trainer *r, nmrt_merge merge, int32_t *id)
{
    nmrt_vocabulary *v = &r->t->vocabulary;
    nmrt_word_piece left = nmrt_vocabulary_piece(v, merge.left);
    nmrt_word_piece right = nmrt_vocabulary_piece(v, merge.right);
    r->piece.n = 0;
    nmrt_text_add_bytes(&r->piece, left.at, left.n);
    nmrt_text_add_bytes(&r->piece, right.at, right.n);
    if (r->piece.failed)
        return no_memory(r);
    NMRT_TRY(add_piece(r, r->piece.at, r->piece.n));
    *id = (int32_t)nmrt_vocabulary_id(v, r->piece.at, r->piece.n);
    return NMRT_OK;
}

static nmrt_status note_merge(trainer *r, nmrt_merge merge)
{
    nmrt_trained *t = r->t;
    if (t->n == t->cap) {
        int64_t cap = t->cap ? t->cap * 2 : 1024;
        nmrt_merge *grown = realloc(t->merge, (size_t)cap * sizeof *grown);
        if (!grown)
            return no_memory(r);
        t->merge = grown;
        t->cap = cap;
    }
    t->merge[t->n++] = merge;
    return NMRT_OK;
}

// Merges the pair wherever it is in a word, from the left, and changes the counts of the pairs
// around.
static void merge_word(trainer *r, uint32_t i, nmrt_merge merge, int32_t merged)
{
    int32_t *id = r->id + r->word[i].at;
    int64_t count = r->words->word[i].count;
    uint32_t n = r->word[i].n, to = 0;
    for (uint32_t from = 0; from < n; from++, to++) {
        if (id[from] != merge.left || from + 1 == n || id[from + 1] != merge.right) {
            id[to] = id[from];
            continue;
        }
        if (to) {
            nmrt_train_pairs_change(&r->pairs, id[to - 1], merge.left, -count, i);
            nmrt_train_pairs_change(&r->pairs, id[to - 1], merged, count, i);
        }
        if (from + 2 < n) {
            nmrt_train_pairs_change(&r->pairs, merge.right, id[from + 2], -count, i);
            nmrt_train_pairs_change(&r->pairs, merged, id[from + 2], count, i);
        }
        id[to] = merged;
        from++;
    }
    r->word[i].n = to;
}

static nmrt_status merge_pair(trainer *r, const nmrt_queued_pair *top)
{
    nmrt_merge merge = {r->pairs.pair[top->pair].left, r->pairs.pair[top->pair].right};
    int32_t merged;
    NMRT_TRY(merged_piece(r, merge, &merged));
    NMRT_TRY(note_merge(r, merge));
    for (uint32_t k = 0; k < top->places.n; k++)
        merge_word(r, top->places.at[k], merge, merged);
    nmrt_train_pairs_queue(&r->pairs);
    return r->pairs.failed ? no_memory(r) : NMRT_OK;
}

static nmrt_status merge_pairs(trainer *r)
{
    const nmrt_training *o = r->options;
    nmrt_status status = r->pairs.failed ? no_memory(r) : NMRT_OK;
    nmrt_queued_pair top;
    while (status == NMRT_OK && r->t->vocabulary.size < o->vocabulary_size &&
           nmrt_train_pairs_take(&r->pairs, &top)) {
        bool enough = top.count >= 1 && top.count >= o->least;
        if (enough)
            status = merge_pair(r, &top);
        free(top.places.at);
        if (!enough)
            break;
        if (r->t->n % TELL_EVERY == 0 && o->tell && !o->tell(o->told, r->t->vocabulary.size))
            return nmrt_fail(r->e, NMRT_STOPPED, "stopped after %lld merges: nothing was written",
                             (long long)r->t->n);
    }
    return status;
}

nmrt_status nmrt_bpe_train(nmrt_trained *t, const nmrt_training *options, const nmrt_counts *words,
                           nmrt_error *e)
{
    trainer r = {.options = options, .words = words, .t = t, .e = e};
    nmrt_status status = add_first_pieces(&r);
    if (status == NMRT_OK)
        status = spell_words(&r);
    if (status == NMRT_OK) {
        count_pairs(&r);
        status = merge_pairs(&r);
    }
    nmrt_train_pairs_release(&r.pairs);
    nmrt_text_release(&r.piece);
    free(r.word);
    free(r.id);
    return status;
}

void nmrt_trained_release(nmrt_trained *t)
{
    nmrt_vocabulary_release(&t->vocabulary);
    free(t->merge);
    *t = (nmrt_trained){0};
}
