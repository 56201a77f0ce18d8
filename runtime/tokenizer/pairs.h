// A table from pairs of numbers to pairs of numbers: merges by what they join, and the edges of a
// tree of bytes by node and byte.
#ifndef NMRT_TOKENIZER_PAIRS_H
#define NMRT_TOKENIZER_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_pair_slot {
    int32_t a, b; // the key; a -1: the slot is free
    int32_t x, y;
} nmrt_pair_slot;

typedef struct nmrt_pairs { // zero-initialised: empty
    nmrt_pair_slot *slot;   // [n_slots], a power of two
    uint32_t n_slots, n;
} nmrt_pairs;

bool nmrt_pairs_put(nmrt_pairs *p, nmrt_pair_slot pair); // a >= 0; false: no memory
void nmrt_pairs_release(nmrt_pairs *p);

static inline uint32_t nmrt_pair_hash(int32_t a, int32_t b)
{
    uint64_t h = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0x9E3779B97F4A7C15;
    return (uint32_t)(h >> 32);
}

// NULL: the key has none. Inline: a merge is looked up for every neighbour of every merge.
static inline const nmrt_pair_slot *nmrt_pairs_get(const nmrt_pairs *p, int32_t a, int32_t b)
{
    if (!p->n)
        return NULL;
    for (uint32_t s = nmrt_pair_hash(a, b);; s++) {
        const nmrt_pair_slot *slot = &p->slot[s & (p->n_slots - 1)];
        if (slot->a == a && slot->b == b)
            return slot;
        if (slot->a < 0)
            return NULL;
    }
}

#endif
