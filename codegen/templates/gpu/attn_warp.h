// Private to attention on gpus in bf16: tiles and pairs as the warps of a block have them.
//
// A block of four warps owns 64 lines (rows or keys), a warp 16 of them, and meets tiles of others,
// in shared memory; elements behind the head size, up to a multiple of 16, are zeros. A pair of own
// line and other is where mma.sync and wgmma have it: thread 4 g + t of a warp has own lines g and
// g + 8, others 8 n + 2 t and + 1 (n counts 8 others): s[n][2 i + c] is own line g + 8 i, other
// 8 n + 2 t + c. Packed to bf16 it is the left operand of a sum over the others as it is. How tiles
// lie, and products, are an architecture's: attn_mma.h, attn_wgmma.h.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_WARP_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_WARP_H

#ifdef NMG_SM90A
#include "codegen/templates/gpu/attn_wgmma.h"
#else
#include "codegen/templates/gpu/attn_mma.h"
#endif

// --- to shared memory ----------------------------------------------------------------------------

// May 16 bytes of each line be copied at once?
INLINE bool is_aligned(const lines *x, int64_t hd)
{
    int64_t strides = x->at | x->pos | x->group | hd;
    return strides % 8 == 0 && (u64)x->t % 16 == 0;
}

// Elements c .. c + 8 of a line of hd; `there`: else zeros.
INLINE void copy_slowly(smem to, const u16 *line, int64_t c, int64_t hd, bool there)
{
    u32 four[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        u32 lo = there && c + 2 * i < hd ? line[c + 2 * i] : 0;
        u32 hi = there && c + 2 * i + 1 < hd ? line[c + 2 * i + 1] : 0;
        four[i] = lo | hi << 16;
    }
    st_shared_v4(to, four);
}

// `count` lines, by the four warps, with cp.async where that can be: commit and wait are the
// caller's.
INLINE void stage(const lines *x, u32 count, int64_t hd, smem to)
{
    u32 eights = padded(hd) / 8;
    bool aligned = is_aligned(x, hd);
    for (u32 u = tid() % THREADS; u < count * eights; u += THREADS) {
        u32 n = u / eights, c = u % eights * 8;
        bool there = n < x->n;
        const u16 *line = (const u16 *)x->t + line_offset(x, there ? n : x->n - 1);
        smem at = element_at(to, count, (u32)hd, n, c);
        if (aligned)
            cp_async16(at, c < hd ? line + c : line, there && c < hd ? 16 : 0);
        else
            copy_slowly(at, line, c, hd, there);
    }
}

// --- pairs and sums ------------------------------------------------------------------------------

// s[eights][4] as the left operand of a sum over the others: p[eights / 2][4].
INLINE void pack(u32 (*p)[4], float (*s)[4], int eights)
{
    UNROLL
    for (int n = 0; n < eights; n++)
        UNROLL
    for (int i = 0; i < 2; i++)
        p[n / 2][n % 2 * 2 + i] = bf16x2(s[n][2 * i], s[n][2 * i + 1]);
}

// Pairs that are packed, to a tile of own lines: others side by side.
INLINE void put_pairs(seat me, smem tile, u32 (*p)[4], int eights)
{
    UNROLL
    for (u32 n = 0; n < (u32)eights; n++)
        UNROLL
    for (u32 i = 0; i < 2; i++)
        st_shared_u32(element_at(tile, OWN, 64, me.line + 8 * i, 8 * n) + 2 * me.other,
                      p[n / 2][n % 2 * 2 + i]);
}

INLINE void clear(float (*sum)[4], int64_t wide)
{
    UNROLL
    for (u32 c = 0; c < padded(wide) / 8; c++)
        UNROLL
    for (int e = 0; e < 4; e++)
        sum[c][e] = 0;
}

// --- to global memory ----------------------------------------------------------------------------

// Elements [from, to) of own line g + 8 i, times `by`, in pairs where they lie so.
INLINE void store_line(seat me, u16 *line, int64_t from, int64_t to, int64_t wide, float by,
                       float (*sum)[4], int i)
{
    bool even = (u64)line % 4 == 0;
    UNROLL
    for (u32 n = 0; n < padded(wide) / 8; n++) {
        int64_t c = from + 8 * n + me.other;
        u32 two = bf16x2(sum[n][2 * i] * by, sum[n][2 * i + 1] * by);
        if (even && c + 1 < to) {
            *(u32 *)(line + c) = two;
            continue;
        }
        if (c < to)
            line[c] = (u16)two;
        if (c + 1 < to)
            line[c + 1] = (u16)(two >> 16);
    }
}

// --- logits --------------------------------------------------------------------------------------

// Where nothing but a factor stands between a product and its logit, products stay as they are and
// the exponential has the factor.
INLINE bool is_raw(const attn *a) { return !a->s->capped && !a->bias && a->x->scale > 0; }
INLINE float unit(const attn *a) { return is_raw(a) ? a->x->scale : 1; } // a logit's, in nats

// Of row r and key j, if `seen`.
INLINE float raw_logit(const attn *a, head h, bool seen, int64_t r, int64_t j, float product,
                       float *slope)
{
    if (!seen)
        return -__builtin_inff();
    if (is_raw(a))
        return product;
    row q = find_row(a, h, r); // for a bias
    key k = find_key(a, h, j);
    return seen_logit(a, h, &q, &k, product, slope);
}

// Is every product of rows [r, r + rows) and keys [j, j + keys) its logit already?
INLINE bool is_plain(const attn *a, span at, int64_t r, int64_t rows, int64_t j, int64_t keys)
{
    const nmk_attn_args *x = a->x;
    if (!is_raw(a) || a->s->keys || a->s->segments)
        return false;
    if (r + rows > row_count(a) || j + keys > x->n_k)
        return false;
    return (!a->s->causal || key_at(a, j + keys - 1) <= at.first) &&
           (!limited(a) || key_at(a, j) > at.last - x->window);
}

// --- which pairs are seen, and which dropout keeps -----------------------------------------------

// A bit for each pair of a thread. They are found in a loop that stays one: what a single pair
// takes would not go into registers for all of them at once.
typedef struct bits {
    u32 seen, kept;
} bits;
#define ROLLED _Pragma("clang loop unroll(disable)")

INLINE bool bit_of(u32 all, int n, int i, int c) { return all >> (4 * n + 2 * c + i) & 1; }

INLINE void note(const attn *a, bool plain, const row *q, const key *k, u32 bit, bits *y)
{
    if (!plain)
        y->seen |= (u32)sees(a, q, k) << bit;
    if (a->s->dropout)
        y->kept |= (u32)keeps(a, q, k) << bit;
}

// Own lines are rows from r on, others 8 `eights` keys from j on. `plain`: all are seen.
INLINE bits bits_of_rows(const attn *a, head h, seat me, bool plain, int64_t r, int64_t j,
                         int eights)
{
    bits y = {plain ? ~0u : 0, 0};
    if (plain && !a->s->dropout)
        return y;
    row q[2] = {find_row(a, h, r + me.line), find_row(a, h, r + me.line + 8)};
    ROLLED
    for (u32 n = 0; n < 2 * (u32)eights; n++) {
        key k = find_key(a, h, j + n / 2 * 8 + me.other + n % 2);
        note(a, plain, &q[0], &k, 2 * n, &y);
        note(a, plain, &q[1], &k, 2 * n + 1, &y);
    }
    return y;
}

// Own lines are keys from j on, others rows from r on.
INLINE bits bits_of_keys(const attn *a, head h, seat me, bool plain, int64_t j, int64_t r,
                         int eights)
{
    bits y = {plain ? ~0u : 0, 0};
    if (plain && !a->s->dropout)
        return y;
    key k[2] = {find_key(a, h, j + me.line), find_key(a, h, j + me.line + 8)};
    ROLLED
    for (u32 n = 0; n < 2 * (u32)eights; n++) {
        row q = find_row(a, h, r + n / 2 * 8 + me.other + n % 2);
        note(a, plain, &q, &k[0], 2 * n, &y);
        note(a, plain, &q, &k[1], 2 * n + 1, &y);
    }
    return y;
}

#endif
