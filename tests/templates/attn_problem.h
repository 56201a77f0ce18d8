// Attention's test problems: tensors, the formulas in double written out, hooks. The backward's
// reference differentiates by the same formulas.
//
// Who includes this has defined
//     static void *problem_alloc(size_t bytes), problem_free(void *)
// where a kernel's memory comes from.
#ifndef NM_TESTS_TEMPLATES_ATTN_PROBLEM_H
#define NM_TESTS_TEMPLATES_ATTN_PROBLEM_H

#include "codegen/templates/template.h"

#include <math.h>
#include <stdlib.h>

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
    float *p = problem_alloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        p[i] = x;
    return p;
}

static float *random_numbers(int64_t n, uint32_t seed) // in [-1, 1), a few of them equal
{
    float *x = problem_alloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 20) / 2048 - 1;
    }
    return x;
}

static int32_t *segments(int64_t n)
{
    int32_t *p = problem_alloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        p[i] = (int32_t)(i / 7 % 4);
    return p;
}

static problem make(config c)
{
    problem p = {.c = c};
    int64_t nq = c.n0 * c.n1 * c.n_q * c.kv * c.g, nk = c.n0 * c.n1 * c.n_k * c.kv;
    nmk_strides q = dense(&c, c.n_q, c.kv, c.g, c.hd), o = dense(&c, c.n_q, c.kv, c.g, c.hd_v);
    nmk_strides k = dense(&c, c.n_k, c.kv, 1, c.hd), v = dense(&c, c.n_k, c.kv, 1, c.hd_v);
    uint8_t *keys = problem_alloc((size_t)(c.n0 * c.n1 * c.n_k));
    int32_t *seg_q = segments(c.n0 * c.n1 * (c.jump ? c.n_k : c.n_q));
    int32_t *seg_k = segments(c.n0 * c.n1 * c.n_k);
    for (int64_t i = 0; i < c.n0 * c.n1 * c.n_k; i++)
        keys[i] = i % 3 != 1;
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
        .q = random_numbers(nq * c.hd, 1),
        .k = random_numbers(nk * c.hd, 2),
        .v = random_numbers(nk * c.hd_v, 3),
        .q_s = q,
        .k_s = k,
        .v_s = v,
        .out = filled(nq * c.hd_v, NAN),
        .out_s = o,
        .lse = filled(nq, NAN),
        .lse_s = dense(&c, c.n_q, c.kv, c.g, 1),
        .dout = random_numbers(nq * c.hd_v, 4),
        .dout_s = o,
        .dq = filled(nq * c.hd, NAN),
        .dk = filled(nk * c.hd, NAN),
        .dv = filled(nk * c.hd_v, NAN),
        .dq_s = q,
        .dk_s = k,
        .dv_s = v,
        .keys = keys,
        .keys_s = {c.n1 * c.n_k, c.n_k, 1, 0, 0},
        .seg_q = seg_q,
        .seg_q_s = {c.n1 * c.n_q, c.n_q, 1, 0, 0},
        .seg_k = seg_k,
        .seg_k_s = {c.n1 * c.n_k, c.n_k, 1, 0, 0},
        .sink = random_numbers(c.kv * c.g, 5),
        .sink_s = {0, 0, 0, c.g, 1},
        .drop = {0.3f, 0x123456789abcdefull, 7, 3, 5, 1, {0}, 0, 0},
    };
    p.x.drop.stride = dense(&c, c.n_q, c.kv, c.g, c.n_k);
    p.x.drop.half = c.half, p.x.drop.jump = c.jump;
    if (c.jump)
        p.x.seg_q_s = p.x.seg_k_s;
    p.bias = random_numbers(c.n_q * c.n_k * c.kv * c.g, 6);
    p.out = calloc((size_t)(nq * c.hd_v), 8), p.lse = calloc((size_t)nq, 8);
    p.dq = calloc((size_t)(nq * c.hd), 8), p.dk = calloc((size_t)(nk * c.hd), 8),
    p.dv = calloc((size_t)(nk * c.hd_v), 8);
    return p;
}

static void release(problem *p)
{
    nmk_attn_args *x = &p->x;
    const void *tensor[] = {x->q,  x->k,  x->v,    x->out,   x->lse,   x->dout, x->dq,
                            x->dk, x->dv, x->keys, x->seg_q, x->seg_k, x->sink, p->bias};
    double *expected[] = {p->out, p->lse, p->dq, p->dk, p->dv};
    for (size_t i = 0; i < sizeof tensor / sizeof *tensor; i++)
        problem_free((void *)tensor[i]);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        free(expected[i]);
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

// --- hooks, and the comparison ------------------------------------------------------------------

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

static double worst(int64_t n, const float *y, const double *t)
{
    double w = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = y[i] == t[i] ? 0 : fabs(y[i] - t[i]) / (1 + fabs(t[i]));
        w = e <= w ? w : e > w ? e : INFINITY; // NaN counts
    }
    return w;
}

#endif
