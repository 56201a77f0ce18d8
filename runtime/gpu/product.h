// What the files product*.c share: a shape that was met, and what cuBLASLt needs for it.
#ifndef NMRT_GPU_PRODUCT_H
#define NMRT_GPU_PRODUCT_H

#include "runtime/gpu/choice.h"
#include "runtime/gpu/gpu.h"

typedef struct nmrt_gpu_shape { // what an algorithm is chosen by
    int64_t product;
    nmdrv_geometry geometry;
    int64_t align_a, align_b, align_c, align_bias, align_aux; // bytes
    int64_t scaled;                                           // bits: a, b has a scale
} nmrt_gpu_shape;

typedef struct nmrt_gpu_made { // for a shape
    nmrt_gpu_shape shape;
    cublasLtMatmulDesc_t desc; // NULL: the place is free
    cublasLtMatrixLayout_t left, right, result;
    cublasLtMatmulAlgo_t algo;
} nmrt_gpu_made;

typedef struct nmrt_gpu_products {
    cublasLtHandle_t handle;
    void *workspace;   // [NMRT_PRODUCT_ROOM], of the plan's memory
    nmrt_gpu_made *at; // [places], found by hashing
    size_t places, n;
    nmrt_choices choices;
    bool tunes; // algorithms are the measured ones; what has none is measured, for later runs
} nmrt_gpu_products;

typedef struct nmrt_gpu_matrix { // rows x cols of the product, with its strides
    int64_t rows, cols, row, col, batch;
    int64_t dtype;
    bool transposed; // lies with its rows side by side
} nmrt_gpu_matrix;

typedef struct nmrt_gpu_operands { // left * right = result, column-major
    nmrt_gpu_matrix left, right, result;
    bool swapped; // left is b
} nmrt_gpu_operands;

typedef struct nmrt_gpu_buffers { // of a call: left * right, in the order of cuBLASLt
    const void *left, *right;
    void *c;
} nmrt_gpu_buffers;

// left * right into `to`, which lies as c, with this algorithm.
cublasStatus_t nmrt_gpu_run_product(nmrt_device *d, const nmrt_gpu_made *x,
                                    const nmrt_gpu_buffers *at, void *to,
                                    const cublasLtMatmulAlgo_t *algo);
// The algorithm for a shape whose descriptor, with pointers, and layouts are made: as kept (with
// `tunes`: as measured), else the first that the heuristic names.
cublasStatus_t nmrt_gpu_choose(nmrt_device *d, nmrt_gpu_made *x, const nmrt_gpu_operands *o,
                               const nmrt_gpu_buffers *at);

#endif
