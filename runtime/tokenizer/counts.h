// How often each word of a corpus is there.
#ifndef NMRT_TOKENIZER_COUNTS_H
#define NMRT_TOKENIZER_COUNTS_H

#include "runtime/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_counted {
    uint64_t hash;
    size_t at; // its bytes in `bytes`
    uint32_t n;
    int64_t count;
} nmrt_counted;

typedef struct nmrt_counts { // zero-initialised: empty, and as many words as there is memory for
    nmrt_text bytes;
    nmrt_counted *word; // [n], in the order in which they came first
    size_t n, cap;
    uint32_t *slot; // [n_slots], a power of two: word + 1 by its hash, 0 is free
    size_t n_slots;
    size_t most;     // words; 0: no limit. Where there are more, the rarest go
    int64_t dropped; // words that went, counted each time
    int64_t rarest;  // none that went was there more often
    bool failed;     // memory ran out: ask once at the end
} nmrt_counts;

void nmrt_counts_add(nmrt_counts *c, const char *word, size_t n, int64_t count);
void nmrt_counts_add_all(nmrt_counts *c, const nmrt_counts *other);
void nmrt_counts_release(nmrt_counts *c);

#endif
