// GFLOP/s of the attention templates, one thread, causal, head size 64, against the peak of
// multiply-adds. Counted as usual: 4 hd a pair that is seen forward, 10 hd backward (five products;
// nothing for softmax). run.sh builds it.
#include "bench/kernels/bench.h"
#include "codegen/templates/template.h"

enum { HD = 64 };
static const nmk_attn_spec spec = {.hd = HD, .hd_v = HD, .causal = 1};
static const nmk_attn_spec spec_dropout = {.hd = HD, .hd_v = HD, .causal = 1, .dropout = 1};
static void *scratch;

static void forward(const void *x)
{
    nmk_attn(&spec, x, NULL, NULL, 0, nmk_attn_count(x), scratch);
}
static void backward(const void *x)
{
    nmk_attn_grad(&spec, x, NULL, NULL, 0, nmk_attn_grad_count(x), scratch);
}
static void forward_dropout(const void *x)
{
    nmk_attn(&spec_dropout, x, NULL, NULL, 0, nmk_attn_count(x), scratch);
}
static void backward_dropout(const void *x)
{
    nmk_attn_grad(&spec_dropout, x, NULL, NULL, 0, nmk_attn_grad_count(x), scratch);
}

int main(void)
{
    enum { HEADS = 4 };
    double peak = fma_peak();
    printf("multiply-adds in registers: %.1f GFLOP/s, vectors of %d\n", peak, NM_VL);
    scratch = floats(NMK_ATTN_GRAD_SCRATCH(HD, HD) / 4);
    for (int64_t T = 256; T <= 4096; T *= 2) {
        nmk_strides s = {T * HEADS * HD, 0, HEADS * HD, HD, HD}, rows = {T * HEADS, 0, HEADS, 1, 1};
        int64_t n = T * HEADS * HD;
        nmk_attn_args x = {.n0 = 1,
                           .n1 = 1,
                           .kv = HEADS,
                           .g = 1,
                           .n_q = T,
                           .n_k = T,
                           .scale = 0.125f,
                           .q = floats(n),
                           .k = floats(n),
                           .v = floats(n),
                           .out = floats(n),
                           .lse = floats(T * HEADS),
                           .dout = floats(n),
                           .dq = floats(n),
                           .dk = floats(n),
                           .dv = floats(n),
                           .q_s = s,
                           .k_s = s,
                           .v_s = s,
                           .out_s = s,
                           .lse_s = rows,
                           .dout_s = s,
                           .dq_s = s,
                           .dk_s = s,
                           .dv_s = s,
                           .drop = {.rate = 0.1f,
                                    .key = 1,
                                    .key_stride = 1,
                                    .stride = {T * HEADS * T, 0, HEADS * T, T, T}}};
        double flop = 4e-9 * HD * HEADS * (double)T * (double)(T + 1) / 2;
        static const struct {
            const char *name;
            bench_fn *run;
            double flop;
        } kernel[] = {{"forward", forward, 1},
                      {"backward", backward, 2.5},
                      {"forward, dropout", forward_dropout, 1},
                      {"backward, dropout", backward_dropout, 2.5}};
        printf("T %5ld", (long)T);
        for (int i = 0; i < 4; i++) {
            double rate = kernel[i].flop * flop / best_of(kernel[i].run, &x);
            printf("  %s %.1f GFLOP/s %.0f %%", kernel[i].name, rate, 100 * rate / peak);
        }
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
