// What the tests of the emulated driver share: a table, kernels as a program has them, calls that
// must succeed or fail with one error.
#ifndef NM_TESTS_EMU_DRIVER_RIG_H
#define NM_TESTS_EMU_DRIVER_RIG_H

#include "runtime/gpu/api.h"
#include "tests/emu/rig.h"

#include <stdlib.h>

static const nmrt_gpu_api *cu;
static CUcontext rig_context;
static int rig_device; // of the context

static inline const char *words(void) { return cu->message() ? cu->message() : "no message"; }

static inline void expect(int got, int wanted, const char *call, int line)
{
    if (got == wanted)
        return;
    printf("FAIL line %d: %s is %d, not %d: %s\n", line, call, got, wanted, words());
    rig_failures++;
}

#define IS(call, wanted) expect(call, wanted, #call, __LINE__)
#define OK(call)         IS(call, CUDA_SUCCESS)

static inline void says(const char *text, int line)
{
    if (strstr(words(), text))
        return;
    printf("FAIL line %d: '%s' is not in: %s\n", line, text, words());
    rig_failures++;
}

#define SAYS(text) says(text, __LINE__)

// The table, with this order of works; a context on rig_device, current.
static inline void open_driver(const char *mode)
{
    nmrt_error e;
    setenv("NEMOCC_EMU", mode, 1);
    cu = nmrt_gpu_emulator(&e);
    if (!cu)
        must(e.text);
    OK(cu->cuInit(0));
    OK(cu->cuDevicePrimaryCtxRetain(&rig_context, rig_device));
    OK(cu->cuCtxSetCurrent(rig_context));
}

static inline void close_driver(void) { OK(cu->cuDevicePrimaryCtxRelease(rig_device)); }

static inline CUstream new_stream(void)
{
    CUstream s = NULL;
    OK(cu->cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    return s;
}

static inline CUevent new_event(void)
{
    CUevent e = NULL;
    OK(cu->cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    return e;
}

static inline CUdeviceptr new_buffer(size_t bytes)
{
    CUdeviceptr at = 0;
    OK(cu->cuMemAlloc(&at, bytes));
    return at;
}

static inline void *new_pinned(size_t bytes)
{
    void *at = NULL;
    OK(cu->cuMemHostAlloc(&at, bytes, 0));
    return at;
}

#endif
