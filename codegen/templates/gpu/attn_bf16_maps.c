// Attention on gpus in bf16, forward, as sm_90a has it where keys and values lie as its copy engine
// reads them: see attn_bf16.h. FlashAttention-3's roles (Shah et al., 2024): a thread of the first
// warpgroup keeps tiles of keys and values coming, through STAGES places each, with an mbarrier
// that says full and one that says empty. The other two warpgroups own 64 rows each: the products
// of the next keys and the sums of the last values go on while a tile is weighed. All meet every
// tile, so that places are used in one order; one that a warpgroup's rows do not see is given back
// at once.
#include "codegen/templates/gpu/attn_ring.h"
#include "codegen/templates/gpu/attn_rows.h"

#ifdef NMG_SM90A

enum { ROWS = NMG_ATTN_MAPS_ROWS };

typedef struct room { // shared memory
    smem q;
    ring k, v;
} room;

INLINE u32 tile_keys(const attn *a)
{
    return NMG_ATTN_MAPS_KEYS(a->s->hd, a->s->hd_v, a->s->capped || a->bias);
}

INLINE room find_room(const attn *a, smem at)
{
    u32 k_bytes = NMG_ATTN_MAPS_TILE(tile_keys(a), (u32)a->s->hd);
    u32 v_bytes = NMG_ATTN_MAPS_TILE(tile_keys(a), (u32)a->s->hd_v);
    smem k = at + NMG_ATTN_MAPS_TILE(ROWS, (u32)a->s->hd), v = k + STAGES * k_bytes;
    smem bars = v + STAGES * v_bytes;
    return (room){at,
                  {k, bars, bars + 8 * STAGES, k_bytes},
                  {v, bars + 16 * STAGES, bars + 24 * STAGES, v_bytes}};
}

// --- the producer --------------------------------------------------------------------------------

// Keys from j on become tile i.
INLINE void copy_tile(const ring *r, u32 i, const tmap *map, u32 keys, u32 n_columns, head h, int j)
{
    smem full = begin_copy(r, i, r->bytes);
    for (u32 c = 0; c < n_columns; c++)
        tma_load_5d(tile_at(r, i) + c * keys * ROW, map, full, 64 * (int)c, j, (int)h.kv, (int)h.b1,
                    (int)h.b0);
}

// By one thread: tiles of keys from j on.
INLINE void produce(const attn *a, head h, const room *m, const tmap *maps, int j, u32 tiles)
{
    u32 keys = tile_keys(a);
    for (u32 i = 0; i < tiles; i++, j += (int)keys) {
        copy_tile(&m->k, i, maps, keys, columns(a->s->hd), h, j);
        copy_tile(&m->v, i, maps + 1, keys, columns(a->s->hd_v), h, j);
    }
}

// --- a consumer ----------------------------------------------------------------------------------

typedef struct work { // a warpgroup's, of 64 rows
    int64_t r;        // the first
    span at;          // their positions
    int64_t j;        // the first key of tile 0
    u32 first, last;  // tiles that they see: [first, last) of `tiles`
    u32 tiles;
} work;

// s = the warpgroup's rows times keys, over the head dim.
INLINE void issue_product(smem own, smem keys, int64_t hd, u32 n_keys, float (*s)[4])
{
    float *d = s[0];
    acc_ready(d, (int)n_keys / 2);
    keep_u32(&own); // descriptors are made again in each tile
    keep_u32(&keys);
    wgmma_fence();
    UNROLL
    for (u32 k = 0; k < padded(hd) / 16; k++) {
        u64 a = desc_sw128(own + k / 4 * OWN * ROW + k % 4 * 32, 16, 8 * ROW);
        u64 b = desc_sw128(keys + k / 4 * n_keys * ROW + k % 4 * 32, 16, 8 * ROW);
        if (n_keys == 128)
            wgmma_n128_kk(d, a, b, k > 0);
        else
            wgmma_n64_kk(d, a, b, k > 0);
    }
    wgmma_commit();
}

// o += p times values.
INLINE void issue_sums(u32 (*p)[4], smem values, u32 n_keys, int64_t hd_v, float (*o)[4])
{
    u32 n = columns_of(padded(hd_v));
    acc_ready(o[0], (int)n / 2);
    UNROLL
    for (u32 i = 0; i < n_keys / 4; i++)
        keep_u32(&p[0][i]);
    keep_u32(&values);
    wgmma_fence();
    UNROLL
    for (u32 k = 0; k < n_keys / 16; k++)
        sum_sixteen(o[0], p[k], desc_sw128(values + k * 16 * ROW, n_keys * ROW, 8 * ROW), n);
    wgmma_commit();
}

INLINE void skip(const room *m, u32 from, u32 to)
{
    for (u32 i = from; i < to; i++) {
        await_full(&m->k, i);
        await_full(&m->v, i);
        warp_sync(); // a lane that came late would wait for what is full again
        give_back(&m->k, i);
        give_back(&m->v, i);
    }
}

typedef struct tile { // of pairs
    float s[MOST_KEYS / 8][4];
    u32 p[MOST_KEYS / 16][4]; // weights of the values, packed
} tile;

// The first tile: there is nothing yet that goes on meanwhile.
INLINE void meet_first(const attn *a, head h, seat me, const room *m, smem q, const work *w,
                       tile *x, state *t)
{
    u32 keys = tile_keys(a), i = w->first;
    float shrink[2];
    await_full(&m->k, i);
    issue_product(q, tile_at(&m->k, i), a->s->hd, keys, x->s);
    wgmma_wait(0);
    acc_ready(x->s[0], (int)keys / 2);
    give_back(&m->k, i);
    weigh(a, h, me, w->r, w->j + i * keys, w->at, t, (int)keys / 8, x->s, shrink);
    pack(x->p, x->s, (int)keys / 8);
}

// Tile i, while the values of the one before are summed.
INLINE void meet_next(const attn *a, head h, seat me, const room *m, smem q, const work *w, u32 i,
                      tile *x, state *t)
{
    u32 keys = tile_keys(a), sums = columns_of(padded(a->s->hd_v)) / 2;
    float shrink[2];
    await_full(&m->k, i);
    issue_product(q, tile_at(&m->k, i), a->s->hd, keys, x->s);
    await_full(&m->v, i - 1);
    issue_sums(x->p, tile_at(&m->v, i - 1), keys, a->s->hd_v, t->o);
    wgmma_wait(1);
    acc_ready(x->s[0], (int)keys / 2);
    give_back(&m->k, i);
    weigh(a, h, me, w->r, w->j + i * keys, w->at, t, (int)keys / 8, x->s, shrink);
    wgmma_wait(0);
    acc_ready(t->o[0], (int)sums);
    give_back(&m->v, i - 1);
    shrink_sums(a, t, shrink);
    pack(x->p, x->s, (int)keys / 8);
}

INLINE void meet_last(const attn *a, const room *m, const work *w, tile *x, state *t)
{
    u32 i = w->last - 1, sums = columns_of(padded(a->s->hd_v)) / 2;
    await_full(&m->v, i);
    issue_sums(x->p, tile_at(&m->v, i), tile_keys(a), a->s->hd_v, t->o);
    wgmma_wait(0);
    acc_ready(t->o[0], (int)sums);
    give_back(&m->v, i);
}

INLINE void meet_keys(const attn *a, head h, seat me, const room *m, smem q, const work *w,
                      state *t)
{
    tile x;
    UNROLL
    for (u32 n = 0; n < tile_keys(a) / 8; n++)
        UNROLL
    for (int e = 0; e < 4; e++)
        x.s[n][e] = 0;
    skip(m, 0, w->first);
    meet_first(a, h, me, m, q, w, &x, t);
    for (u32 i = w->first + 1; i < w->last; i++)
        meet_next(a, h, me, m, q, w, i, &x, t);
    meet_last(a, m, w, &x, t);
    skip(m, w->last, w->tiles);
}

INLINE work find_work(const attn *a, int64_t r, int64_t j, u32 tiles)
{
    work w = {.r = r, .j = j, .tiles = tiles};
    if (r >= row_count(a))
        return w;
    u32 keys = tile_keys(a);
    w.at = positions(a, r, OWN);
    int64_t first = first_key(a, w.at.first), last = end_key(a, w.at.last);
    if (first >= last)
        return w;
    w.first = (u32)(first - j) / keys;
    w.last = (u32)(last - j + keys - 1) / keys;
    return w;
}

INLINE void consume(const attn *a, head h, const room *m, u32 number, const work *w)
{
    seat me = take_seat();
    state t;
    smem q = m->q + number * NMG_ATTN_MAPS_TILE(OWN, (u32)a->s->hd);
    begin(a, h, me, w->r, &t);
    if (w->first < w->last) {
        lines rows = row_lines(a, h, a->x->q, &a->x->q_s, w->r, OWN);
        stage(&rows, OWN, a->s->hd, q);
        cp_async_commit();
        cp_async_wait(0);
        publish();
        bar_sync(1 + number, THREADS); // all of the warpgroup's rows are there
        meet_keys(a, h, me, m, q, w, &t);
    } else {
        skip(m, 0, w->tiles);
    }
    finish(a, h, me, w->r, &t);
}

// --- the block -----------------------------------------------------------------------------------

INLINE void do_rows(const attn *a, head h, const tmap *maps, int64_t r)
{
    room m = find_room(a, smem_base());
    if (tid() == 0) {
        begin_ring(&m.k);
        begin_ring(&m.v);
        mbar_init_fence();
    }
    block_sync();
    u32 group = shfl_idx_u32(tid() / THREADS, 0), keys = tile_keys(a); // the same in all lanes
    span at = positions(a, r, ROWS);
    int64_t j = first_key(a, at.first) / keys * keys, last = end_key(a, at.last);
    u32 tiles = last > j ? (u32)(last - j + keys - 1) / keys : 0;
    if (group == 0) {
        reg_dec(FEW_REGISTERS);
        if (tid() / 32 == 0 && elect())
            produce(a, h, &m, maps, (int)j, tiles);
    } else {
        reg_inc(MANY_REGISTERS);
        work w = find_work(a, r + (group - 1) * OWN, j, tiles);
        consume(a, h, &m, group - 1, &w);
    }
}

NMG_ENTRY void nmg_attn_bf16_maps(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                                  nmk_bias *bias, nmk_position *position,
                                  nmk_position *key_position, const void *maps, int64_t index)
{
    attn a = {s, x, env, bias, position, key_position};
    int64_t n = (row_count(&a) + ROWS - 1) / ROWS;
    do_rows(&a, head_at(x, index / n), maps, (n - 1 - index % n) * ROWS); // the last see most
}

#else

NMG_ENTRY void nmg_attn_bf16_maps(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                                  nmk_bias *bias, nmk_position *position,
                                  nmk_position *key_position, const void *maps, int64_t index)
{
    (void)maps;
    nmg_attn_bf16(s, x, env, bias, position, key_position, index);
}

#endif
