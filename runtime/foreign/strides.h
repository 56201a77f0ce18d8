// An array of f32 and an array of a file's numbers, which hold the same elements by strides of
// their own: what a transposed or fused tensor is to a parameter.
#ifndef NMRT_FOREIGN_STRIDES_H
#define NMRT_FOREIGN_STRIDES_H

#include "runtime/pieces.h"

typedef struct nmrt_strides {
    int rank; // at most NMRT_MAX_RANK
    int64_t n[NMRT_MAX_RANK];
    int64_t file[NMRT_MAX_RANK], ours[NMRT_MAX_RANK]; // elements from one index to the next
} nmrt_strides;

void nmrt_strides_read(const nmrt_strides *s, const char *dtype, const void *file, float *ours);
void nmrt_strides_write(const nmrt_strides *s, const char *dtype, void *file, const float *ours);

#endif
