// Tests of codegen for GPUs: modules of the flavour gpu, compiled for the emulator, run as host.h
// runs those of the host. Buffers have exactly their size and lie in the emulator's memory, so that
// an access outside is reported. Each call runs twice: in order, then with threads and copies in a
// random order.
#ifndef NM_TESTS_CODEGEN_GPU_H
#define NM_TESTS_CODEGEN_GPU_H

#include "runtime/emu/emu.h"
#include "tests/codegen/host.h"

static nmemu *gpu_device;

// docs/gpu.md: count, the arguments, the kernel's symbols. From malloc.
static int64_t *gpu_words(const nmdrv_kernel *k, int64_t count, void *const *arg)
{
    size_t syms = (size_t)k->n_syms * sizeof(nmdrv_sym);
    int64_t *words = malloc((size_t)(1 + k->n_args) * 8 + syms);
    words[0] = count;
    memcpy(words + 1, arg, (size_t)k->n_args * 8);
    if (syms)
        memcpy(words + 1 + k->n_args, arg[k->syms_at], syms);
    return words;
}

static void gpu_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    const host *h = f->device;
    const nmdrv_kernel *k = &h->p->kernel[kernel];
    if (count == 0)
        return;
    int64_t *words = gpu_words(k, count, arg);
    nmemu_launch launch = {
        .name = k->name,
        .where = k->where,
        .fn = k->block,
        .params = words,
        .grid = {(uint32_t)((count + k->per_block - 1) / k->per_block), 1, 1},
        .threads = (uint32_t)k->threads,
        .shared_bytes = (uint32_t)k->shared,
        .mode = h->parts == 1 ? NMEMU_EAGER : NMEMU_RANDOM,
        .seed = 1,
    };
    const char *wrong = nmemu_run(gpu_device, &launch, NULL);
    if (wrong && failures++ < 40)
        fprintf(stderr, "%s\n", wrong);
    free(words);
}

// --- the library's product, as a loop: by the tables and the geometry alone
// ------------------------------------------------------------------------------------------

static uint64_t gpu_products; // bits: those that were called

static double gpu_product_sum(const nmdrv_geometry *g, const nmdrv_product *x, const void *a,
                              const void *b, int64_t batch, int64_t m, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < g->k; k++)
        sum += host_get(x->a_dtype, a, batch * g->a_batch + m * g->a_m + k * g->a_k) *
               host_get(x->b_dtype, b, batch * g->b_batch + n * g->b_n + k * g->b_k);
    return sum;
}

// One of the two is 1, and the other as long as a line, at least: what a library asks for.
static bool gpu_is_matrix(int64_t row_stride, int64_t rows, int64_t col_stride, int64_t cols)
{
    return (col_stride == 1 && row_stride >= cols) || (row_stride == 1 && col_stride >= rows);
}

static void gpu_check_geometry(const nmdrv_geometry *g, const char *name)
{
    if (gpu_is_matrix(g->a_m, g->m, g->a_k, g->k) && gpu_is_matrix(g->b_n, g->n, g->b_k, g->k) &&
        g->c_n == 1 && g->c_m >= g->n)
        return;
    fprintf(stderr, "%s: its operands are no matrices\n", name);
    failures++;
}

static void gpu_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *g, void *c,
                        const void *a, const void *b, const void *bias)
{
    const host *h = f->device;
    const nmdrv_product *x = &h->p->product[product];
    gpu_check_geometry(g, x->name);
    gpu_products |= UINT64_C(1) << product;
    for (int64_t i = 0; i < g->batch * g->m * g->n; i++) {
        int64_t batch = i / g->n / g->m, m = i / g->n % g->m, n = i % g->n;
        int64_t at = batch * g->c_batch + m * g->c_m + n * g->c_n;
        double y = x->alpha * gpu_product_sum(g, x, a, b, batch, m, n);
        y += x->adds ? host_get(x->c_dtype, c, at) : 0;
        y += x->epilogue == NMDRV_EPILOGUE_BIAS ? host_get(x->bias_dtype, bias, n) : 0;
        host_put(x->c_dtype, c, at, x->c_dtype == NMDRV_BF16 ? nm_round_to(NM_bf16, y) : y);
    }
}

static void gpu_copy(nmdrv_frame *f, void *to, const void *from, int64_t bytes)
{
    (void)f;
    memcpy(to, from, (size_t)bytes);
}

// --- the device
// ------------------------------------------------------------------------------------------

static void *gpu_alloc(int64_t bytes, const char *name)
{
    return nmemu_alloc(gpu_device, bytes > 0 ? (uint64_t)bytes : 1, name);
}

static void gpu_release(void *buffer) { nmemu_release(gpu_device, buffer); }

// From here on calls run on an emulated device.
static void gpu_begin(void)
{
    gpu_device = nmemu_new(1);
    host_calls.launch = gpu_launch;
    host_calls.product = gpu_product;
    host_calls.copy = gpu_copy;
    host_alloc_buffer = gpu_alloc;
    host_release_buffer = gpu_release;
}

static void gpu_end(void) { nmemu_free(gpu_device); }

#endif
