// Attention, forward: softmax over the keys of q . k, times v, a block of keys at a time, with a
// running maximum and sum (online softmax). A task is BLOCK rows of one head; its keys are packed
// once for all of its rows, but for those of few rows (decoding), which are read where they lie.
#include "codegen/templates/attn.h"

enum {
    BLOCK = 256, // rows of a task
    PANELS = BLOCK / NR,
    KEYS = 126, // of a block: 9 or 21 A panels
    FEW = 4,    // rows for which packing is not worth while
};

typedef struct state { // of NR rows
    rows at;
    float *q; // B panel [hd][NR], scaled
    float *o; // [hd_v][NR], not divided by the sum yet
    vf max[2], sum[2];
} state;

typedef struct room { // the scratch
    float *k, *v;     // A panels: of the keys, over hd; of hd_v, over the keys
    float *s, *keep;  // tiles [KEYS][NR]
    float *stage;     // [NR][line]
    float *wide;      // narrow: keys, or values, as floats [KEYS][line]
    float *q, *o;
    int64_t q_size, o_size, line;
} room;

NMK_INLINE room room_in(const nmk_attn_spec *s, float *at)
{
    room r = {.line = round_up(max64(s->hd, s->hd_v), NR),
              .q_size = panel_size(NR, s->hd),
              .o_size = c_rows(s->hd_v) * NR};
    r.k = take(&at, a_size(KEYS, s->hd));
    r.v = take(&at, a_size(s->hd_v, KEYS));
    r.s = take(&at, c_rows(KEYS) * NR);
    r.keep = take(&at, s->dropout ? KEYS * NR : 0);
    r.stage = take(&at, NR * r.line);
    r.wide = take(&at, s->narrow ? KEYS * r.line : 0);
    r.q = take(&at, PANELS * r.q_size);
    r.o = take(&at, PANELS * r.o_size);
    return r;
}

NMK_INLINE void begin(const attn *a, const room *m, rows at, int64_t panel, state *t)
{
    *t = (state){.at = at, .q = m->q + panel * m->q_size, .o = m->o + panel * m->o_size};
    stage_rows(a, &at, a->x->q, &a->x->q_s, a->s->hd, a->x->scale, m->line, m->stage);
    nmk_panel_from_rows(NR, NR, a->s->hd, m->stage, m->line, t->q);
    for (int64_t i = 0; i < m->o_size; i++)
        t->o[i] = 0;
    for (int64_t i = 0; i < NR; i++) {
        int64_t there = a->s->sink && i < at.n;
        int64_t g = (at.r + i) % a->x->g;
        t->max[i / VL][i % VL] =
            there ? a->x->sink[at.at.kv * a->x->sink_s.kv + g * a->x->sink_s.g] : NMK_LEAST;
        t->sum[i / VL][i % VL] = there ? 1 : 0;
    }
}

// The tile of logits becomes probabilities times e^max, the maximum being that of all keys so far;
// what was summed before is scaled to it.
NMK_INLINE void soften(state *t, int64_t n, int64_t o_rows, float *restrict s)
{
    NMK_UNROLL for (int half = 0; half < 2; half++)
    {
        float *p = s + half * VL;
        vf max = t->max[half], sum = {0};
        for (int64_t j = 0; j < n; j++)
            max = vmax(load(p + j * NR), max);
        for (int64_t j = 0; j < n; j++) {
            vf e = vexp(load(p + j * NR) - max);
            sum += e;
            store(p + j * NR, e);
        }
        vf shrink = vexp(t->max[half] - max);
        t->max[half] = max;
        t->sum[half] = t->sum[half] * shrink + sum;
        for (int64_t c = 0; c < o_rows; c++)
            store(t->o + c * NR + half * VL, load(t->o + c * NR + half * VL) * shrink);
    }
}

NMK_INLINE void drop(const attn *a, const rows *q, int64_t key, int64_t n, const room *m)
{
    draw_dropout(a, q, key, n, m->keep);
    for (int64_t i = 0; i < n * NR; i++)
        m->s[i] *= m->keep[i];
}

// Products of keys [key, key + n) become what their values count.
NMK_INLINE void weigh(const attn *a, const room *m, state *t, int64_t key, int64_t n)
{
    make_logits(a, &t->at, key, n, m->s, (float *)0);
    soften(t, n, a->s->hd_v, m->s);
    if (a->s->dropout)
        drop(a, &t->at, key, n, m);
}

// Keys [key, key + n) have been packed: these rows meet those of them that they may see.
NMK_INLINE void meet(const attn *a, const room *m, state *t, int64_t key, int64_t n)
{
    int64_t seen = min64(n, end_key(a, t->at.last) - key);
    if (seen <= 0 || key + n <= first_key(a, t->at.first))
        return;
    attn_product scores = {.m = n, .some = seen, .k = a->s->hd, .depth = a->s->hd, .ldc = NR};
    nmk_attn_multiply(&scores, m->k, t->q, m->s);
    weigh(a, m, t, key, seen);
    attn_product values = {
        .m = a->s->hd_v, .some = a->s->hd_v, .k = seen, .depth = n, .ldc = NR, .add = 1};
    nmk_attn_multiply(&values, m->v, m->s, t->o);
}

// FEW rows at most, which `begin` has left on the stage, and keys as they lie.
NMK_INLINE void meet_few(const attn *a, const room *m, state *t, int64_t key, int64_t n)
{
    const nmk_attn_args *x = a->x;
    int64_t hd = a->s->hd, hd_v = a->s->hd_v;
    lines k = key_rows(a, x->k, &x->k_s, t->at.at, key, n, hd, m->wide);
    nmk_attn_dots(&(attn_few){t->at.n, n, hd, k.ld}, m->stage, m->line, k.at, m->s);
    weigh(a, m, t, key, n);
    lines v = key_rows(a, x->v, &x->v_s, t->at.at, key, n, hd_v, m->wide);
    nmk_attn_add_lines(&(attn_few){t->at.n, n, hd_v, v.ld}, m->s, v.at, t->o);
}

NMK_INLINE void finish(const attn *a, const room *m, const state *t)
{
    nmk_attn_untranspose(t->o, NR, a->s->hd_v, m->stage, m->line);
    for (int64_t i = 0; i < t->at.n; i++) {
        float sum = t->sum[i / VL][i % VL], by = sum == 0 ? 0 : 1 / sum;
        write_row(a, a->x->out, row_offset(a, &a->x->out_s, t->at.at, t->at.r + i), a->s->hd_v, by,
                  m->stage + i * m->line);
        a->x->lse[row_offset(a, &a->x->lse_s, t->at.at, t->at.r + i)] =
            sum > 0 ? t->max[i / VL][i % VL] + nmk_logf(sum) : -__builtin_inff();
    }
}

// Rows r.. of a head, as many as a task has.
NMK_INLINE void do_block(const attn *a, const room *m, head h, int64_t r)
{
    const nmk_attn_args *x = a->x;
    int64_t n_rows = min64(BLOCK, x->n_q * x->g - r), n_panels = ceil_div(n_rows, NR);
    state t[PANELS];
    for (int64_t i = 0; i < n_panels; i++)
        begin(a, m, rows_at(a, h, r + i * NR), i, &t[i]);
    int64_t first = t[0].at.first, last = t[0].at.last;
    for (int64_t i = 1; i < n_panels; i++) {
        first = min64(first, t[i].at.first);
        last = max64(last, t[i].at.last);
    }
    int64_t end = end_key(a, last);
    for (int64_t key = first_key(a, first) / KEYS * KEYS; key < end; key += KEYS) {
        int64_t n = min64(KEYS, end - key);
        if (n_rows <= FEW) {
            meet_few(a, m, &t[0], key, n);
            continue;
        }
        lines k = key_rows(a, x->k, &x->k_s, h, key, n, a->s->hd, m->wide);
        nmk_attn_pack_rows(k.at, k.ld, n, a->s->hd, m->k);
        lines v = key_rows(a, x->v, &x->v_s, h, key, n, a->s->hd_v, m->wide);
        nmk_attn_pack_across(v.at, v.ld, n, a->s->hd_v, m->v);
        for (int64_t i = 0; i < n_panels; i++)
            meet(a, m, &t[i], key, n);
    }
    for (int64_t i = 0; i < n_panels; i++)
        finish(a, m, &t[i]);
}

// --- the entry ---------------------------------------------------------------------------------

NMK_ENTRY int64_t nmk_attn_count(const nmk_attn_args *x)
{
    return x->n0 * x->n1 * x->kv * ceil_div(x->n_q * x->g, BLOCK);
}

NMK_ENTRY void nmk_attn(const nmk_attn_spec *s, const nmk_attn_args *x, const void *env,
                        nmk_bias *bias, nmk_position *position, nmk_position *key_position,
                        int64_t from, int64_t to, void *scratch)
{
    attn a = {s, x, env, bias, position, key_position};
    room m = room_in(s, scratch);
    int64_t blocks = ceil_div(x->n_q * x->g, BLOCK);
    for (; from < to; from++)
        do_block(&a, &m, head_at(x, from / blocks), from % blocks * BLOCK);
}
