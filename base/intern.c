// One open-addressed table of pointers, kept at most half full; nothing is ever removed, and
// nothing walks it, so the addresses in it never decide an order.
#include "base/intern.h"

#include "base/hash.h"

#include <string.h>

struct entry {
    nm_sym text;
    size_t len;
    uint64_t hash;
};

struct nm_interner {
    nm_arena *arena;
    size_t n, cap; // cap is a power of two
    struct entry *entry;
};

nm_interner *nm_interner_new(nm_arena *arena)
{
    nm_interner *in = nm_new(arena, nm_interner);
    *in = (nm_interner){.arena = arena, .cap = 256};
    in->entry = nm_new_n(arena, struct entry, in->cap);
    return in;
}

// The entry of this text, or the free one where it belongs.
static struct entry *find(const nm_interner *in, const char *s, size_t len, uint64_t hash)
{
    for (size_t i = hash & (in->cap - 1);; i = (i + 1) & (in->cap - 1)) {
        struct entry *e = &in->entry[i];
        if (!e->text || (e->hash == hash && e->len == len && !memcmp(e->text, s, len)))
            return e;
    }
}

static void grow(nm_interner *in)
{
    struct entry *old = in->entry;
    size_t n = in->cap;
    in->cap *= 2;
    in->entry = nm_new_n(in->arena, struct entry, in->cap);
    for (size_t i = 0; i < n; i++)
        if (old[i].text)
            *find(in, old[i].text, old[i].len, old[i].hash) = old[i];
}

nm_sym nm_intern(nm_interner *in, const char *s, size_t len)
{
    uint64_t hash = nm_hash64(s, len);
    struct entry *e = find(in, s, len, hash);
    if (e->text)
        return e->text;
    *e = (struct entry){nm_arena_strndup(in->arena, s, len), len, hash};
    nm_sym text = e->text;
    if (++in->n * 2 > in->cap)
        grow(in);
    return text;
}
