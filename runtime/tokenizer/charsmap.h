// The table by which SentencePiece rewrites characters (precompiled_charsmap of its models, and of
// tokenizer.json's Precompiled normalizer): a double-array trie of texts (darts-clone:
// github.com/s-yata/darts-clone) and, behind it, what they become, each with a 0 at its end.
#ifndef NMRT_TOKENIZER_CHARSMAP_H
#define NMRT_TOKENIZER_CHARSMAP_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_charsmap { // {0}: nothing is rewritten
    uint32_t *unit;            // of the double array
    uint32_t n_unit;
    char *text; // what characters become, 0-terminated at its end, too
    size_t n_text;
} nmrt_charsmap;

// Copies what it needs of the blob. Any bytes are survived; those that are no such table fail.
nmrt_status nmrt_charsmap_open(nmrt_charsmap *map, const void *blob, size_t n, nmrt_error *e);
void nmrt_charsmap_release(nmrt_charsmap *map);

typedef struct nmrt_charsmap_match {
    size_t n; // bytes of the text that are rewritten; 0: the table does not know its beginning
    const char *to; // 0-terminated
} nmrt_charsmap_match;

// The longest text of the table that `text` begins with, and the shortest.
nmrt_charsmap_match nmrt_charsmap_longest(const nmrt_charsmap *map, const char *text, size_t n);
nmrt_charsmap_match nmrt_charsmap_shortest(const nmrt_charsmap *map, const char *text, size_t n);

#endif
