// Private to attention on gpus in bf16, forward: a thread's two rows and their running softmax.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_ROWS_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_ROWS_H

#include "codegen/templates/gpu/attn_warp.h"

enum { MOST_KEYS = 128 }; // of a tile

typedef struct state { // of a thread's two rows
    float max[2], sum[2];
    float o[MOST / 8][4]; // not divided by the sum yet
} state;

INLINE row own_row(const attn *a, head h, seat me, int64_t r, int i)
{
    return find_row(a, h, r + me.line + 8 * i);
}

INLINE void begin(const attn *a, head h, seat me, int64_t r, state *t)
{
    UNROLL
    for (int i = 0; i < 2; i++) {
        t->max[i] = NMK_LEAST;
        t->sum[i] = 0;
        if (!a->s->sink)
            continue;
        row q = own_row(a, h, me, r, i);
        t->max[i] = a->x->sink[h.kv * a->x->sink_s.kv + q.g * a->x->sink_s.g] / unit(a);
        t->sum[i] = me.other == 0 ? 1 : 0;
    }
    clear(t->o, a->s->hd_v);
}

// Over the four threads that share a row.
INLINE float all_max(float x)
{
    float y = shfl_xor_f32(x, 1);
    x = y > x ? y : x;
    y = shfl_xor_f32(x, 2);
    return y > x ? y : x;
}
INLINE float all_sum(float x)
{
    x += shfl_xor_f32(x, 1);
    return x + shfl_xor_f32(x, 2);
}

// Logits of row i become probabilities times e^max, the maximum being that of all keys so far.
// Returns what is to be multiplied with all that was summed before. A row that has seen nothing has
// the maximum 0.
INLINE float soften(const attn *a, state *t, int i, int eights, float (*s)[4])
{
    float max = t->max[i], sum = 0, to_log2 = unit(a) * LOG2E;
    UNROLL
    for (int n = 0; n < eights; n++)
        UNROLL
    for (int c = 0; c < 2; c++)
        max = s[n][2 * i + c] > max ? s[n][2 * i + c] : max;
    max = all_max(max);
    float from = max == NMK_LEAST ? 0 : max * to_log2;
    UNROLL
    for (int n = 0; n < eights; n++)
        UNROLL
    for (int c = 0; c < 2; c++)
        sum += s[n][2 * i + c] = ex2(s[n][2 * i + c] * to_log2 - from);
    float shrink = ex2(t->max[i] * to_log2 - from);
    t->max[i] = max;
    t->sum[i] = t->sum[i] * shrink + sum;
    return shrink;
}

INLINE void shrink_sums(const attn *a, state *t, const float by[2])
{
    UNROLL
    for (u32 n = 0; n < padded(a->s->hd_v) / 8; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        t->o[n][e] *= by[e / 2];
}

enum { AT_ONCE = 8 }; // eights of keys that have their bits in one word

INLINE void find_logits(const attn *a, head h, seat me, u32 seen, int64_t r, int64_t j,
                        float (*s)[4])
{
    float slope;
    UNROLL
    for (int n = 0; n < AT_ONCE; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        s[n][e] = raw_logit(a, h, bit_of(seen, n, e / 2, e % 2), r + me.line + e / 2 * 8,
                            j + 8 * n + me.other + e % 2, s[n][e], &slope);
}

INLINE void drop(const attn *a, u32 kept, float (*s)[4])
{
    UNROLL
    for (int n = 0; n < AT_ONCE; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        s[n][e] *= drop_factor(a, bit_of(kept, n, e / 2, e % 2));
}

// Products of keys from j on, 8 `eights` of them, become what their values are to be weighed with;
// what was summed before is to be scaled with shrink.
INLINE void weigh(const attn *a, head h, seat me, int64_t r, int64_t j, span at, state *t,
                  int eights, float (*s)[4], float shrink[2])
{
    bits known[MOST_KEYS / 64];
    find_again(&me);
    UNROLL
    for (int n = 0; n < eights; n += AT_ONCE) {
        bool plain = is_plain(a, at, r, OWN, j + 8 * n, 8 * AT_ONCE);
        known[n / AT_ONCE] = bits_of_rows(a, h, me, plain, r, j + 8 * n, AT_ONCE);
        if (!plain)
            find_logits(a, h, me, known[n / AT_ONCE].seen, r, j + 8 * n, s + n);
    }
    UNROLL
    for (int i = 0; i < 2; i++)
        shrink[i] = soften(a, t, i, eights, s);
    UNROLL
    for (int n = 0; n < eights && a->s->dropout; n += AT_ONCE)
        drop(a, known[n / AT_ONCE].kept, s + n);
}

INLINE void finish(const attn *a, head h, seat me, int64_t r, state *t)
{
    const nmk_attn_args *x = a->x;
    int64_t hd_v = a->s->hd_v;
    UNROLL
    for (int i = 0; i < 2; i++) {
        row q = own_row(a, h, me, r, i);
        float sum = all_sum(t->sum[i]), by = sum == 0 ? 0 : 1 / sum;
        if (!q.there)
            continue;
        int64_t out = offset(&x->out_s, h) + q.i * x->out_s.pos + q.g * x->out_s.g;
        int64_t lse = offset(&x->lse_s, h) + q.i * x->lse_s.pos + q.g * x->lse_s.g;
        store_line(me, (u16 *)x->out + out, 0, hd_v, hd_v, by, t->o, i);
        if (me.other == 0)
            x->lse[lse] = sum > 0 ? t->max[i] * unit(a) + lg2(sum) * LN2 : -__builtin_inff();
    }
}

#endif
