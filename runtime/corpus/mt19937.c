// MT19937, and the shuffle of numpy's RandomState: Fisher and Yates from the end, each index drawn
// by rejection: numbers are cut to as many bits as the largest index has until one fits.
#include "runtime/corpus/mt19937.h"

enum { N = NMRT_MT19937_N, M = 397 };

void nmrt_mt19937_seed(nmrt_mt19937 *g, uint32_t seed)
{
    for (uint32_t i = 0; i < N; i++) {
        g->state[i] = seed;
        seed = 1812433253u * (seed ^ seed >> 30) + i + 1;
    }
    g->next = N;
}

static uint32_t twist(uint32_t far, uint32_t high, uint32_t low)
{
    uint32_t x = (high & 0x80000000u) | (low & 0x7FFFFFFFu);
    return far ^ x >> 1 ^ (x & 1 ? 0x9908B0DFu : 0);
}

static void refill(nmrt_mt19937 *g)
{
    uint32_t *s = g->state;
    for (int i = 0; i < N - M; i++)
        s[i] = twist(s[i + M], s[i], s[i + 1]);
    for (int i = N - M; i < N - 1; i++)
        s[i] = twist(s[i + M - N], s[i], s[i + 1]);
    s[N - 1] = twist(s[M - 1], s[N - 1], s[0]);
    g->next = 0;
}

uint32_t nmrt_mt19937_next(nmrt_mt19937 *g)
{
    if (g->next == N)
        refill(g);
    uint32_t x = g->state[g->next++];
    x ^= x >> 11;
    x ^= x << 7 & 0x9D2C5680u;
    x ^= x << 15 & 0xEFC60000u;
    return x ^ x >> 18;
}

// One of 0..last; mask: the bits of last and all below. Above 32 bits the first number drawn is
// the high half.
static uint64_t draw(nmrt_mt19937 *g, uint64_t last, uint64_t mask)
{
    uint64_t x;
    do {
        uint64_t high = last > UINT32_MAX ? nmrt_mt19937_next(g) : 0;
        x = (high << 32 | nmrt_mt19937_next(g)) & mask;
    } while (x > last);
    return x;
}

void nmrt_mt19937_shuffle(nmrt_mt19937 *g, uint32_t *item, int64_t n)
{
    uint64_t mask = 1;
    while (mask < (uint64_t)n)
        mask = mask << 1 | 1;
    for (int64_t i = n - 1; i > 0; i--) {
        while (mask >> 1 >= (uint64_t)i)
            mask >>= 1;
        int64_t k = (int64_t)draw(g, (uint64_t)i, mask);
        uint32_t x = item[i];
        item[i] = item[k];
        item[k] = x;
    }
}
