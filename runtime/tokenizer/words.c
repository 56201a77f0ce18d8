// What was encoded lately.
#include "runtime/tokenizer/words.h"

#include "runtime/tokenizer/vocabulary.h"

#include <stdlib.h>

nmrt_word *nmrt_words_new(void)
{
    size_t bytes = NMRT_WORDS * sizeof(nmrt_word);
    nmrt_word *table = aligned_alloc(sizeof(nmrt_word), bytes);
    if (table)
        memset(table, 0, bytes);
    return table;
}

nmrt_word *nmrt_words_find(nmrt_word *table, const char *word, size_t n)
{
    return n && n <= NMRT_WORD_BYTES ? &table[nmrt_hash_bytes(word, n) % NMRT_WORDS] : NULL;
}

void nmrt_word_keep(nmrt_word *w, const char *word, size_t n, const int32_t *id, size_t n_ids)
{
    if (n_ids > NMRT_WORD_IDS)
        return;
    w->n = (uint8_t)n;
    w->n_ids = (uint8_t)n_ids;
    memcpy(w->bytes, word, n);
    for (size_t i = 0; i < n_ids; i++)
        w->id[i] = id[i];
}
