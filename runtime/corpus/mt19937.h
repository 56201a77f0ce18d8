// The generator MT19937 (Matsumoto and Nishimura 1998, "Mersenne Twister"), seeded and used as
// numpy.random.RandomState does, whose orders Megatron's data sets have.
#ifndef NMRT_MT19937_H
#define NMRT_MT19937_H

#include <stdint.h>

enum { NMRT_MT19937_N = 624 };

typedef struct nmrt_mt19937 {
    uint32_t state[NMRT_MT19937_N];
    int next; // index of the next number in state; NMRT_MT19937_N: all are used
} nmrt_mt19937;

void nmrt_mt19937_seed(nmrt_mt19937 *g, uint32_t seed);
uint32_t nmrt_mt19937_next(nmrt_mt19937 *g);
// RandomState.shuffle of a one-dimensional array.
void nmrt_mt19937_shuffle(nmrt_mt19937 *g, uint32_t *item, int64_t n);

#endif
