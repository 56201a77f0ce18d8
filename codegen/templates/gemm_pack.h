// Private to the matrix product: how its operands come near. Packing, and fetching ahead.
//
// Packing reads an operand through its hook, a line at a time into a stage, from where panels are
// made; where it is plain floats, right from where they lie. Their cache misses would stand in the
// way of the products, so that while one strip is multiplied, the next is on its way to the
// second-level cache: a few lines behind each A panel's products.
#ifndef NM_CODEGEN_TEMPLATES_GEMM_PACK_H
#define NM_CODEGEN_TEMPLATES_GEMM_PACK_H

#include "codegen/templates/gemm.h"

typedef struct part { // of an operand: rows from `row`, depth from k
    int64_t batch, row, rows, k, kn;
} part;

// --- packing -----------------------------------------------------------------------------------

// Line t of a part from its row-th row: of the rows at depth k + t, or of row `row + t`.
NMK_INLINE const float *line_at(const gemm *g, const operand *x, const part *p, int64_t t)
{
    return x->along == NMK_ALONG_ROW ? x->at(g->env, p->batch, p->row, p->k + t)
                                     : x->at(g->env, p->batch, p->row + t, p->k);
}

// Lines t .. t + n of a part: where they lie, or staged, `ld` apart.
NMK_INLINE void lines_of(const gemm *g, const operand *x, const part *p, int64_t t, int64_t n,
                         float *restrict stage, int64_t ld, const float **line)
{
    for (int64_t i = 0; i < n; i++) {
        if (x->plain) {
            line[i] = line_at(g, x, p, t + i);
            continue;
        }
        line[i] = stage + i * ld;
        if (x->along == NMK_ALONG_ROW)
            read_line(*x, g->env, p->batch, p->row, p->k + t + i, p->rows, stage + i * ld);
        else
            read_line(*x, g->env, p->batch, p->row + t + i, p->k, p->kn, stage + i * ld);
    }
}

// A part as panels.
NMK_INLINE void pack(const gemm *g, const operand *x, const part *p, panels form,
                     float *restrict to, float *restrict stage)
{
    const float *line[LINES > NR ? LINES : NR];
    if (x->along == NMK_ALONG_ROW) {
        for (int64_t t = 0; t < p->kn; t += LINES) {
            int64_t n = min64(LINES, p->kn - t);
            lines_of(g, x, p, t, n, stage, ROWS, line);
            nmk_panels_put_lines(&form, t, n, line, to);
        }
        return;
    }
    for (int64_t r = 0; r < form.n; r += form.h, to += form.size) {
        int64_t n = min64(form.h, form.n - r);
        lines_of(g, x, p, r, n, stage, KC, line);
        nmk_panel_from_lines(n, n < form.h ? form.last : form.h, p->kn, line, to);
    }
}

// --- fetching ahead ----------------------------------------------------------------------------

enum { CACHE_LINE = 64 };

// The i-th of n shares of a part's lines.
NMK_INLINE void fetch(const gemm *g, const operand *x, const part *p, int64_t i, int64_t n)
{
    int64_t by_row = x->along == NMK_ALONG_ROW, lines = by_row ? p->kn : p->rows;
    int64_t length = by_row ? p->rows : p->kn, step = x->bytes ? CACHE_LINE / x->bytes : 1;
    if (!x->bytes || length <= 0)
        return;
    for (int64_t t = lines * i / n; t < lines * (i + 1) / n; t++)
        for (int64_t j = 0; j < length; j += step)
            __builtin_prefetch(by_row ? x->at(g->env, p->batch, p->row + j, p->k + t)
                                      : x->at(g->env, p->batch, p->row + t, p->k + j),
                               0, 2);
}

// Where rows [from, to) of columns [n, n + cols) of a block are going to be written.
NMK_INLINE void fetch_result(const gemm *g, block at, int64_t n, int64_t cols, int64_t from,
                             int64_t to)
{
    int64_t step = g->c_bytes ? CACHE_LINE / g->c_bytes : 1;
    for (int64_t i = from; g->c_bytes && i < min64(to, at.rows); i++)
        for (int64_t j = 0; j < cols; j += step)
            __builtin_prefetch(g->c_at(g->env, at.batch, at.m + i, at.n + n + j), 1, 2);
}

#endif
