#!/usr/bin/env bash
# Every row of runtime/gpu/api.def is what NVIDIA's headers say, where they are installed.
set -eu
for header in cuda.h cublasLt.h nccl.h; do
    echo "#include <$header>" | clang-22 -fsyntax-only -x c - 2>/dev/null || { echo "skipped: no $header"; exit 0; }
done
clang-22 -std=gnu17 -Werror -Wno-unused-const-variable -fsyntax-only -I. -x c - <<'C'
#include <cublasLt.h>
#include <cuda.h>
#include <nccl.h>

#define GPU_CONST(name, value) _Static_assert((int)(name) == (value), #name);
#include "runtime/gpu/api.def"

#define GPU_FUNC(library, name, symbol, result, arguments)                                         \
    static result (*const check_##symbol) arguments = symbol;
#include "runtime/gpu/api.def"

// structs that runtime/gpu/api.h declares in full
#define SAME(type, size) _Static_assert(sizeof(type) == (size), #type)
#define AT(type, member, at) _Static_assert(offsetof(type, member) == (at), #type "." #member)
SAME(CUuuid, 16);
SAME(CUtensorMap, 128);
SAME(ncclUniqueId, 128);
SAME(CUDA_MEMCPY2D, 128);
AT(CUDA_MEMCPY2D, srcMemoryType, 16);
AT(CUDA_MEMCPY2D, srcDevice, 32);
AT(CUDA_MEMCPY2D, srcPitch, 48);
AT(CUDA_MEMCPY2D, dstMemoryType, 72);
AT(CUDA_MEMCPY2D, dstDevice, 88);
AT(CUDA_MEMCPY2D, dstPitch, 104);
AT(CUDA_MEMCPY2D, WidthInBytes, 112);
SAME(cublasLtMatmulAlgo_t, 64);
SAME(cublasLtMatmulHeuristicResult_t, 96);
AT(cublasLtMatmulHeuristicResult_t, workspaceSize, 64);
AT(cublasLtMatmulHeuristicResult_t, state, 72);
AT(cublasLtMatmulHeuristicResult_t, wavesCount, 76);
C
