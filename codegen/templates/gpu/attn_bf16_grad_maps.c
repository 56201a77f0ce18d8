// Attention on gpus in bf16, backward, as sm_90a has it where operands lie as its copy engine reads
// them: see attn_bf16.h. A warp of the first warpgroup keeps tiles of others coming, both operands
// of a tile together; the other two warpgroups own 64 keys or rows each, and meet a tile as the
// block of attn_bf16_grad.c does.
#include "codegen/templates/gpu/attn_back.h"

#ifdef NMG_SM90A

#include "codegen/templates/gpu/attn_ring.h"

enum { BLOCK = NMG_ATTN_MAPS_ROWS, Q_MAP = 0, K_MAP = 2 };
_Static_assert(OTHERS == NMG_ATTN_MAPS_OTHERS, "boxes");

typedef struct job { // a block's
    const attn *a;
    head h;
    slice part;
    grown w;
    const tmap *maps;
    ring others;
} job;

INLINE u32 own_bytes(const attn *a)
{
    return tile_bytes(OWN, a->s->hd) + tile_bytes(OWN, a->s->hd_v) + tile_bytes(OWN, 64);
}

INLINE ring find_ring(const attn *a, smem at)
{
    u32 bytes = tile_bytes(OTHERS, a->s->hd) + tile_bytes(OTHERS, a->s->hd_v);
    smem tiles = at + CONSUMERS * own_bytes(a), bars = tiles + STAGES * bytes;
    return (ring){tiles, bars, bars + 8 * STAGES, bytes};
}

INLINE room find_room(const job *b, seat me)
{
    int64_t hd = b->a->s->hd, hd_v = b->a->s->hd_v;
    smem own = me.at + (me.four - 1) * own_bytes(b->a), own_v = own + tile_bytes(OWN, hd);
    return (room){.own = own,
                  .own_v = own_v,
                  .others = b->others.at,
                  .others_v = b->others.at + tile_bytes(OTHERS, hd),
                  .buffer = b->others.bytes,
                  .pairs = own_v + tile_bytes(OWN, hd_v)};
}

// --- the producer --------------------------------------------------------------------------------

typedef struct corner { // of a box, behind the head dim
    int at[4];
} corner;

INLINE corner rows_corner(const attn *a, head h, int64_t r)
{
    int g = (int)a->x->g, kv = (int)h.kv, b1 = (int)h.b1;
    return g == 1 ? (corner){{(int)r, kv, b1, (int)h.b0}} : (corner){{0, (int)r / g, kv, b1}};
}

INLINE corner keys_corner(head h, int64_t j)
{
    return (corner){{(int)j, (int)h.kv, (int)h.b1, (int)h.b0}};
}

INLINE void copy_lines(smem to, const tmap *map, smem full, u32 n_columns, corner c)
{
    for (u32 i = 0; i < n_columns; i++)
        tma_load_5d(to + i * OTHERS * ROW, map, full, 64 * (int)i, c.at[0], c.at[1], c.at[2],
                    c.at[3]);
}

// Lines of two operands become tile i.
INLINE void copy_tile(const job *b, u32 i, const tmap *maps, corner c)
{
    u32 of_hd = columns(b->a->s->hd), of_hd_v = columns(b->a->s->hd_v);
    if (!elect())
        return;
    smem full = begin_copy(&b->others, i, (of_hd + of_hd_v) * OTHERS * ROW);
    smem to = tile_at(&b->others, i);
    copy_lines(to, maps, full, of_hd, c);
    copy_lines(to + tile_bytes(OTHERS, b->a->s->hd), maps + 1, full, of_hd_v, c);
}

INLINE void copy_rows(const job *b, int64_t j)
{
    int64_t r = next_rows(b->a, j, BLOCK, 0), end = row_count(b->a);
    for (u32 i = 0; r < end; r = next_rows(b->a, j, BLOCK, r + OTHERS), i++)
        copy_tile(b, i, b->maps + Q_MAP, rows_corner(b->a, b->h, r));
}

INLINE void copy_keys(const job *b, int64_t j, int64_t end)
{
    for (u32 i = 0; j < end; j += OTHERS, i++)
        copy_tile(b, i, b->maps + K_MAP, keys_corner(b->h, j));
}

// --- a consumer ----------------------------------------------------------------------------------

// What the four warps own is there for all of them.
INLINE void await_own(seat me)
{
    cp_async_wait(0);
    publish();
    sync_four(me);
}

INLINE void own_keys(const job *b, int64_t first)
{
    seat me = take_seat();
    room m = find_room(b, me);
    key_sums sum;
    int64_t j = first + (me.four - 1) * OWN, end = row_count(b->a);
    bool there = j < b->a->x->n_k;
    clear(sum.dk, WIDE);
    clear(sum.dv, WIDE);
    if (there) {
        stage_keys(b->a, b->h, j, OWN, m.own, m.own_v);
        await_own(me);
    }
    int64_t r = next_rows(b->a, first, BLOCK, 0);
    for (u32 i = 0; r < end; r = next_rows(b->a, first, BLOCK, r + OTHERS), i++) {
        await_full(&b->others, i);
        warp_sync(); // a lane that came late would wait for what is full again
        if (there && has_pairs(b->a, j, OWN, r)) {
            find_again(&me);
            meet_rows(b->a, b->h, me, m, b->part, b->w, j, r, i % STAGES, &sum);
            if (b->w.dq)
                sync_four(me); // nobody reads the pairs
        }
        give_back(&b->others, i);
    }
    store_keys(b->a, b->h, me, b->part, j, &sum);
}

INLINE void own_rows(const job *b, int64_t first, int64_t from, int64_t to)
{
    seat me = take_seat();
    room m = find_room(b, me);
    float dq[WIDE / 8][4];
    int64_t r = first + (me.four - 1) * OWN;
    span at = {0, 0}, seen = {0, 0};
    clear(dq, WIDE);
    if (r < row_count(b->a)) {
        at = positions(b->a, r, OWN), seen = keys_of(b->a, r, OWN);
        stage_rows(b->a, b->h, r, OWN, m.own, m.own_v);
        await_own(me);
    }
    u32 i = 0;
    for (int64_t j = from; j < to; j += OTHERS, i++) {
        await_full(&b->others, i);
        warp_sync(); // likewise
        if (seen.first < j + OTHERS && j < seen.last)
            meet_keys(b->a, b->h, me, m, b->part, b->w.norms, at, r, j, i % STAGES, dq);
        give_back(&b->others, i);
    }
    if (r < row_count(b->a))
        store_rows(b->a, b->h, me, b->part, r, dq);
}

// --- the block -----------------------------------------------------------------------------------

INLINE bool is_producer(void) { return shfl_idx_u32(tid() / THREADS, 0) == 0; }
INLINE bool copies(void) { return shfl_idx_u32(tid() / 32, 0) == 0; }

INLINE void do_keys(const job *b, int64_t j)
{
    if (is_producer()) {
        reg_dec(FEW_REGISTERS);
        if (copies())
            copy_rows(b, j);
    } else {
        reg_inc(MANY_REGISTERS);
        own_keys(b, j);
    }
}

INLINE void do_rows(const job *b, int64_t r)
{
    span seen = keys_of(b->a, r, BLOCK);
    int64_t from = seen.first / OTHERS * OTHERS;
    if (is_producer()) {
        reg_dec(FEW_REGISTERS);
        if (copies())
            copy_keys(b, from, seen.last);
    } else {
        reg_inc(MANY_REGISTERS);
        own_rows(b, r, from, seen.last);
    }
}

NMG_ENTRY void nmg_attn_grad_maps_bf16(const nmk_attn_spec *s, const nmk_attn_args *x,
                                       const float *norms, float *sums, const void *env,
                                       nmk_bias *bias, nmk_position *position,
                                       nmk_position *key_position, const void *maps, int64_t index)
{
    attn a = {s, x, env, bias, position, key_position};
    int64_t of_keys = (x->n_k + BLOCK - 1) / BLOCK;
    int64_t n = of_keys + (sums ? 0 : (row_count(&a) + BLOCK - 1) / BLOCK);
    int64_t slices = (max64(s->hd, s->hd_v) + WIDE - 1) / WIDE;
    head h = head_at(x, index / n / slices);
    int64_t before = rows_before(&a, h);
    grown w = {norms + 2 * before, sums ? sums + before * s->hd : sums};
    job b = {&a, h, slice_of(&a, index / n % slices), w, maps, find_ring(&a, smem_base())};
    if (tid() == 0) {
        begin_ring(&b.others);
        mbar_init_fence();
    }
    block_sync();
    if (index % n < of_keys)
        do_keys(&b, index % n * BLOCK);
    else
        do_rows(&b, (n - 1 - index % n) * BLOCK);
}

#else

NMG_ENTRY void nmg_attn_grad_maps_bf16(const nmk_attn_spec *s, const nmk_attn_args *x,
                                       const float *norms, float *sums, const void *env,
                                       nmk_bias *bias, nmk_position *position,
                                       nmk_position *key_position, const void *maps, int64_t index)
{
    (void)maps;
    if (sums)
        nmg_attn_grad_once_bf16(s, x, norms, sums, env, bias, position, key_position, index);
    else
        nmg_attn_grad_bf16(s, x, norms, env, bias, position, key_position, index);
}

#endif
