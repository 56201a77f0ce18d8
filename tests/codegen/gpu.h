// Tests of codegen for GPUs: modules of the flavour gpu, compiled for the emulator, run as host.h
// runs those of the host. Buffers have exactly their size and lie in the emulator's memory, so that
// an access outside is reported. Each call runs twice: in order, then with threads and copies in a
// random order.
#ifndef NM_TESTS_CODEGEN_GPU_H
#define NM_TESTS_CODEGEN_GPU_H

#include "runtime/emu/emu.h"
#include "tests/codegen/host.h"

static nmemu *gpu_device;
static bool gpu_sm90a = true; // kernels are run in the forms that sm_90a has

static int64_t gpu_number(nmdrv_number n, void *const *arg)
{
    return n.arg < 0 ? n.value : (int64_t)arg[n.arg];
}

static void gpu_write_map(void *to, const nmdrv_map *m, void *const *arg)
{
    nmemu_tensor t = {.base = (char *)arg[m->arg] + gpu_number(m->offset, arg),
                      .element_bytes = m->dtype == NMDRV_F32 ? 4 : 2,
                      .rank = (int)m->rank,
                      .swizzle = m->swizzle == 128 ? 3 : (int)m->swizzle / 32};
    for (int64_t i = 0; i < m->rank; i++) {
        t.dim[i] = (uint64_t)gpu_number(m->extent[i], arg);
        t.box[i] = (uint32_t)m->box[i];
        if (i)
            t.stride[i - 1] = (uint64_t)gpu_number(m->stride[i], arg);
    }
    const char *wrong = nmemu_tensor_map(to, &t);
    if (wrong && failures++ < 40)
        fprintf(stderr, "a tensor map: %s\n", wrong);
}

enum { GPU_MAP = 128 }; // bytes of a tensor map, and how the parameter is aligned

// docs/gpu.md: count, the arguments, the kernel's symbols, tensor maps. From malloc.
static int64_t *gpu_words(const nmdrv_kernel *k, const nmdrv_form *form, int64_t count,
                          void *const *arg)
{
    size_t syms = (size_t)k->n_syms * sizeof(nmdrv_sym), bytes = (size_t)(1 + k->n_args) * 8 + syms;
    bytes = (bytes + GPU_MAP - 1) / GPU_MAP * GPU_MAP;
    char *words = aligned_alloc(GPU_MAP, bytes + (size_t)form->n_maps * GPU_MAP);
    memcpy(words, &count, 8);
    memcpy(words + 8, arg, (size_t)k->n_args * 8);
    if (syms)
        memcpy(words + 8 + k->n_args * 8, arg[k->syms_at], syms);
    for (int64_t i = 0; i < form->n_maps; i++)
        gpu_write_map(words + bytes + i * GPU_MAP, &form->map[i], arg);
    return (int64_t *)(void *)words;
}

static void gpu_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    const host *h = f->device;
    const nmdrv_kernel *k = &h->p->kernel[kernel];
    bool in_order = h->parts == 1;
    nmdrv_form form = {k->block, k->threads, k->per_block, k->shared, -1, 0, NULL};
    if (gpu_sm90a && k->sm90a)
        form = *k->sm90a;
    if (form.count_at >= 0)
        count = (int64_t)arg[form.count_at];
    if (count == 0)
        return;
    int64_t *words = gpu_words(k, &form, count, arg);
    nmemu_launch launch = {
        .name = k->name,
        .where = k->where,
        .fn = form.block,
        .params = words,
        .grid = {(uint32_t)((count + form.per_block - 1) / form.per_block), 1, 1},
        .threads = (uint32_t)form.threads,
        .shared_bytes = (uint32_t)form.shared,
        .mode = in_order ? NMEMU_EAGER : NMEMU_RANDOM,
        .seed = 1,
    };
    const char *wrong = nmemu_run(gpu_device, &launch, NULL);
    if (wrong && failures++ < 40)
        fprintf(stderr, "%s\n", wrong);
    free(words);
}

// --- the library's product, as a loop: by the tables and the geometry alone ----------------------

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

static double gpu_gelu(double x)
{
    return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static double gpu_round(int64_t dtype, double x)
{
    return dtype == NMDRV_BF16 ? nm_round_to(NM_bf16, x) : x;
}

// x: the product, with what is added. Rounded once, and `aux` beside it.
static double gpu_epilogue(const nmdrv_product *p, double x, void *aux, int64_t at)
{
    double here, step = 1e-4;
    switch (p->epilogue) {
    case NMDRV_EPILOGUE_GELU_AUX:
    case NMDRV_EPILOGUE_GELU_AUX_BIAS: host_put(p->c_dtype, aux, at, gpu_round(p->c_dtype, x));
    // fall through
    case NMDRV_EPILOGUE_GELU:
    case NMDRV_EPILOGUE_GELU_BIAS: return gpu_gelu(x);
    case NMDRV_EPILOGUE_DGELU:
        here = host_get(p->c_dtype, aux, at);
        return x * (gpu_gelu(here + step) - gpu_gelu(here - step)) / (2 * step);
    default: return x;
    }
}

// A bias' gradient, after the product.
static void gpu_sums(const nmdrv_geometry *g, const nmdrv_product *x, const void *a, const void *b,
                     void *bias)
{
    int64_t n = x->epilogue == NMDRV_EPILOGUE_BGRAD_A ? g->m : g->n;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < g->k; k++)
            sum += x->epilogue == NMDRV_EPILOGUE_BGRAD_A
                       ? host_get(x->a_dtype, a, i * g->a_m + k * g->a_k)
                       : host_get(x->b_dtype, b, i * g->b_n + k * g->b_k);
        host_put(x->bias_dtype, bias, i, sum);
    }
}

static void gpu_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *g, void *c,
                        const void *a, const void *b, void *bias, void *aux, const float *a_scale,
                        const float *b_scale)
{
    const host *h = f->device;
    double scale = (a_scale ? *a_scale : 1) * (b_scale ? *b_scale : 1);
    const nmdrv_product *x = &h->p->product[product];
    gpu_check_geometry(g, x->name);
    gpu_products |= UINT64_C(1) << product;
    bool sums = x->epilogue >= NMDRV_EPILOGUE_BGRAD_A;
    for (int64_t i = 0; i < g->batch * g->m * g->n; i++) {
        int64_t batch = i / g->n / g->m, m = i / g->n % g->m, n = i % g->n;
        int64_t at = batch * g->c_batch + m * g->c_m + n * g->c_n;
        double y = x->alpha * scale * gpu_product_sum(g, x, a, b, batch, m, n);
        y += x->adds ? host_get(x->c_dtype, c, at) : 0;
        y += bias && !sums ? host_get(x->bias_dtype, bias, n) : 0;
        y = gpu_epilogue(x, y, aux, at);
        host_put(x->c_dtype, c, at, gpu_round(x->c_dtype, y));
    }
    if (sums)
        gpu_sums(g, x, a, b, bias);
}

static void gpu_copy(nmdrv_frame *f, void *to, const void *from, int64_t bytes)
{
    (void)f;
    memcpy(to, from, (size_t)bytes);
}

// --- the device ----------------------------------------------------------------------------------

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
