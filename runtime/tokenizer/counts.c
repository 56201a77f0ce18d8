// A hash table with open addressing. Above its limit it forgets all words that were seen once, then
// twice, ... until half of them are gone: so what is common is counted in bounded memory, to within
// the times for which it was forgotten while it was rare.
#include "runtime/tokenizer/counts.h"

#include "runtime/tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

static size_t find_slot(const nmrt_counts *c, uint64_t hash, const char *word, size_t n)
{
    for (size_t s = (size_t)hash;; s++) {
        uint32_t held = c->slot[s & (c->n_slots - 1)];
        if (!held)
            return s & (c->n_slots - 1);
        const nmrt_counted *w = &c->word[held - 1];
        if (w->hash == hash && w->n == n && memcmp(c->bytes.at + w->at, word, n) == 0)
            return s & (c->n_slots - 1);
    }
}

static void index_words(nmrt_counts *c)
{
    memset(c->slot, 0, c->n_slots * sizeof *c->slot);
    for (size_t i = 0; i < c->n; i++) {
        const nmrt_counted *w = &c->word[i];
        c->slot[find_slot(c, w->hash, c->bytes.at + w->at, w->n)] = (uint32_t)i + 1;
    }
}

static bool grow(nmrt_counts *c)
{
    size_t cap = c->cap ? c->cap * 2 : 1024;
    nmrt_counted *word = cap < UINT32_MAX ? realloc(c->word, cap * sizeof *word) : NULL;
    if (word)
        c->word = word;
    uint32_t *slot = word ? realloc(c->slot, cap * 2 * sizeof *slot) : NULL;
    if (!slot) {
        c->failed = true;
        return false;
    }
    c->slot = slot;
    c->cap = cap;
    c->n_slots = cap * 2;
    index_words(c);
    return true;
}

// Words that are there more than `rarest` times move together, and so do their bytes.
static void forget(nmrt_counts *c, int64_t rarest)
{
    size_t kept = 0, bytes = 0;
    for (size_t i = 0; i < c->n; i++) {
        nmrt_counted w = c->word[i];
        if (w.count <= rarest)
            continue;
        memmove(c->bytes.at + bytes, c->bytes.at + w.at, w.n);
        w.at = bytes;
        bytes += w.n;
        c->word[kept++] = w;
    }
    c->dropped += (int64_t)(c->n - kept);
    c->rarest = rarest;
    c->n = kept;
    c->bytes.n = bytes;
}

static void make_room(nmrt_counts *c)
{
    for (int64_t rarest = c->rarest ? c->rarest : 1; c->n > c->most / 2; rarest++)
        forget(c, rarest);
    index_words(c);
}

void nmrt_counts_add(nmrt_counts *c, const char *word, size_t n, int64_t count)
{
    if (c->failed || (c->n == c->cap && !grow(c)))
        return;
    if (c->most && c->n >= c->most)
        make_room(c);
    uint64_t hash = nmrt_hash_bytes(word, n);
    size_t s = find_slot(c, hash, word, n);
    if (c->slot[s]) {
        c->word[c->slot[s] - 1].count += count;
        return;
    }
    c->word[c->n] =
        (nmrt_counted){.hash = hash, .at = c->bytes.n, .n = (uint32_t)n, .count = count};
    nmrt_text_add_bytes(&c->bytes, word, n);
    c->slot[s] = (uint32_t)++c->n;
    c->failed |= c->bytes.failed;
}

void nmrt_counts_add_all(nmrt_counts *c, const nmrt_counts *other)
{
    for (size_t i = 0; i < other->n; i++)
        nmrt_counts_add(c, other->bytes.at + other->word[i].at, other->word[i].n,
                        other->word[i].count);
    c->dropped += other->dropped;
    c->rarest = c->rarest > other->rarest ? c->rarest : other->rarest;
    c->failed |= other->failed;
}

void nmrt_counts_release(nmrt_counts *c)
{
    nmrt_text_release(&c->bytes);
    free(c->word);
    free(c->slot);
    *c = (nmrt_counts){0};
}
