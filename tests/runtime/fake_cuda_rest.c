// The functions that tests/runtime/fake_cuda.c does without: they are there, and fail.
#define GPU_FUNC(library, name, symbol, result, arguments)                                         \
    __attribute__((weak)) int symbol(void);                                                        \
    __attribute__((weak)) int symbol(void) { return 801; }
#include "runtime/gpu/api.def"
