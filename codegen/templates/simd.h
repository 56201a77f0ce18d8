// What all templates share: the vector type, inlining, and the matrix microkernel with its packed
// panels.
//
// Nothing here is seen by codegen. An entry point (NMK_ENTRY) is inlined into every kernel, for it
// calls hooks. A shared function (NMK_SHARED, in a file shared_*.c) sees no hook: it is machine
// code when nemocc is built, once in a program, and costs a kernel's compilation nothing.
//
// Packed panels. A matrix operand is packed so that the microkernel reads it in order:
//   A panel: [k][h] with h rows of the result, h one of NMK_HEIGHTS (MR, but for the last panel)
//   B panel: [k][NR] with NR columns of the result
// The microkernel adds an h x NR block of the result, kept in registers over all k: BLIS's scheme
// (Van Zee and van de Geijn, "BLIS: a framework for rapidly instantiating BLAS functionality",
// 2015).
#ifndef NM_CODEGEN_TEMPLATES_SIMD_H
#define NM_CODEGEN_TEMPLATES_SIMD_H

#include "codegen/templates/template.h"

#define NMK_ENTRY  __attribute__((always_inline, nothrow))
#define NMK_SHARED __attribute__((visibility("hidden"), nothrow))
#define NMK_INLINE static inline __attribute__((always_inline, nothrow))
#define NMK_UNROLL _Pragma("clang loop unroll(full)")

// The programs of all vector lengths are linked with one archive: names say which length is meant.
#define NMK_JOIN_(name, vl) name##_##vl
#define NMK_JOIN(name, vl)  NMK_JOIN_(name, vl)
#define NMK_SIZED(name)     NMK_JOIN(name, NM_VL)

enum {
    VL = NM_VL,             // floats in a vector
    NR = 2 * VL,            // columns of the microkernel
    MR = VL == 16 ? 14 : 6, // rows: 2 * MR accumulators, 2 of B and 1 of A fill the registers
    KC = 256,               // depth of a panel: an A panel stays in the first-level cache
};

typedef float vf __attribute__((vector_size(4 * NM_VL)));
typedef int32_t vi __attribute__((vector_size(4 * NM_VL)));
// In memory: not aligned, and any float's alias.
typedef float vf_any __attribute__((vector_size(4 * NM_VL), aligned(4), may_alias));

NMK_INLINE vf load(const float *p) { return *(const vf_any *)p; }
NMK_INLINE void store(float *p, vf x) { *(vf_any *)p = x; }
// The first n < VL floats at p, then zeros; and back. For tails: nothing behind them is touched.
NMK_INLINE vf load_part(const float *p, int64_t n)
{
    vf x = {0};
    for (int64_t i = 0; i < n; i++)
        x[i] = p[i];
    return x;
}
NMK_INLINE void store_part(float *p, int64_t n, vf x)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = x[i];
}
// bf16: the upper half of a float. Rounded to nearest even; a NaN stays one.
NMK_INLINE float widen(uint16_t x) { return __builtin_bit_cast(float, (uint32_t)x << 16); }
NMK_INLINE uint16_t narrow(float x)
{
    uint32_t bits = __builtin_bit_cast(uint32_t, x);
    uint32_t up = bits + 0x7fff + (bits >> 16 & 1);
    return (uint16_t)((x == x ? up : bits | 0x400000) >> 16);
}
NMK_INLINE vf splat(float x) { return x - (vf){0}; }
NMK_INLINE vf pick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
NMK_INLINE vf vmax(vf a, vf b) { return pick(a > b, a, b); }
NMK_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
NMK_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
NMK_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
NMK_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

#if NM_VL == 16
#define NMK_HEIGHTS(X) X(4) X(8) X(14)
#else
#define NMK_HEIGHTS(X) X(2) X(4) X(6)
#endif
NMK_INLINE int64_t panel_height(int64_t rows) // of the A panel for this many rows
{
#define FITS(H)                                                                                    \
    if (rows <= H)                                                                                 \
        return H;
    NMK_HEIGHTS(FITS)
#undef FITS
    return MR;
}
// Elements of a panel with its slack: packing writes whole vectors, which may run over the end.
NMK_INLINE int64_t panel_size(int64_t h, int64_t k) { return round_up(k * h, VL) + VL; }

typedef struct panels { // n rows (of A, or columns of B) of depth k as panels, one behind the other
    int64_t n, h, last; // all of height h, but the last one where h does not divide n
    int64_t size;       // elements from panel to panel
} panels;
NMK_INLINE panels a_panels(int64_t n, int64_t k)
{
    return (panels){n, MR, n % MR ? panel_height(n % MR) : MR, panel_size(MR, k)};
}
NMK_INLINE panels b_panels(int64_t n, int64_t k) { return (panels){n, NR, NR, panel_size(NR, k)}; }

#define nmk_panel_product    NMK_SIZED(nmk_panel_product)
#define nmk_panel_from_rows  NMK_SIZED(nmk_panel_from_rows)
#define nmk_panel_from_lines NMK_SIZED(nmk_panel_from_lines)
#define nmk_panels_put_lines NMK_SIZED(nmk_panels_put_lines)
#define nmk_panels_put       NMK_SIZED(nmk_panels_put)
#define nmk_panels_product   NMK_SIZED(nmk_panels_product)

// c[h][NR] (rows ldc apart) = or += the product of an A and a B panel of depth k.
NMK_SHARED void nmk_panel_product(int64_t h, int64_t k, const float *a, const float *b, float *c,
                                  int64_t ldc, int64_t add);
// Pack n <= h rows of src (ld apart, k long) as a panel of height h <= 2 VL; absent rows become
// zeros. Reads nothing else; writes up to panel_size(h, k) elements. With h = NR it makes B panels.
NMK_SHARED void nmk_panel_from_rows(int64_t n, int64_t h, int64_t k, const float *src, int64_t ld,
                                    float *panel);
// The same of rows that lie anywhere.
NMK_SHARED void nmk_panel_from_lines(int64_t n, int64_t h, int64_t k, const float *const *row,
                                     float *panel);
// Lines p .. p + count of the depth, each with all rows side by side (line t at src + t * ld), into
// the panels. p must increase from call to call.
NMK_SHARED void nmk_panels_put(const panels *x, int64_t p, int64_t count, const float *src,
                               int64_t ld, float *to);
// The same of lines that lie anywhere.
NMK_SHARED void nmk_panels_put_lines(const panels *x, int64_t p, int64_t count,
                                     const float *const *line, float *to);

// c[a.n][b.n] = or += the product of packed operands of depth k.
NMK_SHARED void nmk_panels_product(const panels *a, const panels *b, int64_t k, const float *ap,
                                   const float *bp, float *c, int64_t ldc, int64_t add);

#endif
