// Private to attention: what forward and backward share. FlashAttention-2's scheme (Dao, 2023) on
// packed panels.
//
// All tiles lie transposed, [key][row]: a vector is some rows of one key, so that softmax's max and
// sum over keys need no horizontal step, a tile of probabilities is a B panel as it is, and dead
// rows cost nothing extra.
#ifndef NM_CODEGEN_TEMPLATES_ATTN_H
#define NM_CODEGEN_TEMPLATES_ATTN_H

#include "codegen/templates/attn_place.h"

typedef struct rows { // NR rows of one head; those from n on are not there
    head at;
    int64_t r, n;        // the first, and how many
    vi pos[2];           // position of each among the keys
    int64_t first, last; // the least and the greatest of them
} rows;

NMK_INLINE rows rows_at(const attn *a, head h, int64_t r)
{
    rows q = {.at = h, .r = r, .n = min64(NR, a->x->n_q * a->x->g - r)};
    q.first = q.last = position_of(a, r);
    for (int64_t i = 0; i < NR; i++) {
        int64_t at = position_of(a, r + min64(i, q.n - 1));
        q.pos[i / VL][i % VL] = (int32_t)at;
        q.first = min64(q.first, at);
        q.last = max64(q.last, at);
    }
    return q;
}

// --- exp ---------------------------------------------------------------------------------------

// e^x for x <= 88; 0 below -87; NaN for NaN.
NMK_INLINE vf vexp(vf x)
{
    vf low = splat(-87);
    vi live = x > low;
    vf t = pick(live, x, low);
    vf n = __builtin_elementwise_roundeven(t * splat(1.44269504f));
    vf r = (t - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
    vf p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * (r * r) + r + splat(1);
    vf y = (vf)(live & ((vi)p + (__builtin_convertvector(n, vi) << 23)));
    return pick(x == x, y, x);
}

// --- logits ------------------------------------------------------------------------------------

// Which rows see key j.
NMK_INLINE vi sees(const attn *a, const rows *q, const vi *segment, int half, int64_t j)
{
    int32_t key = (int32_t)key_at(a, j);
    vi yes = (vi){0} == (vi){0};
    if (a->s->causal)
        yes &= key <= q->pos[half];
    if (limited(a))
        yes &= key > q->pos[half] - (int32_t)a->x->window;
    if (a->s->keys)
        yes &= (vi){0} ==
               (vi){0} + (a->x->keys[offset(&a->x->keys_s, q->at) + j * a->x->keys_s.pos] == 0);
    if (a->s->segments)
        yes &= segment[half] == a->x->seg_k[offset(&a->x->seg_k_s, q->at) + j * a->x->seg_k_s.pos];
    return yes;
}

NMK_INLINE void row_segments(const attn *a, const rows *q, vi segment[2])
{
    const nmk_strides *s = &a->x->seg_q_s;
    for (int64_t i = 0; i < q->n; i++) {
        int64_t at = a->position ? offset(s, q->at) + q->pos[i / VL][i % VL] * s->pos
                                 : row_offset(a, s, q->at, q->r + i);
        segment[i / VL][i % VL] = a->x->seg_q[at];
    }
}

NMK_INLINE void hide_keys(const attn *a, const rows *q, int64_t key, int64_t n, float *restrict s)
{
    vi segment[2] = {{0}};
    if (a->s->segments)
        row_segments(a, q, segment);
    for (int64_t j = 0; j < n; j++, s += NR)
        NMK_UNROLL for (int half = 0; half < 2; half++)
        {
            vi yes = sees(a, q, segment, half, key + j);
            store(s + half * VL, pick(yes, load(s + half * VL), splat(-__builtin_inff())));
        }
}

NMK_INLINE void add_bias(const attn *a, const rows *q, int64_t key, int64_t n, float *restrict s)
{
    int64_t g = a->x->g;
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < q->n; i++) {
            int64_t r = q->r + i;
            s[j * NR + i] += a->bias(a->env, q->at.b0, q->at.b1, q->at.kv, r % g, r / g, key + j);
        }
}

// s[n][NR], scaled products of keys from `key` on, become logits. Where softcap applies and `slope`
// is not NULL, the derivative goes there.
NMK_INLINE void make_logits(const attn *a, const rows *q, int64_t key, int64_t n, float *restrict s,
                            float *restrict slope)
{
    if (a->s->capped)
        for (int64_t i = 0; i < n * NR; i++) {
            float t = nmk_tanhf(s[i] / a->x->softcap);
            s[i] = a->x->softcap * t;
            if (slope)
                slope[i] = 1 - t * t;
        }
    if (a->bias)
        add_bias(a, q, key, n, s);
    int64_t all_seen = (!a->s->causal || key_at(a, key + n - 1) <= q->first) &&
                       (!limited(a) || key_at(a, key) > q->last - a->x->window);
    if (a->s->keys || a->s->segments || !all_seen)
        hide_keys(a, q, key, n, s);
}

// --- dropout -----------------------------------------------------------------------------------

// keep[n][NR]: 0 or 1 / (1 - rate).
NMK_INLINE void draw_dropout(const attn *a, const rows *q, int64_t key, int64_t n,
                             float *restrict keep)
{
    const nmk_attn_drop *d = &a->x->drop;
    float rate = d->rate, kept = 1 / (1 - rate);
    int64_t base[NR];
    for (int64_t i = 0; i < NR; i++) {
        int64_t jump = (q->r + i) / a->x->g >= d->half ? d->jump : 0;
        base[i] = d->first + row_offset(a, &d->stride, q->at, q->r + i) + jump * d->stride.pos;
    }
    for (int64_t j = 0; j < n; j++) {
        int64_t column = key_at(a, key + j) * d->key_stride;
        for (int64_t i = 0; i < NR; i++) {
            float u = nmk_uniform(d->key, d->step, d->turn, base[i] + column);
            keep[j * NR + i] = u < rate ? 0 : kept;
        }
    }
}

// --- rows in memory: of floats, or of bf16 -----------------------------------------------------

NMK_INLINE void read_row(const attn *a, const void *t, int64_t at, int64_t n, float by,
                         float *restrict to)
{
    if (a->s->narrow)
        for (int64_t c = 0; c < n; c++)
            to[c] = by * widen(((const uint16_t *)t)[at + c]);
    else
        for (int64_t c = 0; c < n; c++)
            to[c] = by * ((const float *)t)[at + c];
}

NMK_INLINE void write_row(const attn *a, void *t, int64_t at, int64_t n, float by,
                          const float *restrict from)
{
    if (a->s->narrow)
        for (int64_t c = 0; c < n; c++)
            ((uint16_t *)t)[at + c] = narrow(from[c] * by);
    else
        for (int64_t c = 0; c < n; c++)
            ((float *)t)[at + c] = from[c] * by;
}

typedef struct lines { // rows of floats, ld apart
    const float *at;
    int64_t ld;
} lines;

// n rows of keys or values, from `key` on: where they lie, or widened into `room` [n][hd].
NMK_INLINE lines key_rows(const attn *a, const void *t, const nmk_strides *s, head h, int64_t key,
                          int64_t n, int64_t hd, float *room)
{
    int64_t at = offset(s, h) + key * s->pos;
    if (!a->s->narrow)
        return (lines){(const float *)t + at, s->pos};
    for (int64_t j = 0; j < n; j++)
        read_row(a, t, at + j * s->pos, hd, 1, room + j * hd);
    return (lines){room, hd};
}

// --- packing -----------------------------------------------------------------------------------

// Rows of t (hd long) times `by` into stage [NR][ld]; zeros behind them, and for rows that are not
// there.
NMK_INLINE void stage_rows(const attn *a, const rows *q, const void *t, const nmk_strides *s,
                           int64_t hd, float by, int64_t ld, float *restrict stage)
{
    for (int64_t i = 0; i < NR; i++, stage += ld) {
        int64_t n = i < q->n ? hd : 0;
        read_row(a, t, row_offset(a, s, q->at, q->r + min64(i, q->n - 1)), n, by, stage);
        for (int64_t c = n; c < ld; c++)
            stage[c] = 0;
    }
}

#define nmk_attn_pack_rows   NMK_SIZED(nmk_attn_pack_rows)
#define nmk_attn_pack_across NMK_SIZED(nmk_attn_pack_across)
#define nmk_attn_multiply    NMK_SIZED(nmk_attn_multiply)
#define nmk_attn_untranspose NMK_SIZED(nmk_attn_untranspose)
#define nmk_attn_dots        NMK_SIZED(nmk_attn_dots)
#define nmk_attn_add_lines   NMK_SIZED(nmk_attn_add_lines)

// n rows of t (ld apart, hd long) as A panels for products over hd; and for products over the rows.
NMK_SHARED void nmk_attn_pack_rows(const float *t, int64_t ld, int64_t n, int64_t hd, float *to);
NMK_SHARED void nmk_attn_pack_across(const float *t, int64_t ld, int64_t n, int64_t hd, float *to);
// c[m][NR] (ldc apart) = or += the A panels, of m rows in all and depth k, times one B panel; only
// the panels that hold the first `some` rows are done. The panels were packed for a depth of
// `depth` >= k.
typedef struct attn_product {
    int64_t m, some, k, depth, ldc, add;
} attn_product;
NMK_SHARED void nmk_attn_multiply(const attn_product *p, const float *a, const float *b, float *c);
// Without panels, for few rows. s[n][NR] = the products of `rows` lines of q (ld_q apart) with n
// lines of k (ld apart), hd long; 0 for rows that are not there.
typedef struct attn_few {
    int64_t rows, n, hd, ld;
} attn_few;
NMK_SHARED void nmk_attn_dots(const attn_few *p, const float *q, int64_t ld_q, const float *k,
                              float *s);
// o[hd][NR] += the n lines of v, each times s[n][NR].
NMK_SHARED void nmk_attn_add_lines(const attn_few *p, const float *s, const float *v, float *o);
// t[m][NR] (ld apart) as rows [NR][ld_to], m long.
NMK_SHARED void nmk_attn_untranspose(const float *t, int64_t ld, int64_t m, float *to,
                                     int64_t ld_to);

// --- scratch -----------------------------------------------------------------------------------

// The next n floats, aligned; A panels of m rows and depth k; rows of a product of m rows.
NMK_INLINE float *take(float **at, int64_t n)
{
    float *p = *at;
    *at += round_up(n, 16);
    return p;
}
NMK_INLINE int64_t a_size(int64_t m, int64_t k) { return ceil_div(m, MR) * panel_size(MR, k); }
NMK_INLINE int64_t c_rows(int64_t m) { return round_up(m, MR); }

#endif
