// FNV-1a, 64 bits: small, good enough for short names, and the same in the compiler, in kernel
// templates and on every machine. Freestanding.
#ifndef NM_BASE_HASH_H
#define NM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t nm_hash64_more(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = (const unsigned char *)data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static inline uint64_t nm_hash64(const void *data, size_t n)
{
    return nm_hash64_more(0xcbf29ce484222325u, data, n);
}

#endif
