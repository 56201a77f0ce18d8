// The meaning of reductions, contractions and writes.
#include "ir/eval_walk.h"

#include <math.h>

// A walk over in[0]'s dims (and in[1]'s, if the op has it) that reads them and writes the result.
static nm_walk walk_operands(nm_eval_op *e, int n)
{
    nm_walk w = {0};
    for (int i = 0; i < n; i++)
        nm_walk_over(&w, e->in[i], NULL, NULL);
    for (int i = 0; i < n; i++)
        nm_walk_read(&w, e->in[i]);
    nm_walk_read(&w, e->out);
    return w;
}

void nm_eval_sum(nm_eval_op *e)
{
    nm_walk w = walk_operands(e, 1);
    nm_each_element(w)
        e->out->data[w.off[1]] += e->in[0]->data[w.off[0]];
}

void nm_eval_max(nm_eval_op *e)
{
    nm_walk w = walk_operands(e, 1);
    for (int64_t i = 0; i < e->out->n; i++)
        e->out->data[i] = -INFINITY;
    nm_each_element(w) {
        double v = e->in[0]->data[w.off[0]], *y = &e->out->data[w.off[1]];
        *y = v > *y || isnan(v) ? v : *y;
    }
}

void nm_eval_dot(nm_eval_op *e)
{
    nm_walk w = walk_operands(e, 2);
    nm_each_element(w)
        e->out->data[w.off[2]] += e->in[0]->data[w.off[0]] * e->in[1]->data[w.off[1]];
}

void nm_eval_cumsum(nm_eval_op *e)
{
    nm_sym over = nm_attr_sym(e->op, "over");
    bool reverse = nm_attr_bool(e->op, "reverse");
    int64_t n = nm_tensor_extent(e->in[0], over);
    int64_t step_in = nm_tensor_stride(e->in[0], over), step_out = nm_tensor_stride(e->out, over);
    nm_walk w = {0};
    nm_walk_over(&w, e->in[0], over, NULL);
    nm_walk_read(&w, e->in[0]);
    nm_walk_read(&w, e->out);
    nm_each_element(w) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t at = reverse ? n - 1 - i : i;
            sum += e->in[0]->data[w.off[0] + at * step_in];
            e->out->data[w.off[1] + at * step_out] = sum;
        }
    }
}

// The position in a[0], a[step], ... of the largest value that comes after `last` in the order of
// "larger first, of equals the first"; last < 0: of all.
static int64_t next_largest(const double *a, int64_t n, int64_t step, int64_t last)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        double v = a[i * step];
        bool after = last < 0 || v < a[last * step] || (v == a[last * step] && i > last);
        if (after && (best < 0 || v > a[best * step]))
            best = i;
    }
    return best < 0 ? 0 : best;
}

void nm_eval_top_k(nm_eval_op *e)
{
    nm_sym over = nm_attr_sym(e->op, "over"), choice = nm_attr_sym(e->op, "choice");
    int64_t n = nm_tensor_extent(e->in[0], over), step = nm_tensor_stride(e->in[0], over);
    nm_walk w = {0};
    nm_walk_over(&w, e->in[0], over, NULL);
    nm_walk_read(&w, e->in[0]);
    nm_walk_read(&w, &e->out[0]);
    nm_walk_read(&w, &e->out[1]);
    nm_each_element(w) {
        int64_t at = -1;
        const double *a = &e->in[0]->data[w.off[0]];
        for (int64_t k = 0; k < nm_attr_int(e->op, "k", 0); k++) {
            at = next_largest(a, n, step, at);
            e->out[0].data[w.off[1] + k * nm_tensor_stride(&e->out[0], choice)] = a[at * step];
            e->out[1].data[w.off[2] + k * nm_tensor_stride(&e->out[1], choice)] = (double)at;
        }
    }
}

// --- writes --------------------------------------------------------------------------------------

// An index outside of the whole is clamped; what is another rank's is left to it.
void nm_eval_scatter_add(nm_eval_op *e)
{
    nm_sym over = nm_attr_sym(e->op, "over");
    const nm_dim *d = &e->out->type->dim[nm_type_find(e->out->type, over)];
    int64_t n = nm_eval_total_of(e, d->extent), step = nm_tensor_stride(e->out, over);
    nm_walk w = walk_operands(e, 2);
    for (int i = 0; i < w.n; i++) // an operand's dim of this name only counts; the index says where
        if (w.name[i] == over)
            w.stride[2][i] = 0;
    nm_each_element(w) {
        double at = e->in[1]->data[w.off[1]];
        int64_t clamped = at < 0 ? 0 : at >= (double)n ? n - 1 : (int64_t)at;
        int64_t local = n > 0 ? nm_eval_local(e, d, clamped) : -1;
        if (local >= 0)
            e->out->data[w.off[2] + local * step] += e->in[0]->data[w.off[0]];
    }
}

void nm_eval_overlap_add(nm_eval_op *e)
{
    nm_sym over = nm_attr_sym(e->op, "over"), tap = nm_attr_sym(e->op, "tap");
    nm_sym into = nm_attr_sym(e->op, "into");
    int64_t stride = nm_attr_int(e->op, "stride", 1), dilate = nm_attr_int(e->op, "dilate", 1);
    int64_t before = nm_attr_int(e->op, "before", 0), n = nm_tensor_extent(e->out, into);
    const nm_tensor *a = e->in[0];
    nm_walk w = {0};
    nm_walk_over(&w, a, over, tap);
    nm_walk_read(&w, a);
    nm_walk_read(&w, e->out);
    nm_each_element(w)
        for (int64_t t = 0; t < nm_tensor_extent(a, over); t++)
            for (int64_t p = 0; p < nm_tensor_extent(a, tap); p++) {
                int64_t at = t * stride + p * dilate - before;
                if (at >= 0 && at < n)
                    e->out->data[w.off[1] + at * nm_tensor_stride(e->out, into)] +=
                        a->data[w.off[0] + t * nm_tensor_stride(a, over) +
                                p * nm_tensor_stride(a, tap)];
            }
}

void nm_eval_update(nm_eval_op *e)
{
    nm_sym over = nm_attr_sym(e->op, "over");
    int64_t room = nm_tensor_extent(e->in[0], over) - nm_tensor_extent(e->in[1], over);
    double place = e->in[2]->data[0];
    int64_t start = (int64_t)fmin(fmax(place, 0), (double)room);
    nm_walk w = walk_operands(e, 1), new = {0};
    nm_each_element(w)
        e->out->data[w.off[1]] = e->in[0]->data[w.off[0]];
    nm_walk_over(&new, e->in[1], NULL, NULL);
    nm_walk_read(&new, e->in[1]);
    nm_walk_read(&new, e->out);
    nm_each_element(new)
        e->out->data[new.off[1] + nm_tensor_stride(e->out, over) * start] =
            e->in[1]->data[new.off[0]];
}
