// xxHash64 (Collet, 2012), seed 0: four lanes over stripes of 32 bytes, then a mix of lanes, length
// and tail. Checksums of checkpoints, signatures of collectives; not a defence against an attacker.
#include "runtime/hash.h"

#include <string.h>

static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u,
                      P4 = 0x85EBCA77C2B2AE63u, P5 = 0x27D4EB2F165667C5u;

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t round_lane(uint64_t lane, uint64_t in) { return rotate(lane + in * P2, 31) * P1; }

static uint64_t read64(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

static void add_stripe(nmrt_hash *h, const unsigned char *p)
{
    for (int i = 0; i < 4; i++)
        h->lane[i] = round_lane(h->lane[i], read64(p + 8 * i));
}

void nmrt_hash_init(nmrt_hash *h) { *h = (nmrt_hash){.lane = {P1 + P2, P2, 0, 0 - P1}}; }

void nmrt_hash_add(nmrt_hash *h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes, *end = p + n;
    if (!n)
        return;
    h->total += n;
    if (h->n_rest) {
        size_t take = 32 - h->n_rest < n ? 32 - h->n_rest : n;
        memcpy(h->rest + h->n_rest, p, take);
        h->n_rest += take;
        p += take;
        if (h->n_rest < 32)
            return;
        add_stripe(h, h->rest);
    }
    for (; end - p >= 32; p += 32)
        add_stripe(h, p);
    h->n_rest = (size_t)(end - p);
    memcpy(h->rest, p, h->n_rest);
}

static uint64_t merge_lanes(const nmrt_hash *h)
{
    const uint64_t *v = h->lane;
    uint64_t x = rotate(v[0], 1) + rotate(v[1], 7) + rotate(v[2], 12) + rotate(v[3], 18);
    for (int i = 0; i < 4; i++)
        x = (x ^ round_lane(0, v[i])) * P1 + P4;
    return x;
}

static uint64_t add_tail(uint64_t x, const unsigned char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        x = rotate(x ^ round_lane(0, read64(p)), 27) * P1 + P4;
    if (n >= 4) {
        uint32_t w;
        memcpy(&w, p, 4);
        x = rotate(x ^ w * P1, 23) * P2 + P3;
        p += 4, n -= 4;
    }
    for (; n; p++, n--)
        x = rotate(x ^ *p * P5, 11) * P1;
    return x;
}

uint64_t nmrt_hash_value(const nmrt_hash *h)
{
    uint64_t x = h->total >= 32 ? merge_lanes(h) : P5;
    x = add_tail(x + h->total, h->rest, h->n_rest);
    x = (x ^ x >> 33) * P2;
    x = (x ^ x >> 29) * P3;
    return x ^ x >> 32;
}

uint64_t nmrt_hash_of(const void *bytes, size_t n)
{
    nmrt_hash h;
    nmrt_hash_init(&h);
    nmrt_hash_add(&h, bytes, n);
    return nmrt_hash_value(&h);
}
