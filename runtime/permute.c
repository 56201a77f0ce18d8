// A keyed permutation: a Feistel network over the smallest square of powers of two that holds n,
// walked on until it lands inside (Black and Rogaway 2002, "Ciphers with Arbitrary Finite
// Domains"). The square is less than 4 n, so a walk has less than four steps on average.
#include "runtime/permute.h"

enum { ROUNDS = 6 };

// splitmix64's finaliser (Steele, Lea and Flood 2014).
uint64_t nmrt_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static uint64_t encrypt(uint64_t x, int half, uint64_t key)
{
    uint64_t mask = ((uint64_t)1 << half) - 1, left = x >> half, right = x & mask;
    for (uint64_t r = 0; r < ROUNDS; r++) {
        uint64_t next = left ^ (nmrt_mix(key ^ nmrt_mix(right * ROUNDS + r)) & mask);
        left = right;
        right = next;
    }
    return left << half | right;
}

uint64_t nmrt_permute(uint64_t n, uint64_t key, uint64_t i)
{
    int half = 1;
    while (half < 31 && (uint64_t)1 << 2 * half < n)
        half++;
    do
        i = encrypt(i, half, key);
    while (i >= n);
    return i;
}
