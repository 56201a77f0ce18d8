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
