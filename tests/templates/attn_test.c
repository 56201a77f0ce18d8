// Attention forward and backward against the formulas in double, written out: every option, odd
// sizes, all head sizes. The backward's reference differentiates by the same formulas, and they by
// central differences.
#include "codegen/templates/template.h"
#include "tests/templates/check.h"

#include <math.h>
#include <string.h>

typedef struct config {
    int64_t n0, n1, kv, g, n_q, n_k, hd, hd_v, at, window;
    int64_t half, jump; // queries from `half` on are `jump` further: one rank's of a zigzag
    int64_t block, key_at, key_half, key_jump; // keys of another rank: likewise, from key_at on
    int causal, capped, dropout, keys, segments, sink, bias;
} config;

typedef struct problem {
    config c;
    nmk_attn_args x;
    const float *bias; // [i, j, kv, g]
    double *out, *dq, *dk, *dv, *lse;
} problem;

// --- tensors: [b0, b1, pos, kv, g, hd], dense --------------------------------------------------

static nmk_strides dense(const config *c, int64_t pos, int64_t kv, int64_t g, int64_t hd)
{
    return (nmk_strides){c->n1 * pos * kv * g * hd, pos * kv * g * hd, kv * g * hd, g * hd, hd};
}
static int64_t at(nmk_strides s, int64_t b0, int64_t b1, int64_t i, int64_t kv, int64_t g)
{
    return b0 * s.batch0 + b1 * s.batch1 + i * s.pos + kv * s.kv + g * s.g;
}

static float *filled(int64_t n, float x)
{
    float *p = malloc((size_t)(n + 1) * sizeof *p);
    for (int64_t i = 0; i <= n; i++)
        p[i] = x;
    return p;
}

static problem make(config c)
{
    problem p = {.c = c};
    int64_t nq = c.n0 * c.n1 * c.n_q * c.kv * c.g, nk = c.n0 * c.n1 * c.n_k * c.kv;
    nmk_strides q = dense(&c, c.n_q, c.kv, c.g, c.hd), o = dense(&c, c.n_q, c.kv, c.g, c.hd_v);
    nmk_strides k = dense(&c, c.n_k, c.kv, 1, c.hd), v = dense(&c, c.n_k, c.kv, 1, c.hd_v);
    uint8_t *keys = malloc((size_t)(c.n0 * c.n1 * c.n_k));
    int32_t *seg = malloc((size_t)(c.n0 * c.n1 * (c.n_k + c.n_q) * 4));
    for (int64_t i = 0; i < c.n0 * c.n1 * c.n_k; i++)
        keys[i] = i % 3 != 1;
    for (int64_t i = 0; i < c.n0 * c.n1 * (c.n_k + c.n_q); i++)
        seg[i] = (int32_t)(i / 7 % 4);
    p.x = (nmk_attn_args){
        .n0 = c.n0,
        .n1 = c.n1,
        .kv = c.kv,
        .g = c.g,
        .n_q = c.n_q,
        .n_k = c.n_k,
        .at = c.at,
        .window = c.window,
        .scale = 1 / sqrtf((float)c.hd),
        .softcap = 0.7f,
        .q = check_floats(nq * c.hd, 1),
        .k = check_floats(nk * c.hd, 2),
        .v = check_floats(nk * c.hd_v, 3),
        .q_s = q,
        .k_s = k,
        .v_s = v,
        .out = filled(nq * c.hd_v, NAN),
        .out_s = o,
        .lse = filled(nq, NAN),
        .lse_s = dense(&c, c.n_q, c.kv, c.g, 1),
        .dout = check_floats(nq * c.hd_v, 4),
        .dout_s = o,
        .dq = filled(nq * c.hd, NAN),
        .dk = filled(nk * c.hd, NAN),
        .dv = filled(nk * c.hd_v, NAN),
        .dq_s = q,
        .dk_s = k,
        .dv_s = v,
        .keys = keys,
        .keys_s = {c.n1 * c.n_k, c.n_k, 1, 0, 0},
        .seg_q = seg,
        .seg_q_s = {c.n1 * c.n_q, c.n_q, 1, 0, 0},
        .seg_k = seg,
        .seg_k_s = {c.n1 * c.n_k, c.n_k, 1, 0, 0},
        .sink = check_floats(c.kv * c.g, 5),
        .sink_s = {0, 0, 0, c.g, 1},
        .drop = {0.3f, 0x123456789abcdefull, 7, 3, 5, 1, {0}, 0, 0},
    };
    p.x.drop.stride = dense(&c, c.n_q, c.kv, c.g, c.n_k);
    p.x.drop.half = c.half, p.x.drop.jump = c.jump;
    if (c.jump)
        p.x.seg_q_s = p.x.seg_k_s;
    p.bias = check_floats(c.n_q * c.n_k * c.kv * c.g, 6);
    p.out = calloc((size_t)(nq * c.hd_v), 8), p.lse = calloc((size_t)nq, 8);
    p.dq = calloc((size_t)(nq * c.hd), 8), p.dk = calloc((size_t)(nk * c.hd), 8),
    p.dv = calloc((size_t)(nk * c.hd_v), 8);
    return p;
}

static void release(problem *p)
{
    nmk_attn_args *x = &p->x;
    void *all[] = {(void *)x->q,
                   (void *)x->k,
                   (void *)x->v,
                   x->out,
                   x->lse,
                   (void *)x->dout,
                   x->dq,
                   x->dk,
                   x->dv,
                   (void *)x->keys,
                   (void *)x->seg_q,
                   (void *)x->sink,
                   (void *)p->bias,
                   p->out,
                   p->lse,
                   p->dq,
                   p->dk,
                   p->dv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

// --- the reference -----------------------------------------------------------------------------

typedef struct place { // a row
    int64_t b0, b1, i, kv, g;
} place;

static int64_t jump_of(const config *c, int64_t i) { return i >= c->half ? c->jump : 0; }
static int64_t key_position(const config *c, int64_t j)
{
    return c->block ? c->key_at + j + (j >= c->key_half ? c->key_jump : 0) : j;
}

static int sees(const problem *p, place r, int64_t j)
{
    const config *c = &p->c;
    int64_t b = r.b0 * c->n1 + r.b1, pos = c->at + r.i + jump_of(c, r.i);
    int64_t seg_q = c->jump ? b * c->n_k + pos : b * c->n_q + r.i;
    int64_t key = key_position(c, j);
    return (!c->causal || key <= pos) && (c->window <= 0 || key > pos - c->window) &&
           (!c->keys || p->x.keys[b * c->n_k + j]) &&
           (!c->segments || p->x.seg_q[seg_q] == p->x.seg_k[b * c->n_k + j]);
}

static double logit(const problem *p, place r, int64_t j, double *slope)
{
    const nmk_attn_args *x = &p->x;
    const float *q = x->q + at(x->q_s, r.b0, r.b1, r.i, r.kv, r.g),
                *k = x->k + at(x->k_s, r.b0, r.b1, j, r.kv, 0);
    double s = 0;
    for (int64_t d = 0; d < p->c.hd; d++)
        s += (double)q[d] * k[d];
    s *= x->scale, *slope = 1;
    if (p->c.capped) {
        double t = tanh(s / x->softcap);
        s = x->softcap * t, *slope = 1 - t * t;
    }
    if (p->c.bias)
        s += p->bias[((r.i * p->c.n_k + j) * p->c.kv + r.kv) * p->c.g + r.g];
    return sees(p, r, j) ? s : -INFINITY;
}

static double kept(const problem *p, place r, int64_t j)
{
    const nmk_attn_drop *d = &p->x.drop;
    if (!p->c.dropout)
        return 1;
    int64_t i = r.i + jump_of(&p->c, r.i);
    int64_t key = key_position(&p->c, j);
    int64_t index = d->first + at(d->stride, r.b0, r.b1, i, r.kv, r.g) + key * d->key_stride;
    return nmk_uniform(d->key, d->step, d->turn, index) < d->rate ? 0 : 1 / (1 - (double)d->rate);
}

static void reference_row(problem *p, place r)
{
    const nmk_attn_args *x = &p->x;
    int64_t n = p->c.n_k, row = at(x->lse_s, r.b0, r.b1, r.i, r.kv, r.g);
    double *s = malloc((size_t)n * 16), *slope = s + n, max = -INFINITY, sum = 0, delta = 0;
    for (int64_t j = 0; j < n; j++) {
        s[j] = logit(p, r, j, &slope[j]);
        max = fmax(max, s[j]);
    }
    double sink = p->c.sink ? x->sink[r.kv * p->c.g + r.g] : -INFINITY;
    max = fmax(max, sink);
    for (int64_t j = 0; j < n; j++)
        sum += max > -INFINITY ? exp(s[j] - max) : 0;
    sum += max > -INFINITY ? exp(sink - max) : 0;
    p->lse[row] = sum > 0 ? max + log(sum) : -INFINITY;
    double *out = p->out + at(x->out_s, r.b0, r.b1, r.i, r.kv, r.g),
           *dq = p->dq + at(x->q_s, r.b0, r.b1, r.i, r.kv, r.g);
    const float *dout = x->dout + at(x->out_s, r.b0, r.b1, r.i, r.kv, r.g),
                *q = x->q + at(x->q_s, r.b0, r.b1, r.i, r.kv, r.g);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t j = 0; j < n; j++) {
            double pr = sum > 0 ? exp(s[j] - p->lse[row]) : 0, keep = kept(p, r, j), dp = 0;
            int64_t v0 = at(x->v_s, r.b0, r.b1, j, r.kv, 0),
                    k0 = at(x->k_s, r.b0, r.b1, j, r.kv, 0);
            for (int64_t c = 0; c < p->c.hd_v; c++)
                dp += keep * (double)dout[c] * x->v[v0 + c];
            if (pass == 0) {
                delta += pr * dp;
                for (int64_t c = 0; c < p->c.hd_v; c++) {
                    out[c] += pr * keep * x->v[v0 + c];
                    p->dv[v0 + c] += pr * keep * dout[c];
                }
                continue;
            }
            double ds = pr * (dp - delta) * slope[j] * x->scale;
            for (int64_t c = 0; c < p->c.hd; c++) {
                dq[c] += ds * x->k[k0 + c];
                p->dk[k0 + c] += ds * q[c];
            }
        }
    free(s);
}

static void reference(problem *p)
{
    const config *c = &p->c;
    for (int64_t b0 = 0; b0 < c->n0; b0++)
        for (int64_t b1 = 0; b1 < c->n1; b1++)
            for (int64_t kv = 0; kv < c->kv; kv++)
                for (int64_t g = 0; g < c->g; g++)
                    for (int64_t i = 0; i < c->n_q; i++)
                        reference_row(p, (place){b0, b1, i, kv, g});
}

// --- the kernels: one for each set of options, as codegen makes them ---------------------------

static inline __attribute__((always_inline)) float
bias_of(const void *env, int64_t b0, int64_t b1, int64_t kv, int64_t g, int64_t i, int64_t j)
{
    const problem *p = env;
    (void)b0, (void)b1;
    return p->bias[((i * p->c.n_k + j) * p->c.kv + kv) * p->c.g + g];
}

static inline __attribute__((always_inline)) int64_t position_of(const void *env, int64_t i)
{
    const config *c = &((const problem *)env)->c;
    return c->at + i + jump_of(c, i);
}

static int64_t position_of_key(const void *env, int64_t j)
{
    return key_position(&((const problem *)env)->c, j);
}

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

static double worst(int64_t n, const float *y, const double *t)
{
    double w = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = y[i] == t[i] ? 0 : fabs(y[i] - t[i]) / (1 + fabs(t[i]));
        w = e <= w ? w : e > w ? e : INFINITY; // NaN counts
    }
    return w;
}

static void run(const char *name, problem *p, kernel *forward, kernel *backward)
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
    int64_t nq = c->n0 * c->n1 * c->n_q * c->kv * c->g, nk = c->n0 * c->n1 * c->n_k * c->kv;
    double e[] = {worst(nq * c->hd_v, p->x.out, p->out), worst(nq, p->x.lse, p->lse),
                  worst(nq * c->hd, p->x.dq, p->dq), worst(nk * c->hd, p->x.dk, p->dk),
                  worst(nk * c->hd_v, p->x.dv, p->dv)};
    static const char *what[] = {"out", "lse", "dq", "dk", "dv"};
    for (int i = 0; i < 5; i++)
        check(e[i] < 4e-6, "%s: %s is off by %g", name, what[i], e[i]);
    free(scratch);
}

static void test_kernel(const char *name, config c, kernel *forward, kernel *backward)
{
    problem p = make(c);
    reference(&p);
    run(name, &p, forward, backward);
    release(&p);
}

static void test(const char *name, config c)
{
    any = (nmk_attn_spec){c.hd,      c.hd_v, c.causal,   c.window != 0, c.capped,
                          c.dropout, c.keys, c.segments, c.sink};
    if (c.block)
        test_kernel(name, c, forward_block, backward_block);
    else if (c.jump)
        test_kernel(name, c, forward_dealt, backward_dealt);
    else
        test_kernel(name, c, forward_any, backward_any);
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
