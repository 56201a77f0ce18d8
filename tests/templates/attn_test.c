// Attention forward and backward against the formulas in double: every option, odd sizes, all head
// sizes.
#include "tests/templates/check.h"

static void *problem_alloc(size_t bytes) { return malloc(bytes + 4); }
static void problem_free(void *p) { free(p); }

#include "codegen/templates/simd.h"
#include "tests/templates/attn_problem.h"

#include <string.h>

// --- the kernels: one for each set of options, as codegen makes them ---------------------------

typedef void kernel(const problem *p, int64_t from, int64_t to, void *scratch);
#define KERNELS(NAME, BIAS, ...)                                                                   \
    static const nmk_attn_spec spec_##NAME = {__VA_ARGS__};                                        \
    static void forward_##NAME(const problem *p, int64_t from, int64_t to, void *scratch)          \
    {                                                                                              \
        nmk_attn(&spec_##NAME, &p->x, p, BIAS, NULL, NULL, from, to, scratch);                     \
    }                                                                                              \
    static void backward_##NAME(const problem *p, int64_t from, int64_t to, void *scratch)         \
    {                                                                                              \
        nmk_attn_grad(&spec_##NAME, &p->x, p, BIAS, NULL, NULL, from, to, scratch);                \
    }
// A spec's sizes and options, run-time here so that a few kernels do for all configurations.
static nmk_attn_spec any;
static void forward_any(const problem *p, int64_t from, int64_t to, void *scratch)
{
    nmk_attn(&any, &p->x, p, NULL, NULL, NULL, from, to, scratch);
}
static void backward_any(const problem *p, int64_t from, int64_t to, void *scratch)
{
    nmk_attn_grad(&any, &p->x, p, NULL, NULL, NULL, from, to, scratch);
}
static void forward_dealt(const problem *p, int64_t from, int64_t to, void *scratch)
{
    nmk_attn(&any, &p->x, p, NULL, position_of, NULL, from, to, scratch);
}
static void backward_dealt(const problem *p, int64_t from, int64_t to, void *scratch)
{
    nmk_attn_grad(&any, &p->x, p, NULL, position_of, NULL, from, to, scratch);
}
static void forward_block(const problem *p, int64_t from, int64_t to, void *scratch)
{
    nmk_attn(&any, &p->x, p, NULL, position_of, position_of_key, from, to, scratch);
}
static void backward_block(const problem *p, int64_t from, int64_t to, void *scratch)
{
    nmk_attn_grad(&any, &p->x, p, NULL, position_of, position_of_key, from, to, scratch);
}
KERNELS(gpt, NULL, .hd = 16, .hd_v = 16, .causal = 1, .dropout = 1)
KERNELS(bias, bias_of, .hd = 24, .hd_v = 40, .keys = 1)

// Fill the results in any order of tasks, in a scratch that is watched.
static void compute(const char *name, problem *p, kernel *forward, kernel *backward)
{
    enum { GUARD = 64 };
    const config *c = &p->c;
    size_t bytes = (size_t)NMK_ATTN_GRAD_SCRATCH(c->hd, c->hd_v),
           small = (size_t)NMK_ATTN_SCRATCH(c->hd, c->hd_v);
    uint8_t *scratch = aligned_alloc(64, bytes + GUARD);
    memset(scratch, 0xff, bytes + GUARD); // NaNs
    int64_t n = nmk_attn_count(&p->x), m = nmk_attn_grad_count(&p->x);
    for (int64_t i = n; i-- > 0;)
        forward(p, i, i + 1, scratch);
    for (size_t i = small; i < bytes + GUARD; i++)
        check(scratch[i] == 0xff, "%s: forward wrote behind its scratch", name);
    backward(p, m / 2, m, scratch);
    backward(p, 0, m / 2, scratch);
    for (size_t i = bytes; i < bytes + GUARD; i++)
        check(scratch[i] == 0xff, "%s: backward wrote behind its scratch", name);
    free(scratch);
}

static void compare(const char *name, const problem *p, double bound)
{
    const config *c = &p->c;
    int64_t nq = c->n0 * c->n1 * c->n_q * c->kv * c->g, nk = c->n0 * c->n1 * c->n_k * c->kv;
    double e[] = {worst(nq * c->hd_v, p->x.out, p->out), worst(nq, p->x.lse, p->lse),
                  worst(nq * c->hd, p->x.dq, p->dq), worst(nk * c->hd, p->x.dk, p->dk),
                  worst(nk * c->hd_v, p->x.dv, p->dv)};
    static const char *what[] = {"out", "lse", "dq", "dk", "dv"};
    for (int i = 0; i < 5; i++)
        check(e[i] < bound, "%s: %s is off by %g", name, what[i], e[i]);
}

static void test_kernel(const char *name, config c, kernel *forward, kernel *backward)
{
    problem p = make(c);
    reference(&p);
    compute(name, &p, forward, backward);
    compare(name, &p, 4e-6);
    release(&p);
}

static nmk_attn_spec spec_of(const config *c)
{
    return (nmk_attn_spec){.hd = c->hd,
                           .hd_v = c->hd_v,
                           .causal = c->causal,
                           .windowed = c->window != 0,
                           .capped = c->capped,
                           .dropout = c->dropout,
                           .keys = c->keys,
                           .segments = c->segments,
                           .sink = c->sink};
}

static void test(const char *name, config c)
{
    any = spec_of(&c);
    if (c.block)
        test_kernel(name, c, forward_block, backward_block);
    else if (c.jump)
        test_kernel(name, c, forward_dealt, backward_dealt);
    else
        test_kernel(name, c, forward_any, backward_any);
}

// --- bf16 --------------------------------------------------------------------------------------

// Rounded, they are still floats.
static void round_numbers(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((float *)x)[i] = widen(narrow(x[i]));
}

// Floats become bf16, in the front half of their memory; and back.
static void pack_numbers(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t low = narrow(x[i]);
        memcpy((uint16_t *)x + i, &low, sizeof low);
    }
}
static void unpack_numbers(float *x, int64_t n)
{
    for (int64_t i = n; i-- > 0;) {
        uint16_t low;
        memcpy(&low, (uint16_t *)x + i, sizeof low);
        x[i] = widen(low);
    }
}

static void test_narrow_case(const char *name, config c)
{
    problem p = make(c);
    nmk_attn_args *x = &p.x;
    int64_t nq = c.n0 * c.n1 * c.n_q * c.kv * c.g, nk = c.n0 * c.n1 * c.n_k * c.kv;
    const float *given[] = {x->q, x->k, x->v, x->dout};
    float *result[] = {x->dq, x->dk, x->dv, x->out};
    int64_t n[] = {nq * c.hd, nk * c.hd, nk * c.hd_v, nq * c.hd_v}; // of both lists
    for (int i = 0; i < 4; i++)
        round_numbers(given[i], n[i]);
    reference(&p);
    for (int i = 0; i < 4; i++)
        pack_numbers(given[i], n[i]);
    x->dq_sum = filled(n[0], NAN), x->dq_sum_s = x->dq_s;
    any = spec_of(&c), any.narrow = 1;
    compute(name, &p, forward_any, backward_any);
    for (int i = 0; i < 4; i++)
        unpack_numbers(result[i], n[i]);
    compare(name, &p, 0x1p-7); // the backward pass reads a rounded out
    problem_free(x->dq_sum);
    release(&p);
}

static void test_narrow(void)
{
    config c = {.n0 = 2, .n1 = 1, .kv = 2, .g = 2, .n_q = 301, .n_k = 301, .hd = 24, .hd_v = 20};
    test_narrow_case("bf16", c);
    c.causal = 1, test_narrow_case("bf16, causal", c);
    c.dropout = 1, c.sink = 1, test_narrow_case("bf16, dropout, sink", c);
}

// One rank's queries: two chunks of the sequence, the second first or last, neither a multiple of
// a vector.
static void test_dealt(void)
{
    config c = {.n0 = 1, .n1 = 2, .kv = 2, .g = 3, .n_q = 94, .n_k = 700, .hd = 16, .hd_v = 16};
    c.causal = 1, c.at = 47, c.half = 47, c.jump = 560;
    test("dealt", c);
    c.at = 620, c.jump = -590;
    test("dealt, backwards", c);
    c.window = 60, test("dealt, window", c);
    c.window = 0, c.dropout = 1, test("dealt, dropout", c);
    c.dropout = 0, c.segments = 1, test("dealt, segments", c);
}

// Another rank's keys: two chunks before, around and behind the queries'; blocks of keys lie across
// their border. The last ones are all in the future.
static void test_block(void)
{
    config c = {.n0 = 1, .n1 = 2, .kv = 2, .g = 3, .n_q = 94, .n_k = 300, .hd = 16, .hd_v = 16};
    c.block = 1, c.at = 470, c.half = 47, c.jump = 400, c.key_half = 150;
    for (c.key_at = 0; c.key_at < 1200; c.key_at += 199) {
        c.causal = 1, c.key_jump = 600, test("block", c);
        c.key_jump = 37, test("block, near", c);
        c.window = 70, test("block, window", c);
        c.window = 0, c.dropout = 1, test("block, dropout", c);
        c.causal = 0, test("block, dropout, not causal", c);
        c.dropout = 0;
    }
}

// A NaN in q must not pass for a masked key.
static void test_nan(void)
{
    problem p =
        make((config){.n0 = 1, .n1 = 1, .kv = 1, .g = 1, .n_q = 3, .n_k = 3, .hd = 8, .hd_v = 8});
    void *scratch = aligned_alloc(64, NMK_ATTN_SCRATCH(8, 8));
    *(float *)p.x.q = NAN;
    any = (nmk_attn_spec){.hd = 8, .hd_v = 8};
    forward_any(&p, 0, nmk_attn_count(&p.x), scratch);
    check(isnan(p.x.out[0]) && !isnan(p.x.out[8]), "NaN in q: out is %g and %g", (double)p.x.out[0],
          (double)p.x.out[8]);
    free(scratch);
    release(&p);
}

static void test_plain(void)
{
    config c = {.n0 = 2, .n1 = 1, .kv = 2, .g = 1, .n_q = 37, .n_k = 37, .hd = 16, .hd_v = 16};
    test("plain", c);
    c.causal = 1;
    test("causal", c);
}

static void test_head_sizes(void)
{
    config c = {.n0 = 1, .n1 = 2, .kv = 1, .g = 3, .n_q = 41, .n_k = 53, .at = 12, .causal = 1};
    for (int64_t hd = 1; hd <= 256; hd = hd * 2 + hd / 3) {
        c.hd = hd, c.hd_v = hd + 3;
        test("head sizes", c);
    }
}

static void test_lengths(void)
{
    for (int64_t t = 1; t < 700; t = t * 2 + 13) {
        config c = {.n0 = 1, .n1 = 1, .kv = 1, .g = 2, .n_q = t, .n_k = t, .hd = 16, .hd_v = 16};
        c.causal = 1, test("lengths", c);
        c.window = 19, test("window", c);
        c.causal = 0, test("window, not causal", c);
    }
}

static void test_options(void)
{
    config c = {.n0 = 1, .n1 = 2, .kv = 2, .g = 2, .n_q = 300, .n_k = 300, .hd = 32, .hd_v = 32};
    c.causal = c.capped = 1, test("softcap", c);
    c.capped = 0, c.dropout = 1, test("dropout", c);
    c.capped = 1, test("dropout and softcap", c);
    c.dropout = c.capped = 0, c.keys = 1, test("keys", c);
    c.keys = 0, c.segments = 1, test("segments", c);
    c.segments = 0, c.sink = 1, test("sink", c);
}

// One query behind a cache of keys, and queries before all keys.
static void test_positions(void)
{
    config c = {.n0 = 3, .n1 = 1, .kv = 2, .g = 4, .n_q = 1, .n_k = 500, .hd = 64, .hd_v = 64};
    c.causal = 1, c.at = 321, test("decode", c);
    c = (config){.n0 = 1, .n1 = 2, .kv = 2, .g = 3, .n_q = 1, .n_k = 200, .hd = 20, .hd_v = 37};
    c.causal = c.dropout = c.segments = c.capped = 1, c.at = 180, test("decode, odd sizes", c);
    test_narrow_case("decode, odd sizes, bf16", c);
    c = (config){.n0 = 1, .n1 = 1, .kv = 1, .g = 1, .n_q = 5, .n_k = 9, .hd = 8, .hd_v = 8};
    c.causal = 1, c.at = -3, test("rows that see nothing", c);
}

// Options and sizes that are constants of the kernel, as in an emitted program.
static void test_constants(void)
{
    config c = {.n0 = 2, .n1 = 1, .kv = 3, .g = 1, .n_q = 130, .n_k = 130, .hd = 16, .hd_v = 16};
    c.causal = c.dropout = 1, test_kernel("constants", c, forward_gpt, backward_gpt);
    c = (config){.n0 = 2, .n1 = 1, .kv = 3, .g = 2, .n_q = 61, .n_k = 140, .hd = 24, .hd_v = 40};
    c.keys = c.bias = 1, test_kernel("bias", c, forward_bias, backward_bias);
}

int main(void)
{
    check_cpu();
    test_plain();
    test_narrow();
    test_head_sizes();
    test_lengths();
    test_options();
    test_dealt();
    test_block();
    test_positions();
    test_constants();
    test_nan();
    return check_done();
}
