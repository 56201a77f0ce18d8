// The two names that NVTX's library has had: until CUDA 12.8, and since.
#include "runtime/nvtx.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static const char *const libraries[] = {"libnvtx3interop.so.1", "libnvtx3interop.so",
                                        "libnvToolsExt.so.1"};

// ISO C knows no conversion of what dlsym gives.
static void find(void *library, const char *name, void *function)
{
    void *at = dlsym(library, name);
    memcpy(function, &at, sizeof at);
}

nmrt_nvtx nmrt_nvtx_open(void)
{
    nmrt_nvtx n = {NULL, NULL};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries && !n.push; i++) {
        void *library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
        if (!library)
            continue;
        find(library, "nvtxRangePushA", &n.push);
        find(library, "nvtxRangePop", &n.pop);
        if (!n.pop)
            n.push = NULL;
    }
    return n;
}

void nmrt_nvtx_push(const nmrt_nvtx *n, const char *name)
{
    if (n->push)
        n->push(name);
}

void nmrt_nvtx_pop(const nmrt_nvtx *n)
{
    if (n->push)
        n->pop();
}
