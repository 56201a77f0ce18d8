// Attention, backward: dq, dk and dv from q, k, v, out, lse and dout. A task owns one kv head of
// one batch element, so its dk and dv, and the dq of the g heads that read it: every sum has one
// owner and a fixed order.
//
// With s the logits, p = exp(s - lse) computed again, and delta = sum(dout * out) of a row:
//     dv = p~ . dout        dp = (dout . v) dropped like p        (p~: p after dropout)
//     ds = p * (dp - delta) dq = scale * ds . k    dk = scale * ds . q
// A block of keys is packed, meets all the rows that see it, and its dk and dv are complete. dq
// grows in memory.
#include "codegen/templates/attn.h"

enum {
    KEYS = 252,                       // of a block: 18 or 42 A panels
    WIDE = (KEYS + NR - 1) / NR * NR, // of it in B panels
    B_PANELS = WIDE / NR,
};

typedef struct room { // the scratch
    // Of the block of keys: A panels over hd, over hd_v, and across; sums [hd][WIDE], [hd_v][WIDE]
    float *k, *v, *k_across, *dk, *dv;
    // Of the rows: B panels, and A panels across (q scaled)
    float *q, *dout, *q_across, *dout_across;
    float *stage_q, *stage_dout, *stage_out; // [NR][line]
    float *wide;                             // narrow: keys, or values, as floats [KEYS][line]
    float *dq;                               // [hd][NR]
    float *p, *ds, *slope, *keep;            // tiles [KEYS][NR]
    float *p_rows, *ds_rows;                 // the same as B panels [NR][NR], keys side by side
    int64_t line, b_size;
} room;

NMK_INLINE room room_in(const nmk_attn_spec *s, float *at)
{
    room r = {.line = round_up(max64(s->hd, s->hd_v), NR), .b_size = panel_size(NR, NR)};
    int64_t tile = c_rows(KEYS) * NR;
    r.k = take(&at, a_size(KEYS, s->hd));
    r.v = take(&at, a_size(KEYS, s->hd_v));
    r.k_across = take(&at, a_size(s->hd, KEYS));
    r.dk = take(&at, c_rows(s->hd) * WIDE);
    r.dv = take(&at, c_rows(s->hd_v) * WIDE);
    r.q = take(&at, panel_size(NR, s->hd));
    r.dout = take(&at, panel_size(NR, s->hd_v));
    r.q_across = take(&at, a_size(s->hd, NR));
    r.dout_across = take(&at, a_size(s->hd_v, NR));
    r.stage_q = take(&at, NR * r.line);
    r.stage_dout = take(&at, NR * r.line);
    r.stage_out = take(&at, NR * r.line);
    r.wide = take(&at, s->narrow ? KEYS * r.line : 0);
    r.dq = take(&at, c_rows(s->hd) * NR);
    r.p = take(&at, tile);
    r.ds = take(&at, tile);
    r.slope = take(&at, s->capped ? tile : 0);
    r.keep = take(&at, s->dropout ? tile : 0);
    r.p_rows = take(&at, B_PANELS * r.b_size);
    r.ds_rows = take(&at, B_PANELS * r.b_size);
    return r;
}

// --- rows --------------------------------------------------------------------------------------

typedef struct norms { // of each row
    vf lse[2], delta[2];
} norms;

NMK_INLINE norms read_norms(const attn *a, const room *m, const rows *q)
{
    norms t = {{{0}}, {{0}}};
    for (int64_t i = 0; i < q->n; i++) {
        const float *x = m->stage_dout + i * m->line, *y = m->stage_out + i * m->line;
        vf sum = {0};
        for (int64_t c = 0; c < m->line; c += VL)
            sum += load(x + c) * load(y + c);
        float delta = 0;
        NMK_UNROLL for (int l = 0; l < VL; l++) delta += sum[l];
        t.delta[i / VL][i % VL] = delta;
        float lse = a->x->lse[row_offset(a, &a->x->lse_s, q->at, q->r + i)];
        t.lse[i / VL][i % VL] = lse == -__builtin_inff() ? -NMK_LEAST : lse; // saw nothing: p = 0
    }
    return t;
}

NMK_INLINE void pack_rows(const attn *a, const room *m, const rows *q)
{
    const nmk_attn_args *x = a->x;
    int64_t hd = a->s->hd, hd_v = a->s->hd_v;
    stage_rows(a, q, x->q, &x->q_s, hd, x->scale, m->line, m->stage_q);
    stage_rows(a, q, x->dout, &x->dout_s, hd_v, 1, m->line, m->stage_dout);
    stage_rows(a, q, x->out, &x->out_s, hd_v, 1, m->line, m->stage_out);
    nmk_panel_from_rows(NR, NR, hd, m->stage_q, m->line, m->q);
    nmk_panel_from_rows(NR, NR, hd_v, m->stage_dout, m->line, m->dout);
    nmk_attn_pack_across(m->stage_q, m->line, NR, hd, m->q_across);
    nmk_attn_pack_across(m->stage_dout, m->line, NR, hd_v, m->dout_across);
}

// --- tiles -------------------------------------------------------------------------------------

// Logits become p after dropout, and ds holds dp on entry, ds on exit; n keys.
NMK_INLINE void soften(const attn *a, const room *m, const norms *t, int64_t n)
{
    for (int64_t j = 0; j < n * NR; j += NR)
        NMK_UNROLL for (int half = 0; half < 2; half++)
        {
            int64_t i = j + half * VL;
            vf p = vexp(load(m->p + i) - t->lse[half]), dp = load(m->ds + i), dropped = p;
            if (a->s->dropout) {
                dropped = p * load(m->keep + i);
                dp *= load(m->keep + i);
            }
            vf ds = p * (dp - t->delta[half]);
            if (a->s->capped)
                ds *= load(m->slope + i);
            store(m->p + i, dropped);
            store(m->ds + i, ds);
        }
}

// A tile [n][NR] as B panels whose depth is the rows.
NMK_INLINE void turn_tile(const room *m, const float *tile, int64_t n, float *to)
{
    for (int64_t j = 0; j < n; j += NR, to += m->b_size)
        nmk_panel_from_rows(min64(NR, n - j), NR, NR, tile + j * NR, NR, to);
}

// sum[hd][WIDE] += rows across . tile, the first n keys.
NMK_INLINE void add_to_keys(const room *m, int64_t hd, const float *across, const float *tile,
                            int64_t n, float *sum)
{
    attn_product p = {.m = hd, .some = hd, .k = NR, .depth = NR, .ldc = WIDE, .add = 1};
    for (int64_t j = 0; j < n; j += NR)
        nmk_attn_multiply(&p, across, tile + j / NR * m->b_size, sum + j);
}

// Where dq grows, in floats.
typedef struct growing {
    float *at;
    const nmk_strides *s;
} growing;
NMK_INLINE growing dq_of(const attn *a)
{
    const nmk_attn_args *x = a->x;
    return a->s->narrow ? (growing){x->dq_sum, &x->dq_sum_s} : (growing){x->dq, &x->dq_s};
}

NMK_INLINE void add_to_dq(const attn *a, const room *m, const rows *q, int64_t n, int64_t of)
{
    int64_t hd = a->s->hd;
    attn_product p = {.m = hd, .some = hd, .k = n, .depth = of, .ldc = NR};
    nmk_attn_multiply(&p, m->k_across, m->ds, m->dq);
    nmk_attn_untranspose(m->dq, NR, hd, m->stage_out, m->line);
    growing sum = dq_of(a);
    for (int64_t i = 0; i < q->n; i++) {
        float *dq = sum.at + row_offset(a, sum.s, q->at, q->r + i);
        for (int64_t c = 0; c < hd; c++)
            dq[c] += a->x->scale * m->stage_out[i * m->line + c];
    }
}

// The keys [key, key + n) have been packed: the rows q meet those of them that they may see.
NMK_INLINE void meet(const attn *a, const room *m, const rows *q, int64_t key, int64_t n)
{
    int64_t seen = min64(n, end_key(a, q->last) - key), hd = a->s->hd, hd_v = a->s->hd_v;
    if (seen <= 0 || key + n <= first_key(a, q->first))
        return;
    pack_rows(a, m, q);
    norms t = read_norms(a, m, q);
    attn_product scores = {.m = n, .some = seen, .k = hd, .depth = hd, .ldc = NR};
    attn_product dp = {.m = n, .some = seen, .k = hd_v, .depth = hd_v, .ldc = NR};
    nmk_attn_multiply(&scores, m->k, m->q, m->p);
    nmk_attn_multiply(&dp, m->v, m->dout, m->ds);
    make_logits(a, q, key, seen, m->p, m->slope);
    if (a->s->dropout)
        draw_dropout(a, q, key, seen, m->keep);
    soften(a, m, &t, seen);
    turn_tile(m, m->p, seen, m->p_rows);
    turn_tile(m, m->ds, seen, m->ds_rows);
    add_to_keys(m, hd_v, m->dout_across, m->p_rows, seen, m->dv);
    add_to_keys(m, hd, m->q_across, m->ds_rows, seen, m->dk);
    add_to_dq(a, m, q, seen, n);
}

// --- blocks of keys ----------------------------------------------------------------------------

NMK_INLINE void clear(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = 0;
}

NMK_INLINE void clear_dq(const attn *a, head h)
{
    growing sum = dq_of(a);
    for (int64_t r = 0; r < a->x->n_q * a->x->g; r++)
        clear(sum.at + row_offset(a, sum.s, h, r), a->s->hd);
}

NMK_INLINE void round_dq(const attn *a, head h)
{
    const nmk_attn_args *x = a->x;
    for (int64_t r = 0; r < x->n_q * x->g; r++)
        write_row(a, x->dq, row_offset(a, &x->dq_s, h, r), a->s->hd, 1,
                  x->dq_sum + row_offset(a, &x->dq_sum_s, h, r));
}

// sum[hd][WIDE] as rows of dk or dv.
NMK_INLINE void write_keys(const attn *a, const room *m, const float *sum, int64_t hd, int64_t n,
                           void *to, int64_t at, int64_t ld)
{
    for (int64_t j = 0; j < n; j += NR) {
        nmk_attn_untranspose(sum + j, WIDE, hd, m->stage_out, m->line);
        for (int64_t i = 0; i < min64(NR, n - j); i++)
            write_row(a, to, at + (j + i) * ld, hd, 1, m->stage_out + i * m->line);
    }
}

NMK_INLINE void do_keys(const attn *a, const room *m, head h, int64_t key)
{
    const nmk_attn_args *x = a->x;
    int64_t n = min64(KEYS, x->n_k - key), hd = a->s->hd, hd_v = a->s->hd_v;
    lines k = key_rows(a, x->k, &x->k_s, h, key, n, hd, m->wide);
    nmk_attn_pack_rows(k.at, k.ld, n, hd, m->k);
    nmk_attn_pack_across(k.at, k.ld, n, hd, m->k_across);
    lines v = key_rows(a, x->v, &x->v_s, h, key, n, hd_v, m->wide);
    nmk_attn_pack_rows(v.at, v.ld, n, hd_v, m->v);
    clear(m->dk, c_rows(hd) * WIDE);
    clear(m->dv, c_rows(hd_v) * WIDE);
    for (int64_t r = 0; r < x->n_q * x->g; r += NR) {
        rows q = rows_at(a, h, r);
        meet(a, m, &q, key, n);
    }
    int64_t dk = offset(&x->dk_s, h) + key * x->dk_s.pos;
    int64_t dv = offset(&x->dv_s, h) + key * x->dv_s.pos;
    write_keys(a, m, m->dk, hd, n, x->dk, dk, x->dk_s.pos);
    write_keys(a, m, m->dv, hd_v, n, x->dv, dv, x->dv_s.pos);
}

// --- the entry ---------------------------------------------------------------------------------

NMK_ENTRY int64_t nmk_attn_grad_count(const nmk_attn_args *x) { return x->n0 * x->n1 * x->kv; }

NMK_ENTRY void nmk_attn_grad(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                             nmk_bias *bias, nmk_position *position, nmk_position *key_position,
                             int64_t from, int64_t to, void *scratch)
{
    attn a = {s, x, env, bias, position, key_position};
    room m = room_in(s, scratch);
    for (; from < to; from++) {
        head h = head_at(x, from);
        clear_dq(&a, h);
        for (int64_t key = 0; key < x->n_k; key += KEYS)
            do_keys(&a, &m, h, key);
        if (s->narrow)
            round_dq(&a, h);
    }
}
