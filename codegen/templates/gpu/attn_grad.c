// Attention on gpus in f32, backward: see attn.h.
//
// With s the logits, p = exp(s - lse) computed again, and delta = sum(dout * out) of a row:
//     dv = p~ . dout        dp = (dout . v) dropped like p        (p~: p after dropout)
//     ds = p * (dp - delta) dq = scale * ds . k    dk = scale * ds . q
// A block owns a tile of keys and meets the rows that see it (dk, dv), or a tile of rows and meets
// the keys that it sees (dq). So no two blocks add to the same sum, and pairs are computed twice.
#include "codegen/templates/gpu/attn_tile.h"

// --- pairs ---------------------------------------------------------------------------------------

typedef struct pairs { // a thread's: of its own lines and the others
    float p[MINE][MINE], ds[MINE][MINE];
} pairs;

typedef struct norm { // of a row
    float lse, delta;
} norm;

INLINE norm norm_of(seat me, u32 n)
{
    smem at = me.at + NORMS_AT + 4 * n;
    return (norm){ld_shared_f32(at), ld_shared_f32(at + 4 * TILE)};
}

// lse and delta of the rows from r on, a warp for each of them in turn. All have read the last
// ones: sums and products were between.
INLINE void find_norms(const attn *a, head h, seat me, int64_t r)
{
    const nmk_attn_args *x = a->x;
    lines out = row_lines(a, h, x->out, &x->out_s, r, TILE),
          dout = row_lines(a, h, x->dout, &x->dout_s, r, TILE);
    lines lse = row_lines(a, h, x->lse, &x->lse_s, r, TILE);
    for (u32 n = tid() / 32; n < TILE; n += THREADS / 32) {
        u32 at = n < out.n ? n : out.n - 1;
        const float *y = x->out + line_offset(&out, at), *dy = x->dout + line_offset(&dout, at);
        float delta = 0;
        for (int64_t c = laneid(); c < a->s->hd_v; c += 32)
            delta += y[c] * dy[c];
        UNROLL
        for (u32 mask = 16; mask; mask /= 2)
            delta += shfl_xor_f32(delta, mask);
        if (laneid() == 0) {
            st_shared_f32(me.at + NORMS_AT + 4 * n, x->lse[line_offset(&lse, at)]);
            st_shared_f32(me.at + NORMS_AT + 4 * (TILE + n), delta);
        }
    }
    block_sync();
}

// The product of a pair becomes p after dropout; ds holds dp on entry, ds on exit.
INLINE void soften(const attn *a, head h, const row *q, const key *k, norm y, float *p, float *ds)
{
    float slope = 1, s = logit(a, h, q, k, *p, &slope), kept = 1;
    bool blind = y.lse == -__builtin_inff(); // saw nothing: p = 0
    float all = blind ? 0 : ex2((s - y.lse) * LOG2E);
    if (a->s->dropout)
        kept = keep(a, q, k);
    *p = all * kept;
    *ds = all * (*ds * kept - y.delta) * slope;
}

// What follows from a thread's lines is computed anew in each tile: no registers are left to keep
// it.
INLINE void find_again(seat *me)
{
    keep_u32(&me->own);
    keep_u32(&me->other);
}

// A thread's pairs; its own lines are keys from j on and the others rows from r on, or the other
// way round.
INLINE void soften_keys(const attn *a, head h, seat me, int64_t j, int64_t r, pairs *t)
{
    find_again(&me);
    UNROLL
    for (u32 n = 0; n < MINE; n++) {
        row q = find_row(a, h, r + me.other + n * SIDE);
        norm y = norm_of(me, me.other + n * SIDE);
        UNROLL
        for (u32 i = 0; i < MINE; i++) {
            key k = find_key(a, h, j + me.own + i);
            soften(a, h, &q, &k, y, &t->p[i][n], &t->ds[i][n]);
        }
    }
}

INLINE void soften_rows(const attn *a, head h, seat me, int64_t r, int64_t j, pairs *t)
{
    find_again(&me);
    UNROLL
    for (u32 i = 0; i < MINE; i++) {
        row q = find_row(a, h, r + me.own + i);
        norm y = norm_of(me, me.own + i);
        UNROLL
        for (u32 n = 0; n < MINE; n++) {
            key k = find_key(a, h, j + me.other + n * SIDE);
            soften(a, h, &q, &k, y, &t->p[i][n], &t->ds[i][n]);
        }
    }
}

// --- keys ----------------------------------------------------------------------------------------

typedef struct slice { // of the head dims: [from, to) of each
    int64_t from, hd, hd_v;
} slice;

INLINE slice slice_of(const attn *a, int64_t i)
{
    int64_t from = i * NMG_ATTN_WIDE, to = from + NMG_ATTN_WIDE;
    return (slice){from, min64(a->s->hd, to), min64(a->s->hd_v, to)};
}

typedef struct key_sums { // of a thread's keys
    float dk[COLUMNS][MINE][4], dv[COLUMNS][MINE][4];
} key_sums;

INLINE void meet_rows(const attn *a, head h, seat me, slice part, int64_t j, int64_t r,
                      key_sums *sum)
{
    const nmk_attn_args *x = a->x;
    int64_t hd = a->s->hd, hd_v = a->s->hd_v;
    lines k = key_lines(a, h, x->k, &x->k_s, j, TILE), v = key_lines(a, h, x->v, &x->v_s, j, TILE);
    lines q = row_lines(a, h, x->q, &x->q_s, r, TILE),
          dout = row_lines(a, h, x->dout, &x->dout_s, r, TILE);
    pairs t;
    product(me, &k, &q, hd, t.p);
    product(me, &v, &dout, hd_v, t.ds);
    find_norms(a, h, me, r);
    soften_keys(a, h, me, j, r, &t);
    find_again(&me);
    put_pairs(me, t.p);
    add_lines(me, &dout, part.from, part.hd_v, min64(hd_v, NMG_ATTN_WIDE), sum->dv);
    block_sync(); // all have read the pairs
    put_pairs(me, t.ds);
    add_lines(me, &q, part.from, part.hd, min64(hd, NMG_ATTN_WIDE), sum->dk);
}

INLINE void store_keys(const attn *a, head h, seat me, slice part, int64_t j, key_sums *sum)
{
    const nmk_attn_args *x = a->x;
    UNROLL
    for (int i = 0; i < MINE; i++) {
        int64_t at = j + me.own + i;
        if (at >= x->n_k)
            continue;
        float *dk = x->dk + offset(&x->dk_s, h) + at * x->dk_s.pos;
        float *dv = x->dv + offset(&x->dv_s, h) + at * x->dv_s.pos;
        store_line(me, dk, part.from, part.hd, x->scale, sum->dk, i);
        store_line(me, dv, part.from, part.hd_v, 1, sum->dv, i);
    }
}

INLINE void do_keys(const attn *a, head h, int64_t j, slice part)
{
    seat me = take_seat();
    key_sums sum;
    clear_sums(sum.dk);
    clear_sums(sum.dv);
    for (int64_t r = 0; r < row_count(a); r += TILE) {
        span seen = keys_of(a, r, TILE);
        if (seen.first < j + TILE && j < seen.last)
            meet_rows(a, h, me, part, j, r, &sum);
    }
    store_keys(a, h, me, part, j, &sum);
}

// --- rows ----------------------------------------------------------------------------------------

INLINE void meet_keys(const attn *a, head h, seat me, slice part, int64_t r, int64_t j,
                      float dq[COLUMNS][MINE][4])
{
    const nmk_attn_args *x = a->x;
    int64_t hd = a->s->hd;
    lines q = row_lines(a, h, x->q, &x->q_s, r, TILE),
          dout = row_lines(a, h, x->dout, &x->dout_s, r, TILE);
    lines k = key_lines(a, h, x->k, &x->k_s, j, TILE), v = key_lines(a, h, x->v, &x->v_s, j, TILE);
    pairs t;
    product(me, &q, &k, hd, t.p);
    product(me, &dout, &v, a->s->hd_v, t.ds);
    soften_rows(a, h, me, r, j, &t);
    put_pairs(me, t.ds);
    add_lines(me, &k, part.from, part.hd, min64(hd, NMG_ATTN_WIDE), dq);
}

INLINE void do_rows(const attn *a, head h, int64_t r, slice part)
{
    const nmk_attn_args *x = a->x;
    seat me = take_seat();
    float dq[COLUMNS][MINE][4];
    clear_sums(dq);
    find_norms(a, h, me, r);
    span seen = keys_of(a, r, TILE);
    for (int64_t j = seen.first / TILE * TILE; j < seen.last; j += TILE)
        meet_keys(a, h, me, part, r, j, dq);
    lines to = row_lines(a, h, x->dq, &x->dq_s, r, TILE);
    UNROLL
    for (u32 i = 0; i < MINE; i++)
        if (me.own + i < to.n)
            store_line(me, x->dq + line_offset(&to, me.own + i), part.from, part.hd, x->scale, dq,
                       (int)i);
}

// --- the entry -----------------------------------------------------------------------------------

NMG_ENTRY void nmg_attn_grad(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                             nmk_bias *bias, nmk_position *position, nmk_position *key_position,
                             int64_t index)
{
    attn a = {s, x, env, bias, position, key_position};
    int64_t of_keys = tiles(x->n_k), of_rows = tiles(row_count(&a)), n = of_keys + of_rows;
    int64_t n_slices = slices(max64(s->hd, s->hd_v)), i = index % n;
    head h = head_at(x, index / n / n_slices);
    slice part = slice_of(&a, index / n % n_slices);
    if (i < of_keys)
        do_keys(&a, h, i * TILE, part);
    else
        do_rows(&a, h, (n - 1 - i) * TILE, part);
}
