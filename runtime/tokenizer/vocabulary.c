// Pieces and their ids: a table of entries, found through a hash table with open addressing (linear
// probing), and an array by id.
#include "runtime/tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

uint64_t nmrt_hash_bytes(const char *bytes, size_t n)
{
    uint64_t h = n * 0x9E3779B97F4A7C15, word;
    for (; n >= 8; n -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0x9FB21C651E98DF25;
        h ^= h >> 32;
    }
    word = 0;
    for (size_t i = 0; i < n; i++)
        word = word << 8 | (unsigned char)bytes[i];
    h = (h ^ word) * 0x9FB21C651E98DF25;
    return h ^ h >> 29;
}

static bool is_piece(const nmrt_vocabulary *v, int32_t entry, const char *piece, size_t n)
{
    const nmrt_vocabulary_entry *x = &v->entry[entry];
    return x->n == n && memcmp(v->bytes.at + x->at, piece, n) == 0;
}

// The slot of a piece, or the free one where it belongs.
static uint32_t find_slot(const nmrt_vocabulary *v, const char *piece, size_t n)
{
    uint32_t s = (uint32_t)nmrt_hash_bytes(piece, n) & (v->n_slots - 1);
    while (v->slot[s] >= 0 && !is_piece(v, v->slot[s], piece, n))
        s = (s + 1) & (v->n_slots - 1);
    return s;
}

static bool grow_slots(nmrt_vocabulary *v)
{
    uint32_t n_slots = v->n_slots ? v->n_slots * 2 : 1024;
    int32_t *slot = malloc(n_slots * sizeof *slot);
    if (!slot)
        return false;
    free(v->slot);
    v->slot = slot;
    v->n_slots = n_slots;
    memset(slot, 0xFF, n_slots * sizeof *slot);
    for (int32_t i = 0; i < v->n; i++)
        slot[find_slot(v, v->bytes.at + v->entry[i].at, v->entry[i].n)] = i;
    return true;
}

static bool grow_entries(nmrt_vocabulary *v)
{
    int32_t cap = v->cap ? v->cap * 2 : 512;
    nmrt_vocabulary_entry *entry = realloc(v->entry, (size_t)cap * sizeof *entry);
    if (!entry)
        return false;
    v->entry = entry;
    v->cap = cap;
    return true;
}

static bool grow_ids(nmrt_vocabulary *v, int64_t id)
{
    if (id >= v->room) {
        int64_t room = id < 512 ? 1024 : id * 2;
        int32_t *by_id = realloc(v->by_id, (size_t)room * sizeof *by_id);
        if (!by_id)
            return false;
        v->by_id = by_id;
        v->room = room;
    }
    for (; v->size <= id; v->size++)
        v->by_id[v->size] = -1;
    return true;
}

nmrt_status nmrt_vocabulary_add(nmrt_vocabulary *v, const char *piece, size_t n, int64_t id,
                                nmrt_error *e)
{
    if (id < 0 || id >= NMRT_MOST_IDS)
        return nmrt_fail(e, NMRT_CORRUPT, "\"%.*s\" has the id %lld, which is not in 0..%d",
                         n < 100 ? (int)n : 100, piece, (long long)id, NMRT_MOST_IDS - 1);
    if (n > UINT32_MAX || v->n == NMRT_MOST_IDS)
        return nmrt_fail(e, NMRT_CORRUPT, "it has too many pieces");
    if (((uint32_t)v->n * 2 >= v->n_slots && !grow_slots(v)) ||
        (v->n == v->cap && !grow_entries(v)) || !grow_ids(v, id))
        return nmrt_fail(e, NMRT_WORLD, "no memory for its vocabulary");
    uint32_t s = find_slot(v, piece, n);
    if (v->slot[s] < 0) {
        v->entry[v->n] = (nmrt_vocabulary_entry){.at = v->bytes.n, .n = (uint32_t)n};
        nmrt_text_add_bytes(&v->bytes, piece, n);
        if (v->bytes.failed)
            return nmrt_fail(e, NMRT_WORLD, "no memory for its vocabulary");
        v->slot[s] = v->n++;
    }
    v->entry[v->slot[s]].id = (int32_t)id;
    v->by_id[id] = v->slot[s];
    return NMRT_OK;
}

int64_t nmrt_vocabulary_id(const nmrt_vocabulary *v, const char *piece, size_t n)
{
    if (!v->n)
        return -1;
    int32_t entry = v->slot[find_slot(v, piece, n)];
    return entry < 0 ? -1 : v->entry[entry].id;
}

nmrt_word_piece nmrt_vocabulary_piece(const nmrt_vocabulary *v, int64_t id)
{
    if (id < 0 || id >= v->size || v->by_id[id] < 0)
        return (nmrt_word_piece){0};
    const nmrt_vocabulary_entry *x = &v->entry[v->by_id[id]];
    return (nmrt_word_piece){v->bytes.at + x->at, x->n};
}

void nmrt_vocabulary_release(nmrt_vocabulary *v)
{
    nmrt_text_release(&v->bytes);
    free(v->entry);
    free(v->slot);
    free(v->by_id);
    *v = (nmrt_vocabulary){0};
}
