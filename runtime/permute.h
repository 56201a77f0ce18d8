// A permutation of [0, n) that nobody has to store.
#ifndef NMRT_PERMUTE_H
#define NMRT_PERMUTE_H

#include <stdint.h>

uint64_t nmrt_mix(uint64_t x);                               // a bijection that looks like chance
uint64_t nmrt_permute(uint64_t n, uint64_t key, uint64_t i); // where i < n goes; n > 0

#endif
