// Private to attention on gpus in bf16, backward: pairs, and a block that owns keys. See
// attn_grad.c for the formulas.
//
// Others come in two buffers: a tile is on its way while the last one is used. Pairs stay in
// registers: own lines are the rows of every product.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_BACK_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_BACK_H

#include "codegen/templates/gpu/attn_warp.h"

enum { OTHERS = 32, EIGHTS = OTHERS / 8 }; // lines of a tile of others

typedef struct pairs { // a thread's
    float p[EIGHTS][4], ds[EIGHTS][4];
} pairs;

// --- pairs ---------------------------------------------------------------------------------------

typedef struct norm { // of a row
    float lse, delta;
} norm;

// Rows of all heads before this one's.
INLINE int64_t rows_before(const attn *a, head h)
{
    return ((h.b0 * a->x->n1 + h.b1) * a->x->kv + h.kv) * row_count(a);
}

INLINE norm norm_of(const attn *a, const float *norms, int64_t r)
{
    const float *at = norms + 2 * min64(r, row_count(a) - 1);
    return (norm){at[0], at[1]};
}

// The logit becomes p after dropout; ds holds dp on entry, ds on exit.
INLINE void soften(const attn *a, norm y, float slope, bool kept, float *p, float *ds)
{
    float all = ex2(*p * (unit(a) * LOG2E) - y.lse), by = a->s->dropout ? drop_factor(a, kept) : 1;
    *p = all * by;
    *ds = all * (*ds * by - y.delta) * slope;
}

// Element e = 2 i + c of the eight others n: row r and key j.
INLINE void soften_pair(const attn *a, head h, bool plain, bits known, int n, int e, int64_t r,
                        int64_t j, norm y, pairs *t)
{
    float slope = 1;
    if (!plain)
        t->p[n][e] = raw_logit(a, h, bit_of(known.seen, n, e / 2, e % 2), r, j, t->p[n][e], &slope);
    soften(a, y, slope, bit_of(known.kept, n, e / 2, e % 2), &t->p[n][e], &t->ds[n][e]);
}

// Own lines are keys from j on, others rows from r on.
INLINE void soften_keys(const attn *a, head h, seat me, const float *norms, bool plain, int64_t j,
                        int64_t r, pairs *t)
{
    find_again(&me);
    bits known = bits_of_keys(a, h, me, plain, j, r, EIGHTS);
    UNROLL
    for (int n = 0; n < EIGHTS; n++)
        UNROLL
    for (int c = 0; c < 2; c++) {
        int64_t at = r + 8 * n + me.other + c;
        norm y = norm_of(a, norms, at);
        UNROLL
        for (int i = 0; i < 2; i++)
            soften_pair(a, h, plain, known, n, 2 * i + c, at, j + me.line + 8 * i, y, t);
    }
}

// --- what both sides share -----------------------------------------------------------------------

typedef struct slice { // of the head dims: [from, to) of each
    int64_t from, hd, hd_v;
} slice;

INLINE slice slice_of(const attn *a, int64_t i)
{
    int64_t from = i * WIDE, to = from + WIDE;
    return (slice){from, min64(a->s->hd, to), min64(a->s->hd_v, to)};
}

typedef struct room { // shared memory: lines along hd, and so many bytes behind them along hd_v
    smem own, own_v, others, others_v;
    u32 buffer; // bytes from one buffer of others to the other
    smem pairs; // ds of own lines and others, where dq is summed beside dk
} room;

// Lines of two operands of the same rows or keys.
INLINE void stage_two(const attn *a, const lines *x, const lines *x_v, u32 count, smem to,
                      smem to_v)
{
    stage(x, count, a->s->hd, to);
    stage(x_v, count, a->s->hd_v, to_v);
    cp_async_commit();
}

INLINE void stage_rows(const attn *a, head h, int64_t r, u32 count, smem to, smem to_v)
{
    const nmk_attn_args *x = a->x;
    lines q = row_lines(a, h, x->q, &x->q_s, r, count);
    lines dout = row_lines(a, h, x->dout, &x->dout_s, r, count);
    stage_two(a, &q, &dout, count, to, to_v);
}

INLINE void stage_keys(const attn *a, head h, int64_t j, u32 count, smem to, smem to_v)
{
    const nmk_attn_args *x = a->x;
    lines k = key_lines(a, h, x->k, &x->k_s, j, count);
    lines v = key_lines(a, h, x->v, &x->v_s, j, count);
    stage_two(a, &k, &v, count, to, to_v);
}

INLINE void find_products(const attn *a, seat me, room m, u32 buffer, pairs *t)
{
    product(me, m.own, m.others + buffer * m.buffer, a->s->hd, EIGHTS, t->p);
    product(me, m.own_v, m.others_v + buffer * m.buffer, a->s->hd_v, EIGHTS, t->ds);
}

// --- keys ----------------------------------------------------------------------------------------

typedef struct key_sums { // of a thread's keys
    float dk[WIDE / 8][4], dv[WIDE / 8][4];
} key_sums;

// Does one of the tile of rows from r on see a key of [j, j + n)?
INLINE bool has_pairs(const attn *a, int64_t j, int64_t n, int64_t r)
{
    span seen = keys_of(a, r, OTHERS);
    return seen.first < j + n && j < seen.last;
}

// The first such tile from r on; row_count: none.
INLINE int64_t next_rows(const attn *a, int64_t j, int64_t n, int64_t r)
{
    while (r < row_count(a) && !has_pairs(a, j, n, r))
        r += OTHERS;
    return min64(r, row_count(a));
}

// The part that a block's keys have of the dq of rows from r on; ds lies in m.pairs, for all to see
// behind a barrier.
INLINE void add_dq(const attn *a, seat me, room m, slice part, int64_t r, float *dq)
{
    int64_t hd = a->s->hd, rows = row_count(a);
    find_again(&me);
    UNROLL
    for (int64_t c = 0; c < min64(hd, WIDE); c += 64) {
        int64_t at = part.from + c + me.line;
        float s[EIGHTS][4];
        if (part.from + c >= part.hd)
            continue;
        product_across(me, m.own, (u32)hd, (u32)(part.from + c), m.pairs, EIGHTS, s);
        UNROLL
        for (int n = 0; n < EIGHTS; n++)
            UNROLL
        for (int e = 0; e < 4; e++) {
            int64_t row = r + 8 * n + me.other + e % 2, to = at + e / 2 * 8;
            if (row < rows && to < part.hd)
                red_add_f32(dq + row * hd + to, s[n][e] * a->x->scale);
        }
    }
}

typedef struct grown { // of one head, in f32
    const float *norms;
    float *dq; // [rows, hd], to which all add; NULL: somebody else's
} grown;

INLINE void meet_rows(const attn *a, head h, seat me, room m, slice part, grown w, int64_t j,
                      int64_t r, u32 buffer, key_sums *sum)
{
    int64_t hd = a->s->hd, hd_v = a->s->hd_v;
    pairs t;
    u32 p[EIGHTS / 2][4], ds[EIGHTS / 2][4];
    find_products(a, me, m, buffer, &t);
    bool plain = is_plain(a, positions(a, r, OTHERS), r, OTHERS, j, OWN);
    soften_keys(a, h, me, w.norms, plain, j, r, &t);
    pack(p, t.p, EIGHTS);
    pack(ds, t.ds, EIGHTS);
    if (w.dq) {
        put_pairs(me, m.pairs, ds, EIGHTS);
        publish();
    }
    add_lines(me, p, EIGHTS / 2, m.others_v + buffer * m.buffer, hd_v, part.from, part.hd_v,
              min64(hd_v, WIDE), sum->dv);
    add_lines(me, ds, EIGHTS / 2, m.others + buffer * m.buffer, hd, part.from, part.hd,
              min64(hd, WIDE), sum->dk);
    if (w.dq) {
        sync_four(me); // ds of all warps is there
        add_dq(a, me, m, part, r, w.dq);
    }
}

INLINE void store_keys(const attn *a, head h, seat me, slice part, int64_t j, key_sums *sum)
{
    const nmk_attn_args *x = a->x;
    int64_t hd = a->s->hd, hd_v = a->s->hd_v;
    UNROLL
    for (int i = 0; i < 2; i++) {
        int64_t at = j + me.line + 8 * i;
        if (at >= x->n_k)
            continue;
        u16 *dk = (u16 *)x->dk + offset(&x->dk_s, h) + at * x->dk_s.pos;
        u16 *dv = (u16 *)x->dv + offset(&x->dv_s, h) + at * x->dv_s.pos;
        store_line(me, dk, part.from, part.hd, min64(hd, WIDE), x->scale, sum->dk, i);
        store_line(me, dv, part.from, part.hd_v, min64(hd_v, WIDE), 1, sum->dv, i);
    }
}

// --- rows ----------------------------------------------------------------------------------------

INLINE void soften_rows(const attn *a, head h, seat me, const float *norms, bool plain, int64_t r,
                        int64_t j, pairs *t)
{
    find_again(&me);
    bits known = bits_of_rows(a, h, me, plain, r, j, EIGHTS);
    UNROLL
    for (int i = 0; i < 2; i++) {
        int64_t at = r + me.line + 8 * i;
        norm y = norm_of(a, norms, at);
        UNROLL
        for (int n = 0; n < EIGHTS; n++)
            UNROLL
        for (int c = 0; c < 2; c++)
            soften_pair(a, h, plain, known, n, 2 * i + c, at, j + 8 * n + me.other + c, y, t);
    }
}

INLINE void meet_keys(const attn *a, head h, seat me, room m, slice part, const float *norms,
                      span at, int64_t r, int64_t j, u32 buffer, float dq[WIDE / 8][4])
{
    pairs t;
    u32 ds[EIGHTS / 2][4];
    find_products(a, me, m, buffer, &t);
    soften_rows(a, h, me, norms, is_plain(a, at, r, OWN, j, OTHERS), r, j, &t);
    pack(ds, t.ds, EIGHTS);
    add_lines(me, ds, EIGHTS / 2, m.others + buffer * m.buffer, a->s->hd, part.from, part.hd,
              min64(a->s->hd, WIDE), dq);
}

INLINE void store_rows(const attn *a, head h, seat me, slice part, int64_t r, float dq[WIDE / 8][4])
{
    const nmk_attn_args *x = a->x;
    lines to = row_lines(a, h, x->dq, &x->dq_s, r, OWN);
    UNROLL
    for (u32 i = 0; i < 2; i++)
        if (me.line + 8 * i < to.n)
            store_line(me, (u16 *)x->dq + line_offset(&to, me.line + 8 * i), part.from, part.hd,
                       min64(a->s->hd, WIDE), x->scale, dq, (int)i);
}

#endif
