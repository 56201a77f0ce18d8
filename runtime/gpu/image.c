// Which image of the program runs on this GPU, and its kernels.
#include "runtime/gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_BYTES = 512, DEFAULT_SHARED = 48 << 10 };

// A cubin runs on GPUs of its generation, from its own on; PTX on every later one; what is for one
// GPU alone (sm_90a) on that.
static bool can_run(const nmdrv_image *image, int capability)
{
    if (image->specific)
        return image->arch == capability;
    return image->arch <= capability && (!image->is_cubin || image->arch / 10 == capability / 10);
}

static void print_image(const nmdrv_image *i, char *text, size_t n)
{
    snprintf(text, n, "sm_%lld%s %s", (long long)i->arch, i->specific ? "a" : "",
             i->is_cubin ? "cubin" : "PTX");
}

// The driver's compiler says of PTX what it does not understand.
static nmrt_status load(nmrt_device *d, const nmdrv_image *image, nmrt_error *e)
{
    char log[LOG_BYTES] = "", name[32], tried[LOG_BYTES + 64];
    CUjit_option option[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *value[] = {log, (void *)(uintptr_t)sizeof log};
    CUresult r = d->api->cuModuleLoadDataEx(&d->module, image->data, 2, option, value);
    print_image(image, name, sizeof name);
    snprintf(tried, sizeof tried, "the driver refuses the kernels' image %s%s%.*s", name,
             *log ? ", " : "", (int)strcspn(log, "\n"), log);
    NMRT_TRY(nmrt_gpu_check(d, r, tried, e));
    d->sm90a = image->specific && image->arch == 90;
    snprintf(d->title + strlen(d->title), sizeof d->title - strlen(d->title), ", %s", name);
    return NMRT_OK;
}

// The best first; one that the driver is too old for makes room for the next.
static nmrt_status load_best(nmrt_device *d, nmrt_error *e)
{
    const nmdrv_image *i = d->program->image;
    nmrt_status status = NMRT_WORLD;
    bool any = false;
    for (; i && i->data && status != NMRT_OK; i++)
        if (can_run(i, d->capability)) {
            status = load(d, i, e);
            any = true;
        }
    if (any)
        return status;
    return nmrt_fail(e, NMRT_WORLD,
                     "none of this binary's images runs on %s, which is sm_%d; compile it with "
                     "--arch sm_%d",
                     d->title, d->capability, d->capability);
}

static nmrt_status load_emulated(nmrt_device *d, nmrt_error *e)
{
    const nmdrv_program *p = d->program;
    d->sm90a = d->capability == 90;
    const nmrt_gpu_emulated image = {NMRT_GPU_EMULATED, d->sm90a, p->n_kernels, p->kernel};
    return nmrt_gpu_check(d, d->api->cuModuleLoadDataEx(&d->module, &image, 0, NULL, NULL),
                          "the emulator refuses the kernels", e);
}

static nmrt_status find_function(nmrt_device *d, int64_t kernel, nmrt_error *e)
{
    const nmdrv_kernel *k = &d->program->kernel[kernel];
    CUfunction f;
    char tried[256];
    snprintf(tried, sizeof tried, "%s (%s): the image has no %s as it must be", k->name, k->where,
             k->symbol);
    NMRT_TRY(nmrt_gpu_check(d, d->api->cuModuleGetFunction(&f, d->module, k->symbol), tried, e));
    d->function[kernel] = f;
    int64_t shared = nmrt_gpu_form(d, k).shared;
    if (shared <= DEFAULT_SHARED)
        return NMRT_OK;
    snprintf(tried, sizeof tried, "%s (%s) cannot have %lld bytes of shared memory", k->name,
             k->where, (long long)shared);
    CUresult r =
        d->api->cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)shared);
    return nmrt_gpu_check(d, r, tried, e);
}

static int64_t most_words(const nmdrv_program *p)
{
    int64_t most = 0;
    for (int64_t i = 0; i < p->n_kernels; i++) {
        int64_t n = nmrt_gpu_words(&p->kernel[i]);
        most = n > most ? n : most;
    }
    return most;
}

nmrt_status nmrt_gpu_open_image(nmrt_device *d, nmrt_error *e)
{
    const nmdrv_program *p = d->program;
    size_t align = _Alignof(CUtensorMap), bytes = (size_t)most_words(p) * sizeof *d->words;
    d->words = aligned_alloc(align, bytes ? bytes : align);
    d->function = calloc((size_t)p->n_kernels + 1, sizeof *d->function);
    if (!d->words || !d->function)
        return nmrt_fail(e, NMRT_WORLD, "no memory for the kernels' table");
    NMRT_TRY(d->libraries ? load_best(d, e) : load_emulated(d, e));
    for (int64_t i = 0; i < p->n_kernels; i++)
        NMRT_TRY(find_function(d, i, e));
    return NMRT_OK;
}

void nmrt_gpu_close_image(nmrt_device *d)
{
    if (d->module)
        d->api->cuModuleUnload(d->module);
    free(d->function);
    free(d->words);
}
