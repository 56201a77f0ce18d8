// The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length, a JSON
// header
// {"name": {"dtype", "shape", "data_offsets"}}, then the data, row-major and little-endian.
#ifndef NMRT_SAFETENSORS_H
#define NMRT_SAFETENSORS_H

#include "runtime/file.h"
#include "runtime/status.h"
#include "runtime/text.h"

enum { NMRT_MAX_RANK = 16, NMRT_MAX_TENSOR_NAME = 512 };

typedef struct nmrt_tensor {
    char name[NMRT_MAX_TENSOR_NAME];
    const char *dtype; // safetensors' word: "F32", one of nmrt_dtype's table
    int rank;
    int64_t shape[NMRT_MAX_RANK];
    int64_t begin, end; // bytes, from the start of the data
} nmrt_tensor;

// Appends length and header, padded so that the data starts at a multiple of 64.
void nmrt_safetensors_header(const nmrt_tensor *tensor, int n, nmrt_text *out);

typedef struct nmrt_safetensors { // a checked view: every tensor lies in the file and has its
                                  // shape's bytes
    const unsigned char *data;
    int64_t n_data, n_header; // n_header: bytes before the data
    nmrt_tensor *tensor;
    int n;
} nmrt_safetensors;

// `bytes` must outlive the view. Never reads beyond them, whatever they are.
nmrt_status nmrt_safetensors_parse(nmrt_safetensors *st, const unsigned char *bytes, size_t n,
                                   nmrt_error *e);
void nmrt_safetensors_release(nmrt_safetensors *st);
const nmrt_tensor *nmrt_safetensors_find(const nmrt_safetensors *st,
                                         const char *name); // NULL: none

#endif
