// attn_fwd.c: flash-attention forward for sm_90a, bf16, HD = 64 or 128, causal or not, grouped
// heads, any length.
//
// A block owns 128 query rows of one head. Warpgroup 0 keeps the copy engine busy: keys and values
// stream through STAGES buffers each, full/empty mbarriers in between. Warpgroups 1 and 2 own 64
// rows each: S = Q K^T and O += P V by wgmma, P never leaves registers. The softmax of tile j runs
// while the tensor cores do P V of tile j - 1. Tiles go from the diagonal to the left, so every row
// sees a column that counts in its first tile.
#include "tests/emu/kernels/attn.h"

#if HD == 128
#define wgmma_pv wgmma_n128_rm
#else
#define wgmma_pv wgmma_n64_rm
#endif

enum {
    M = 128,
    N = 128, // query rows, key rows
    STAGES = 2,
    COLS = HD / 64,   // a tile is stored as columns of 64 elements: 128 bytes, the swizzle's width
    Q_COL = 64 * 128, // bytes of one column of one warpgroup's queries
    KV_COL = N * 128,
    KV = KV_COL * COLS,
    Q_AT = 0, // [warpgroup][column], reused for the output
    K_AT = Q_AT + 2 * COLS * Q_COL,
    V_AT = K_AT + STAGES * KV,
    BARS = V_AT + STAGES * KV, // q, k_full, k_empty, v_full, v_empty
};

typedef struct attn_bars {
    smem q, k_full, k_empty, v_full, v_empty;
} attn_bars;

// Copies tile `row..row + rows` of head `h` to `to`, column by column.
INLINE void load(smem to, u32 bytes, const tmap *m, smem bar, int row, int h, int b)
{
    UNROLL
    for (int c = 0; c < COLS; c++)
        tma_load_4d(to + (u32)c * bytes, m, bar, 64 * c, row, h, b);
}

INLINE void produce(smem at, attn_bars bar, const tmap *q, const tmap *k, const tmap *v, int row,
                    int tiles, int h, int hk, int b)
{
    mbar_expect(bar.q, 2 * COLS * Q_COL);
    load(at + Q_AT, Q_COL, q, bar.q, row, h, b);
    load(at + Q_AT + COLS * Q_COL, Q_COL, q, bar.q, row + 64, h, b);
    for (int i = 0; i < tiles; i++) {
        u32 s = (u32)i % STAGES, parity = (u32)i / STAGES & 1;
        int at_row = (tiles - 1 - i) * N;
        mbar_wait(bar.k_empty + 8 * s, parity ^ 1);
        mbar_expect(bar.k_full + 8 * s, KV);
        load(at + K_AT + s * KV, KV_COL, k, bar.k_full + 8 * s, at_row, hk, b);
        mbar_wait(bar.v_empty + 8 * s, parity ^ 1);
        mbar_expect(bar.v_full + 8 * s, KV);
        load(at + V_AT + s * KV, KV_COL, v, bar.v_full + 8 * s, at_row, hk, b);
    }
}

// s = q k^T for 64 queries and N keys: both k-major; 16 elements of the head are 32 bytes of a row.
INLINE void issue_qk(float s[64], smem q, smem k)
{
    acc_ready(s, 64); // whatever the compiler still has to do to s, it does before the fence
    wgmma_fence();
    UNROLL
    for (u32 i = 0; i < HD / 16; i++)
        wgmma_n128_kk(s, desc_sw128(q + i / 4 * Q_COL + i % 4 * 32, 16, 1024),
                      desc_sw128(k + i / 4 * KV_COL + i % 4 * 32, 16, 1024), i > 0);
    wgmma_commit();
}

// o += p v: p from registers, v mn-major: 16 keys are 16 rows of 128 bytes; 64 head elements
// further is the next column.
INLINE void issue_pv(float o[HD / 2], const u32 p[32], smem v)
{
    acc_ready(o, HD / 2);
    wgmma_fence();
    UNROLL
    for (u32 i = 0; i < N / 16; i++)
        wgmma_pv(o, p + 4 * i, desc_sw128(v + i * 16 * 128, KV_COL, 1024), 1);
    wgmma_commit();
}

INLINE float max2(float a, float b) { return a > b ? a : b; }

// What lies behind the end, or in the future, does not count.
INLINE void mask(float s[64], int row, int col, int len, int causal)
{
    UNROLL
    for (int i = 0; i < 64; i++) {
        int c = col + i / 4 * 8 + (i & 1), r = row + (i >> 1 & 1) * 8;
        if (c >= len || (causal && c > r))
            s[i] = -__builtin_inff();
    }
}

typedef struct running { // of this thread's rows
    float max[2], sum[2];
    float rescale[2]; // what O must be multiplied with for the new maximum
} running;

// One tile of the online softmax: s becomes exp2(scale s - max); maximum and sum follow.
INLINE void softmax(float s[64], running *run, float scale)
{
    UNROLL
    for (int r = 0; r < 2; r++) {
        float m = run->max[r], t = 0;
        UNROLL
        for (int i = 2 * r; i < 64; i += 4)
            m = max2(m, max2(s[i], s[i + 1]));
        m = max2(m, shfl_xor_f32(m, 1));
        m = max2(m, shfl_xor_f32(m, 2));
        run->rescale[r] = ex2((run->max[r] - m) * scale); // first tile: ex2(-inf) = 0
        run->max[r] = m;
        UNROLL
        for (int i = 2 * r; i < 64; i += 4) {
            s[i] = ex2(s[i] * scale - m * scale);
            s[i + 1] = ex2(s[i + 1] * scale - m * scale);
            t += s[i] + s[i + 1];
        }
        // Of this thread's columns only: the quad adds up at the end.
        run->sum[r] = run->sum[r] * run->rescale[r] + t;
    }
}

// The accumulator of one product is the operand of the next: the fragments have the same picture.
INLINE void pack(u32 p[32], const float s[64])
{
    UNROLL
    for (int i = 0; i < 32; i++)
        p[i] = bf16x2(s[2 * i], s[2 * i + 1]);
    UNROLL
    for (int i = 0; i < 32; i++)
        keep_u32(&p[i]);
}

INLINE void release(smem bar)
{
    if (tid() % 32 == 0)
        mbar_arrive(bar);
}

typedef struct place { // of a warpgroup's 64 queries
    u32 w;             // which one of the block's consumers
    int row, head, batch;
} place;

// Rows of the whole softmax: LSE to memory, the factor that finishes O to run->rescale.
INLINE void finish_rows(const attn_fwd_params *g, running *run, place here, u32 lane, int my_row)
{
    UNROLL
    for (int r = 0; r < 2; r++) {
        run->sum[r] += shfl_xor_f32(run->sum[r], 1);
        run->sum[r] += shfl_xor_f32(run->sum[r], 2);
        run->rescale[r] = 1 / run->sum[r];
        if (lane % 4 == 0 && my_row + 8 * r < g->len)
            g->lse[((long)here.batch * g->heads + here.head) * g->len + my_row + 8 * r] =
                (run->max[r] * g->scale + lg2(run->sum[r])) * 0.6931471805599453f;
    }
}

// O through shared memory, where this warpgroup's queries were, to the copy engine, which clips the
// tail.
INLINE void store_out(const tmap *out, smem q, const float o[HD / 2], const float f[2], place here)
{
    u32 t = tid() % 128, lane = t % 32, line = t / 32 * 16 + lane % 16;
    bar_sync(1 + here.w, 128);
    UNROLL
    for (u32 i = 0; i < HD / 16; i++) { // 16 columns: {rows 0-7, 8-15} x {columns 0-7, 8-15}
        u32 r[4], col = i % 4 * 32 + lane / 16 * 16;
        UNROLL
        for (u32 k = 0; k < 4; k++)
            r[k] = bf16x2(o[8 * i + 2 * k] * f[k & 1], o[8 * i + 2 * k + 1] * f[k & 1]);
        stmatrix_x4(swizzle128(q + i / 4 * Q_COL + line * 128 + col), r);
    }
    fence_async();
    bar_sync(1 + here.w, 128);
    if (t != 0)
        return;
    UNROLL
    for (int c = 0; c < COLS; c++)
        tma_store_4d(out, q + (u32)c * Q_COL, 64 * c, here.row + 64 * (int)here.w, here.head,
                     here.batch);
    bulk_commit();
    bulk_wait_read(0);
}

INLINE void consume(const attn_fwd_params *g, smem at, attn_bars bar, place here, int tiles)
{
    float s[64], o[HD / 2];
    running run = {{-__builtin_inff(), -__builtin_inff()}, {0, 0}, {0, 0}};
    u32 p[32], t = tid() % 128, lane = t % 32, s_v = (u32)(tiles - 1) % STAGES;
    int my_row = here.row + (int)(here.w * 64 + t / 32 * 16 + lane / 4);
    smem q = at + Q_AT + here.w * COLS * Q_COL;
    UNROLL
    for (int i = 0; i < HD / 2; i++)
        o[i] = 0;
    UNROLL
    for (int i = 0; i < 64; i++)
        s[i] = 0;

    mbar_wait(bar.q, 0);
    mbar_wait(bar.k_full, 0);
    issue_qk(s, q, at + K_AT);
    wgmma_wait(0);
    acc_ready(s, 64);
    release(bar.k_empty);
    mask(s, my_row, (int)(lane % 4 * 2) + (tiles - 1) * N, g->len, g->causal);
    softmax(s, &run, g->scale);
    pack(p, s);
    for (int i = 1; i < tiles; i++) {
        u32 sk = (u32)i % STAGES, sv = (u32)(i - 1) % STAGES;
        mbar_wait(bar.k_full + 8 * sk, (u32)i / STAGES & 1);
        issue_qk(s, q, at + K_AT + sk * KV);
        mbar_wait(bar.v_full + 8 * sv, (u32)(i - 1) / STAGES & 1);
        issue_pv(o, p, at + V_AT + sv * KV);
        wgmma_wait(1);
        acc_ready(s, 64);
        release(bar.k_empty + 8 * sk);
        softmax(s, &run, g->scale);
        wgmma_wait(0);
        acc_ready(o, HD / 2);
        release(bar.v_empty + 8 * sv);
        pack(p, s);
        UNROLL
        for (int k = 0; k < HD / 2; k++)
            o[k] *= run.rescale[k >> 1 & 1];
    }
    mbar_wait(bar.v_full + 8 * s_v, (u32)(tiles - 1) / STAGES & 1);
    issue_pv(o, p, at + V_AT + s_v * KV);
    wgmma_wait(0);
    acc_ready(o, HD / 2);
    finish_rows(g, &run, here, lane, my_row);
    store_out(g->out, q, o, run.rescale, here);
}

// Grid: (ceil(len / M), heads, batch), 384 threads; the longest rows come first.
KERNEL(CAT(attn_fwd_, HD), attn_fwd_params, g)
{
    smem at = smem_base();
    attn_bars bar = {at + BARS, at + BARS + 8, at + BARS + 8 + 8 * STAGES,
                     at + BARS + 8 + 16 * STAGES, at + BARS + 8 + 24 * STAGES};
    int row = (int)(nctaid_x() - 1 - ctaid_x()) * M, h = (int)ctaid_y(), b = (int)ctaid_z();
    int hk = h / (g.heads / g.kv_heads), end = g.causal && row + M < g.len ? row + M : g.len;
    int tiles = (end + N - 1) / N;

    if (tid() == 0) {
        mbar_init(bar.q, 1);
        for (u32 s = 0; s < STAGES; s++) {
            mbar_init(bar.k_full + 8 * s, 1);
            mbar_init(bar.v_full + 8 * s, 1);
            mbar_init(bar.k_empty + 8 * s, 8); // one arrival a consumer warp
            mbar_init(bar.v_empty + 8 * s, 8);
        }
        mbar_init_fence();
    }
    block_sync();
    u32 w = shfl_idx_u32(tid() / 128, 0); // uniform in the warp, and the compiler knows
    if (w == 0) {
        reg_dec(24);
        if (tid() / 32 == 0 && elect())
            produce(at, bar, g.q, g.k, g.v, row, tiles, h, hk, b);
    } else {
        reg_inc(240);
        consume(&g, at, bar, (place){w - 1, row, h, b}, tiles);
    }
}
