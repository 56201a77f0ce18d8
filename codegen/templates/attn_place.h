// Private to attention, the host's and the gpus': one call, its rows and keys, and which keys may
// be seen from a position.
//
// The query positions and the g heads that share a kv head are one dim of rows, r = i * g + head.
#ifndef NM_CODEGEN_TEMPLATES_ATTN_PLACE_H
#define NM_CODEGEN_TEMPLATES_ATTN_PLACE_H

#include "codegen/templates/simd.h"

typedef struct attn { // one call
    const nmk_attn_spec *s;
    const nmk_attn_args *x;
    const void *env;
    nmk_bias *bias;
    nmk_position *position, *key_position;
} attn;

typedef struct head { // one (batch, kv head)
    int64_t b0, b1, kv;
} head;

NMK_INLINE int64_t offset(const nmk_strides *s, head h)
{
    return h.b0 * s->batch0 + h.b1 * s->batch1 + h.kv * s->kv;
}
NMK_INLINE int64_t row_offset(const attn *a, const nmk_strides *s, head h, int64_t r)
{
    return offset(s, h) + r / a->x->g * s->pos + r % a->x->g * s->g;
}
NMK_INLINE head head_at(const nmk_attn_args *x, int64_t i)
{
    return (head){i / x->kv / x->n1, i / x->kv % x->n1, i % x->kv};
}

// The position of row r.
NMK_INLINE int64_t position_of(const attn *a, int64_t r)
{
    return a->position ? a->position(a->env, r / a->x->g) : a->x->at + r / a->x->g;
}

NMK_INLINE int64_t limited(const attn *a) { return a->s->windowed && a->x->window > 0; }

// The position of key j.
NMK_INLINE int64_t key_at(const attn *a, int64_t j)
{
    return a->key_position ? a->key_position(a->env, j) : j;
}

// How many keys stand before the position: positions ascend.
NMK_INLINE int64_t keys_before(const attn *a, int64_t position)
{
    int64_t n = a->x->n_k, lo = 0, hi = n;
    if (!a->key_position)
        return max64(0, min64(n, position));
    while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (key_at(a, mid) < position)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// The keys that rows between two positions may see: [first_key, end_key).
NMK_INLINE int64_t end_key(const attn *a, int64_t last)
{
    return a->s->causal ? keys_before(a, last + 1) : a->x->n_k;
}
NMK_INLINE int64_t first_key(const attn *a, int64_t first)
{
    return limited(a) ? keys_before(a, first - a->x->window + 1) : 0;
}

// A maximum that is less than any logit but not -inf, from which -inf can be subtracted.
#define NMK_LEAST (-3e38f)

#endif
