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
//       store the C block through the hook
//
// The sum of an element is chunk by chunk, in order, whatever the blocks are: any split gives the
// same bits.
#include "codegen/templates/gemm.h"

typedef struct room { // how a block uses the scratch
    float *restrict c, *restrict a, *restrict b, *restrict stage;
} room;

enum {
    A_SIZE = KC * MR + 2 * VL, // at least panel_size(MR, KC)
    B_SIZE = KC * NR + 2 * VL,
    LINES = 16, // staged at a time where the rows lie side by side: their cache misses overlap
    STAGE = NR * KC > LINES *ROWS ? NR *KC : LINES *ROWS,
    ROOM = ROWS * STRETCH + ROWS / MR * A_SIZE + STRIP / NR * B_SIZE + STAGE,
};
_Static_assert(4 * ROOM <= NMK_GEMM_SCRATCH, "the scratch of a matrix product");
_Static_assert(ROWS >= STRIP, "a staged line");

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

// Rows row.. of x, chunk [k, k + kn), as panels.
NMK_INLINE void pack(const gemm *g, operand x, panels form, int64_t batch, int64_t row, int64_t k,
                     int64_t kn, float *restrict to, float *restrict stage)
{
    if (x.along == NMK_ALONG_ROW) {
        for (int64_t p = 0; p < kn; p += LINES) {
            int64_t count = min64(LINES, kn - p);
            for (int64_t t = 0; t < count; t++)
                read_line(x, g->env, batch, row, k + p + t, form.n, stage + t * ROWS);
            nmk_panels_put(&form, p, count, stage, ROWS, to);
        }
        return;
    }
    for (int64_t r = 0; r < form.n; r += form.h, to += form.size) {
        int64_t n = min64(form.h, form.n - r);
        for (int64_t i = 0; i < n; i++)
            read_line(x, g->env, batch, row + r + i, k, kn, stage + i * KC);
        nmk_panel_from_rows(n, n < form.h ? form.last : form.h, kn, stage, KC, to);
    }
}

NMK_INLINE void do_block(const gemm *g, block at, room r)
{
    for (int64_t k = 0; k < g->K; k += KC) {
        int64_t kn = min64(KC, g->K - k);
        panels a = a_panels(at.rows, kn);
        pack(g, g->a, a, at.batch, at.m, k, kn, r.a, r.stage);
        for (int64_t n = 0; n < at.cols; n += STRIP) {
            panels b = b_panels(min64(STRIP, at.cols - n), kn);
            pack(g, g->b, b, at.batch, at.n + n, k, kn, r.b, r.stage);
            nmk_panels_product(&a, &b, kn, r.a, r.b, r.c + n, STRETCH, k > 0);
        }
    }
    write_block(g, at, r.c);
}

// --- the entry ---------------------------------------------------------------------------------

// The block that begins with unit `from`; how many units of `left` it takes goes to *took.
NMK_INLINE block block_at(const gemm *g, int64_t from, int64_t left, int64_t *took)
{
    int64_t cols = unit_columns(g->together), units = ceil_div(g->N, cols);
    int64_t rows = block_rows(g->M), blocks = ceil_div(g->M, rows);
    int64_t unit = from % units, m = from / units % blocks * rows;
    *took = min64(min64(left, units - unit), STRETCH / cols);
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
                        int64_t K, nmk_load *a, nmk_load *b, nmk_finish *c, int64_t from,
                        int64_t to, void *scratch)
{
    gemm g = {.env = env, .M = M, .N = N, .K = K, .put = c, .c_run = s->c_run};
    g.together = s->together;
    g.points = s->points;
    g.a = (operand){a, s->a_along, s->a_run};
    g.b = (operand){b, s->b_along, s->b_run};
    (void)B;
    for (int64_t took; from < to; from += took) {
        block at = block_at(&g, from, to - from, &took);
        if (s->few && M <= FEW_ROWS) {
            nmk_gemv(&g, at, scratch);
            continue;
        }
        if (K == 0) // the sum of nothing
            clear(scratch, ROWS * STRETCH);
        do_block(&g, at, room_in(scratch));
    }
}
