// libcuda.so.1 and libcublasLt.so.12 as far as tests/runtime/gpu_test.c needs them: one GPU that
// does at once what it is asked for. Its addresses are the host's with a bit turned over, so
// whoever follows one without asking dies. What is not here is in fake_cuda_rest.c, and fails.
#include "runtime/gpu/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uintptr_t TURNED = (uintptr_t)1 << 62;
static CUresult lost; // what a kernel did, told from now on
int fake_heuristics;  // how often an algorithm was chosen
int fake_algorithm;   // of the last product: 1, or 2, which is faster
static float busy;    // milliseconds that products have taken
static char names[] = "cuda";

static void *real(CUdeviceptr at) { return (void *)((uintptr_t)at ^ TURNED); }
static CUresult now(void) { return lost; }

// --- devices -----------------------------------------------------------------------------------

CUresult cuInit(unsigned int flags) { return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int *version) { return *version = 12080, CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int *count)
{
    *count = getenv("FAKE_GPUS") ? atoi(getenv("FAKE_GPUS")) : 1;
    return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *device, int ordinal) { return *device = ordinal, CUDA_SUCCESS; }
CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
    const char *set = getenv("FAKE_NAME");
    snprintf(name, (size_t)size, "%s %d", set ? set : "Fake", device);
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    const char *set = getenv("FAKE_CAPABILITY");
    int capability = set ? atoi(set) : 90;
    (void)device;
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? capability / 10
             : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? capability % 10
                                                                         : 100;
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
    *uuid = (CUuuid){{'f', 'a', 'k', 'e', (char)device}};
    return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    (void)device;
    return *bytes = 1 << 30, CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    (void)device;
    return *context = (CUcontext)names, CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { return (void)device, CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext context) { return (void)context, CUDA_SUCCESS; }
CUresult cuGetErrorName(CUresult error, const char **text)
{
    *text = error == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
                                                : "CUDA_ERROR_OTHER";
    return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char **text)
{
    *text = error == CUDA_ERROR_ILLEGAL_ADDRESS ? "an illegal address" : "words";
    return CUDA_SUCCESS;
}

// --- memory ------------------------------------------------------------------------------------

CUresult cuMemGetInfo_v2(size_t *available, size_t *total)
{
    return *available = 1 << 20, *total = 1 << 30, CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes)
{
    void *p = bytes < 1 << 30 ? aligned_alloc(256, (bytes + 255) / 256 * 256) : NULL;
    *at = (uintptr_t)p ^ TURNED;
    if (p)
        memset(p, 0xff, bytes);
    return p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFree_v2(CUdeviceptr at) { return free(real(at)), CUDA_SUCCESS; }
CUresult cuMemHostAlloc(void **at, size_t bytes, unsigned int flags)
{
    (void)flags;
    return (*at = malloc(bytes)) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFreeHost(void *at) { return free(at), CUDA_SUCCESS; }
CUresult cuMemHostRegister_v2(void *at, size_t bytes, unsigned int flags)
{
    return (void)at, (void)bytes, (void)flags, CUDA_SUCCESS;
}
CUresult cuMemHostUnregister(void *at) { return (void)at, CUDA_SUCCESS; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    (void)stream;
    return memcpy(real(to), from, bytes), now();
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    (void)stream;
    return memcpy(to, real(from), bytes), now();
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    (void)stream;
    return memmove(real(to), real(from), bytes), now();
}
CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t n, CUstream stream)
{
    (void)stream;
    return memset(real(at), value, n), now();
}
CUresult cuMemsetD32Async(CUdeviceptr at, unsigned int value, size_t n, CUstream stream)
{
    (void)stream;
    for (size_t i = 0; i < n; i++)
        ((unsigned int *)real(at))[i] = value;
    return now();
}

// --- kernels -----------------------------------------------------------------------------------

// count, to, from, (symbols): to[i] = from[i] + the symbol's offset
static void k_shift(const int64_t *w)
{
    float *to = real((CUdeviceptr)w[1]), *from = real((CUdeviceptr)w[2]);
    for (int64_t i = 0; i < w[0]; i++)
        to[i] = from[i] + (float)w[4 + 1];
}

static void k_fail(const int64_t *w)
{
    (void)w;
    lost = CUDA_ERROR_ILLEGAL_ADDRESS;
}

// count, to, rows; a tensor map of `from`: to = {count, *from, what the map was told}
static void k_tile(const int64_t *w)
{
    float *to = real((CUdeviceptr)w[1]);
    const CUtensorMap *map = (const CUtensorMap *)(w + 16);
    to[0] = (float)w[0];
    to[1] = *(float *)real(map->opaque[0]);
    for (int i = 1; i < 16; i++)
        to[1 + i] = (float)map->opaque[i];
}

// type, rank, swizzle; extents, strides and box of two dims
CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, uint32_t rank, void *at,
                                const uint64_t *extents, const uint64_t *strides,
                                const uint32_t *box, const uint32_t *steps,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
    (void)promotion;
    if ((uintptr_t)map % 64 || (uintptr_t)at % 16 || interleave || fill || rank != 2 ||
        steps[0] * steps[1] != 1)
        return CUDA_ERROR_INVALID_VALUE;
    *map = (CUtensorMap){{(uintptr_t)at, (uint64_t)type, rank, (uint64_t)swizzle, extents[0],
                          extents[1], strides[0], box[0], box[1]}};
    return CUDA_SUCCESS;
}

static const struct {
    const char *name;
    void (*fn)(const int64_t *words);
    unsigned threads, per_block;
} kernels[] = {
    {"k_shift", k_shift, 128, 64}, {"k_fail", k_fail, 128, 64}, {"k_tile", k_tile, 256, 3}};

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int n,
                            CUjit_option *option, void **value)
{
    if (strncmp(image, "new", 3) == 0) {
        if (n && option[0] == CU_JIT_ERROR_LOG_BUFFER)
            strcpy(value[0], "too new for this\nmore");
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    }
    return *module = (CUmodule)names, CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) { return (void)module, CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    (void)module;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(name, kernels[i].name) == 0)
            return *function = (CUfunction)(uintptr_t)&kernels[i], CUDA_SUCCESS;
    return CUDA_ERROR_NOT_FOUND;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    (void)function, (void)attribute;
    return value > 200 << 10 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
enum { WORDS = 32 }; // of k_tile, which has most
struct CUgraph_st {
    int n;
    struct {
        CUfunction function;
        int64_t words[WORDS];
    } launch[8];
};
static CUgraph captured; // what is being captured; NULL: nothing

static void run_kernel(CUfunction function, const int64_t *words)
{
    if (!lost)
        ((void (**)(const int64_t *))(uintptr_t)function)[1](words);
}

static void add_launch(CUfunction function, const int64_t *words)
{
    captured->launch[captured->n].function = function;
    memcpy(captured->launch[captured->n++].words, words, WORDS * sizeof *words);
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared, CUstream stream, void **params,
                        void **extra)
{
    const int64_t *words = params[0];
    (void)shared, (void)stream, (void)extra;
    unsigned threads = ((unsigned *)function)[4], per_block = ((unsigned *)function)[5];
    if (!grid_x || grid_x != ((uint64_t)words[0] + per_block - 1) / per_block ||
        grid_y * grid_z != 1 || block_x != threads || block_y * block_z != 1)
        return CUDA_ERROR_INVALID_VALUE;
    if (captured)
        add_launch(function, words);
    else
        run_kernel(function, words);
    return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    (void)stream, (void)mode;
    captured = calloc(1, sizeof *captured);
    return captured ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    (void)stream;
    *graph = captured;
    captured = NULL;
    return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    struct CUgraph_st *copy = malloc(sizeof *copy);
    if (flags || !copy)
        return CUDA_ERROR_INVALID_VALUE;
    *copy = *graph;
    *exec = (CUgraphExec)(void *)copy;
    return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) { return free(graph), CUDA_SUCCESS; }
CUresult cuGraphExecDestroy(CUgraphExec exec) { return free(exec), CUDA_SUCCESS; }
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    const struct CUgraph_st *g = (const void *)exec;
    (void)stream;
    for (int i = 0; i < g->n; i++)
        run_kernel(g->launch[i].function, g->launch[i].words);
    return CUDA_SUCCESS;
}

// --- streams and events: nothing is ever under way -----------------------------------------------

struct CUevent_st {
    struct timespec at;
    float busy;
};

CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
    (void)flags;
    return *stream = (CUstream)names, CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) { return (void)stream, CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream stream) { return (void)stream, now(); }
CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
    (void)flags;
    return *event = calloc(1, sizeof **event), CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) { return free(event), CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)stream;
    clock_gettime(CLOCK_MONOTONIC, &event->at);
    event->busy = busy;
    return now();
}
CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end)
{
    *milliseconds = 1e3f * (float)(end->at.tv_sec - start->at.tv_sec) +
                    1e-6f * (float)(end->at.tv_nsec - start->at.tv_nsec) + end->busy - start->busy;
    return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent event) { return (void)event, now(); }
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
    return (void)stream, (void)event, (void)flags, now();
}

// --- cuBLASLt ----------------------------------------------------------------------------------

struct cublasLtMatrixLayout {
    uint64_t rows, cols;
    int64_t ld, batch_stride;
    int32_t batch;
};
struct cublasLtMatmulDesc {
    int32_t transposed[2];
    uint32_t epilogue;
    const void *bias;
};

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported" : "words";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) { return *handle = (void *)names, 0; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return (void)handle, 0; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    *desc = calloc(1, sizeof **desc);
    return compute == CUBLAS_COMPUTE_32F && scale == CUDA_R_32F ? 0 : CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return free(desc), 0; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    void *at = attribute == CUBLASLT_MATMUL_DESC_TRANSA         ? (void *)&desc->transposed[0]
               : attribute == CUBLASLT_MATMUL_DESC_TRANSB       ? (void *)&desc->transposed[1]
               : attribute == CUBLASLT_MATMUL_DESC_EPILOGUE     ? (void *)&desc->epilogue
               : attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? (void *)&desc->bias
                                                                : NULL;
    if (at)
        memcpy(at, value, bytes);
    return 0;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    *layout = calloc(1, sizeof **layout);
    **layout = (struct cublasLtMatrixLayout){rows, cols, ld, 0, 1};
    return type == CUDA_R_32F && ld >= (int64_t)rows ? 0 : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return free(layout), 0;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes)
{
    bool count = attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
    memcpy(count ? (void *)&layout->batch : (void *)&layout->batch_stride, value, bytes);
    return bytes == (count ? 4 : 8) ? 0 : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    return *preference = (void *)names, 0;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return (void)preference, 0;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    (void)preference, (void)value;
    return bytes == (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8u : 4u)
               ? 0
               : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t *result, int *found)
{
    (void)handle, (void)a, (void)b, (void)c, (void)preference;
    fake_heuristics++;
    *found = d->rows < 1000; // more is too much for it
    if (desc->epilogue == CUBLASLT_EPILOGUE_BIAS && !desc->bias)
        *found = 0; // its alignment is read off the pointer
    *found = *found && wanted > 1 ? 2 : *found;
    for (int i = 0; i < *found; i++)
        result[i] = (cublasLtMatmulHeuristicResult_t){.algo.data[0] = (uint64_t)i + 1};
    return 0;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    (void)handle, (void)desc, (void)a, (void)b, (void)c, (void)d;
    *result = (cublasLtMatmulHeuristicResult_t){.algo = *algo};
    return algo->data[0] == 1 || algo->data[0] == 2 ? 0 : CUBLAS_STATUS_NOT_SUPPORTED;
}

static float at(const void *matrix, cublasLtMatrixLayout_t l, bool transposed, uint64_t batch,
                uint64_t row, uint64_t col)
{
    const float *p = real((CUdeviceptr)(uintptr_t)matrix);
    return p[(int64_t)batch * l->batch_stride + (int64_t)(transposed ? row : col) * l->ld +
             (int64_t)(transposed ? col : row)];
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t al, const void *b,
                              cublasLtMatrixLayout_t bl, const void *beta, const void *c,
                              cublasLtMatrixLayout_t cl, void *d, cublasLtMatrixLayout_t dl,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes,
                              CUstream stream)
{
    bool at_ = desc->transposed[0] == CUBLAS_OP_T, bt = desc->transposed[1] == CUBLAS_OP_T;
    uint64_t k = at_ ? al->rows : al->cols;
    const float *bias = real((CUdeviceptr)(uintptr_t)desc->bias);
    (void)handle, (void)workspace, (void)bytes, (void)stream;
    fake_algorithm = (int)algo->data[0];
    busy += fake_algorithm == 1 ? 2000 : 1000; // so that a real clock's time is nothing beside it
    if (k != (bt ? bl->cols : bl->rows) || dl->rows != (at_ ? al->cols : al->rows) ||
        dl->cols != (bt ? bl->rows : bl->cols))
        return CUBLAS_STATUS_INVALID_VALUE;
    for (uint64_t n = 0; n < (uint64_t)dl->batch; n++)
        for (uint64_t row = 0; row < dl->rows; row++)
            for (uint64_t col = 0; col < dl->cols; col++) {
                float sum = 0, *to = (float *)real((CUdeviceptr)(uintptr_t)d) +
                                     (int64_t)n * dl->batch_stride + (int64_t)col * dl->ld + row;
                for (uint64_t i = 0; i < k; i++)
                    sum += at(a, al, at_, n, row, i) * at(b, bl, bt, n, i, col);
                sum *= *(const float *)alpha;
                if (*(const float *)beta != 0)
                    sum += *(const float *)beta * at(c, cl, false, n, row, col);
                *to = sum + (desc->epilogue == CUBLASLT_EPILOGUE_BIAS ? bias[row] : 0);
            }
    return 0;
}
