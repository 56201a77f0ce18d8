// Numbers of foreign files: f64, f32, bf16 and f16 to f32 and back. From f32 they are rounded to
// nearest, ties to even; what is too large becomes infinite; a NaN stays one. A bf16 or f16 that
// was read and is written again has the same bits.
#ifndef NMRT_FOREIGN_CONVERT_H
#define NMRT_FOREIGN_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

// Does a file's dtype, as safetensors calls it, have numbers that become f32? *bytes: of one.
bool nmrt_convert_knows(const char *dtype, int64_t *bytes);
// n numbers, each `step` of them (1: side by side) behind the one before. `dtype` is known.
void nmrt_convert_read(const char *dtype, const void *from, int64_t step, float *to, int64_t n);
void nmrt_convert_write(const char *dtype, void *to, int64_t step, const float *from, int64_t n);

#endif
