// Private to attention on gpus in f32: products of tiles by the threads of a block.
//
// A block owns TILE rows (or keys) and meets TILE keys (or rows) at a time: 16 x 16 threads of 4 x
// 4 pairs each, own index 4 (t / 16) + i, other index t % 16 + 16 j. Operands come through shared
// memory, CHUNK elements along the head dim at a time. What becomes of the pairs goes to shared
// memory as a tile [other][own], from where a second product sums over the others.
#ifndef NM_CODEGEN_TEMPLATES_GPU_ATTN_TILE_H
#define NM_CODEGEN_TEMPLATES_GPU_ATTN_TILE_H

#include "codegen/templates/gpu/attn.h"
#include "codegen/templates/gpu/attn_pair.h"

enum {
    TILE = NMG_ATTN_TILE,
    THREADS = NMG_ATTN_THREADS,
    MINE = 4, // own indices of a thread, and others
    SIDE = TILE / MINE,
    CHUNK = 32,                      // elements along the head dim, in a product of rows and keys
    LINE = 4 * (CHUNK + 4),          // bytes of a staged line: neighbours lie in other banks
    BLOCK = 64,                      // elements along the head dim, in a sum
    COLUMNS = NMG_ATTN_WIDE / BLOCK, // such blocks of a slice
    SUM_LINE = 4 * BLOCK,
    PAIR_LINE = 4 * (TILE + 4), // bytes from one other index to the next

    OWN_AT = 0, // staged operands
    OTHER_AT = OWN_AT + TILE * LINE,
    PAIRS_AT = OTHER_AT + TILE * LINE,
    NORMS_AT = PAIRS_AT + TILE * PAIR_LINE, // lse, then delta, of TILE rows
    END = NORMS_AT + 2 * 4 * TILE,
};
_Static_assert(SIDE *SIDE == THREADS, "a thread for each 4 x 4 pairs");
_Static_assert(TILE *SUM_LINE <= PAIRS_AT, "a block of an operand of a sum");
_Static_assert(END == NMG_ATTN_SHARED, "a block's shared memory");

typedef struct seat { // a thread's place
    smem at;
    u32 own, other; // its first of each
} seat;

INLINE seat take_seat(void)
{
    u32 t = tid();
    return (seat){smem_base(), t / SIDE * MINE, t % SIDE};
}

// --- shared memory -------------------------------------------------------------------------------

INLINE void read_four(float v[MINE], smem at)
{
    u32 bits[MINE];
    ld_shared_v4(bits, at);
    UNROLL
    for (int i = 0; i < MINE; i++)
        v[i] = __builtin_bit_cast(float, bits[i]);
}

INLINE void write_four(smem at, const float v[MINE])
{
    u32 bits[MINE];
    UNROLL
    for (int i = 0; i < MINE; i++)
        bits[i] = __builtin_bit_cast(u32, v[i]);
    st_shared_v4(at, bits);
}

// Elements [from, to) of each line, at most `room` of them, as fours: line n begins at n * bytes.
INLINE void stage(const lines *x, int64_t from, int64_t to, u32 room, smem at, u32 bytes)
{
    for (u32 u = tid(); u < TILE * room / 4; u += THREADS) {
        u32 n = u / (room / 4), c = u % (room / 4) * 4;
        if (from + c >= to)
            continue;
        const float *line = (const float *)x->t + line_offset(x, n < x->n ? n : x->n - 1);
        float four[MINE];
        UNROLL
        for (u32 i = 0; i < MINE; i++)
            four[i] = n < x->n && from + c + i < to ? line[from + c + i] : 0;
        write_four(at + n * bytes + 4 * c, four);
    }
}

// --- products ------------------------------------------------------------------------------------

INLINE void multiply(seat me, u32 width, float s[MINE][MINE])
{
    smem own = me.at + OWN_AT + me.own * LINE, other = me.at + OTHER_AT + me.other * LINE;
    for (u32 c = 0; c < width; c += 4) {
        float a[MINE][4], b[MINE][4];
        UNROLL
        for (u32 i = 0; i < MINE; i++) {
            read_four(a[i], own + i * LINE + 4 * c);
            read_four(b[i], other + i * SIDE * LINE + 4 * c);
        }
        UNROLL
        for (int k = 0; k < 4; k++)
            UNROLL
        for (int i = 0; i < MINE; i++)
            UNROLL
        for (int j = 0; j < MINE; j++)
            s[i][j] += a[i][k] * b[j][k];
    }
}

// s[i][j] = sum of own line i times other line j, over their `width` elements.
INLINE void product(seat me, const lines *own, const lines *other, int64_t width,
                    float s[MINE][MINE])
{
    UNROLL
    for (int i = 0; i < MINE; i++)
        UNROLL
    for (int j = 0; j < MINE; j++)
        s[i][j] = 0;
    for (int64_t c = 0; c < width; c += CHUNK) {
        block_sync(); // all have read what lay there
        stage(own, c, width, CHUNK, me.at + OWN_AT, LINE);
        stage(other, c, width, CHUNK, me.at + OTHER_AT, LINE);
        block_sync();
        multiply(me, (u32)min64(CHUNK, width - c), s);
    }
}

// The tile of pairs: others in lines, own indices side by side.
INLINE void put_pairs(seat me, float s[MINE][MINE])
{
    UNROLL
    for (u32 j = 0; j < MINE; j++) {
        float own[MINE] = {s[0][j], s[1][j], s[2][j], s[3][j]};
        write_four(me.at + PAIRS_AT + (me.other + j * SIDE) * PAIR_LINE + 4 * me.own, own);
    }
}

// sum[i][k] += over the others o: tile[o][own i] * block[o][4 (t % 16) + k]
INLINE void add_block(seat me, u32 others, float sum[MINE][4])
{
    smem p_at = me.at + PAIRS_AT + 4 * me.own, x_at = me.at + 16 * me.other;
    for (u32 o = 0; o < others; o++) {
        float p[MINE], x[4];
        read_four(p, p_at + o * PAIR_LINE);
        read_four(x, x_at + o * SUM_LINE);
        UNROLL
        for (int i = 0; i < MINE; i++)
            UNROLL
        for (int k = 0; k < 4; k++)
            sum[i][k] += p[i] * x[k];
    }
}

// sum += the tile of pairs times elements [from, to) of the others' lines, at most a slice. `to` -
// `from` <= wide, a constant. The pairs may have been put just before.
INLINE void add_lines(seat me, const lines *others, int64_t from, int64_t to, int64_t wide,
                      float sum[COLUMNS][MINE][4])
{
    UNROLL
    for (int b = 0; b < COLUMNS; b++) {
        int64_t c = from + b * BLOCK;
        if (b * BLOCK >= wide || c >= to)
            continue;
        block_sync(); // all have read what lay there
        stage(others, c, to, BLOCK, me.at, SUM_LINE);
        block_sync();
        if (c + 4 * me.other < to)
            add_block(me, others->n, sum[b]);
    }
}

INLINE void clear_sums(float sum[COLUMNS][MINE][4])
{
    UNROLL
    for (int b = 0; b < COLUMNS; b++)
        UNROLL
    for (int i = 0; i < MINE; i++)
        UNROLL
    for (int k = 0; k < 4; k++)
        sum[b][i][k] = 0;
}

// Elements [from, to) of the thread's own line i: its sums times `by`.
INLINE void store_line(seat me, float *line, int64_t from, int64_t to, float by,
                       float sum[COLUMNS][MINE][4], int i)
{
    UNROLL
    for (int b = 0; b < COLUMNS; b++)
        UNROLL
    for (u32 k = 0; k < 4; k++) {
        int64_t c = from + b * BLOCK + 4 * me.other + k;
        if (c < to)
            line[c] = sum[b][i][k] * by;
    }
}

// --- slices --------------------------------------------------------------------------------------

INLINE int64_t slices(int64_t hd) { return (hd + NMG_ATTN_WIDE - 1) / NMG_ATTN_WIDE; }
INLINE int64_t tiles(int64_t n) { return (n + TILE - 1) / TILE; }

#endif
