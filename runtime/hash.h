// xxHash64 (Collet, 2012: github.com/Cyan4973/xxHash, doc/xxhash_spec.md), in one go or in pieces.
#ifndef NMRT_HASH_H
#define NMRT_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_hash {
    uint64_t lane[4], total;
    unsigned char rest[32]; // bytes that do not fill a stripe yet
    size_t n_rest;
} nmrt_hash;

void nmrt_hash_init(nmrt_hash *h);
void nmrt_hash_add(nmrt_hash *h, const void *bytes, size_t n);
uint64_t nmrt_hash_value(const nmrt_hash *h); // of all that was added; more may follow
uint64_t nmrt_hash_of(const void *bytes, size_t n);

#endif
