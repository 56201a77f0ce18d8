// Attention's packing and tile products: what sees no hook, once in a program.
#include "codegen/templates/attn.h"

void nmk_attn_pack_rows(const float *t, int64_t ld, int64_t n, int64_t hd, float *to)
{
    panels form = a_panels(n, hd);
    for (int64_t i = 0; i < n; i += MR, t += MR * ld, to += form.size) {
        int64_t some = min64(MR, n - i);
        nmk_panel_from_rows(some, some < MR ? form.last : MR, hd, t, ld, to);
    }
}

void nmk_attn_pack_across(const float *t, int64_t ld, int64_t n, int64_t hd, float *to)
{
    panels form = a_panels(hd, n);
    nmk_panels_put(&form, 0, n, t, ld, to);
}

void nmk_attn_multiply(const attn_product *p, const float *a, const float *b, float *c)
{
    panels form = a_panels(p->m, p->depth);
    for (int64_t i = 0; i < p->some; i += MR, a += form.size, c += MR * p->ldc)
        nmk_panel_product(p->m - i < MR ? form.last : MR, p->k, a, b, c, p->ldc, p->add);
}

void nmk_attn_untranspose(const float *t, int64_t ld, int64_t m, float *to, int64_t ld_to)
{
    float rows[NR * NR + VL];
    for (int64_t i = 0; i < m; i += NR) {
        int64_t some = min64(NR, m - i);
        nmk_panel_from_rows(some, NR, NR, t + i * ld, ld, rows);
        for (int64_t r = 0; r < NR; r++)
            for (int64_t c = 0; c < some; c++)
                to[r * ld_to + i + c] = rows[r * NR + c];
    }
}

// --- few rows ----------------------------------------------------------------------------------

static float dot(const float *a, const float *b, int64_t n)
{
    vf sum[2] = {{0}};
    int64_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL)
        NMK_UNROLL for (int u = 0; u < 2; u++) sum[u] +=
            load(a + i + u * VL) * load(b + i + u * VL);
    vf all = sum[0] + sum[1];
    float s = 0;
    NMK_UNROLL for (int l = 0; l < VL; l++) s += all[l];
    for (; i < n; i++)
        s += a[i] * b[i];
    return s;
}

void nmk_attn_dots(const attn_few *p, const float *q, int64_t ld_q, const float *k, float *s)
{
    for (int64_t j = 0; j < p->n; j++, k += p->ld, s += NR) {
        NMK_UNROLL for (int half = 0; half < 2; half++) store(s + half * VL, splat(0));
        for (int64_t i = 0; i < p->rows; i++)
            s[i] = dot(q + i * ld_q, k, p->hd);
    }
}

// Of one row: the sums of VL columns, or of one.
static vf weigh_lines(const attn_few *p, const float *s, const float *v)
{
    vf sum = {0};
    for (int64_t j = 0; j < p->n; j++)
        sum += splat(s[j * NR]) * load(v + j * p->ld);
    return sum;
}

static float weigh_column(const attn_few *p, const float *s, const float *v)
{
    float sum = 0;
    for (int64_t j = 0; j < p->n; j++)
        sum += s[j * NR] * v[j * p->ld];
    return sum;
}

void nmk_attn_add_lines(const attn_few *p, const float *s, const float *v, float *o)
{
    for (int64_t i = 0; i < p->rows; i++, s++, o++) {
        int64_t c = 0;
        for (; c + VL <= p->hd; c += VL) {
            vf sum = weigh_lines(p, s, v + c);
            NMK_UNROLL for (int l = 0; l < VL; l++) o[(c + l) * NR] += sum[l];
        }
        for (; c < p->hd; c++)
            o[c * NR] += weigh_column(p, s, v + c);
    }
}
