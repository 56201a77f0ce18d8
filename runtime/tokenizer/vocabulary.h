// Pieces and their ids, found by either.
#ifndef NMRT_TOKENIZER_VOCABULARY_H
#define NMRT_TOKENIZER_VOCABULARY_H

#include "runtime/status.h"
#include "runtime/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_word_piece { // bytes of a vocabulary; at NULL: there is none
    const char *at;
    size_t n;
} nmrt_word_piece;

// No tokenizer has near as many; arrays by id are as long as the largest id.
enum { NMRT_MOST_IDS = 1 << 24 };

typedef struct nmrt_vocabulary_entry {
    size_t at; // its bytes in `bytes`
    uint32_t n;
    int32_t id;
} nmrt_vocabulary_entry;

typedef struct nmrt_vocabulary { // zero-initialised: empty
    nmrt_text bytes;
    nmrt_vocabulary_entry *entry; // [n], of cap
    int32_t n, cap;
    int32_t *slot;    // [n_slots], a power of two: entries by the hash of their bytes, or -1
    uint32_t n_slots; // at least 2 n
    int32_t *by_id;   // [size, of room]: entries, or -1
    int64_t size;     // the largest id + 1
    int64_t room;
} nmrt_vocabulary;

// A piece that is there already takes the new id, as the later of two equal keys does in JSON.
nmrt_status nmrt_vocabulary_add(nmrt_vocabulary *v, const char *piece, size_t n, int64_t id,
                                nmrt_error *e);
int64_t nmrt_vocabulary_id(const nmrt_vocabulary *v, const char *piece, size_t n); // -1: none
nmrt_word_piece nmrt_vocabulary_piece(const nmrt_vocabulary *v, int64_t id);
void nmrt_vocabulary_release(nmrt_vocabulary *v);

// A hash of bytes, for tables: all 64 bits are good.
uint64_t nmrt_hash_bytes(const char *bytes, size_t n);

#endif
