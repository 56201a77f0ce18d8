// NVIDIA's libraries, opened when they are first wanted: a binary needs none of them to start.
#ifndef NMRT_GPU_LOAD_H
#define NMRT_GPU_LOAD_H

#include "runtime/gpu/api.h"

// The libraries that the table's functions come from.
typedef enum {
    NMRT_GPU_CUDA,
    NMRT_GPU_CUBLASLT,
    NMRT_GPU_NCCL,
    NMRT_GPU_N_LIBRARIES,
} nmrt_gpu_library;

typedef struct nmrt_gpu_libraries { // zero-initialised: none is open
    nmrt_gpu_api api;               // filled for those that are
    void *open[NMRT_GPU_N_LIBRARIES];
    char path[NMRT_GPU_N_LIBRARIES][256]; // where each was found
} nmrt_gpu_libraries;

// Opens a library and fills its part of the table; at once where it is open. Looked for: in
// $NEMOCC_CUDA_PATH (a folder, or one with lib64 or lib in it), where the system's loader looks, in
// /usr/local/cuda, in pip's nvidia packages. A failure is one sentence: what is missing, where it
// was looked for, and what to do. Libraries stay open until the process ends.
nmrt_status nmrt_gpu_load(nmrt_gpu_libraries *l, nmrt_gpu_library which, nmrt_error *e);

// How many GPUs the driver has. Asked in a process of its own, as a process that has asked must not
// fork ranks any more; 0 where there is no driver.
int nmrt_gpu_count(void);

#endif
