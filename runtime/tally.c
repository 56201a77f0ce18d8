// Calls of a step, counted.
#include "runtime/tally.h"

#include "runtime/dtype.h"
#include "runtime/null_device.h"

#include <stdlib.h>

typedef struct counting { // the frame's device
    nmrt_tally *tally;
    int64_t times;
    int *group; // [world]: room for a group
} counting;

static void *count_collective(nmdrv_frame *f, int64_t collective, const int64_t *geometry,
                              void *out, void *in)
{
    counting *x = (counting *)f->device;
    const nmrt_mesh *mesh = x->tally->mesh;
    const nmdrv_collective *c = &mesh->program->collective[collective];
    int members = nmrt_mesh_members(mesh, c->axes, c->units, x->group);
    if (members < 2)
        return in;
    x->tally->count[collective] += c->more ? 0 : x->times; // what joins the next is one launch
    x->tally->bytes[collective] +=
        x->times * nmrt_larger_side(c, geometry, members) * nmrt_dtype(c->dtype)->bits / 8;
    return out;
}

static void count_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    counting *x = (counting *)f->device;
    (void)arg;
    x->tally->launches[kernel] += count > 0 ? x->times : 0;
}

static void count_moved(const counting *x, nmrt_tallied *of, double bytes, double flops)
{
    of->n += x->times;
    of->bytes += (double)x->times * bytes;
    of->flops += (double)x->times * flops;
}

static void count_fill(nmdrv_frame *f, void *dst, int64_t bytes)
{
    counting *x = (counting *)f->device;
    (void)dst;
    count_moved(x, &x->tally->fills, (double)bytes, 0);
}

static void count_copy(nmdrv_frame *f, void *dst, const void *src, int64_t bytes)
{
    counting *x = (counting *)f->device;
    (void)dst, (void)src;
    count_moved(x, &x->tally->copies, 2 * (double)bytes, 0);
}

// Matrices as large as the result that a product reads or writes.
static double count_results(const nmdrv_product *p)
{
    bool aux = p->epilogue >= NMDRV_EPILOGUE_GELU_AUX && p->epilogue <= NMDRV_EPILOGUE_DGELU;
    return 1 + (p->adds ? 1 : 0) + (aux ? 1 : 0);
}

static void count_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *g, void *c,
                          const void *a, const void *b, void *bias, void *aux, const float *a_scale,
                          const float *b_scale)
{
    counting *x = (counting *)f->device;
    const nmdrv_product *p = &x->tally->mesh->program->product[product];
    double batch = (double)g->batch, m = (double)g->m, n = (double)g->n, k = (double)g->k;
    double bits = m * k * nmrt_dtype(p->a_dtype)->bits + n * k * nmrt_dtype(p->b_dtype)->bits +
                  m * n * count_results(p) * nmrt_dtype(p->c_dtype)->bits;
    (void)c, (void)a, (void)b, (void)bias, (void)aux, (void)a_scale, (void)b_scale;
    count_moved(x, &x->tally->products, batch * bits / 8, 2 * batch * m * n * k);
}

nmrt_status nmrt_tally_init(nmrt_tally *t, const nmrt_mesh *mesh, nmrt_error *e)
{
    size_t n = (size_t)mesh->program->n_collectives + 1;
    *t =
        (nmrt_tally){.mesh = mesh,
                     .count = calloc(n, sizeof *t->count),
                     .bytes = calloc(n, sizeof *t->bytes),
                     .launches = calloc((size_t)mesh->program->n_kernels + 1, sizeof *t->launches)};
    if (t->count && t->bytes && t->launches)
        return NMRT_OK;
    nmrt_tally_release(t);
    return nmrt_fail(e, NMRT_WORLD, "no memory to count calls");
}

void nmrt_tally_release(nmrt_tally *t)
{
    free(t->count);
    free(t->bytes);
    free(t->launches);
    *t = (nmrt_tally){0};
}

nmrt_status nmrt_tally_add(nmrt_tally *t, const nmdrv_func *func, const nmdrv_sym *sym,
                           int64_t times, nmrt_error *e)
{
    counting x = {t, times, malloc((size_t)t->mesh->world * sizeof *x.group)};
    nmdrv_calls calls = nmrt_null_calls(count_collective);
    calls.launch = count_launch;
    calls.fill = count_fill;
    calls.copy = count_copy;
    calls.product = count_product;
    nmrt_status status = x.group ? nmrt_null_run(func, sym, &calls, &x, e)
                                 : nmrt_fail(e, NMRT_WORLD, "no memory to count calls");
    free(x.group);
    return status;
}

// --- printing ------------------------------------------------------------------------------------

// The axes as flags call them: dp tp.
static void print_axes(const nmrt_mesh *m, int64_t axes, nmrt_text *out)
{
    static const struct {
        int64_t axes;
        const char *name;
    } flag[] = {{1 << NMDRV_PP, "pp"},
                {NMRT_DP_AXES, "dp"},
                {1 << NMDRV_EP, "ep"},
                {NMRT_CP_AXES, "cp"},
                {NMRT_TP_AXES, "tp"}};
    const char *sep = "";
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
        if (nmrt_mesh_ranks(m, axes & flag[i].axes) > 1) {
            nmrt_text_add(out, "%s%s", sep, flag[i].name);
            sep = " ";
        }
}

// Of axes with more than one rank, which is what tells groups apart.
static int64_t real_axes(const nmrt_mesh *m, int64_t axes)
{
    for (int a = 0; a < NMDRV_N_AXES; a++)
        if (m->size[a] == 1)
            axes &= ~((int64_t)1 << a);
    return axes;
}

static void print_group(const nmrt_tally *t, int64_t kind, int64_t axes, nmrt_text *out)
{
    static const char *const name[] = {"all_reduce", "reduce_scatter", "all_gather", "all_to_all",
                                       "rotate"};
    const nmdrv_program *p = t->mesh->program;
    int64_t count = 0, bytes = 0;
    for (int64_t i = 0; i < p->n_collectives; i++)
        if (p->collective[i].kind == kind && real_axes(t->mesh, p->collective[i].axes) == axes) {
            count += t->count[i];
            bytes += t->bytes[i];
        }
    nmrt_text over = {0};
    print_axes(t->mesh, axes, &over);
    nmrt_text_add(out, "  %-14s %-11s %10lld %12s\n", name[kind], over.at ? over.at : "",
                  (long long)count, nmrt_bytes(bytes).s);
    nmrt_text_release(&over);
}

void nmrt_tally_print(const nmrt_tally *t, nmrt_text *out)
{
    const nmdrv_program *p = t->mesh->program;
    for (int64_t i = 0; i < p->n_collectives; i++) {
        int64_t axes = real_axes(t->mesh, p->collective[i].axes), k = 0;
        while (k < i && !(t->bytes[k] && p->collective[k].kind == p->collective[i].kind &&
                          real_axes(t->mesh, p->collective[k].axes) == axes))
            k++;
        if (k == i && t->bytes[i]) // the first of its kind and group
            print_group(t, p->collective[i].kind, axes, out);
    }
}

static bool same_kind(const nmdrv_kernel *a, const nmdrv_kernel *b)
{
    return nmrt_same_stem(a->name, b->name);
}

static void print_kind(const nmrt_tally *t, int64_t first, nmrt_text *out)
{
    const nmdrv_kernel *kernel = t->mesh->program->kernel;
    int64_t n = 0;
    for (int64_t i = 0; i < t->mesh->program->n_kernels; i++)
        n += same_kind(&kernel[first], &kernel[i]) ? t->launches[i] : 0;
    if (n)
        nmrt_text_add(out, "  %-26.*s %10lld\n", nmrt_stem(kernel[first].name), kernel[first].name,
                      (long long)n);
}

static void print_tallied(const char *name, const nmrt_tallied *x, nmrt_text *out)
{
    if (!x->n)
        return;
    nmrt_text_add(out, "  %-26s %10lld %12s", name, (long long)x->n,
                  nmrt_bytes((int64_t)x->bytes).s);
    if (x->flops > 0)
        nmrt_text_add(out, " %12s", nmrt_count(x->flops).s);
    nmrt_text_add(out, "\n");
}

void nmrt_tally_print_work(const nmrt_tally *t, nmrt_text *out)
{
    const nmdrv_program *p = t->mesh->program;
    for (int64_t i = 0; i < p->n_kernels; i++) {
        int64_t k = 0;
        while (!same_kind(&p->kernel[k], &p->kernel[i]))
            k++;
        if (k == i)
            print_kind(t, i, out);
    }
    print_tallied("products", &t->products, out);
    print_tallied("fills", &t->fills, out);
    print_tallied("copies", &t->copies, out);
}
