// The meaning of attention and of its gradient, straight from the mathematics. For a row i of q (an
// index of its dims but hd) and a key j:
//
//   s = softcap(scale * q . k) + bias        over what mask, keys, segments, causal and window let
//   see p = exp(s - lse),  lse = log(sum exp(s) + exp(sink)) out = sum over j of  p d v d is
//   dropout's 0 or 1 / (1 - rate)
//
// A row that sees nothing gives zeros and the log-sum-exp -inf.
#include "ir/attn.h"
#include "ir/eval_walk.h"

#include "base/philox.h"

#include <math.h>
#include <string.h>

typedef struct row { // of q; the other tensors' elements that belong to it
    nm_eval_op *e;
    nm_attn a;
    nm_walk w; // over q's dims but hd
    int64_t n_keys, n_hd, heads_per_kv;
    int64_t base[6]; // offset of the row in q, k, v, out, lse, dout; k and v at key 0
    int64_t extra[NM_N_ATTN];
    const nm_tensor *extra_t[NM_N_ATTN];
    int64_t position, first_key;      // global positions: of the row, of key 0 by its index
    uint64_t index;                   // global index of the row
    double *score, *p, *drop, *slope; // [n_keys]; slope: of the softcap
    double lse;
    double rate; // of dropout
} row;

// --- where things are ----------------------------------------------------------------------------

static int64_t row_coordinate(const row *r, nm_sym name)
{
    nm_sym from = name == r->a.kv ? r->a.heads : name;
    for (int i = 0; i < r->w.n; i++)
        if (r->w.name[i] == from)
            return name == r->a.kv ? r->w.at[i] / r->heads_per_kv : r->w.at[i];
    return 0; // `over` and hd: their first
}

static int64_t row_offset(const row *r, const nm_tensor *t)
{
    int64_t off = 0;
    for (int i = 0; i < t->type->rank; i++)
        off = off * t->extent[i] + row_coordinate(r, t->type->dim[i].name);
    return off;
}

static const nm_dim *dim_of(const nm_tensor *t, nm_sym dim)
{
    return &t->type->dim[nm_type_find(t->type, dim)];
}

static uint64_t global_row(row *r)
{
    const nm_type *q = r->e->in[0]->type;
    uint64_t index = 0;
    for (int i = 0; i < q->rank; i++)
        if (q->dim[i].name != r->a.hd)
            index = index * (uint64_t)nm_eval_total_of(r->e, q->dim[i].extent) +
                    (uint64_t)nm_eval_global(r->e, &q->dim[i], row_coordinate(r, q->dim[i].name));
    return index;
}

static void start_rows(row *r, nm_eval_op *e)
{
    const nm_tensor *q = e->in[0], *k = e->in[1];
    *r = (row){.e = e, .a = nm_attn_of(e->op), .heads_per_kv = 1};
    r->n_keys = nm_tensor_extent(k, r->a.over);
    r->n_hd = nm_tensor_extent(q, r->a.hd);
    if (r->a.kv)
        r->heads_per_kv = nm_tensor_extent(q, r->a.heads) / nm_tensor_extent(k, r->a.kv);
    nm_walk_over(&r->w, q, r->a.hd, NULL);
    for (int x = 0; x < NM_N_ATTN; x++)
        for (int i = r->a.first_extra; r->a.extra[x] && i < e->op->n_in; i++)
            if (e->op->in[i] == r->a.extra[x])
                r->extra_t[x] = e->in[i];
    double **rows[] = {&r->score, &r->p, &r->drop, &r->slope};
    for (int i = 0; i < 4; i++)
        *rows[i] = nm_new_n(e->opts->arena, double, r->n_keys);
    r->rate = nm_attr_float(e->op, "dropout", 0);
}

// --- one row -------------------------------------------------------------------------------------

static void place_row(row *r)
{
    nm_eval_op *e = r->e;
    for (int i = 0; i < r->a.first_extra; i++)
        r->base[i] = row_offset(r, e->in[i]);
    for (int x = 0; x < NM_N_ATTN; x++)
        r->extra[x] = r->extra_t[x] ? row_offset(r, r->extra_t[x]) : 0;
    const nm_tensor *at = r->extra_t[NM_ATTN_at];
    if (r->a.seq)
        r->position = nm_eval_global(e, dim_of(e->in[0], r->a.seq), row_coordinate(r, r->a.seq));
    if (at && at->type->rank)
        r->position = (int64_t)at->data[r->extra[NM_ATTN_at]];
    else if (at)
        r->position += (int64_t)at->data[0];
    r->first_key = nm_eval_global(e, dim_of(e->in[1], r->a.over), 0);
    r->index = global_row(r);
}

static double extra_at(const row *r, int x, int64_t key)
{
    const nm_tensor *t = r->extra_t[x];
    return t->data[r->extra[x] + key * nm_tensor_stride(t, r->a.over)];
}

static int64_t key_position(const row *r, int64_t key)
{
    return r->extra_t[NM_ATTN_key_at] ? (int64_t)extra_at(r, NM_ATTN_key_at, key)
                                      : r->first_key + key;
}

static bool same_segment(const row *r, int64_t key)
{
    const nm_tensor *t = r->extra_t[NM_ATTN_segments];
    int64_t step = nm_tensor_stride(t, r->a.seq), at = r->extra[NM_ATTN_segments];
    int64_t first = at - row_coordinate(r, r->a.seq) * step;
    bool there = key < nm_tensor_extent(t, r->a.seq);
    return there && t->data[at] == t->data[first + key * step];
}

static bool sees(const row *r, int64_t key)
{
    int64_t window = nm_attr_int(r->e->op, "window", 0);
    int64_t distance = r->position - key_position(r, key);
    if (nm_attr_bool(r->e->op, "causal") && distance < 0)
        return false;
    if (window && distance >= window)
        return false;
    return (!r->extra_t[NM_ATTN_mask] || extra_at(r, NM_ATTN_mask, key) != 0) &&
           (!r->extra_t[NM_ATTN_keys] || extra_at(r, NM_ATTN_keys, key) != 0) &&
           (!r->extra_t[NM_ATTN_segments] || same_segment(r, key));
}

// Elements of hd at this row: x of q or dout, and of k or v at `key`.
static double q_like(const row *r, int i, int64_t x)
{
    const nm_tensor *t = r->e->in[i];
    return t->data[r->base[i] + x * nm_tensor_stride(t, r->a.hd)];
}

static int64_t k_place(const row *r, int i, int64_t key, int64_t x)
{
    const nm_tensor *t = r->e->in[i];
    return r->base[i] + key * nm_tensor_stride(t, r->a.over) + x * nm_tensor_stride(t, r->a.hd);
}

static void score_key(row *r, int64_t key)
{
    double s = 0, cap = nm_attr_float(r->e->op, "softcap", 0);
    for (int64_t x = 0; x < r->n_hd; x++)
        s += q_like(r, 0, x) * r->e->in[1]->data[k_place(r, 1, key, x)];
    s *= nm_attr_float(r->e->op, "scale", 1);
    r->slope[key] = cap > 0 ? 1 - tanh(s / cap) * tanh(s / cap) : 1;
    if (cap > 0)
        s = cap * tanh(s / cap);
    if (r->extra_t[NM_ATTN_bias])
        s += extra_at(r, NM_ATTN_bias, key);
    r->score[key] = sees(r, key) ? s : -INFINITY;
}

static double drop_factor(const row *r, int64_t key)
{
    if (r->rate <= 0)
        return 1;
    const char *text = nm_attr_get(r->e->op, "key")->u.sym;
    const nm_tensor *turn = r->extra_t[NM_ATTN_turn];
    uint64_t over = (uint64_t)nm_eval_total_of(r->e, dim_of(r->e->in[1], r->a.over)->extent);
    nm_philox p = nm_philox_draw((uint64_t)(int64_t)r->extra_t[NM_ATTN_seed]->data[0],
                                 nm_hash64(text, strlen(text)),
                                 (uint32_t)(int64_t)r->extra_t[NM_ATTN_step]->data[0],
                                 turn ? (uint32_t)(int64_t)turn->data[0] : 0,
                                 r->index * over + (uint64_t)key_position(r, key));
    return nm_philox_uniform(p) < (float)r->rate ? 0 : 1 / (1 - r->rate);
}

static double sum_row(const row *r, double sink)
{
    double most = sink, sum = 0;
    for (int64_t j = 0; j < r->n_keys; j++)
        most = r->score[j] > most ? r->score[j] : most;
    if (most == -INFINITY)
        return most;
    for (int64_t j = 0; j < r->n_keys; j++)
        sum += exp(r->score[j] - most);
    return most + log(sum + exp(sink - most));
}

// Scores, probabilities and dropout of the row. The gradient's log-sum-exp is given: it may be of
// more keys than these.
static void solve_row(row *r)
{
    place_row(r);
    double sink = r->extra_t[NM_ATTN_sink] ? extra_at(r, NM_ATTN_sink, 0) : -INFINITY;
    for (int64_t j = 0; j < r->n_keys; j++) {
        score_key(r, j);
        r->drop[j] = drop_factor(r, j);
    }
    bool given = r->e->op->code == NM_OP_attention_grad;
    r->lse = given ? r->e->in[4]->data[r->base[4]] : sum_row(r, sink);
    bool empty = r->lse == -INFINITY;
    for (int64_t j = 0; j < r->n_keys; j++)
        r->p[j] = empty ? 0 : exp(r->score[j] - r->lse);
}

// --- the ops -------------------------------------------------------------------------------------

void nm_eval_attention(nm_eval_op *e)
{
    row r;
    start_rows(&r, e);
    nm_tensor *out = &e->out[0], *lse = &e->out[1];
    nm_walk *w = &r.w;
    for (bool more = nm_walk_some(w); more; more = nm_walk_next(w)) {
        solve_row(&r);
        lse->data[row_offset(&r, lse)] = r.lse;
        int64_t base = row_offset(&r, out), step = nm_tensor_stride(out, r.a.hd);
        for (int64_t j = 0; j < r.n_keys; j++)
            for (int64_t x = 0; x < r.n_hd; x++)
                out->data[base + x * step] +=
                    r.p[j] * r.drop[j] * e->in[2]->data[k_place(&r, 2, j, x)];
    }
}

// The gradient of the row's probabilities, before dropout: dout . v.
static void grad_p(const row *r, double *dp)
{
    for (int64_t j = 0; j < r->n_keys; j++) {
        dp[j] = 0;
        for (int64_t x = 0; x < r->n_hd; x++)
            dp[j] += q_like(r, 5, x) * r->e->in[2]->data[k_place(r, 2, j, x)];
        dp[j] *= r->drop[j];
    }
}

typedef struct grads { // results and their strides along hd and `over`
    nm_tensor *dq, *dk, *dv;
} grads;

static void add_grads(const row *r, const grads *g, const double *dp, double mean)
{
    const nm_attn *a = &r->a;
    double scale = nm_attr_float(r->e->op, "scale", 1);
    int64_t q = row_offset(r, g->dq), k = row_offset(r, g->dk), v = row_offset(r, g->dv);
    for (int64_t j = 0; j < r->n_keys; j++) {
        double dot = r->p[j] * (dp[j] - mean) * r->slope[j] * scale;
        for (int64_t x = 0; x < r->n_hd; x++) {
            int64_t at_k =
                k + j * nm_tensor_stride(g->dk, a->over) + x * nm_tensor_stride(g->dk, a->hd);
            int64_t at_v =
                v + j * nm_tensor_stride(g->dv, a->over) + x * nm_tensor_stride(g->dv, a->hd);
            g->dq->data[q + x * nm_tensor_stride(g->dq, a->hd)] +=
                dot * r->e->in[1]->data[k_place(r, 1, j, x)];
            g->dk->data[at_k] += dot * q_like(r, 0, x);
            g->dv->data[at_v] += r->p[j] * r->drop[j] * q_like(r, 5, x);
        }
    }
}

void nm_eval_attention_grad(nm_eval_op *e)
{
    row r;
    start_rows(&r, e);
    grads g = {&e->out[0], &e->out[1], &e->out[2]};
    double *dp = nm_new_n(e->opts->arena, double, r.n_keys);
    nm_walk *w = &r.w;
    for (bool more = nm_walk_some(w); more; more = nm_walk_next(w)) {
        double mean = 0;
        solve_row(&r);
        grad_p(&r, dp);
        for (int64_t x = 0; x < r.n_hd; x++)
            mean += q_like(&r, 5, x) * q_like(&r, 3, x); // of p and dp over all keys
        add_grads(&r, &g, dp, mean);
    }
}
