// scatter_add: every result row has one owner, who adds what is meant for it in the order of i.
// Rows are owned in ranges, so that a range is one scan of the indices, and no two threads ever add
// to one row.
#include "codegen/templates/simd.h"

NMK_INLINE void begin_row(const nmk_scatter_args *x, const void *env, nmk_init *init, int64_t o,
                          int64_t row)
{
    float *dst = x->dst + o * x->o_stride + row * x->row_stride;
    for (int64_t j = 0; j < x->n_x; j++)
        dst[j * x->x_stride] = init ? init(env, o, row, 0, j) : 0;
}

NMK_INLINE void add_row(const nmk_scatter_args *x, const void *env, nmk_value *value, int64_t o,
                        int64_t i, int64_t row)
{
    float *dst = x->dst + o * x->o_stride + row * x->row_stride;
    for (int64_t j = 0; j < x->n_x; j++)
        dst[j * x->x_stride] += value(env, o, i, 0, j);
}

NMK_ENTRY void nmk_scatter_add(const nmk_scatter_args *x, const void *env, nmk_index *index,
                               nmk_value *value, nmk_init *init, int64_t from, int64_t to)
{
    while (from < to) {
        int64_t o = from / x->n_rows, first = from % x->n_rows,
                end = min64(x->n_rows, first + to - from);
        for (int64_t row = first; row < end; row++)
            begin_row(x, env, init, o, row);
        for (int64_t i = 0; i < x->n_i; i++) {
            int64_t row = index(env, o, i);
            if (row >= first && row < end)
                add_row(x, env, value, o, i, row);
        }
        from += end - first;
    }
}
