// A tree of texts by their bytes: which of them a place of a text begins with. A node's children
// lie side by side in the order of their bytes.
#ifndef NMRT_TOKENIZER_TRIE_H
#define NMRT_TOKENIZER_TRIE_H

#include "runtime/status.h"

#include <stddef.h>
#include <stdint.h>

enum { NMRT_TRIE_ROOT = 0, NMRT_TRIE_NONE = -1 };

typedef struct nmrt_trie_key {
    const char *text;
    uint32_t n;
    int32_t value; // 0 or more
} nmrt_trie_key;

typedef struct nmrt_trie_node {
    int32_t child; // the first of them
    int32_t value; // of the key that ends here; NMRT_TRIE_NONE: none does
    uint16_t n_child;
    unsigned char byte; // that leads here
} nmrt_trie_node;

typedef struct nmrt_trie { // {0} is an empty one
    nmrt_trie_node *node;
    int32_t n;
    uint32_t longest;   // bytes of a key
    int32_t first[256]; // the root's child by its byte, or NMRT_TRIE_NONE
} nmrt_trie;

// Sorts the keys, whose texts need not outlive the call. Of equal texts the greatest value stays,
// and *twice (unless NULL) is one of the others', else NMRT_TRIE_NONE.
nmrt_status nmrt_trie_build(nmrt_trie *trie, nmrt_trie_key *key, int64_t n, int32_t *twice,
                            nmrt_error *e);
void nmrt_trie_release(nmrt_trie *trie);

// The node one byte below `node`, or NMRT_TRIE_NONE. Inline: each byte of a text is gone down by,
// many times.
static inline int32_t nmrt_trie_down(const nmrt_trie *trie, int32_t node, unsigned char byte)
{
    if (node == NMRT_TRIE_ROOT)
        return trie->n ? trie->first[byte] : NMRT_TRIE_NONE;
    int32_t at = trie->node[node].child, n = trie->node[node].n_child;
    while (n > 4) { // the first that is not below the byte is among n from `at`
        int32_t half = n / 2;
        at += trie->node[at + half - 1].byte < byte ? half : 0;
        n -= half;
    }
    for (; n > 0; at++, n--)
        if (trie->node[at].byte == byte)
            return at;
    return NMRT_TRIE_NONE;
}
// The node a text below `node`, or NMRT_TRIE_NONE.
int32_t nmrt_trie_walk(const nmrt_trie *trie, int32_t node, const char *text, size_t n);
// The value of a whole text, or NMRT_TRIE_NONE.
int32_t nmrt_trie_find(const nmrt_trie *trie, const char *text, size_t n);
// The length of the longest key that `text` begins with; 0: it begins with none.
size_t nmrt_trie_longest(const nmrt_trie *trie, const char *text, size_t n);

#endif
