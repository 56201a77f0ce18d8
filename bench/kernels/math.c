// Nanoseconds an element of the scalar functions in a loop, one thread, data in the first-level
// cache. A function that stays scalar shows as ten times the others. run.sh builds it.
#include "bench/kernels/bench.h"
#include "codegen/templates/template.h"

enum { N = 2048, TURNS = 64 };
static float x[N], y[N];

#define LOOP(NAME, CALL)                                                                           \
    static void NAME(const void *what)                                                             \
    {                                                                                              \
        (void)what;                                                                                \
        for (int turn = 0; turn < TURNS; turn++) {                                                 \
            for (int i = 0; i < N; i++)                                                            \
                y[i] = CALL;                                                                       \
            __asm__ volatile("" ::"r"(x), "r"(y) : "memory");                                      \
        }                                                                                          \
    }
LOOP(copy, x[i])
LOOP(expf_, nmk_expf(x[i]))
LOOP(logf_, nmk_logf(x[i]))
LOOP(sinf_, nmk_sinf(x[i]))
LOOP(tanhf_, nmk_tanhf(x[i]))
LOOP(erff_, nmk_erff(x[i]))
LOOP(powf_, nmk_powf(x[i], 2.4f))
LOOP(uniform, nmk_uniform(1, 2, 3, i))
LOOP(normal, nmk_normal(1, 2, 3, i))

int main(void)
{
    static const struct {
        const char *name;
        bench_fn *run;
    } loop[] = {{"copy", copy}, {"exp", expf_},       {"log", logf_},
                {"sin", sinf_}, {"tanh", tanhf_},     {"erf", erff_},
                {"pow", powf_}, {"uniform", uniform}, {"normal", normal}};
    for (int i = 0; i < N; i++)
        x[i] = (float)i / N * 8 + 0.01f;
    for (size_t i = 0; i < sizeof loop / sizeof *loop; i++)
        printf("%-8s %6.3f ns\n", loop[i].name, 1e9 * best_of(loop[i].run, NULL) / (N * TURNS));
    return 0;
}
