// Attention on gpus in bf16, forward: see attn_bf16.h. FlashAttention-2's scheme (Dao, 2023): a
// warp owns 16 rows and all keys of a tile, so that a row's maximum and sum are found by four
// threads; values are on their way while scores are computed, the next keys while values are
// summed.
#include "codegen/templates/gpu/attn_rows.h"

enum { KEYS = 64, EIGHTS = KEYS / 8 }; // of a tile

typedef struct room { // shared memory
    smem q, k, v;
} room;

INLINE room room_of(const attn *a, smem at)
{
    smem k = at + tile_bytes(OWN, a->s->hd);
    return (room){at, k, k + tile_bytes(KEYS, a->s->hd)};
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
        float s[EIGHTS][4], shrink[2];
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
        weigh(a, h, me, r, j, at, t, EIGHTS, s, shrink);
        shrink_sums(a, t, shrink);
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
