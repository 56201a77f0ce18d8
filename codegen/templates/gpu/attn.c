// Attention on gpus in f32, forward: see attn.h. Softmax over the keys of q . k, times v, a tile of
// keys at a time, with a running maximum and sum of each row (online softmax; FlashAttention-2,
// Dao, 2023). The 16 threads that share rows hold the same maximum, each its part of the sum.
#include "codegen/templates/gpu/attn_tile.h"

typedef struct state { // of a thread's rows
    row q[MINE];
    float max[MINE], sum[MINE];
    float o[COLUMNS][MINE][4]; // not divided by the sum yet
} state;

INLINE void begin(const attn *a, head h, seat me, int64_t r, state *t)
{
    UNROLL
    for (int i = 0; i < MINE; i++) {
        row q = t->q[i] = find_row(a, h, r + me.own + i);
        const nmk_strides *s = &a->x->sink_s;
        t->max[i] = a->s->sink ? a->x->sink[h.kv * s->kv + q.g * s->g] : NMK_LEAST;
        t->sum[i] = a->s->sink && me.other == 0 ? 1 : 0;
    }
    clear_sums(t->o);
}

// Over the threads that share rows: half a warp.
INLINE float all_max(float x)
{
    UNROLL
    for (u32 mask = SIDE / 2; mask; mask /= 2) {
        float y = shfl_xor_f32(x, mask);
        x = y > x ? y : x;
    }
    return x;
}
INLINE float all_sum(float x)
{
    UNROLL
    for (u32 mask = SIDE / 2; mask; mask /= 2)
        x += shfl_xor_f32(x, mask);
    return x;
}

// The logits of row i become probabilities times e^max, the maximum being that of all keys so far;
// what was summed before is scaled to it.
INLINE void soften(state *t, int i, float s[MINE])
{
    float max = t->max[i], sum = 0;
    UNROLL
    for (int j = 0; j < MINE; j++)
        max = s[j] > max ? s[j] : max;
    max = all_max(max);
    UNROLL
    for (int j = 0; j < MINE; j++) {
        s[j] = ex2((s[j] - max) * LOG2E);
        sum += s[j];
    }
    float shrink = ex2((t->max[i] - max) * LOG2E);
    t->max[i] = max;
    t->sum[i] = t->sum[i] * shrink + sum;
    UNROLL
    for (int b = 0; b < COLUMNS; b++)
        UNROLL
    for (int k = 0; k < 4; k++)
        t->o[b][i][k] *= shrink;
}

// The products of a tile become what v is summed by.
INLINE void weigh(const attn *a, head h, seat me, int64_t j, state *t, float s[MINE][MINE])
{
    key k[MINE];
    float slope;
    UNROLL
    for (int n = 0; n < MINE; n++)
        k[n] = find_key(a, h, j + me.other + n * SIDE);
    UNROLL
    for (int i = 0; i < MINE; i++) {
        UNROLL
        for (int n = 0; n < MINE; n++)
            s[i][n] = logit(a, h, &t->q[i], &k[n], s[i][n], &slope);
        soften(t, i, s[i]);
        UNROLL
        for (int n = 0; n < MINE && a->s->dropout; n++)
            s[i][n] *= keep(a, &t->q[i], &k[n]);
    }
}

INLINE void finish(const attn *a, head h, seat me, int64_t from, int64_t to, state *t)
{
    const nmk_attn_args *x = a->x;
    UNROLL
    for (int i = 0; i < MINE; i++) {
        row q = t->q[i];
        float sum = all_sum(t->sum[i]), by = sum == 0 ? 0 : 1 / sum;
        if (!q.there)
            continue;
        int64_t out = offset(&x->out_s, h) + q.i * x->out_s.pos + q.g * x->out_s.g;
        int64_t lse = offset(&x->lse_s, h) + q.i * x->lse_s.pos + q.g * x->lse_s.g;
        store_line(me, x->out + out, from, to, by, t->o, i);
        if (me.other == 0 && from == 0)
            x->lse[lse] = sum > 0 ? t->max[i] + lg2(sum) * LN2 : -__builtin_inff();
    }
}

INLINE void do_rows(const attn *a, head h, int64_t r, int64_t slice)
{
    const nmk_attn_args *x = a->x;
    int64_t hd = a->s->hd, hd_v = a->s->hd_v, wide = min64(hd_v, NMG_ATTN_WIDE);
    int64_t from = slice * NMG_ATTN_WIDE, to = min64(hd_v, from + wide);
    seat me = take_seat();
    state t;
    begin(a, h, me, r, &t);
    lines q = row_lines(a, h, x->q, &x->q_s, r, TILE);
    span seen = keys_of(a, r, TILE);
    for (int64_t j = seen.first / TILE * TILE; j < seen.last; j += TILE) {
        lines k = key_lines(a, h, x->k, &x->k_s, j, TILE),
              v = key_lines(a, h, x->v, &x->v_s, j, TILE);
        float s[MINE][MINE];
        product(me, &q, &k, hd, s);
        weigh(a, h, me, j, &t, s);
        put_pairs(me, s);
        add_lines(me, &v, from, to, wide, t.o);
    }
    finish(a, h, me, from, to, &t);
}

NMG_ENTRY void nmg_attn(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                        nmk_bias *bias, nmk_position *position, nmk_position *key_position,
                        int64_t index)
{
    attn a = {s, x, env, bias, position, key_position};
    int64_t n = tiles(row_count(&a)), n_slices = slices(s->hd_v);
    head h = head_at(x, index / n / n_slices);
    do_rows(&a, h, (n - 1 - index % n) * TILE, index / n % n_slices); // the last see the most keys
}
