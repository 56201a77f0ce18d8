// The matrix product against a loop in double: all three layouts, a layout with split dims, an
// epilogue that reads columns together, odd sizes, any split of the range. Also scatter_add, cumsum
// and top_k, which are small.
#include "codegen/templates/template.h"
#include "tests/templates/check.h"

#include <math.h>
#include <string.h>

#define HOOK static inline __attribute__((always_inline))

typedef struct product {
    int64_t B, M, N, K,
        split; // the inner extent of the rows of b, of n in c, where they are two dims; columns
               // together
    const float *a, *b, *bias;
    float *c;
} product;

HOOK float a_mk(const void *env, int64_t b, int64_t m, int64_t k, int64_t j)
{
    const product *p = env;
    return p->a[(b * p->M + m) * p->K + k + j];
}
HOOK float a_km(const void *env, int64_t b, int64_t m, int64_t k, int64_t j)
{
    const product *p = env;
    return p->a[(b * p->K + k) * p->M + m + j];
}
HOOK float b_nk(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    return 2 * p->b[(b * p->N + n) * p->K + k + j]; // a map in front
}
HOOK float b_kn(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    return 2 * p->b[(b * p->K + k) * p->N + n + j];
}
HOOK float b_plain(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    return p->b[(b * p->K + k) * p->N + n + j];
}
HOOK float b_plain_nk(const void *env, int64_t b, int64_t n, int64_t k, int64_t j)
{
    const product *p = env;
    return p->b[(b * p->N + n) * p->K + k + j];
}
HOOK float b_split(const void *env, int64_t b, int64_t n, int64_t k,
                   int64_t j) // [n / split, k, n % split]
{
    const product *p = env;
    return 2 *
           p->b[((b * (p->N / p->split) + n / p->split) * p->K + k) * p->split + n % p->split + j];
}
HOOK void c_mn(const void *env, int64_t b, int64_t m, int64_t n, int64_t j, const float *c)
{
    const product *p = env;
    p->c[(b * p->M + m) * p->N + n + j] = c[j] + p->bias[n + j]; // a map behind
}
HOOK void c_split(const void *env, int64_t b, int64_t m, int64_t n, int64_t j,
                  const float *c) // [n / split, m, n % split]
{
    const product *p = env;
    int64_t row = (b * (p->N / p->split) + n / p->split) * p->M + m;
    p->c[row * p->split + n % p->split + j] = c[j] + p->bias[n + j];
}
// Each group of `split` columns the other way round, from both ends: it reads them together.
HOOK void c_turned(const void *env, int64_t b, int64_t m, int64_t n, int64_t j, const float *c)
{
    const product *p = env;
    int64_t k = p->split - 1 - j;
    float *to = p->c + (b * p->M + m) * p->N + n;
    to[k] = c[j] + p->bias[n + j];
    to[j] = c[k] + p->bias[n + k];
}

HOOK const void *at_mk(const void *env, int64_t b, int64_t m, int64_t k)
{
    const product *p = env;
    return p->a + (b * p->M + m) * p->K + k;
}
HOOK const void *at_km(const void *env, int64_t b, int64_t m, int64_t k)
{
    const product *p = env;
    return p->a + (b * p->K + k) * p->M + m;
}
HOOK const void *at_nk(const void *env, int64_t b, int64_t n, int64_t k)
{
    const product *p = env;
    return p->b + (b * p->N + n) * p->K + k;
}
HOOK const void *at_kn(const void *env, int64_t b, int64_t n, int64_t k)
{
    const product *p = env;
    return p->b + (b * p->K + k) * p->N + n;
}
HOOK const void *at_mn(const void *env, int64_t b, int64_t m, int64_t n)
{
    const product *p = env;
    return p->c + (b * p->M + m) * p->N + n;
}

typedef void kernel(const product *p, int64_t from, int64_t to, void *scratch);
#define KERNEL(NAME, A, B_, C, AT_A, AT_B, AT_C, ...)                                              \
    static void NAME(const product *p, int64_t from, int64_t to, void *scratch)                    \
    {                                                                                              \
        nmk_gemm_spec s = {__VA_ARGS__};                                                           \
        nmk_gemm(&s, p, p->B, p->M, p->N, p->K, A, B_, C, AT_A, AT_B, AT_C, from, to, scratch);    \
    }
KERNEL(nt, a_mk, b_nk, c_mn, at_mk, at_nk, at_mn, .a_bytes = 4, .b_bytes = 4, .c_bytes = 4,
       .a_plain = 1, .a_along = NMK_ALONG_K, .b_along = NMK_ALONG_K, .few = 1)
KERNEL(nn, a_mk, b_kn, c_mn, at_mk, at_kn, 0, .a_bytes = 4, .b_bytes = 4, .a_plain = 1,
       .a_along = NMK_ALONG_K, .b_along = NMK_ALONG_ROW, .few = 1)
KERNEL(tn, a_km, b_kn, c_mn, at_km, 0, at_mn, .a_bytes = 4, .a_plain = 1, .c_bytes = 4,
       .a_along = NMK_ALONG_ROW, .b_along = NMK_ALONG_ROW)
KERNEL(split, a_km, b_split, c_split, 0, 0, 0, .a_along = NMK_ALONG_ROW, .b_along = NMK_ALONG_ROW,
       .b_run = p->split, .c_run = p->split)
KERNEL(turned, a_mk, b_kn, c_turned, 0, 0, 0, .a_along = NMK_ALONG_K, .b_along = NMK_ALONG_ROW,
       .few = 1, .c_run = p->split, .together = p->split, .points = (p->split + 1) / 2)

KERNEL(plain, a_km, b_plain, c_mn, at_km, at_kn, at_mn, .a_along = NMK_ALONG_ROW,
       .b_along = NMK_ALONG_ROW, .a_bytes = 4, .b_bytes = 4, .c_bytes = 4, .a_plain = 1,
       .b_plain = 1)

KERNEL(plain_inner, a_mk, b_plain_nk, c_mn, 0, at_nk, 0, .b_bytes = 4, .b_plain = 1, .few = 1)
KERNEL(plain_outer, a_mk, b_plain, c_mn, 0, at_kn, 0, .b_along = NMK_ALONG_ROW, .b_bytes = 4,
       .b_plain = 1, .few = 1)

static double error(const product *p, kernel *k, const float *c)
{
    double worst = 0;
    for (int64_t b = 0; b < p->B; b++)
        for (int64_t m = 0; m < p->M; m++)
            for (int64_t n = 0; n < p->N; n++) {
                double t = 0, size = 1;
                for (int64_t i = 0; i < p->K; i++) {
                    double x =
                        (k == nt || k == nn || k == turned || k == plain_inner || k == plain_outer
                             ? a_mk
                             : a_km)(p, b, m, i, 0) *
                        (double)(k == nt                          ? b_nk
                                 : k == split                     ? b_split
                                 : k == plain || k == plain_outer ? b_plain
                                 : k == plain_inner               ? b_plain_nk
                                                                  : b_kn)(p, b, n, i, 0);
                    t += x, size += fabs(x);
                }
                int64_t at = (b * p->M + m) * p->N + n;
                if (k == split)
                    at = ((b * (p->N / p->split) + n / p->split) * p->M + m) * p->split +
                         n % p->split;
                if (k == turned)
                    at += p->split - 1 - 2 * (n % p->split);
                double e = fabs(c[at] - (t + p->bias[n])) / size;
                worst = e <= worst ? worst : e > worst ? e : INFINITY;
            }
    return worst;
}

static void test_kernel(const product *p, kernel *k, const char *name)
{
    enum { GUARD = 64 };
    int64_t n = nmk_gemm_count(p->B, p->M, p->N, k == turned ? p->split : 0),
            size = p->B * p->M * p->N;
    uint8_t *scratch = aligned_alloc(64, NMK_GEMM_SCRATCH + GUARD);
    memset(scratch, 0xff, NMK_GEMM_SCRATCH + GUARD); // NaNs
    float *whole = malloc((size_t)size * 4 + 4);
    k(p, 0, n, scratch);
    memcpy(whole, p->c, (size_t)size * 4);
    memset(p->c, 0xff, (size_t)size * 4);
    k(p, n / 3, n, scratch);
    for (int64_t i = 0; i < n / 3; i++)
        k(p, i, i + 1, scratch);
    check(!memcmp(whole, p->c, (size_t)size * 4), "%s: a split of the range changes bits", name);
    double e = error(p, k, p->c);
    check(e < 3e-7 * (1 + sqrt((double)p->K) / 8), "%s %ld x %ld x %ld: off by %g", name,
          (long)p->M, (long)p->N, (long)p->K, e);
    for (int i = 0; i < GUARD; i++)
        check(scratch[NMK_GEMM_SCRATCH + i] == 0xff, "%s: wrote behind its scratch", name);
    free(whole), free(scratch);
}

static void test_size(int64_t B, int64_t M, int64_t N, int64_t K, int64_t inner)
{
    product p = {B,
                 M,
                 N,
                 K,
                 inner,
                 check_floats(B * M * K, 1),
                 check_floats(B * N * K, 2),
                 check_floats(N, 3),
                 NULL};
    p.c = malloc((size_t)(B * M * N) * 4 + 4);
    test_kernel(&p, nt, "NT"), test_kernel(&p, nn, "NN"), test_kernel(&p, tn, "TN"),
        test_kernel(&p, split, "split"), test_kernel(&p, plain, "plain"),
        test_kernel(&p, plain_inner, "plain inner"), test_kernel(&p, plain_outer, "plain outer");
    if (inner <= NMK_GEMM_TOGETHER)
        test_kernel(&p, turned, "turned");
    free((void *)p.a), free((void *)p.b), free((void *)p.bias), free(p.c);
}

// --- scatter_add -------------------------------------------------------------------------------

typedef struct scatter {
    int64_t n_i, n_x;
    const float *value;
    const int64_t *index;
    float *dst;
} scatter;

HOOK int64_t index_of(const void *env, int64_t o, int64_t i)
{
    const scatter *s = env;
    return s->index[o * s->n_i + i];
}
HOOK float value_of(const void *env, int64_t o, int64_t i, int64_t x, int64_t j)
{
    const scatter *s = env;
    return s->value[(o * s->n_i + i) * s->n_x + x + j];
}
HOOK float before(const void *env, int64_t o, int64_t row, int64_t x, int64_t j)
{
    (void)env, (void)o, (void)x;
    return (float)(row + j);
}

static void test_scatter(int64_t n_o, int64_t n_rows, int64_t n_i, int64_t n_x)
{
    int64_t size = n_o * n_rows * n_x, *index = malloc((size_t)(n_o * n_i + 1) * 8);
    for (int64_t i = 0; i < n_o * n_i; i++)
        index[i] = i * i % (n_rows + 2) - 1; // some outside
    scatter s = {n_i, n_x, check_floats(n_o * n_i * n_x, 1), index, malloc((size_t)size * 4)};
    float *want = malloc((size_t)size * 4);
    for (int64_t i = 0; i < size; i++)
        want[i] = (float)(i / n_x % n_rows + i % n_x);
    for (int64_t o = 0; o < n_o; o++)
        for (int64_t i = 0; i < n_i; i++)
            for (int64_t x = 0; x < n_x; x++)
                if (index[o * n_i + i] >= 0 && index[o * n_i + i] < n_rows)
                    want[(o * n_rows + index[o * n_i + i]) * n_x + x] +=
                        s.value[(o * n_i + i) * n_x + x];
    nmk_scatter_args x = {n_o, n_rows, n_i, n_x, s.dst, n_rows * n_x, n_x, 1};
    int64_t cut = n_o * n_rows * 2 / 3;
    nmk_scatter_add(&x, &s, index_of, value_of, before, cut, n_o * n_rows);
    nmk_scatter_add(&x, &s, index_of, value_of, before, 0, cut);
    check(!memcmp(want, s.dst, (size_t)size * 4), "scatter_add %ld %ld %ld %ld", (long)n_o,
          (long)n_rows, (long)n_i, (long)n_x);
    free(index), free((void *)s.value), free(s.dst), free(want);
}

// --- along a line ------------------------------------------------------------------------------

typedef struct lines {
    int64_t n, k;
    const float *x;
    float *y;
    int32_t *at;
} lines;

HOOK float line_load(const void *env, int64_t line, int64_t i)
{
    const lines *l = env;
    return l->x[line * l->n + i];
}
HOOK void line_store(const void *env, int64_t line, int64_t i, float y)
{
    const lines *l = env;
    l->y[line * l->n + i] = y;
}
HOOK void picked(const void *env, int64_t line, int64_t rank, float value, int32_t i)
{
    const lines *l = env;
    l->y[line * l->k + rank] = value;
    l->at[line * l->k + rank] = i;
}

static void test_lines(int64_t lines_n, int64_t n, int64_t k)
{
    float *x = check_floats(lines_n * n, 9);
    for (int64_t i = 0; i < lines_n * n; i++)
        x[i] = floorf(x[i] * 8); // many equals
    lines l = {n, k, x, malloc((size_t)(lines_n * n) * 4), malloc((size_t)(lines_n * k) * 4)};
    for (int reverse = 0; reverse < 2; reverse++) {
        nmk_cumsum(&l, n, reverse, line_load, line_store, 0, lines_n);
        for (int64_t line = 0; line < lines_n; line++) {
            float sum = 0;
            for (int64_t t = 0; t < n; t++) {
                int64_t i = line * n + (reverse ? n - 1 - t : t);
                sum += x[i];
                check(l.y[i] == sum, "cumsum");
            }
        }
    }
    nmk_top_k(&l, n, k, line_load, picked, 0, lines_n);
    for (int64_t i = 0; i < lines_n * k; i++) {
        const float *line = x + i / k * n;
        int32_t at = l.at[i], above = 0;
        for (int32_t j = 0; j < n; j++)
            above += line[j] > line[at] || (line[j] == line[at] && j < at);
        check(above == i % k && l.y[i] == line[at], "top_k: rank %ld is %d", (long)(i % k), above);
    }
    free(x), free(l.y), free(l.at);
}

int main(void)
{
    check_cpu();
    static const int64_t odd[] = {1, 2, 3, 5, 13, 14, 15, 31, 33, 67};
    enum { N = sizeof odd / sizeof *odd };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            test_size(1 + (i + j) % 2, odd[i], odd[j], odd[(i * 3 + j * 7) % N],
                      odd[j] % 3 ? 1 : odd[j] / 3);
    test_size(1, 4, 300, 5000, 20);
    test_size(2, 1, 257, 1031, 257);
    test_size(1, 31, 512, 300, 256);
    test_size(1, 9, 603, 90, 201);
    test_size(1, 341, 520, 389, 52);
    test_size(1, 29, 2051, 7, 2051);
    test_size(1, 700, 65, 1543, 5);
    test_size(3, 17, 40, 0, 8);
    test_size(1, 3, 40, 0, 8);
    test_scatter(1, 50, 300, 17), test_scatter(3, 7, 0, 5), test_scatter(2, 1, 9, 64),
        test_scatter(2, 129, 77, 1);
    test_lines(5, 37, 8), test_lines(3, 1, 1), test_lines(2, 300, 256);
    return check_done();
}
