// The functions of the CUDA driver, cuBLASLt and NCCL that nemocc uses, as one table. For the
// device cuda it is filled from the installed libraries (runtime/gpu/load.h), for emu by the
// emulator. No header of NVIDIA's is needed to build: types and constants are declared here, as far
// as they are used, under their own names.
#ifndef NMRT_GPU_API_H
#define NMRT_GPU_API_H

#include "runtime/driver_abi.h"
#include "runtime/status.h"

#include <stddef.h>

// --- types -------------------------------------------------------------------------------------

typedef unsigned long long CUdeviceptr;
typedef int CUdevice, CUresult, CUdevice_attribute, CUfunction_attribute, CUjit_option;
typedef int CUstreamCaptureMode;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef int CUtensorMapDataType, CUtensorMapInterleave, CUtensorMapSwizzle;
typedef int CUtensorMapL2promotion, CUtensorMapFloatOOBfill;
typedef struct CUtensorMap {
    _Alignas(128) uint64_t opaque[16];
} CUtensorMap;
typedef struct CUuuid {
    char bytes[16];
} CUuuid;

typedef struct CUarray_st *CUarray;
typedef int CUmemorytype;
typedef struct CUDA_MEMCPY2D {
    size_t srcXInBytes, srcY;
    CUmemorytype srcMemoryType;
    const void *srcHost;
    CUdeviceptr srcDevice;
    CUarray srcArray;
    size_t srcPitch;
    size_t dstXInBytes, dstY;
    CUmemorytype dstMemoryType;
    void *dstHost;
    CUdeviceptr dstDevice;
    CUarray dstArray;
    size_t dstPitch;
    size_t WidthInBytes, Height;
} CUDA_MEMCPY2D;

typedef int cublasStatus_t, cublasComputeType_t, cudaDataType_t;
typedef int cublasLtMatmulDescAttributes_t, cublasLtMatrixLayoutAttribute_t;
typedef int cublasLtMatmulPreferenceAttributes_t;
typedef struct cublasLtContext *cublasLtHandle_t;
typedef struct cublasLtMatmulDesc *cublasLtMatmulDesc_t;
typedef struct cublasLtMatrixLayout *cublasLtMatrixLayout_t;
typedef struct cublasLtMatmulPreference *cublasLtMatmulPreference_t;
typedef struct cublasLtMatmulAlgo_t {
    uint64_t data[8];
} cublasLtMatmulAlgo_t;
typedef struct cublasLtMatmulHeuristicResult_t {
    cublasLtMatmulAlgo_t algo;
    size_t workspaceSize;
    cublasStatus_t state;
    float wavesCount;
    int reserved[4];
} cublasLtMatmulHeuristicResult_t;

typedef int ncclResult_t, ncclDataType_t, ncclRedOp_t;
typedef struct ncclComm *ncclComm_t;
typedef struct ncclUniqueId {
    char internal[128];
} ncclUniqueId;

// --- constants ---------------------------------------------------------------------------------

enum {
#define GPU_CONST(name, value) name = (value),
#include "runtime/gpu/api.def"
};

// --- the table ---------------------------------------------------------------------------------

typedef struct nmrt_gpu_api {
#define GPU_FUNC(library, name, symbol, result, arguments) result(*name) arguments;
#include "runtime/gpu/api.def"
    // Not CUDA's, but the emulator's: more words on the last failure, valid until the next call of
    // the table, NULL: there are none. It tells here what a kernel did wrong, and where.
    const char *(*message)(void);
    void (*name)(CUdeviceptr at, const char *name); // of an allocation, for messages; or NULL
} nmrt_gpu_api;

// --- the emulator ------------------------------------------------------------------------------

// The emulator's table, all of it filled. NULL: it cannot start, e says why. Weak: without the
// target emu a binary has no emulator, and this is NULL.
const nmrt_gpu_api *nmrt_gpu_emulator(nmrt_error *e) __attribute__((weak));

// What cuModuleLoadDataEx of the emulator's table is given for an image: a program's kernels, whose
// functions are found by `symbol` and run by `block`, with 1 + n_args + 5 n_syms words as
// parameter; or as an image for sm_90a has them, by their forms, with tensor maps behind the words.
#define NMRT_GPU_EMULATED "nemocc emulated kernels"
typedef struct nmrt_gpu_emulated {
    char magic[24]; // NMRT_GPU_EMULATED
    int64_t sm90a;
    int64_t n_kernels;
    const nmdrv_kernel *kernel;
} nmrt_gpu_emulated;

#endif
