// A table from pairs of numbers to pairs of numbers: open addressing, linear probing, half full at
// most.
#include "runtime/tokenizer/pairs.h"

#include <stdlib.h>
#include <string.h>

static nmrt_pair_slot *find(nmrt_pairs *p, int32_t a, int32_t b)
{
    for (uint32_t s = nmrt_pair_hash(a, b);; s++) {
        nmrt_pair_slot *slot = &p->slot[s & (p->n_slots - 1)];
        if (slot->a < 0 || (slot->a == a && slot->b == b))
            return slot;
    }
}

static bool grow(nmrt_pairs *p)
{
    nmrt_pairs wider = {.n_slots = p->n_slots ? p->n_slots * 2 : 256, .n = p->n};
    wider.slot = malloc(wider.n_slots * sizeof *wider.slot);
    if (!wider.slot)
        return false;
    memset(wider.slot, 0xFF, wider.n_slots * sizeof *wider.slot);
    for (uint32_t i = 0; i < p->n_slots; i++)
        if (p->slot[i].a >= 0)
            *find(&wider, p->slot[i].a, p->slot[i].b) = p->slot[i];
    free(p->slot);
    *p = wider;
    return true;
}

bool nmrt_pairs_put(nmrt_pairs *p, nmrt_pair_slot pair)
{
    if (p->n * 2 >= p->n_slots && !grow(p))
        return false;
    nmrt_pair_slot *slot = find(p, pair.a, pair.b);
    p->n += slot->a < 0;
    *slot = pair;
    return true;
}

void nmrt_pairs_release(nmrt_pairs *p)
{
    free(p->slot);
    *p = (nmrt_pairs){0};
}
