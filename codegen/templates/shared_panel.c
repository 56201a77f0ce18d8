// The matrix microkernel and the packing of its panels (simd.h says what they are).
#include "codegen/templates/simd.h"

// --- the product -------------------------------------------------------------------------------

// One height. All accumulators live in registers, for which every loop over them must be unrolled.
#define PRODUCT(H)                                                                                 \
    static void product_##H(int64_t k, const float *a, const float *b, float *c, int64_t ldc,      \
                            int64_t add)                                                           \
    {                                                                                              \
        vf acc[H][2];                                                                              \
        NMK_UNROLL for (int i = 0; i < H; i++) acc[i][0] = acc[i][1] = splat(0);                   \
        for (int64_t p = 0; p < k; p++, a += H, b += NR) {                                         \
            vf b0 = load(b), b1 = load(b + VL);                                                    \
            NMK_UNROLL for (int i = 0; i < H; i++)                                                 \
            {                                                                                      \
                acc[i][0] += splat(a[i]) * b0;                                                     \
                acc[i][1] += splat(a[i]) * b1;                                                     \
            }                                                                                      \
        }                                                                                          \
        NMK_UNROLL for (int i = 0; i < H; i++, c += ldc)                                           \
        {                                                                                          \
            store(c, add ? load(c) + acc[i][0] : acc[i][0]);                                       \
            store(c + VL, add ? load(c + VL) + acc[i][1] : acc[i][1]);                             \
        }                                                                                          \
    }
NMK_HEIGHTS(PRODUCT)

void nmk_panel_product(int64_t h, int64_t k, const float *a, const float *b, float *c, int64_t ldc,
                       int64_t add)
{
#define DO_IF(H)                                                                                   \
    if (h == H)                                                                                    \
        product_##H(k, a, b, c, ldc, add);
    NMK_HEIGHTS(DO_IF)
}

// --- packing -----------------------------------------------------------------------------------

// The even and the odd half of a perfect shuffle of a and b: a0 b0 a1 b1 ...
#if NM_VL == 16
#define SHUFFLE(a, b, o)                                                                           \
    __builtin_shufflevector(a, b, 0 + o, 16 + o, 1 + o, 17 + o, 2 + o, 18 + o, 3 + o, 19 + o,      \
                            4 + o, 20 + o, 5 + o, 21 + o, 6 + o, 22 + o, 7 + o, 23 + o)
#elif NM_VL == 8
#define SHUFFLE(a, b, o)                                                                           \
    __builtin_shufflevector(a, b, 0 + o, 8 + o, 1 + o, 9 + o, 2 + o, 10 + o, 3 + o, 11 + o)
#else
#define SHUFFLE(a, b, o) __builtin_shufflevector(a, b, 0 + o, 4 + o, 1 + o, 5 + o)
#endif

// A VL x VL block in place: log2(VL) perfect shuffles of its rows.
NMK_INLINE void transpose(vf x[VL])
{
    NMK_UNROLL for (int round = 1; round < VL; round *= 2)
    {
        vf y[VL];
        NMK_UNROLL for (int i = 0; i < VL / 2; i++)
        {
            y[2 * i] = SHUFFLE(x[i], x[i + VL / 2], 0);
            y[2 * i + 1] = SHUFFLE(x[i], x[i + VL / 2], VL / 2);
        }
        NMK_UNROLL for (int i = 0; i < VL; i++) x[i] = y[i];
    }
}

// The lanes of x that belong to a panel of height h, from its row r. Whole vectors may run over
// into the next k, which is written later; a second vector of a row must not.
NMK_INLINE void put(float *at, int64_t r, int64_t h, vf x)
{
    if (r == 0 || r + VL <= h)
        store(at + r, x);
    else
        store_part(at + r, h - r, x);
}

// Rows r.. of a panel, VL of its depth from p on, of which n >= 1 are there.
static void pack_block(int64_t n, int64_t r, int64_t h, const float *const *row, int64_t p,
                       float *panel)
{
    vi lane;
    vf x[VL];
    NMK_UNROLL for (int i = 0; i < VL; i++)
    {
        x[i] = load(row[min64(i, n - 1)] + p); // an absent row: any, its lanes become zeros
        lane[i] = i;
    }
    transpose(x);
    vi there = lane < (int32_t)min64(n, VL) - (vi){0};
    if (r == 0 || r + VL <= h)
        NMK_UNROLL for (int t = 0; t < VL; t++)
            store(panel + t * h + r, pick(there, x[t], splat(0)));
    else
        for (int t = 0; t < VL; t++)
            put(panel + t * h, r, h, pick(there, x[t], splat(0)));
}

// The same for kn < VL of the depth.
static void pack_rest(int64_t n, int64_t r, int64_t h, int64_t kn, const float *const *row,
                      int64_t p, float *panel)
{
    float in[VL * VL] = {0}, out[VL * NR + VL];
    const float *line[VL];
    for (int64_t i = 0; i < min64(n, VL); i++) {
        line[i] = in + i * VL;
        for (int64_t t = 0; t < kn; t++)
            in[i * VL + t] = row[i][p + t];
    }
    pack_block(n, r, h, line, 0, out);
    for (int64_t t = 0; t < kn; t++)
        put(panel + t * h, r, h, load(out + t * h + r));
}

void nmk_panel_from_lines(int64_t n, int64_t h, int64_t k, const float *const *row, float *panel)
{
    for (int64_t r = 0; r < h; r += VL, row += VL)
        for (int64_t p = 0; p < k; p += VL)
            if (r >= n)
                for (int64_t t = p; t < min64(p + VL, k); t++)
                    put(panel + t * h, r, h, splat(0));
            else if (p + VL <= k)
                pack_block(n - r, r, h, row, p, panel + p * h);
            else
                pack_rest(n - r, r, h, k - p, row, p, panel + p * h);
}

void nmk_panel_from_rows(int64_t n, int64_t h, int64_t k, const float *src, int64_t ld,
                         float *panel)
{
    const float *row[2 * VL];
    for (int64_t i = 0; i < n; i++)
        row[i] = src + i * ld;
    nmk_panel_from_lines(n, h, k, row, panel);
}

// Lines of the depth, from row `at` of theirs on, into one panel of height h, of which n rows are
// there; two vectors at most are a line.
static void put_lines(int64_t n, int64_t h, int64_t count, const float *const *line, int64_t at,
                      float *to)
{
    for (int64_t r = 0; r < h; r += VL)
        for (int64_t t = 0; t < count; t++) {
            const float *x = line[t] + at + r;
            put(to + t * h, r, h, n - r >= VL ? load(x) : load_part(x, n - r));
        }
}

void nmk_panels_put_lines(const panels *x, int64_t p, int64_t count, const float *const *line,
                          float *to)
{
    for (int64_t i = 0; i < x->n; i += x->h, to += x->size) {
        int64_t h = x->n - i < x->h ? x->last : x->h;
        put_lines(x->n - i, h, count, line, i, to + p * h);
    }
}

void nmk_panels_put(const panels *x, int64_t p, int64_t count, const float *src, int64_t ld,
                    float *to)
{
    enum { SOME = 16 };
    const float *line[SOME];
    for (int64_t t = 0; t < count; t += SOME) {
        int64_t n = min64(SOME, count - t);
        for (int64_t i = 0; i < n; i++)
            line[i] = src + (t + i) * ld;
        nmk_panels_put_lines(x, p + t, n, line, to);
    }
}

// Each A panel meets all of the strip while it is near.
void nmk_panels_product(const panels *a, const panels *b, int64_t k, const float *ap,
                        const float *bp, float *c, int64_t ldc, int64_t add)
{
    for (int64_t i = 0; i < a->n; i += MR, ap += a->size, c += MR * ldc)
        for (int64_t j = 0; j < b->n; j += NR) {
            int64_t h = a->n - i < MR ? a->last : MR;
            nmk_panel_product(h, k, ap, bp + j / NR * b->size, c + j, ldc, add);
        }
}
