// The matrix product for few rows (decoding, one token at a time): every element of b is used M <=
// FEW_ROWS times, so that reading it is all the work. It is staged line by line and multiplied at
// once, where it lies if it is plain floats, never packed.
#include "codegen/templates/gemm.h"

enum { DEPTH = 8 * KC }; // most of k at a time, where b is contiguous along k
typedef struct room {    // the scratch
    float *restrict c, *restrict a, *restrict b; // c [FEW_ROWS][GEMV_STRETCH]
} room;
_Static_assert(4 * (FEW_ROWS * (GEMV_STRETCH + DEPTH) + GEMV_LINES * GEMV_STRETCH + DEPTH) <=
                   NMK_GEMM_SCRATCH,
               "scratch");

// Element (row, k) of x; with j = 0 no index need be contiguous.
NMK_INLINE float element(const gemm *g, operand x, int64_t batch, int64_t row, int64_t k)
{
    return x.get(g->env, batch, row, k, 0);
}

// b contiguous along k: inner products.
NMK_INLINE void add_inner(const gemm *g, block at, int64_t k, room r)
{
    int64_t n = min64(DEPTH, g->K - k), whole = round_up(n, GEMV_STEP);
    for (int64_t i = n; i < whole; i++)
        r.b[i] = 0;
    for (int64_t m = 0; m < at.rows; m++)
        for (int64_t p = 0; p < whole; p++)
            r.a[m * DEPTH + p] = p < n ? element(g, g->a, at.batch, at.m + m, k + p) : 0;
    for (int64_t c = 0; c < at.cols; c++) {
        const float *line = r.b;
        if (g->b.plain && n == whole)
            line = g->b.at(g->env, at.batch, at.n + c, k);
        else
            read_line(g->b, g->env, at.batch, at.n + c, k, n, r.b);
        for (int64_t m = 0; m < at.rows; m++)
            r.c[m * GEMV_STRETCH + c] += nmk_gemv_inner(r.a + m * DEPTH, line, whole);
    }
}

// b contiguous along n: lines of b, GEMV_LINES at a time.
NMK_INLINE void add_outer(const gemm *g, block at, int64_t k, room r)
{
    int64_t n = min64(GEMV_LINES, g->K - k), direct = g->b.plain && at.cols % VL == 0;
    const float *line[GEMV_LINES], *next[GEMV_LINES];
    for (int64_t p = 0; p < GEMV_LINES; p++) {
        line[p] = r.b + p * GEMV_STRETCH;
        if (p < n && direct)
            line[p] = g->b.at(g->env, at.batch, at.n, k + p);
        else if (p < n)
            read_line(g->b, g->env, at.batch, at.n, k + p, at.cols, r.b + p * GEMV_STRETCH);
        next[p] = line[p];
        if (direct && k + GEMV_LINES + p < g->K)
            next[p] = g->b.at(g->env, at.batch, at.n, k + GEMV_LINES + p);
        for (int64_t m = 0; m < at.rows; m++)
            r.a[m * GEMV_LINES + p] = p < n ? element(g, g->a, at.batch, at.m + m, k + p) : 0;
    }
    nmk_gemv_lines(at.rows, round_up(at.cols, VL), r.a, line, next, r.c);
}

NMK_ENTRY void nmk_gemv(const gemm *g, block at, float *restrict scratch)
{
    room r = {scratch, scratch + FEW_ROWS * GEMV_STRETCH,
              scratch + FEW_ROWS * (GEMV_STRETCH + DEPTH)};
    for (int64_t m = 0; m < at.rows; m++)
        for (int64_t i = 0; i < round_up(at.cols, VL); i++)
            r.c[m * GEMV_STRETCH + i] = 0;
    if (!g->b.plain || at.cols % VL || g->K % GEMV_LINES)
        for (int64_t i = 0; i < GEMV_LINES * GEMV_STRETCH; i++)
            r.b[i] = 0; // what no line fills is multiplied by zero
    if (g->b.along == NMK_ALONG_K)
        for (int64_t k = 0; k < g->K; k += DEPTH)
            add_inner(g, at, k, r);
    else
        for (int64_t k = 0; k < g->K; k += GEMV_LINES)
            add_outer(g, at, k, r);
    write_columns(g, at, 0, at.cols, GEMV_STRETCH, r.c);
}
