// Private to the matrix product: one call's parameters, and the reading of an operand through its
// hook.
#ifndef NM_CODEGEN_TEMPLATES_GEMM_H
#define NM_CODEGEN_TEMPLATES_GEMM_H

#include "codegen/templates/simd.h"

enum {
    STRIP = 2 * NR,                 // columns of a unit of the parallel range, and of packed B
    STRETCH = VL == 16 ? 768 : 384, // most columns of C in scratch: what packing A is paid by
    ROWS = 24 * MR,                 // most rows of a block: what packing B is paid by
    FEW_ROWS = 4,                   // up to here nothing is packed (gemv.c)
    LINES = 16, // packed at a time where the rows lie side by side: their cache misses overlap
};

typedef struct operand {
    nmk_load *get;
    int64_t along, run; // which index is contiguous, and its period
    nmk_place *at;
    int64_t bytes, plain; // of an element at its place, 0: none; it is the float itself
} operand;

typedef struct gemm { // one call
    const void *env;
    int64_t M, N, K;
    operand a, b;
    nmk_finish *put;
    int64_t c_run, together, points;
    nmk_place *c_at;
    int64_t c_bytes;
} gemm;

typedef struct block { // of the result
    int64_t batch, m, rows, n, cols;
} block;

// How far j may run from index i before it crosses a multiple of run.
NMK_INLINE int64_t run_left(int64_t run, int64_t i, int64_t n)
{
    return run ? min64(n, run - i % run) : n;
}

// n elements of x along its contiguous index, from (row, k).
NMK_INLINE void read_line(operand x, const void *env, int64_t batch, int64_t row, int64_t k,
                          int64_t n, float *restrict to)
{
    while (n > 0) {
        int64_t part = run_left(x.run, x.along == NMK_ALONG_K ? k : row, n);
        for (int64_t j = 0; j < part; j++)
            to[j] = x.get(env, batch, row, k, j);
        *(x.along == NMK_ALONG_K ? &k : &row) += part;
        to += part;
        n -= part;
    }
}

_Static_assert(NMK_GEMM_TOGETHER <= STRETCH, "columns that the epilogue reads together");

// Columns of a unit of the parallel range: about a strip, and none is apart from those of its
// group.
NMK_INLINE int64_t unit_columns(int64_t together)
{
    return together ? together * max64(1, STRIP / together) : STRIP;
}

// The sums c (rows ld apart) of columns [from, to) of a block to the result.
NMK_INLINE void write_columns(const gemm *g, block at, int64_t from, int64_t to, int64_t ld,
                              const float *restrict c)
{
    for (int64_t i = 0; i < at.rows; i++, c += ld)
        for (int64_t n = from; n < to;) {
            int64_t part = run_left(g->c_run, at.n + n, to - n);
            int64_t points = g->together ? g->points : part;
            for (int64_t j = 0; j < points; j++)
                g->put(g->env, at.batch, at.m + i, at.n + n, j, c + n);
            n += part;
        }
}

// The path for M <= FEW_ROWS: all of k for the block, then the store.
void nmk_gemv(const gemm *g, block at, float *restrict scratch);

enum {
    GEMV_STEP = 4 * VL,  // an inner product's vectors are read in fours
    GEMV_LINES = 8,      // of b at a time, where b is contiguous along n
    GEMV_STRETCH = 2048, // most columns: b is read the faster, the longer its pieces are
};
#define nmk_gemv_inner NMK_SIZED(nmk_gemv_inner)
#define nmk_gemv_lines NMK_SIZED(nmk_gemv_lines)

// The sum of a[i] * b[i] over n, a multiple of GEMV_STEP.
NMK_SHARED float nmk_gemv_inner(const float *a, const float *b, int64_t n);
// c[m] += sum over the lines of a[m][line] * b[line]; c is GEMV_STRETCH wide, n a multiple of
// VL. The lines `next` are fetched meanwhile.
NMK_SHARED void nmk_gemv_lines(int64_t rows, int64_t n, const float *a, const float *const *b,
                               const float *const *next, float *c);

#endif
