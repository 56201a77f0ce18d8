// Philox 4x32-10: a counter-based random number generator (Salmon, Moraes, Dror, Shaw, "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011). A draw is a pure function of its key and counter,
// so the interpreter, a kernel on any thread and a resumed run give the same bits. Freestanding.
//
// The draw of element `index` of a `random` op with key string `key`:
//   counter = {lo(index), hi(index), step, turn}
//   key     = {lo(seed) ^ lo(h), hi(seed) ^ hi(h)},  h = nm_hash64(key)
#ifndef NM_BASE_PHILOX_H
#define NM_BASE_PHILOX_H

#include "base/hash.h"

#include <stdint.h>

typedef struct nm_philox {
    uint32_t x[4];
} nm_philox;

static inline nm_philox nm_philox_round(nm_philox c, uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c.x[0], p1 = (uint64_t)0xCD9E8D57u * c.x[2];
    return (nm_philox){{(uint32_t)(p1 >> 32) ^ c.x[1] ^ k0, (uint32_t)p1,
                        (uint32_t)(p0 >> 32) ^ c.x[3] ^ k1, (uint32_t)p0}};
}

static inline nm_philox nm_philox_10(nm_philox counter, uint32_t k0, uint32_t k1)
{
#ifdef __clang__ // a loop over draws vectorises only if this one is gone
#pragma clang loop unroll(full)
#endif
    for (int i = 0; i < 10; i++) {
        counter = nm_philox_round(counter, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return counter;
}

// `hash` is nm_hash64 of the op's key string, which a kernel has as a constant.
static inline nm_philox nm_philox_draw(uint64_t seed, uint64_t hash, uint32_t step, uint32_t turn,
                                       uint64_t index)
{
    uint64_t key = seed ^ hash;
    nm_philox counter = {{(uint32_t)index, (uint32_t)(index >> 32), step, turn}};
    return nm_philox_10(counter, (uint32_t)key, (uint32_t)(key >> 32));
}

// In [0, 1), a multiple of 2^-24: exact in f32.
static inline float nm_philox_uniform(nm_philox p) { return (float)(p.x[0] >> 8) * 0x1p-24f; }

// Box and Muller's two uniforms: u1 in (0, 1], so that its logarithm is finite, and u2 in [0, 1).
static inline float nm_philox_u1(nm_philox p) { return (float)((p.x[0] >> 8) + 1) * 0x1p-24f; }
static inline float nm_philox_u2(nm_philox p) { return (float)(p.x[1] >> 8) * 0x1p-24f; }

// normal(0, 1). The caller brings its own functions, as templates have no libm; T is float or
// double.
#define NM_PHILOX_NORMAL(T, p, SQRT, LOG, COS)                                                     \
    (SQRT(-2 * LOG((T)nm_philox_u1(p))) * COS((T)6.283185307179586476925 * (T)nm_philox_u2(p)))

#endif
