// BPE of a word: its characters are symbols in a linked list, and the merges that neighbours can
// make wait in a heap by rank, then place. A merge whose symbols have changed since is recognised
// when it comes up: it would make another piece. So a word of n characters takes n log n steps.
#include "runtime/tokenizer/bpe.h"

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_KEPT = 1 << 20 }; // symbols that there is room for between two words

typedef struct symbol {
    int32_t id;         // -1: joined to the one before
    int32_t prev, next; // indices; -1: none
} symbol;

typedef struct waiting { // a merge of a symbol with its next
    uint64_t key;        // rank << 32 | index of the symbol
    int32_t id;          // of what they make
} waiting;

typedef struct scratch {
    nmrt_word_scratch base;
    nmrt_text mapped; // a word in ByteLevel's characters
    nmrt_text affixed;
    symbol *symbol; // [n_symbols, of room]
    int32_t n_symbols;
    waiting *heap; // [n_heap, of 3 room]: of each symbol at first, and two more a merge
    int32_t n_heap;
    size_t room;
} scratch;

static void release_scratch(nmrt_word_scratch *opened)
{
    scratch *s = (scratch *)opened;
    free(s->symbol);
    free(s->heap);
    nmrt_text_release(&s->mapped);
    nmrt_text_release(&s->affixed);
}

// A word of megabytes takes 60 bytes of scratch for each of its own: it is given back.
static void drop_room(scratch *s)
{
    free(s->symbol);
    free(s->heap);
    nmrt_text_release(&s->mapped);
    s->symbol = NULL;
    s->heap = NULL;
    s->room = 0;
}

// For n symbols.
static bool make_room(scratch *s, size_t n)
{
    if (n <= s->room)
        return true;
    size_t room = n < 1024 ? 1024 : n + n / 8;
    symbol *sym = realloc(s->symbol, room * sizeof *sym);
    s->symbol = sym ? sym : s->symbol;
    waiting *heap = realloc(s->heap, room * 3 * sizeof *heap);
    s->heap = heap ? heap : s->heap;
    if (sym && heap)
        s->room = room;
    return sym && heap;
}

// --- characters to symbols -----------------------------------------------------------------------

static void add_symbol(scratch *s, int64_t id)
{
    int32_t i = s->n_symbols++;
    s->symbol[i] = (symbol){(int32_t)id, i - 1, -1};
    if (i)
        s->symbol[i - 1].next = i;
}

// The id of the character at `c` in its word, with what the model puts around it.
static int64_t find_character(const nmrt_bpe *b, scratch *s, const char *c, size_t n, bool first,
                              bool last)
{
    bool prefixed = b->prefix.n && !first, suffixed = b->suffix.n && last;
    if (!prefixed && !suffixed) {
        unsigned char lead = (unsigned char)c[0];
        if (lead < 0x80)
            return b->first[lead];
        if (n == 2 && lead < 0xC8)
            return b->first[(lead & 0x1F) << 6 | (c[1] & 0x3F)];
        return nmrt_vocabulary_id(&b->model.vocabulary, c, n);
    }
    s->affixed.n = 0;
    if (prefixed)
        nmrt_text_add_bytes(&s->affixed, b->prefix.at, b->prefix.n);
    nmrt_text_add_bytes(&s->affixed, c, n);
    if (suffixed)
        nmrt_text_add_bytes(&s->affixed, b->suffix.at, b->suffix.n);
    return nmrt_vocabulary_id(&b->model.vocabulary, s->affixed.at, s->affixed.n);
}

static bool add_fallback(const nmrt_bpe *b, scratch *s, const char *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->fallback[(unsigned char)c[i]] < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        add_symbol(s, b->fallback[(unsigned char)c[i]]);
    return true;
}

// Unknown characters wait for what follows: bytes that stand for one come before them, and
// neighbours are one where fuse_unk says so. That is the library's order. False: there is no piece
// for unknown characters.
static bool add_symbols(const nmrt_bpe *b, scratch *s, const char *word, size_t n)
{
    bool unknown = false;
    s->n_symbols = 0;
    for (size_t at = 0, next; at < n; at = next) {
        int length;
        nmrt_utf8_get(word + at, n - at, &length);
        next = at + (size_t)length;
        int64_t id = find_character(b, s, word + at, (size_t)length, at == 0, next == n);
        if (id < 0 && b->byte_fallback && add_fallback(b, s, word + at, (size_t)length))
            continue;
        if (id < 0 && b->unk < 0 && b->unk_lost)
            return false;
        if (id < 0 && b->unk < 0)
            continue;
        if (unknown && (id >= 0 || !b->fuse_unk))
            add_symbol(s, b->unk);
        unknown = id < 0;
        if (id >= 0)
            add_symbol(s, id);
    }
    if (unknown)
        add_symbol(s, b->unk);
    return true;
}

// --- merging -------------------------------------------------------------------------------------

static void push(scratch *s, waiting w)
{
    int32_t i = s->n_heap++;
    for (int32_t up; i && s->heap[up = (i - 1) / 2].key > w.key; i = up)
        s->heap[i] = s->heap[up];
    s->heap[i] = w;
}

static waiting pop(scratch *s)
{
    waiting top = s->heap[0], last = s->heap[--s->n_heap];
    int32_t i = 0;
    for (int32_t down; (down = 2 * i + 1) < s->n_heap; i = down) {
        if (down + 1 < s->n_heap && s->heap[down + 1].key < s->heap[down].key)
            down++;
        if (last.key <= s->heap[down].key)
            break;
        s->heap[i] = s->heap[down];
    }
    s->heap[i] = last;
    return top;
}

// Lets the merge of symbol i with its next wait, if there is one.
static void push_merge(const nmrt_bpe *b, scratch *s, int32_t i)
{
    int32_t next = i < 0 ? -1 : s->symbol[i].next;
    const nmrt_pair_slot *m =
        next < 0 ? NULL : nmrt_pairs_get(&b->merges, s->symbol[i].id, s->symbol[next].id);
    if (m)
        push(s, (waiting){(uint64_t)m->x << 32 | (uint32_t)i, m->y});
}

static void join(scratch *s, int32_t i, int32_t id)
{
    int32_t next = s->symbol[i].next, after = s->symbol[next].next;
    s->symbol[i].id = id;
    s->symbol[i].next = after;
    s->symbol[next].id = -1;
    if (after >= 0)
        s->symbol[after].prev = i;
}

static void merge_symbols(const nmrt_bpe *b, scratch *s)
{
    s->n_heap = 0;
    for (int32_t i = 0; i + 1 < s->n_symbols; i++)
        push_merge(b, s, i);
    while (s->n_heap) {
        waiting top = pop(s);
        int32_t i = (int32_t)(uint32_t)top.key, next = s->symbol[i].next;
        if (s->symbol[i].id < 0 || next < 0)
            continue;
        const nmrt_pair_slot *m = nmrt_pairs_get(&b->merges, s->symbol[i].id, s->symbol[next].id);
        if (!m || m->y != top.id)
            continue;
        join(s, i, top.id);
        push_merge(b, s, s->symbol[i].prev);
        push_merge(b, s, i);
    }
}

// --- words ---------------------------------------------------------------------------------------

// A word of UTF-8 that is no piece as a whole, of `most` characters or bytes at most.
static nmrt_status encode_parts(const nmrt_bpe *b, scratch *s, nmrt_word_piece word, size_t most,
                                nmrt_ids *out, nmrt_error *e)
{
    if (word.n > INT32_MAX / 4 || !make_room(s, most + 1))
        return nmrt_fail(e, NMRT_WORLD, "no memory for a word of %zu bytes", word.n);
    if (!add_symbols(b, s, word.at, word.n))
        return nmrt_fail(e, NMRT_CORRUPT,
                         "the tokenizer's unk_token is not in its vocab, and "
                         "\"%.*s\" has an unknown character",
                         word.n < 100 ? (int)word.n : 100, word.at);
    merge_symbols(b, s);
    for (int32_t i = s->n_symbols ? 0 : -1; i >= 0; i = s->symbol[i].next)
        nmrt_ids_add(out, s->symbol[i].id);
    if (s->room > MOST_KEPT)
        drop_room(s);
    return NMRT_OK;
}

static nmrt_status encode(const nmrt_word_model *m, nmrt_word_scratch *opened, const char *word,
                          size_t n, nmrt_ids *out, nmrt_error *e)
{
    const nmrt_bpe *b = (const nmrt_bpe *)m;
    scratch *s = (scratch *)opened;
    nmrt_word_piece p = {word, n};
    if (m->bytes) {
        s->mapped.n = 0;
        nmrt_byte_level_add(&s->mapped, word, n);
        if (s->mapped.failed)
            return nmrt_fail(e, NMRT_WORLD, "no memory for a word of %zu bytes", n);
        p = (nmrt_word_piece){s->mapped.at, s->mapped.n};
    }
    int64_t whole = b->ignore_merges ? nmrt_vocabulary_id(&m->vocabulary, p.at, p.n) : -1;
    if (whole < 0)
        return encode_parts(b, s, p, n, out, e);
    nmrt_ids_add(out, (int32_t)whole);
    return NMRT_OK;
}

// No piece goes beyond a U+2581 behind another character, where the model cuts: it is the end.
static size_t find_part(const nmrt_word_model *m, const char *word, size_t n)
{
    if (!((const nmrt_bpe *)m)->cuts || m->bytes)
        return n;
    for (size_t i = 3; i + 3 <= n; i++) {
        const char *next = memchr(word + i, '\xE2', n - i - 2);
        if (!next)
            return n;
        i = (size_t)(next - word);
        if (memcmp(next, "\xE2\x96\x81", 3) == 0 && memcmp(next - 3, "\xE2\x96\x81", 3) != 0)
            return i;
    }
    return n;
}

const nmrt_word_model_type nmrt_bpe_type = {
    .name = "BPE",
    .maps_bytes = true,
    .bytes = sizeof(nmrt_bpe),
    .scratch_bytes = sizeof(scratch),
    .read = nmrt_bpe_read,
    .release = nmrt_bpe_release,
    .scratch_release = release_scratch,
    .part = find_part,
    .encode = encode,
};
