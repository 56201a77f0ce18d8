// Attention on gpus in bf16, forward: see attn_bf16.h. FlashAttention-2's scheme (Dao, 2023): a
// warp owns 16 rows and all keys of a tile, so that a row's maximum and sum are found by four
// threads; values are on their way while scores are computed, the next keys while values are
// summed.
#include "codegen/templates/gpu/attn_warp.h"

enum { KEYS = 64, EIGHTS = KEYS / 8 }; // of a tile

typedef struct state { // of a thread's two rows
    float max[2], sum[2];
    float o[MOST / 8][4]; // not divided by the sum yet
} state;

typedef struct room { // shared memory
    smem q, k, v;
} room;

INLINE room room_of(const attn *a, smem at)
{
    smem k = at + tile_bytes(OWN, a->s->hd);
    return (room){at, k, k + tile_bytes(KEYS, a->s->hd)};
}

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

// Logits of row i become probabilities times e^max, the maximum being that of all keys so far; what
// was summed before is scaled to it. A row that has seen nothing has the maximum 0.
INLINE void soften(const attn *a, state *t, int i, float s[EIGHTS][4])
{
    float max = t->max[i], sum = 0, to_log2 = unit(a) * LOG2E;
    UNROLL
    for (int n = 0; n < EIGHTS; n++)
        UNROLL
    for (int c = 0; c < 2; c++)
        max = s[n][2 * i + c] > max ? s[n][2 * i + c] : max;
    max = all_max(max);
    float from = max == NMK_LEAST ? 0 : max * to_log2;
    UNROLL
    for (int n = 0; n < EIGHTS; n++)
        UNROLL
    for (int c = 0; c < 2; c++)
        sum += s[n][2 * i + c] = ex2(s[n][2 * i + c] * to_log2 - from);
    float shrink = ex2(t->max[i] * to_log2 - from);
    t->max[i] = max;
    t->sum[i] = t->sum[i] * shrink + sum;
    UNROLL
    for (u32 n = 0; n < padded(a->s->hd_v) / 8; n++)
        UNROLL
    for (int c = 0; c < 2; c++)
        t->o[n][2 * i + c] *= shrink;
}

INLINE void find_logits(const attn *a, head h, seat me, u32 seen, int64_t r, int64_t j,
                        float s[EIGHTS][4])
{
    float slope;
    UNROLL
    for (int n = 0; n < EIGHTS; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        s[n][e] = raw_logit(a, h, bit_of(seen, n, e / 2, e % 2), r + me.line + e / 2 * 8,
                            j + 8 * n + me.other + e % 2, s[n][e], &slope);
}

INLINE void drop(const attn *a, u32 kept, float s[EIGHTS][4])
{
    UNROLL
    for (int n = 0; n < EIGHTS; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        s[n][e] *= drop_factor(a, bit_of(kept, n, e / 2, e % 2));
}

// Keys from j on are there, and so will be their values.
INLINE void weigh(const attn *a, head h, seat me, int64_t r, int64_t j, span at, state *t,
                  float s[EIGHTS][4])
{
    bool plain = is_plain(a, at, r, OWN, j, KEYS);
    find_again(&me);
    bits known = bits_of_rows(a, h, me, plain, r, j, EIGHTS);
    if (!plain)
        find_logits(a, h, me, known.seen, r, j, s);
    UNROLL
    for (int i = 0; i < 2; i++)
        soften(a, t, i, s);
    if (a->s->dropout)
        drop(a, known.kept, s);
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

INLINE void stage_keys(const attn *a, head h, int64_t j, smem to)
{
    lines k = key_lines(a, h, a->x->k, &a->x->k_s, j, KEYS);
    stage(&k, KEYS, a->s->hd, to);
    cp_async_commit();
}

INLINE void stage_values(const attn *a, head h, int64_t j, smem to)
{
    lines v = key_lines(a, h, a->x->v, &a->x->v_s, j, KEYS);
    stage(&v, KEYS, a->s->hd_v, to);
    cp_async_commit();
}

INLINE void meet_keys(const attn *a, head h, seat me, room m, int64_t r, span at, span seen,
                      state *t)
{
    int64_t hd_v = a->s->hd_v;
    for (int64_t j = seen.first / KEYS * KEYS; j < seen.last; j += KEYS) {
        float s[EIGHTS][4];
        u32 p[EIGHTS / 2][4];
        cp_async_wait(0);
        publish();
        block_sync(); // keys are there, and nobody reads the last values
        stage_values(a, h, j, m.v);
        product(me, m.q, m.k, a->s->hd, EIGHTS, s);
        cp_async_wait(0);
        publish();
        block_sync(); // values are there, and nobody reads these keys
        if (j + KEYS < seen.last)
            stage_keys(a, h, j + KEYS, m.k);
        weigh(a, h, me, r, j, at, t, s);
        pack(p, s, EIGHTS);
        add_lines(me, p, EIGHTS / 2, m.v, hd_v, 0, hd_v, hd_v, t->o);
    }
}

INLINE void do_rows(const attn *a, head h, int64_t r)
{
    seat me = take_seat();
    room m = room_of(a, me.at);
    span at = positions(a, r, OWN);
    span seen = {first_key(a, at.first), end_key(a, at.last)};
    state t;
    begin(a, h, me, r, &t);
    if (seen.first < seen.last) {
        lines q = row_lines(a, h, a->x->q, &a->x->q_s, r, OWN);
        stage(&q, OWN, a->s->hd, m.q);
        stage_keys(a, h, seen.first / KEYS * KEYS, m.k);
        meet_keys(a, h, me, m, r, at, seen, &t);
    }
    finish(a, h, me, r, &t);
}

NMG_ENTRY void nmg_attn_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                             nmk_bias *bias, nmk_position *position, nmk_position *key_position,
                             int64_t index)
{
    attn a = {s, x, env, bias, position, key_position};
    int64_t n = (row_count(&a) + OWN - 1) / OWN;
    do_rows(&a, head_at(x, index / n), (n - 1 - index % n) * OWN); // the last see the most keys
}
