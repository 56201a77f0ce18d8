// The templates of products and scatters of gpu kernels on the emulator: every layout, odd sizes,
// maps in front and behind, against loops in double, in eager, lazy and random orders of events.
#include "codegen/templates/gpu/gemm.h"
#include "codegen/templates/gpu/scatter.h"
#include "tests/emu/rig.h"

#include <stdbool.h>

typedef struct product {
    long B, M, N, K;
    const float *a, *b, *bias;
    float *c;
} product;

static float a_mk(const void *env, int64_t b, int64_t m, int64_t k, int64_t j)
{
    const product *p = env;
    return p->a[(b * p->M + m) * p->K + k + j];
}
static float a_km(const void *env, int64_t b, int64_t m, int64_t k, int64_t j)
{
    const product *p = env;
    return p->a[(b * p->K + k) * p->M + m + j];
}
static float b_nk(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    return 2 * p->b[(b * p->N + n) * p->K + k + j]; // a map in front
}
static float b_kn(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    return 2 * p->b[(b * p->K + k) * p->N + n + j];
}
static void c_mn(const void *env, int64_t b, int64_t m, int64_t n, int64_t j, float sum)
{
    const product *p = env;
    p->c[(b * p->M + m) * p->N + n + j] = sum + p->bias[n + j]; // a map behind
}

#define PRODUCT(NAME, GEMM, A_ALONG, A, B_ALONG, B_)                                               \
    KERNEL(NAME, product, p) { GEMM(&p, A_ALONG, B_ALONG, p.M, p.N, p.K, A, B_, c_mn, ctaid_x()); }
#define LAYOUTS(X)                                                                                 \
    X(nt, NMK_ALONG_K, a_mk, NMK_ALONG_K, b_nk)                                                    \
    X(nn, NMK_ALONG_K, a_mk, NMK_ALONG_ROW, b_kn)                                                  \
    X(tn, NMK_ALONG_ROW, a_km, NMK_ALONG_ROW, b_kn)                                                \
    X(tt, NMK_ALONG_ROW, a_km, NMK_ALONG_K, b_nk)
#define BOTH(NAME, ...)                                                                            \
    PRODUCT(NAME, nmg_gemm, __VA_ARGS__)                                                           \
    PRODUCT(NAME##_bf16, nmg_gemm_bf16, __VA_ARGS__)
LAYOUTS(BOTH)

static const struct form {
    const char *name;
    void (*kernel)(const void *);
    nmk_load *a, *b;
    bool bf16;
} forms[] = {
#define FORM(NAME, A_ALONG, A, B_ALONG, B_)                                                        \
    {#NAME, NAME, A, B_, false}, {#NAME " bf16", NAME##_bf16, A, B_, true},
    LAYOUTS(FORM)};
enum { N_FORMS = sizeof forms / sizeof *forms };

static float *random_floats(nmemu *m, long n, const char *name)
{
    float *p = nmemu_alloc(m, 4 * (u64)n, name);
    for (long i = 0; i < n; i++)
        p[i] = (float)uniform();
    return p;
}

static void round_floats(float *p, long n)
{
    for (long i = 0; i < n; i++)
        p[i] = from_bf16(to_bf16(p[i]));
}

static double worst_of(const product *p, const struct form *f)
{
    double worst = 0;
    for (long i = 0; i < p->B * p->M * p->N; i++) {
        long b = i / p->N / p->M, m = i / p->N % p->M, n = i % p->N;
        double sum = p->bias[n], size = 1;
        for (long k = 0; k < p->K; k++) {
            double x = f->a(p, b, m, k, 0) * (double)f->b(p, b, n, k, 0);
            sum += x, size += fabs(x);
        }
        worst = worse(worst, fabs(p->c[i] - sum) / size);
    }
    return worst;
}

static void test_product(const struct form *f, long B, long M, long N, long K, nmemu_mode mode)
{
    nmemu *m = nmemu_new(1);
    float *a = random_floats(m, B * M * K, "a"), *b = random_floats(m, B * N * K, "b");
    product p = {B, M, N, K, a, b, random_floats(m, N, "bias"), NULL};
    p.c = nmemu_alloc(m, 4 * (u64)(B * M * N), "c");
    if (f->bf16) {
        round_floats(a, B * M * K);
        round_floats(b, B * N * K);
    }
    long rows = (M + NMG_GEMM_TILE - 1) / NMG_GEMM_TILE;
    long cols = (N + NMG_GEMM_TILE - 1) / NMG_GEMM_TILE;
    must(nmemu_run(m,
                   &(nmemu_launch){.name = f->name,
                                   .fn = f->kernel,
                                   .params = &p,
                                   .grid = {(u32)(B * rows * cols), 1, 1},
                                   .threads = NMG_GEMM_THREADS,
                                   .shared_bytes = NMG_GEMM_SHARED,
                                   .mode = mode,
                                   .seed = (u64)(M + N + K)},
                   NULL));
    double worst = worst_of(&p, f);
    printf("%s %ld x %ld x %ld x %ld %s: error %.1e\n", f->name, B, M, N, K, mode_name[mode],
           worst);
    HOLDS(worst < 1e-6);
    nmemu_free(m);
}

// --- scatter_add -------------------------------------------------------------------------------

typedef struct scatter {
    nmk_scatter_args args;
    long to, per_block; // of the range
    const float *value;
    const int *index;
} scatter;

static int64_t index_of(const void *env, int64_t o, int64_t i)
{
    const scatter *s = env;
    return s->index[o * s->args.n_i + i];
}
static float value_of(const void *env, int64_t o, int64_t i, int64_t x, int64_t j)
{
    const scatter *s = env;
    return s->value[(o * s->args.n_i + i) * s->args.n_x + x + j];
}
static float before(const void *env, int64_t o, int64_t row, int64_t x, int64_t j)
{
    const scatter *s = env; // accumulation in place
    return s->args.dst[(o * s->args.n_rows + row) * s->args.n_x + x + j];
}

#define SCATTER(NAME, INIT)                                                                        \
    KERNEL(NAME, scatter, s)                                                                       \
    {                                                                                              \
        long from = (long)ctaid_x() * s.per_block, to = from + s.per_block;                        \
        nmg_scatter_add(&s.args, &s, index_of, value_of, INIT, from, to < s.to ? to : s.to);       \
    }
SCATTER(scatter_new, NULL)
SCATTER(scatter_onto, before)

// Adds what the kernel is to add, in order, to want.
static void add_in_order(const scatter *s, float *want)
{
    const nmk_scatter_args *x = &s->args;
    for (long k = 0; k < x->n_o * x->n_i * x->n_x; k++) {
        long o = k / x->n_x / x->n_i, i = k / x->n_x % x->n_i, j = k % x->n_x;
        long row = index_of(s, o, i);
        if (row >= 0 && row < x->n_rows)
            want[(o * x->n_rows + row) * x->n_x + j] += value_of(s, o, i, 0, j);
    }
}

// The same bits whatever the blocks are.
static void test_scatter(long n_o, long n_rows, long n_i, long n_x, long per_block, bool onto,
                         nmemu_mode mode)
{
    nmemu *m = nmemu_new(1);
    long size = n_o * n_rows * n_x;
    float *want = calloc((u64)size, 4), *dst = random_floats(m, size, "dst");
    int *index = nmemu_alloc(m, 4 * (u64)(n_o * n_i), "index");
    for (long i = 0; i < n_o * n_i; i++)
        index[i] = (int)(i * i % (n_rows + 2) - 1); // some outside
    if (onto)
        memcpy(want, dst, 4 * (u64)size);
    nmk_scatter_args args = {n_o, n_rows, n_i, n_x, dst, n_rows * n_x, n_x, 1};
    scatter s = {args, n_o * n_rows, per_block, random_floats(m, n_o * n_i * n_x, "value"), index};
    add_in_order(&s, want);
    must(nmemu_run(m,
                   &(nmemu_launch){.name = "scatter",
                                   .fn = onto ? scatter_onto : scatter_new,
                                   .params = &s,
                                   .grid = {(u32)((s.to + per_block - 1) / per_block), 1, 1},
                                   .threads = NMG_SCATTER_THREADS,
                                   .shared_bytes = NMG_SCATTER_SHARED,
                                   .mode = mode,
                                   .seed = (u64)n_i},
                   NULL));
    printf("scatter %ld x %ld of %ld x %ld, %ld a block, %s\n", n_o, n_rows, n_i, n_x, per_block,
           mode_name[mode]);
    HOLDS(!memcmp(want, dst, 4 * (u64)size));
    free(want);
    nmemu_free(m);
}

// A fake stack for each of a block's threads would be most of the time.
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_stack_use_after_return=0"; }

int main(void)
{
    for (int i = 0; i < N_FORMS; i++)
        for (int mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++) {
            test_product(&forms[i], 2, 65, 33, 37, (nmemu_mode)mode);
            test_product(&forms[i], 1, 3, 130, 16, (nmemu_mode)mode);
        }
    for (int i = 0; i < 2; i++) {
        test_product(&forms[i], 1, 64, 64, 96, NMEMU_RANDOM);
        test_product(&forms[i], 1, 1, 1, 1, NMEMU_LAZY);
        test_product(&forms[i], 1, 5, 7, 0, NMEMU_LAZY);
    }
    for (int mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++) {
        test_scatter(1, 50, 1500, 17, 7, true, (nmemu_mode)mode);
        test_scatter(3, 7, 40, 5, 4, false, (nmemu_mode)mode); // a block has rows of two results
    }
    test_scatter(1, 3, 2048, 300, 1, false, NMEMU_RANDOM);
    test_scatter(2, 9, 0, 5, 6, true, NMEMU_LAZY);
    return rig_failures != 0;
}
