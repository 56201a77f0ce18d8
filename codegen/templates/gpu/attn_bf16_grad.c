// Attention on gpus in bf16, backward: see attn_bf16.h, and attn_grad.c for who owns what where
// sums have an order.
#include "codegen/templates/gpu/attn_back.h"

// --- norms ---------------------------------------------------------------------------------------

INLINE float delta_of(const u16 *y, const u16 *dy, int64_t hd_v)
{
    float delta = 0;
    for (int64_t c = laneid(); c < hd_v; c += 32)
        delta += from_bf16(y[c]) * from_bf16(dy[c]);
    UNROLL
    for (u32 mask = 16; mask; mask /= 2)
        delta += shfl_xor_f32(delta, mask);
    return delta;
}

NMG_ENTRY void nmg_attn_norms_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, float *norms,
                                   int64_t index)
{
    attn a = {.s = s, .x = x};
    int64_t tiles = (row_count(&a) + OWN - 1) / OWN, r = index % tiles * OWN;
    head h = head_at(x, index / tiles);
    lines out = row_lines(&a, h, x->out, &x->out_s, r, OWN);
    lines dout = row_lines(&a, h, x->dout, &x->dout_s, r, OWN);
    lines lse = row_lines(&a, h, x->lse, &x->lse_s, r, OWN);
    float *to = norms + 2 * (rows_before(&a, h) + r);
    for (u32 n = tid() / 32; n < out.n; n += THREADS / 32) {
        float delta = delta_of((const u16 *)x->out + line_offset(&out, n),
                               (const u16 *)x->dout + line_offset(&dout, n), s->hd_v);
        float y = x->lse[line_offset(&lse, n)];
        if (laneid() == 0) {
            to[2 * n] = y == -__builtin_inff() ? __builtin_inff() : y * LOG2E;
            to[2 * n + 1] = delta;
        }
    }
}

// --- keys, and rows: others come in two buffers, one is on its way while the other is used -------

INLINE room room_of(const attn *a, smem at)
{
    int64_t hd = a->s->hd, hd_v = a->s->hd_v;
    smem own_v = at + tile_bytes(OWN, hd), others = own_v + tile_bytes(OWN, hd_v);
    u32 first = tile_bytes(OTHERS, hd), buffer = first + tile_bytes(OTHERS, hd_v);
    return (room){at, own_v, others, others + first, buffer, others + 2 * buffer};
}

// The next others are on their way, or there are none: the last ones are there.
INLINE void await(bool more)
{
    if (more)
        cp_async_wait(1);
    else
        cp_async_wait(0);
    publish();
    block_sync();
}

INLINE void do_keys(const attn *a, head h, grown w, int64_t j, slice part)
{
    seat me = take_seat();
    room m = room_of(a, me.at);
    key_sums sum;
    clear(sum.dk, WIDE);
    clear(sum.dv, WIDE);
    int64_t r = next_rows(a, j, OWN, 0), end = row_count(a);
    u32 buffer = 0;
    if (r < end) {
        stage_keys(a, h, j, OWN, m.own, m.own_v);
        stage_rows(a, h, r, OTHERS, m.others, m.others_v);
    }
    for (int64_t next; r < end; r = next, buffer ^= 1) {
        next = next_rows(a, j, OWN, r + OTHERS);
        if (next < end)
            stage_rows(a, h, next, OTHERS, m.others + (buffer ^ 1) * m.buffer,
                       m.others_v + (buffer ^ 1) * m.buffer);
        await(next < end);
        meet_rows(a, h, me, m, part, w, j, r, buffer, &sum);
        block_sync(); // nobody reads this buffer, nor the pairs
    }
    store_keys(a, h, me, part, j, &sum);
}

INLINE void do_rows(const attn *a, head h, const float *norms, int64_t r, slice part)
{
    seat me = take_seat();
    room m = room_of(a, me.at);
    float dq[WIDE / 8][4];
    clear(dq, WIDE);
    span at = positions(a, r, OWN), seen = keys_of(a, r, OWN);
    int64_t j = seen.first / OTHERS * OTHERS;
    u32 buffer = 0;
    if (j < seen.last) {
        stage_rows(a, h, r, OWN, m.own, m.own_v);
        stage_keys(a, h, j, OTHERS, m.others, m.others_v);
    }
    for (; j < seen.last; j += OTHERS, buffer ^= 1) {
        bool more = j + OTHERS < seen.last;
        if (more)
            stage_keys(a, h, j + OTHERS, OTHERS, m.others + (buffer ^ 1) * m.buffer,
                       m.others_v + (buffer ^ 1) * m.buffer);
        await(more);
        meet_keys(a, h, me, m, part, norms, at, r, j, buffer, dq);
        block_sync(); // nobody reads this buffer
    }
    store_rows(a, h, me, part, r, dq);
}

// --- in two passes -------------------------------------------------------------------------------

NMG_ENTRY void nmg_attn_grad_bf16(const nmk_attn_spec *s, const nmk_attn_args *x,
                                  const float *norms, const void *env, nmk_bias *bias,
                                  nmk_position *position, nmk_position *key_position, int64_t index)
{
    attn a = {s, x, env, bias, position, key_position};
    int64_t of_keys = (x->n_k + OWN - 1) / OWN, of_rows = (row_count(&a) + OWN - 1) / OWN;
    int64_t n = of_keys + of_rows, slices = (max64(s->hd, s->hd_v) + WIDE - 1) / WIDE;
    head h = head_at(x, index / n / slices);
    slice part = slice_of(&a, index / n % slices);
    const float *mine = norms + 2 * rows_before(&a, h);
    if (index % n < of_keys)
        do_keys(&a, h, (grown){.norms = mine}, index % n * OWN, part);
    else
        do_rows(&a, h, mine, (n - 1 - index % n) * OWN, part);
}

// --- in one pass: all blocks own keys ------------------------------------------------------------

NMG_ENTRY void nmg_attn_clear_bf16(const nmk_attn_spec *s, const nmk_attn_args *x, float *sums,
                                   int64_t index)
{
    attn a = {.s = s, .x = x};
    int64_t tiles = (row_count(&a) + OWN - 1) / OWN, r = index % tiles * OWN;
    int64_t n = min64(OWN, row_count(&a) - r) * s->hd;
    float *to = sums + (rows_before(&a, head_at(x, index / tiles)) + r) * s->hd;
    for (int64_t i = tid(); i < n; i += THREADS)
        to[i] = 0;
}

NMG_ENTRY void nmg_attn_grad_once_bf16(const nmk_attn_spec *s, const nmk_attn_args *x,
                                       const float *norms, float *sums, const void *env,
                                       nmk_bias *bias, nmk_position *position,
                                       nmk_position *key_position, int64_t index)
{
    attn a = {s, x, env, bias, position, key_position};
    int64_t n = (x->n_k + OWN - 1) / OWN, slices = (max64(s->hd, s->hd_v) + WIDE - 1) / WIDE;
    head h = head_at(x, index / n / slices);
    int64_t before = rows_before(&a, h);
    do_keys(&a, h, (grown){norms + 2 * before, sums + before * s->hd}, index % n * OWN,
            slice_of(&a, index / n % slices));
}

NMG_ENTRY void nmg_attn_round_bf16(const nmk_attn_spec *s, const nmk_attn_args *x,
                                   const float *sums, int64_t index)
{
    attn a = {.s = s, .x = x};
    int64_t tiles = (row_count(&a) + OWN - 1) / OWN, r = index % tiles * OWN;
    head h = head_at(x, index / tiles);
    lines dq = row_lines(&a, h, x->dq, &x->dq_s, r, OWN);
    const float *from = sums + (rows_before(&a, h) + r) * s->hd;
    for (u32 n = tid() / 32; n < dq.n; n += THREADS / 32) {
        u16 *line = (u16 *)x->dq + line_offset(&dq, n);
        for (int64_t c = laneid(); c < s->hd; c += 32)
            line[c] = to_bf16(from[n * s->hd + c]);
    }
}
