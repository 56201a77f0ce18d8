// What was encoded lately: words of a text come again and again. A table of fixed size, in which a
// word takes the place of the one before it; long words are not kept.
#ifndef NMRT_TOKENIZER_WORDS_H
#define NMRT_TOKENIZER_WORDS_H

#include "runtime/tokenizer/ids.h"

#include <stdint.h>
#include <string.h>

enum { NMRT_WORD_BYTES = 30, NMRT_WORD_IDS = 8, NMRT_WORDS = 1 << 15 };

typedef struct nmrt_word { // a cache line
    int32_t id[NMRT_WORD_IDS];
    char bytes[NMRT_WORD_BYTES];
    uint8_t n, n_ids; // n 0: free
} nmrt_word;

nmrt_word *nmrt_words_new(void); // [NMRT_WORDS]; NULL: no memory. free() ends it

// Where the word is or would be; NULL: it is too long.
nmrt_word *nmrt_words_find(nmrt_word *table, const char *word, size_t n);
void nmrt_word_keep(nmrt_word *w, const char *word, size_t n, const int32_t *id, size_t n_ids);

static inline int nmrt_word_is(const nmrt_word *w, const char *word, size_t n)
{
    return w->n == n && memcmp(w->bytes, word, n) == 0;
}

#endif
