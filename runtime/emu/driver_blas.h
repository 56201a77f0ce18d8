// The emulated cuBLASLt's objects, and which problems it takes: driver_blas.c has its functions.
#ifndef NMEMU_DRIVER_BLAS_H
#define NMEMU_DRIVER_BLAS_H

#include "runtime/emu/driver.h"

struct cublasLtMatmulDesc {
    cublasComputeType_t compute;
    cudaDataType_t scale, bias_type, aux_type; // -1: as d
    int32_t transa, transb;
    uint32_t epilogue;
    void *bias, *aux, *a_scale, *b_scale;
    int8_t fast;                // sums of fp8 in fewer bits: here as exact as the others
    int64_t aux_ld, aux_stride; // stride: of batches, in elements
};

struct cublasLtMatrixLayout {
    cudaDataType_t type;
    uint64_t rows, cols;
    int64_t ld, stride; // stride: of batches, in elements
    int32_t batch;
};

typedef struct nmemu_problem {
    const struct cublasLtMatmulDesc *desc;
    cublasLtMatrixLayout_t a, b, c, d;
} nmemu_problem;

// What the real one refuses, and what is not emulated: not CUBLAS_STATUS_SUCCESS, with a message.
cublasStatus_t nmemu_blas_check(const nmemu_problem *p);
// The same of the pointers that a product is called with.
cublasStatus_t nmemu_blas_check_pointers(const nmemu_problem *p, const void *const operand[4]);
bool nmemu_blas_is_fp8(cudaDataType_t t);
// A bias' type, and a bias' gradient's.
cudaDataType_t nmemu_blas_bias_type(const nmemu_problem *p);
// What an epilogue is made of.
bool nmemu_blas_adds_bias(uint32_t epilogue);
bool nmemu_blas_has_aux(uint32_t epilogue);
bool nmemu_blas_stores_sums(uint32_t epilogue);

#endif
