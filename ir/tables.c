#include "ir/tables.h"

static struct nm_hash_slot *probe(const nm_hash_set *set, uint64_t hash,
                                  bool (*same)(const void *, const void *), const void *wanted)
{
    for (size_t i = hash & (set->cap - 1);; i = (i + 1) & (set->cap - 1)) {
        struct nm_hash_slot *s = &set->slot[i];
        if (!s->item || (s->hash == hash && same && same(s->item, wanted)))
            return s;
    }
}

static void grow(nm_arena *arena, nm_hash_set *set)
{
    nm_hash_set old = *set;
    set->cap = old.cap ? old.cap * 2 : 64;
    set->slot = nm_new_n(arena, struct nm_hash_slot, set->cap);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slot[i].item)
            *probe(set, old.slot[i].hash, NULL, NULL) = old.slot[i];
}

struct nm_hash_slot *nm_hash_set_find(nm_arena *arena, nm_hash_set *set, uint64_t hash,
                                      bool (*same)(const void *, const void *), const void *wanted)
{
    if (set->n * 2 >= set->cap)
        grow(arena, set);
    struct nm_hash_slot *s = probe(set, hash, same, wanted);
    if (!s->item) {
        s->hash = hash;
        set->n++;
    }
    return s;
}

const void *nm_hash_set_get(const nm_hash_set *set, uint64_t hash,
                            bool (*same)(const void *, const void *), const void *wanted)
{
    return set->cap ? probe(set, hash, same, wanted)->item : NULL;
}
