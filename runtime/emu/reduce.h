// Sums and maxima over ranks, as the emulated NCCL needs them.
#ifndef NMEMU_REDUCE_H
#define NMEMU_REDUCE_H

#include "runtime/gpu/api.h"

uint64_t nmemu_nccl_bytes(ncclDataType_t type); // of an element; 0: it is not emulated
bool nmemu_reduces(ncclDataType_t type, ncclRedOp_t op);
// to[i] = the sum or maximum of from[0][i], ..., from[ranks - 1][i], in this order. bf16 is added
// as f32 and rounded once.
void nmemu_reduce(ncclDataType_t type, ncclRedOp_t op, int ranks, const void *const *from, void *to,
                  uint64_t n);

#endif
