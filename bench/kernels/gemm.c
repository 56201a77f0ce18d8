// GFLOP/s of the matrix product template, one thread, against the peak of multiply-adds. run.sh
// builds it.
#include "bench/kernels/bench.h"
#include "codegen/templates/template.h"

typedef struct product { // c [M, N]; a [M, K] or [K, M], b [N, K] or [K, N]
    int64_t M, N, K;
    const float *a, *b;
    float *c;
    void *scratch;
} product;

#define HOOK static inline __attribute__((always_inline))
HOOK float a_mk(const void *env, int64_t b, int64_t m, int64_t k, int64_t j)
{
    const product *p = env;
    (void)b;
    return p->a[m * p->K + k + j];
}
HOOK float a_km(const void *env, int64_t b, int64_t m, int64_t k, int64_t j)
{
    const product *p = env;
    (void)b;
    return p->a[k * p->M + m + j];
}
HOOK float b_nk(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    (void)b;
    return p->b[n * p->K + k + j];
}
HOOK float b_kn(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    (void)b;
    return p->b[k * p->N + n + j];
}
HOOK void c_mn(const void *env, int64_t b, int64_t m, int64_t n, int64_t j, const float *c)
{
    const product *p = env;
    (void)b;
    p->c[m * p->N + n + j] = c[j];
}

HOOK const void *at_mk(const void *env, int64_t b, int64_t m, int64_t k)
{
    const product *p = env;
    (void)b;
    return p->a + m * p->K + k;
}
HOOK const void *at_km(const void *env, int64_t b, int64_t m, int64_t k)
{
    const product *p = env;
    (void)b;
    return p->a + k * p->M + m;
}
HOOK const void *at_nk(const void *env, int64_t b, int64_t n, int64_t k)
{
    const product *p = env;
    (void)b;
    return p->b + n * p->K + k;
}
HOOK const void *at_kn(const void *env, int64_t b, int64_t n, int64_t k)
{
    const product *p = env;
    (void)b;
    return p->b + k * p->N + n;
}
HOOK const void *at_mn(const void *env, int64_t b, int64_t m, int64_t n)
{
    const product *p = env;
    (void)b;
    return p->c + m * p->N + n;
}

#define KERNEL(NAME, A_ALONG, B_ALONG, A, B, AT_A, AT_B)                                           \
    static const nmk_gemm_spec spec_##NAME = {.a_along = A_ALONG,                                  \
                                              .b_along = B_ALONG,                                  \
                                              .few = 1,                                            \
                                              .a_bytes = 4,                                        \
                                              .b_bytes = 4,                                        \
                                              .c_bytes = 4,                                        \
                                              .a_plain = 1,                                        \
                                              .b_plain = 1};                                       \
    static void NAME(const void *what)                                                             \
    {                                                                                              \
        product p = *(const product *)what;                                                        \
        nmk_gemm(&spec_##NAME, &p, 1, p.M, p.N, p.K, A, B, c_mn, AT_A, AT_B, at_mn, 0,             \
                 nmk_gemm_count(1, p.M, p.N, 0), p.scratch);                                       \
    }
KERNEL(nt, NMK_ALONG_K, NMK_ALONG_K, a_mk, b_nk, at_mk, at_nk)
KERNEL(nn, NMK_ALONG_K, NMK_ALONG_ROW, a_mk, b_kn, at_mk, at_kn)
KERNEL(tn, NMK_ALONG_ROW, NMK_ALONG_ROW, a_km, b_kn, at_km, at_kn)

static void measure(product p, double peak)
{
    static const struct {
        const char *name;
        bench_fn *run;
    } kernel[] = {{"NT", nt}, {"NN", nn}, {"TN", tn}};
    printf("%5ld x %5ld x %5ld  ", (long)p.M, (long)p.N, (long)p.K);
    for (int i = 0; i < 3; i++) {
        double rate = 2e-9 * (double)p.M * (double)p.N * (double)p.K / best_of(kernel[i].run, &p);
        printf("  %s %6.1f GFLOP/s %3.0f %%", kernel[i].name, rate, 100 * rate / peak);
    }
    printf("\n");
    fflush(stdout);
}

int main(void)
{
    static const int64_t size[][3] = {{256, 768, 768},   {256, 3072, 768},  {256, 768, 3072},
                                      {1024, 3072, 768}, {768, 3072, 1024}, {256, 50304, 768},
                                      {256, 768, 50304}, {4, 3072, 768},    {1, 50304, 768}};
    double peak = fma_peak();
    printf("multiply-adds in registers: %.1f GFLOP/s, vectors of %d\n", peak, NM_VL);
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        int64_t M = size[i][0], N = size[i][1], K = size[i][2];
        product p = {M,
                     N,
                     K,
                     floats(M * K),
                     floats(N * K),
                     floats(M * N),
                     aligned_alloc(64, NMK_GEMM_SCRATCH)};
        measure(p, peak);
        free((void *)p.a), free((void *)p.b), free(p.c), free(p.scratch);
    }
    return 0;
}
