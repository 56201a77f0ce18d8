// The matrix product: c[b, m, n] = sum over k of a[b, m, k] * b[b, n, k].
//
// A block of rows (all of M, where it is not large) and about a strip of columns are the unit of
// the parallel range; a call merges the units it is given into stretches, for each of which the
// rows of A are packed once:
//
//     for each block of rows, stretch of units         C block in scratch, f32
//       for each chunk of KC of k
//         pack A [rows, chunk]
//         for each strip: pack B [chunk, strip], then panel products: C += A B
//                         of the last chunk: store the strip of C through the hook
//
// The sum of an element is chunk by chunk, in order, whatever the blocks are: any split gives the
// same bits.
#include "codegen/templates/gemm_pack.h"

typedef struct room { // how a block uses the scratch
    float *restrict c, *restrict a, *restrict b, *restrict stage;
} room;

enum {
    A_SIZE = KC * MR + 2 * VL, // at least panel_size(MR, KC)
    B_SIZE = KC * NR + 2 * VL,
    STAGE = NR * KC > LINES *ROWS ? NR *KC : LINES *ROWS,
    ROOM = ROWS * STRETCH + ROWS / MR * A_SIZE + STRIP / NR * B_SIZE + STAGE,
};
_Static_assert(4 * ROOM <= NMK_GEMM_SCRATCH, "the scratch of a matrix product");
_Static_assert(ROWS >= STRIP && STRETCH % STRIP == 0, "a staged line");

NMK_INLINE room room_in(float *scratch)
{
    room r = {.c = scratch};
    r.a = r.c + ROWS * STRETCH;
    r.b = r.a + ROWS / MR * A_SIZE;
    r.stage = r.b + STRIP / NR * B_SIZE;
    return r;
}

// --- the parallel range ------------------------------------------------------------------------

// Rows of a block: as even as can be.
NMK_INLINE int64_t block_rows(int64_t M) { return round_up(ceil_div(M, ceil_div(M, ROWS)), MR); }

NMK_ENTRY int64_t nmk_gemm_count(int64_t B, int64_t M, int64_t N, int64_t together)
{
    int64_t units = ceil_div(N, unit_columns(together));
    return M > 0 ? B * ceil_div(M, block_rows(M)) * units : 0;
}

// --- one block ---------------------------------------------------------------------------------

typedef struct strip {      // of a block's columns, times a chunk of k
    int64_t n, k, kn;       // the first column in the block; the chunk
    part b, next_b, next_a; // what is packed; what comes next
    int64_t ends;           // no chunk is behind this one
} strip;

// The strip from column n of chunk k on, and what comes behind it: the next strip, or the first of
// the next chunk, and then A's part of that.
NMK_INLINE strip strip_at(const gemm *g, block at, int64_t n, int64_t k)
{
    int64_t kn = min64(KC, g->K - k), behind = k + kn;
    strip s = {.n = n, .k = k, .kn = kn, .ends = behind >= g->K};
    s.b = (part){at.batch, at.n + n, min64(STRIP, at.cols - n), k, kn};
    s.next_b = s.b;
    s.next_b.row += STRIP;
    if (n + STRIP >= at.cols) {
        int64_t next = min64(KC, g->K - behind);
        s.next_b = (part){at.batch, at.n, STRIP, behind, next};
        s.next_a = (part){at.batch, at.m, at.rows, behind, next};
    }
    s.next_b.rows = min64(STRIP, at.n + at.cols - s.next_b.row);
    return s;
}

// C += A B of a strip, a panel of A at a time; between them a share of what comes next is fetched.
NMK_INLINE void multiply_strip(const gemm *g, block at, const strip *s, panels a, panels b, room r)
{
    for (int64_t i = 0; i < a.n; i += a.h) {
        panels one = a;
        one.n = min64(a.h, a.n - i);
        nmk_panels_product(&one, &b, s->kn, r.a + i / a.h * a.size, r.b, r.c + i * STRETCH + s->n,
                           STRETCH, s->k > 0);
        fetch(g, &g->b, &s->next_b, i / a.h, ceil_div(a.n, a.h));
        fetch(g, &g->a, &s->next_a, i / a.h, ceil_div(a.n, a.h));
        if (s->ends)
            fetch_result(g, at, s->n, b.n, i, i + a.h);
    }
}

NMK_INLINE void do_block(const gemm *g, block at, room r)
{
    for (int64_t k = 0; k < g->K; k += KC) {
        part all = {at.batch, at.m, at.rows, k, min64(KC, g->K - k)};
        panels a = a_panels(at.rows, all.kn);
        pack(g, &g->a, &all, a, r.a, r.stage);
        for (int64_t n = 0; n < at.cols; n += STRIP) {
            strip s = strip_at(g, at, n, k);
            panels b = b_panels(s.b.rows, s.kn);
            pack(g, &g->b, &s.b, b, r.b, r.stage);
            multiply_strip(g, at, &s, a, b, r);
            if (s.ends && !g->together)
                write_columns(g, at, n, n + s.b.rows, STRETCH, r.c);
        }
    }
    if (g->together || g->K == 0)
        write_columns(g, at, 0, at.cols, STRETCH, r.c);
}

// --- the entry ---------------------------------------------------------------------------------

// The block that begins with unit `from`, of `most` columns at most; how many units of `left` it
// takes goes to *took.
NMK_INLINE block block_at(const gemm *g, int64_t from, int64_t left, int64_t most, int64_t *took)
{
    int64_t cols = unit_columns(g->together), units = ceil_div(g->N, cols);
    int64_t rows = block_rows(g->M), blocks = ceil_div(g->M, rows);
    int64_t unit = from % units, m = from / units % blocks * rows;
    *took = min64(min64(left, units - unit), most / cols);
    return (block){.batch = from / units / blocks,
                   .m = m,
                   .rows = min64(rows, g->M - m),
                   .n = unit * cols,
                   .cols = min64(*took * cols, g->N - unit * cols)};
}

NMK_INLINE void clear(float *restrict c, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        c[i] = 0;
}

NMK_ENTRY void nmk_gemm(const nmk_gemm_spec *s, const void *env, int64_t B, int64_t M, int64_t N,
                        int64_t K, nmk_load *a, nmk_load *b, nmk_finish *c, nmk_place *a_at,
                        nmk_place *b_at, nmk_place *c_at, int64_t from, int64_t to, void *scratch)
{
    gemm g = {.env = env, .M = M, .N = N, .K = K, .put = c, .c_run = s->c_run};
    g.together = s->together;
    g.points = s->points;
    g.a = (operand){a, s->a_along, s->a_run, a_at, s->a_bytes, s->a_plain};
    g.b = (operand){b, s->b_along, s->b_run, b_at, s->b_bytes, s->b_plain};
    g.c_at = c_at;
    g.c_bytes = s->c_bytes;
    (void)B;
    for (int64_t took; from < to; from += took) {
        int64_t few = s->few && M <= FEW_ROWS;
        block at = block_at(&g, from, to - from, few ? GEMV_STRETCH : STRETCH, &took);
        if (few) {
            nmk_gemv(&g, at, scratch);
            continue;
        }
        if (K == 0) // the sum of nothing
            clear(scratch, ROWS * STRETCH);
        do_block(&g, at, room_in(scratch));
    }
}
