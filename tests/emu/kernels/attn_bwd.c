// attn_bwd.c: flash-attention backward for sm_90a, bf16, HD = 64 or 128, causal or not, grouped
// heads, any length.
//
// A block owns 128 keys of one key head; warpgroups 1 and 2 own 64 each and keep dK and dV in
// registers. Queries and dO stream by, 64 rows a step, for every query head of the group. Scores
// are computed transposed (keys are rows), so P^T and dS^T are born where dV += P^T dO and dK +=
// dS^T Q want them: in registers. dQ = dS K takes dS^T from shared memory, m-major; its f32 tile
// goes to memory as one asynchronous reduction, in the accumulator's own order (see dq_at). dQ's
// additions come in any order: it is not the same bit for bit. dq starts as zero; tile [e][t] holds
// row 16 (t / 32) + t % 32 / 4 + 8 (e / 2 % 2), column e / 4 * 8 + t % 4 * 2 + e % 2, and lacks the
// scale.
#include "tests/emu/kernels/attn.h"

#if HD == 128
#define wgmma_hd_rm wgmma_n128_rm
#define wgmma_hd_mm wgmma_n128_mm
#else
#define wgmma_hd_rm wgmma_n64_rm
#define wgmma_hd_mm wgmma_n64_mm
#endif

enum {
    N = 128,
    M = 64, // keys of a block, queries of a step
    STAGES = 2,
    COLS = HD / 64,
    HALF = 64 * 128,   // 64 rows of 128 bytes: the box of every map here
    KV_COL = 2 * HALF, // keys: [column][warpgroup][64 rows]
    KV = KV_COL * COLS,
    QT = HALF * COLS, // queries: [column][64 rows]
    DQ = M * HD * 4,
    K_AT = 0,
    V_AT = K_AT + KV,
    Q_AT = V_AT + KV,
    DO_AT = Q_AT + STAGES * QT,
    DS_AT = DO_AT + STAGES * QT, // [warpgroup][64 keys][64 queries]
    DQ_AT = DS_AT + 2 * HALF,
    BARS = DQ_AT + 2 * DQ, // kv, q_full, do_full, empty
};

typedef struct bwd_bars {
    smem kv, q_full, do_full, empty;
} bwd_bars;

INLINE void load(smem to, u32 col_bytes, const tmap *m, smem bar, int row, int h, int b)
{
    UNROLL
    for (int c = 0; c < COLS; c++)
        tma_load_4d(to + (u32)c * col_bytes, m, bar, 64 * c, row, h, b);
}

INLINE void produce(smem at, bwd_bars bar, const attn_bwd_params *g, int key, int first, int tiles,
                    int group, int hk, int b)
{
    mbar_expect(bar.kv, 2 * KV);
    UNROLL
    for (int w = 0; w < 2; w++) {
        load(at + K_AT + (u32)w * HALF, KV_COL, g->k, bar.kv, key + 64 * w, hk, b);
        load(at + V_AT + (u32)w * HALF, KV_COL, g->v, bar.kv, key + 64 * w, hk, b);
    }
    for (int i = 0; i < group * tiles; i++) {
        u32 s = (u32)i % STAGES, parity = (u32)i / STAGES & 1;
        int row = (first + i % tiles) * M, h = hk * group + i / tiles;
        mbar_wait(bar.empty + 8 * s, parity ^ 1); // of queries and dO: they are given back together
        mbar_expect(bar.q_full + 8 * s, QT);
        load(at + Q_AT + s * QT, HALF, g->q, bar.q_full + 8 * s, row, h, b);
        mbar_expect(bar.do_full + 8 * s, QT);
        load(at + DO_AT + s * QT, HALF, g->out_grad, bar.do_full + 8 * s, row, h, b);
    }
}

// d = a b^T over the head: 64 keys of this warpgroup by 64 queries, both k-major.
INLINE void issue_scores(float d[32], smem a, smem b)
{
    acc_ready(d, 32);
    wgmma_fence();
    UNROLL
    for (u32 i = 0; i < HD / 16; i++)
        wgmma_n64_kk(d, desc_sw128(a + i / 4 * KV_COL + i % 4 * 32, 16, 1024),
                     desc_sw128(b + i / 4 * HALF + i % 4 * 32, 16, 1024), i > 0);
    wgmma_commit();
}

// d += a b: 64 keys by HD over 64 queries; a in registers, b mn-major.
INLINE void issue_grad(float d[HD / 2], u32 a[16], smem b)
{
    acc_ready(d, HD / 2);
    UNROLL
    for (int i = 0; i < 16; i++)
        keep_u32(&a[i]);
    wgmma_fence();
    UNROLL
    for (u32 i = 0; i < M / 16; i++)
        wgmma_hd_rm(d, a + 4 * i, desc_sw128(b + i * 2048, HALF, 1024), 1);
    wgmma_commit();
}

INLINE void release(smem bar)
{
    if (tid() % 32 == 0)
        mbar_arrive(bar);
}

// 64 rows of d to a tile of bf16 in shared memory, 64 columns each, and from there to memory.
INLINE void store_rows(const tmap *m, smem to, float d[HD / 2], float scale, int row, int h, int b,
                       u32 w)
{
    u32 t = tid() % 128, lane = t % 32;
    UNROLL
    for (u32 i = 0; i < HD / 16; i++) {
        u32 r[4];
        UNROLL
        for (u32 k = 0; k < 4; k++)
            r[k] = bf16x2(d[8 * i + 2 * k] * scale, d[8 * i + 2 * k + 1] * scale);
        stmatrix_x4(swizzle128(to + i / 4 * KV_COL + (t / 32 * 16 + lane % 16) * 128 + i % 4 * 32 +
                               lane / 16 * 16),
                    r);
    }
    fence_async();
    bar_sync(1 + w, 128);
    if (t == 0) {
        UNROLL
        for (int c = 0; c < COLS; c++)
            tma_store_4d(m, to + (u32)c * KV_COL, 64 * c, row, h, b);
        bulk_commit();
    }
}

// The scores of a step: rows are keys from `key` on, columns this thread's queries from `query` on.
typedef struct step {
    int key, query;
    int rows; // of lse and delta before this head's: 32 bits are two registers fewer, and no spill
} step;

// P^T = exp2(scale S^T - lse), masked. Column c of this thread is column c / 2 * 8 + c % 2 of the
// tile.
INLINE void exp_scores(const attn_bwd_params *g, float p[32], step at, float scale2)
{
    UNROLL
    for (int c = 0; c < 16; c++) {
        int row = at.query + c / 2 * 8 + (c & 1);
        float lse = row < g->len ? g->lse[at.rows + row] * 1.4426950408889634f : __builtin_inff();
        UNROLL
        for (int r = 0; r < 2; r++) {
            int e = c / 2 * 4 + r * 2 + (c & 1), key_row = at.key + 8 * r;
            int out = key_row >= g->len || (g->causal && key_row > row);
            p[e] = out ? 0 : ex2(p[e] * scale2 - lse);
        }
    }
}

// dS^T = P^T (dP^T - delta)
INLINE void grad_scores(const attn_bwd_params *g, float dp[32], const float p[32], step at)
{
    UNROLL
    for (int c = 0; c < 16; c++) {
        int row = at.query + c / 2 * 8 + (c & 1);
        float delta = row < g->len ? g->delta[at.rows + row] : 0;
        UNROLL
        for (int r = 0; r < 2; r++) {
            int e = c / 2 * 4 + r * 2 + (c & 1);
            dp[e] = p[e] * (dp[e] - delta);
        }
    }
}

// dQ = dS K over this warpgroup's keys: both operands lie along m and n.
INLINE void issue_dq(float dq[HD / 2], smem ds, smem k)
{
    acc_ready(dq, HD / 2);
    wgmma_fence();
    UNROLL
    for (u32 j = 0; j < 4; j++)
        wgmma_hd_mm(dq, desc_sw128(ds + j * 2048, 16, 1024), desc_sw128(k + j * 2048, KV_COL, 1024),
                    j > 0);
    wgmma_commit();
}

// The f32 tile in the accumulator's order, as one reduction in memory.
INLINE void add_dq(float *to, smem tile, const float dq[HD / 2], u32 w)
{
    u32 t = tid() % 128;
    UNROLL
    for (u32 e = 0; e < HD / 2; e++)
        st_shared_f32(tile + (e * 128 + t) * 4, dq[e]);
    fence_async();
    bar_sync(1 + w, 128);
    if (t == 0) {
        bulk_add_f32(to, tile, DQ);
        bulk_commit();
    }
}

INLINE void pack(u32 p[16], const float s[32])
{
    UNROLL
    for (int e = 0; e < 16; e++)
        p[e] = bf16x2(s[2 * e], s[2 * e + 1]);
}

typedef struct place { // of a warpgroup's 64 keys, and the queries that see them
    u32 w;             // which one of the block's consumers
    int key, first, tiles, group, kv_head, batch;
} place;

INLINE void consume(const attn_bwd_params *g, smem at, bwd_bars bar, place here)
{
    u32 t = tid() % 128, lane = t % 32, w = here.w;
    smem k = at + K_AT + w * HALF, v = at + V_AT + w * HALF;
    smem ds_at = at + DS_AT + w * HALF, dq_tile = at + DQ_AT + w * DQ;
    int my_key = here.key + (int)(w * 64 + t / 32 * 16 + lane / 4),
        all_tiles = (g->len + M - 1) / M;
    float dk[HD / 2], dv[HD / 2], scale2 = g->scale * 1.4426950408889634f;
    UNROLL
    for (int i = 0; i < HD / 2; i++)
        dk[i] = dv[i] = 0;

    mbar_wait(bar.kv, 0);
    for (int i = 0; i < here.group * here.tiles; i++) {
        u32 s = (u32)i % STAGES, parity = (u32)i / STAGES & 1;
        int tile = here.first + i % here.tiles, h = here.kv_head * here.group + i / here.tiles;
        step now = {my_key, tile * M + (int)(lane % 4 * 2), (here.batch * g->heads + h) * g->len};
        smem q = at + Q_AT + s * QT, out_grad = at + DO_AT + s * QT;
        float p[32] = {0}, dp[32] = {0}, dq[HD / 2] = {0};
        u32 a[16], ds[16];

        mbar_wait(bar.q_full + 8 * s, parity);
        issue_scores(p, k, q); // S^T = K Q^T
        mbar_wait(bar.do_full + 8 * s, parity);
        issue_scores(dp, v, out_grad); // dP^T = V dO^T
        wgmma_wait(1);
        acc_ready(p, 32);
        exp_scores(g, p, now, scale2);
        wgmma_wait(0);
        acc_ready(dp, 32);
        grad_scores(g, dp, p, now);
        // Both packed before either product starts: p and dp are dead by then, and the registers
        // suffice.
        pack(a, p);
        pack(ds, dp);
        issue_grad(dv, a, out_grad); // dV += P^T dO
        issue_grad(dk, ds, q);       // dK += dS^T Q
        UNROLL
        for (u32 j = 0; j < 4; j++)
            stmatrix_x4(
                swizzle128(ds_at + (t / 32 * 16 + lane % 16) * 128 + j * 32 + lane / 16 * 16),
                ds + 4 * j);
        fence_async();
        if (t == 0)
            bulk_wait_read(0); // the last dQ has left
        bar_sync(1 + w, 128);
        wgmma_wait(0);
        acc_ready(dv, HD / 2);
        acc_ready(dk, HD / 2);
        release(bar.empty + 8 * s);
        issue_dq(dq, ds_at, k);
        wgmma_wait(0);
        acc_ready(dq, HD / 2);
        add_dq(g->dq + (((long)here.batch * g->heads + h) * all_tiles + tile) * (M * HD), dq_tile,
               dq, w);
    }
    int row = here.key + 64 * (int)w;
    store_rows(g->dv, v, dv, 1, row, here.kv_head, here.batch, w); // where V and K were
    store_rows(g->dk, k, dk, g->scale, row, here.kv_head, here.batch, w);
    if (t == 0)
        bulk_wait_read(0);
}

// Grid: (ceil(len / N), kv_heads, batch), 384 threads.
KERNEL(CAT(attn_bwd_, HD), attn_bwd_params, g)
{
    smem at = smem_base();
    bwd_bars bar = {at + BARS, at + BARS + 8, at + BARS + 8 + 8 * STAGES,
                    at + BARS + 8 + 16 * STAGES};
    int key = (int)ctaid_x() * N, hk = (int)ctaid_y(), b = (int)ctaid_z(),
        group = g.heads / g.kv_heads;
    int first = g.causal ? key / M : 0, tiles = (g.len + M - 1) / M - first;

    if (tid() == 0) {
        mbar_init(bar.kv, 1);
        for (u32 s = 0; s < STAGES; s++) {
            mbar_init(bar.q_full + 8 * s, 1);
            mbar_init(bar.do_full + 8 * s, 1);
            mbar_init(bar.empty + 8 * s, 8);
        }
        mbar_init_fence();
    }
    block_sync();
    u32 w = shfl_idx_u32(tid() / 128, 0);
    if (w == 0) {
        reg_dec(24);
        if (tid() / 32 == 0 && elect())
            produce(at, bar, &g, key, first, tiles, group, hk, b);
    } else {
        reg_inc(240);
        consume(&g, at, bar, (place){w - 1, key, first, tiles, group, hk, b});
    }
}
