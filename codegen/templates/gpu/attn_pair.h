// Private to attention on gpus: rows and keys as a thread holds them, and what lies between a row
// and a key: whether it sees it, the logit, dropout.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_PAIR_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_PAIR_H

#include "codegen/templates/attn_place.h"
#include "codegen/templates/gpu/gpu.h"

#include <stdbool.h>

#define LOG2E 1.4426950408889634f
#define LN2   0.6931471805599453f

typedef struct row { // of one head
    int64_t i, g;    // query and head of the group
    bool there;      // not behind the last one
    int32_t pos, segment;
    int64_t draw; // number of its first draw
} row;

typedef struct key {
    int64_t j;
    bool there; // not behind the last one, nor hidden
    int32_t pos, segment;
} key;

INLINE int64_t row_count(const attn *a) { return a->x->n_q * a->x->g; }

// A row behind the last one is the last one, but not there.
INLINE row find_row(const attn *a, head h, int64_t r)
{
    const nmk_attn_args *x = a->x;
    int64_t last = row_count(a) - 1;
    u32 at = (u32)min64(r, last), g = (u32)x->g;
    row y = {.i = at / g, .g = at % g, .there = r <= last};
    y.pos = (int32_t)(a->position ? a->position(a->env, y.i) : x->at + y.i);
    if (a->s->segments) {
        int64_t i = a->position ? y.pos : y.i;
        y.segment = x->seg_q[offset(&x->seg_q_s, h) + i * x->seg_q_s.pos + y.g * x->seg_q_s.g];
    }
    if (a->s->dropout) {
        const nmk_attn_drop *d = &x->drop;
        int64_t i = y.i + (y.i >= d->half ? d->jump : 0);
        y.draw = d->first + offset(&d->stride, h) + i * d->stride.pos + y.g * d->stride.g;
    }
    return y;
}

INLINE key find_key(const attn *a, head h, int64_t j)
{
    const nmk_attn_args *x = a->x;
    int64_t at = min64(j, x->n_k - 1);
    key y = {.j = at, .there = j < x->n_k, .pos = (int32_t)key_at(a, at)};
    if (a->s->keys)
        y.there = y.there && x->keys[offset(&x->keys_s, h) + at * x->keys_s.pos];
    if (a->s->segments)
        y.segment = x->seg_k[offset(&x->seg_k_s, h) + at * x->seg_k_s.pos];
    return y;
}

INLINE bool sees(const attn *a, const row *q, const key *k)
{
    bool yes = q->there && k->there;
    if (a->s->causal)
        yes = yes && k->pos <= q->pos;
    if (limited(a))
        yes = yes && k->pos > q->pos - (int32_t)a->x->window;
    if (a->s->segments)
        yes = yes && q->segment == k->segment;
    return yes;
}

// From the product of a row and a key that it sees; *slope: the softcap's derivative, where there
// is one.
INLINE float seen_logit(const attn *a, head h, const row *q, const key *k, float product,
                        float *slope)
{
    float s = product * a->x->scale;
    if (a->s->capped) {
        float t = nmk_tanhf(s / a->x->softcap);
        s = a->x->softcap * t;
        *slope = 1 - t * t;
    }
    if (a->bias)
        s += a->bias(a->env, h.b0, h.b1, h.kv, q->g, q->i, k->j);
    return s;
}

INLINE float logit(const attn *a, head h, const row *q, const key *k, float product, float *slope)
{
    return sees(a, q, k) ? seen_logit(a, h, q, k, product, slope) : -__builtin_inff();
}

// Does dropout keep a probability?
INLINE bool keeps(const attn *a, const row *q, const key *k)
{
    const nmk_attn_drop *d = &a->x->drop;
    return nmk_uniform(d->key, d->step, d->turn, q->draw + k->pos * d->key_stride) >= d->rate;
}

// What it makes of one: times this.
INLINE float drop_factor(const attn *a, bool kept) { return kept ? 1 / (1 - a->x->drop.rate) : 0; }
INLINE float keep(const attn *a, const row *q, const key *k)
{
    return drop_factor(a, keeps(a, q, k));
}

// --- lines of an operand -------------------------------------------------------------------------

// Line n is that of row `first` + n, or of that key (g is 1), of one head; `count` of them at most.
typedef struct lines {
    const void *t;
    int64_t at, pos,
        group;       // elements before the head; strides of a query or key, of a group's head
    u32 g, first, n; // how many there are
} lines;

INLINE lines row_lines(const attn *a, head h, const void *t, const nmk_strides *s, int64_t r,
                       int64_t count)
{
    int64_t n = min64(count, row_count(a) - r);
    return (lines){t, offset(s, h), s->pos, s->g, (u32)a->x->g, (u32)r, (u32)n};
}

INLINE lines key_lines(const attn *a, head h, const void *t, const nmk_strides *s, int64_t j,
                       int64_t count)
{
    return (lines){t, offset(s, h), s->pos, 0, 1, (u32)j, (u32)min64(count, a->x->n_k - j)};
}

// Elements before line n.
INLINE int64_t line_offset(const lines *x, u32 n)
{
    u32 r = x->first + n;
    return x->at + r / x->g * x->pos + r % x->g * x->group;
}

// --- tiles of rows and keys ----------------------------------------------------------------------

typedef struct span {
    int64_t first, last;
} span;

// The least and the greatest position of rows [r, r + n). All threads of a warp ask together.
INLINE span positions(const attn *a, int64_t r, int64_t n)
{
    const u32 sign = 1u << 31; // in front of which signed numbers are in order as unsigned ones
    int64_t end = min64(r + n, row_count(a));
    if (!a->position)
        return (span){position_of(a, r), position_of(a, end - 1)};
    u32 first = ~0u, last = 0;
    for (int64_t i = r + laneid(); i < r + n; i += 32) {
        u32 at = (u32)position_of(a, min64(i, end - 1)) ^ sign;
        first = at < first ? at : first;
        last = at > last ? at : last;
    }
    return (span){(int32_t)(redux_min_u32(first) ^ sign), (int32_t)(redux_max_u32(last) ^ sign)};
}

// The keys that rows [r, r + n) may see: [first, last).
INLINE span keys_of(const attn *a, int64_t r, int64_t n)
{
    span at = positions(a, r, n);
    return (span){first_key(a, at.first), end_key(a, at.last)};
}

#endif
