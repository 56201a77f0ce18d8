// Modules, functions and launches. An image is a table of kernels that were compiled for this
// machine (nmrt_gpu_emulated); a launch is checked as CUDA does, and more sharply: a kernel is
// compiled for one size of block. What the parameters point to is copied at the call.
#include "runtime/emu/driver.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHARED_DEFAULT = 48 << 10,
    SHARED_MAX = 227 << 10,
    PARAMETERS_MAX = 32764, // bytes
    REGISTERS = 65536       // of an SM
};

struct CUfunc_st {
    const nmdrv_kernel *kernel;
    nmdrv_form form; // of it that the image has
    int64_t shared;  // dynamic bytes that it may be launched with
};

struct CUmod_st {
    CUmodule next;
    CUcontext context;
    int64_t n;
    struct CUfunc_st function[];
};

static CUmodule modules; // of all contexts

// --- modules -------------------------------------------------------------------------------------

static void module_free(CUmodule m)
{
    CUmodule *at = &modules;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    free(m);
}

void nmemu_drop_modules(CUcontext c)
{
    for (CUmodule m = modules, next; m; m = next) {
        next = m->next;
        if (m->context == c)
            module_free(m);
    }
}

static nmdrv_form form_of(const nmrt_gpu_emulated *image, const nmdrv_kernel *k)
{
    if (image->sm90a && k->sm90a)
        return *k->sm90a;
    return (nmdrv_form){k->block, k->threads, k->per_block, k->shared, -1, 0, NULL};
}

static CUresult load(CUmodule *module, const nmrt_gpu_emulated *image)
{
    if (memcmp(image->magic, NMRT_GPU_EMULATED, sizeof NMRT_GPU_EMULATED) != 0)
        return nmemu_say(CUDA_ERROR_NO_BINARY_FOR_GPU,
                         "the image is not for the emulator: it runs x86 code alone");
    for (int64_t i = 0; i < image->n_kernels; i++)
        if (!form_of(image, &image->kernel[i]).block)
            return nmemu_say(CUDA_ERROR_NO_BINARY_FOR_GPU,
                             "kernel %s was compiled without the target emu",
                             image->kernel[i].name);
    CUmodule m = calloc(1, sizeof *m + (size_t)image->n_kernels * sizeof *m->function);
    if (!m)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    *m = (struct CUmod_st){modules, nmemu_context(), image->n_kernels};
    for (int64_t i = 0; i < m->n; i++)
        m->function[i] = (struct CUfunc_st){&image->kernel[i], form_of(image, &image->kernel[i]),
                                            SHARED_DEFAULT};
    *module = modules = m;
    return CUDA_SUCCESS;
}

static CUresult module_load(CUmodule *module, const void *image, unsigned int n,
                            CUjit_option *option, void **value)
{
    CUresult r = nmemu_call_in_context("cuModuleLoadDataEx");
    (void)n, (void)option, (void)value; // nothing is compiled
    r = r ? r : nmemu_check_unsafe();
    return nmemu_done(r ? r : load(module, image));
}

static CUresult module_unload(CUmodule module)
{
    CUresult r = nmemu_call_in_context("cuModuleUnload");
    r = r ? r : nmemu_wait_context(nmemu_context());
    if (!r)
        module_free(module);
    return nmemu_done(r);
}

static CUresult find(CUfunction *function, CUmodule module, const char *name)
{
    for (int64_t i = 0; i < module->n; i++)
        if (strcmp(module->function[i].kernel->symbol, name) == 0) {
            *function = &module->function[i];
            return CUDA_SUCCESS;
        }
    return nmemu_say(CUDA_ERROR_NOT_FOUND, "there is no kernel %s", name);
}

static CUresult get_function(CUfunction *function, CUmodule module, const char *name)
{
    CUresult r = nmemu_call("cuModuleGetFunction");
    return nmemu_done(r ? r : find(function, module, name));
}

// --- attributes ----------------------------------------------------------------------------------

static CUresult read_attribute(int *value, CUfunction_attribute attribute, CUfunction f)
{
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = (int)f->form.threads; break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *value = 0; break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *value = 0; break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: // as many as fit
        *value = REGISTERS / (int)f->form.threads;
        *value = *value > 255 ? 255 : *value;
        break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = (int)f->shared; break;
    default: return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "unknown attribute %d", attribute);
    }
    return CUDA_SUCCESS;
}

static CUresult get_attribute(int *value, CUfunction_attribute attribute, CUfunction f)
{
    CUresult r = nmemu_call("cuFuncGetAttribute");
    return nmemu_done(r ? r : read_attribute(value, attribute, f));
}

static CUresult write_attribute(CUfunction f, CUfunction_attribute attribute, int value)
{
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "attribute %d cannot be set", attribute);
    if (value < 0 || value > SHARED_MAX)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "a block has at most %d bytes of shared memory",
                         SHARED_MAX);
    f->shared = value;
    return CUDA_SUCCESS;
}

static CUresult set_attribute(CUfunction f, CUfunction_attribute attribute, int value)
{
    CUresult r = nmemu_call("cuFuncSetAttribute");
    return nmemu_done(r ? r : write_attribute(f, attribute, value));
}

// --- launches ------------------------------------------------------------------------------------

typedef struct launching {
    nmemu_work work;
    nmemu_launch launch;
    uint64_t bytes;
    int64_t words[]; // the parameter
} launching;

static const char *do_launch(nmemu_work *w)
{
    launching *k = (launching *)w;
    size_t align = _Alignof(CUtensorMap);
    void *words = aligned_alloc(align, (k->bytes + align - 1) / align * align);
    if (!words)
        return "no memory for a kernel's parameter";
    memcpy(words, k->words, k->bytes);
    k->launch.params = words;
    k->launch.mode = nmemu_drv.mode;
    k->launch.seed = nmemu_draw();
    const char *wrong = nmemu_run(w->context->machine, &k->launch, NULL);
    free(words);
    return wrong;
}

static const nmemu_work_kind launches = {.run = do_launch};

// Tensor maps are behind the words, aligned as they must be.
static uint64_t parameter_bytes(const struct CUfunc_st *f)
{
    const nmdrv_kernel *k = f->kernel;
    uint64_t words = 1 + (uint64_t)k->n_args, align = _Alignof(CUtensorMap);
    uint64_t bytes = 8 * words + (uint64_t)k->n_syms * sizeof(nmdrv_sym);
    if (!f->form.n_maps)
        return bytes;
    return (bytes + align - 1) / align * align + (uint64_t)f->form.n_maps * sizeof(CUtensorMap);
}

static CUresult check_launch(const struct CUfunc_st *f, const nmemu_launch *l)
{
    const nmdrv_kernel *k = f->kernel;
    if (!l->grid[0] || !l->grid[1] || !l->grid[2] || l->grid[0] > INT32_MAX ||
        l->grid[1] > UINT16_MAX || l->grid[2] > UINT16_MAX)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "kernel %s: a grid of %u x %u x %u blocks",
                         k->name, l->grid[0], l->grid[1], l->grid[2]);
    if (l->threads != f->form.threads)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE,
                         "kernel %s has blocks of %lld threads, it was launched with %u", k->name,
                         (long long)f->form.threads, l->threads);
    if (l->shared_bytes > f->shared)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE,
                         "kernel %s: %u bytes of shared memory, and it is allowed %lld", k->name,
                         l->shared_bytes, (long long)f->shared);
    if (l->shared_bytes < f->form.shared)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE,
                         "kernel %s needs %lld bytes of shared memory, it was launched with %u",
                         k->name, (long long)f->form.shared, l->shared_bytes);
    if (parameter_bytes(f) > PARAMETERS_MAX)
        return nmemu_say(CUDA_ERROR_INVALID_VALUE, "kernel %s has %llu bytes of parameters",
                         k->name, (unsigned long long)parameter_bytes(f));
    return CUDA_SUCCESS;
}

static CUresult issue_launch(CUfunction f, const nmemu_launch *l, CUstream s, void **params)
{
    CUresult r = nmemu_check_stream(s);
    r = r ? r : check_launch(f, l);
    if (r)
        return r;
    uint64_t bytes = parameter_bytes(f);
    launching *k = nmemu_work_new(&launches, sizeof *k + bytes);
    if (!k)
        return nmemu_say(CUDA_ERROR_OUT_OF_MEMORY, "no memory");
    k->launch = *l;
    k->bytes = bytes;
    memcpy(k->words, params[0], bytes);
    return nmemu_enqueue(s, &k->work);
}

static CUresult launch_kernel(CUfunction f, unsigned int grid_x, unsigned int grid_y,
                              unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                              unsigned int block_z, unsigned int shared, CUstream s, void **params,
                              void **extra)
{
    CUresult r = nmemu_call_in_context("cuLaunchKernel");
    if (!r && (block_y != 1 || block_z != 1))
        r = nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "blocks of one dimension alone are emulated");
    if (!r && (extra || !params))
        r = nmemu_say(CUDA_ERROR_NOT_SUPPORTED, "parameters are given by kernelParams alone");
    if (r)
        return nmemu_done(r);
    nmemu_launch l = {.name = f->kernel->name,
                      .where = f->kernel->where,
                      .fn = f->form.block,
                      .grid = {grid_x, grid_y, grid_z},
                      .threads = block_x,
                      .shared_bytes = shared};
    return nmemu_done(issue_launch(f, &l, s, params));
}

void nmemu_fill_modules(nmrt_gpu_api *t)
{
    t->cuModuleLoadDataEx = module_load;
    t->cuModuleUnload = module_unload;
    t->cuModuleGetFunction = get_function;
    t->cuFuncGetAttribute = get_attribute;
    t->cuFuncSetAttribute = set_attribute;
    t->cuLaunchKernel = launch_kernel;
}
