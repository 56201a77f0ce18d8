// The scalar functions against libm in double: the largest error over a sweep of all of f32, and
// the special values. The loops vectorise, as in a kernel. Errors are in units of the last place of
// the true result.
#include "base/philox.h"
#include "codegen/templates/template.h"
#include "tests/templates/check.h"

#include <math.h>
#include <string.h>

typedef struct function {
    const char *name;
    void (*map)(int n, const float *x, float *y);
    double (*truth)(double);
    float lo, hi; // the range that is swept
    double worst; // allowed error
} function;

#define MAP(NAME)                                                                                  \
    static void map_##NAME(int n, const float *restrict x, float *restrict y)                      \
    {                                                                                              \
        for (int i = 0; i < n; i++)                                                                \
            y[i] = nmk_##NAME(x[i]);                                                               \
    }
// clang-format off
MAP(expf)
MAP(logf)
MAP(sinf)
MAP(cosf)
MAP(tanhf)
MAP(erff)
MAP(sqrtf)
MAP(floorf)
// clang-format on

// The distance of y from the truth t, in units of t's last place as a float.
static double ulps(float y, double t)
{
    float r = (float)t;
    if (isnan(t) || isinf(r) || isnan(y) || isinf(y))
        return (isnan(t) && isnan(y)) || y == r ? 0 : 1e9;
    int e;
    frexp(t, &e);
    return fabs((double)y - t) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

static void sweep(const function *f)
{
    enum { N = 1 << 12, BLOCKS = 256 };
    static float x[N], y[N];
    double worst = 0;
    float at = 0;
    for (int block = 0; block < BLOCKS; block++) {
        for (int i = 0; i < N; i++) { // half of them evenly in the value, half evenly in the bits
            uint32_t bits = (uint32_t)(block * N + i) * 4097u;
            double u = (block * N + i + 0.5) / ((double)N * BLOCKS);
            memcpy(&x[i], &bits, 4);
            if (i % 2 || !(x[i] >= f->lo && x[i] <= f->hi))
                x[i] = (float)(f->lo + (f->hi - f->lo) * u);
        }
        f->map(N, x, y);
        for (int i = 0; i < N; i++) {
            double e = ulps(y[i], f->truth(x[i]));
            if (e > worst)
                worst = e, at = x[i];
        }
    }
    printf("%-8s %.2f ulp at %a\n", f->name, worst, (double)at);
    check(worst <= f->worst, "%s: %.2f ulp at %a", f->name, worst, (double)at);
}

static void special(const function *f)
{
    static const float x[] = {0,       -0.0f,     INFINITY,   -INFINITY, NAN,   1,
                              -1,      0x1p-149f, -0x1p-149f, 1e-40f,    88.7f, 88.73f,
                              -103.9f, -87.4f,    3e38f,      -3e38f,    1e-3f, 0x1p-126f};
    enum { N = sizeof x / sizeof *x };
    float y[N];
    f->map(N, x, y);
    for (int i = 0; i < N; i++) {
        if (fabsf(x[i]) > 1e9f && (f->truth == sin || f->truth == cos))
            continue; // out of their range, on purpose
        double t = f->truth(x[i]);
        check(ulps(y[i], t) <= f->worst, "%s(%a) = %a, not %a", f->name, (double)x[i], (double)y[i],
              t);
    }
}

static void test_pow(void)
{
    static const float special_x[] = {0,    -0.0f,    1,         -1,  2,      -2,
                                      0.5f, INFINITY, -INFINITY, NAN, 1e-40f, 3e38f};
    static const float special_y[] = {0,    1,     2,        3,         -1,  -2,   -3,
                                      0.5f, -0.5f, INFINITY, -INFINITY, NAN, 1e10f};
    double worst = 0;
    for (int i = 0; i < 1 << 18; i++) {
        float x = (float)exp(-20 + 40 * ((i * 7919) % 262144 / 262144.0)),
              y = (float)(-6 + 12 * (i / 262144.0));
        double e = ulps(nmk_powf(x, y), pow(x, y));
        worst = e > worst ? e : worst;
    }
    printf("%-8s %.2f ulp\n", "powf", worst);
    check(worst <= 1, "powf: %.2f ulp", worst);
    for (size_t i = 0; i < sizeof special_x / 4; i++)
        for (size_t k = 0; k < sizeof special_y / 4; k++) {
            float x = special_x[i], y = special_y[k];
            if (isinf(y) && x == -1)
                continue; // 1 in C, by decree
            check(ulps(nmk_powf(x, y), powf(x, y)) <= 1, "pow(%a, %a) = %a, not %a", (double)x,
                  (double)y, (double)nmk_powf(x, y), (double)powf(x, y));
        }
}

static void test_random(void)
{
    double sum = 0, square = 0;
    enum { N = 100000 };
    for (int64_t i = 0; i < N; i++) {
        nm_philox p = nm_philox_draw(42, 7, 3, 1, (uint64_t)i + (1ull << 33));
        check(nmk_uniform(42 ^ 7, 3, 1, i + (1ll << 33)) == nm_philox_uniform(p), "uniform %ld",
              (long)i);
        float z = nmk_normal(42 ^ 7, 3, 1, i + (1ll << 33));
        double t = NM_PHILOX_NORMAL(double, p, sqrt, log, cos);
        check(fabs(z - t) <= 4e-6 * (1 + fabs(t)), "normal %ld: %g, not %g", (long)i, (double)z, t);
        sum += z, square += (double)z * z;
    }
    check(fabs(sum / N) < 0.02 && fabs(square / N - 1) < 0.02, "normal: moments %g %g", sum / N,
          square / N);
}

int main(void)
{
    static const function functions[] = {
        {"expf", map_expf, exp, -104, 89, 1.5},       {"logf", map_logf, log, 0, 100, 1.5},
        {"sinf", map_sinf, sin, -1e6f, 1e6f, 2},      {"cosf", map_cosf, cos, -1e6f, 1e6f, 2},
        {"tanhf", map_tanhf, tanh, -10, 10, 2.5},     {"erff", map_erff, erf, -5, 5, 2},
        {"sqrtf", map_sqrtf, sqrt, 0, 1e30f, 0.5001}, {"floorf", map_floorf, floor, -1e6f, 1e6f, 0},
    };
    check_cpu();
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        sweep(&functions[i]);
        special(&functions[i]);
    }
    test_pow();
    test_random();
    return check_done();
}
