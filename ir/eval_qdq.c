// The meaning of qdq: what numbers of 8 bits hold of a tensor, scaled for them by a power of two,
// which rounds nothing. The scale is the largest one that keeps the largest element finite, of all
// of it or of its block.
#include "ir/eval_walk.h"

#include <math.h>

double nm_qdq_scale(nm_dtype to, double amax)
{
    return nm_floor_pow2(nm_largest_of(to) / fmax(amax, NM_QDQ_FLOOR));
}

// --- blocks --------------------------------------------------------------------------------------

static int64_t index_of(const nm_walk *w, nm_sym dim)
{
    for (int i = 0; i < w->n; i++)
        if (w->name[i] == dim)
            return w->at[i];
    return 0;
}

// Of the dims as one: the block that the element is in, and how many there are.
static int64_t block_of(const nm_eval_op *e, const nm_walk *w, const char *attr, int64_t *n)
{
    nm_syms dims = nm_attr_dims(e->op, attr);
    int64_t flat = 0, size = nm_attr_int(e->op, "block", 1);
    *n = 1;
    for (int i = 0; i < dims.n; i++) {
        int64_t extent = nm_tensor_extent(e->out, dims.sym[i]);
        flat = flat * extent + index_of(w, dims.sym[i]);
        *n *= extent;
    }
    *n = (*n + size - 1) / size;
    return flat / size;
}

// The number of the element's scale; they are fewer than elements.
static int64_t scale_of(const nm_eval_op *e, const nm_walk *w)
{
    int64_t n_along, n_across, number = 0;
    if (!nm_attr_get(e->op, "block"))
        return 0;
    nm_syms along = nm_attr_dims(e->op, "along"), across = nm_attr_dims(e->op, "across");
    for (int i = 0; i < w->n; i++)
        if (!nm_syms_has(along, w->name[i]) && !nm_syms_has(across, w->name[i]))
            number = number * w->extent[i] + w->at[i];
    int64_t a = block_of(e, w, "along", &n_along), c = block_of(e, w, "across", &n_across);
    return (number * n_along + a) * n_across + c;
}

// --- the op --------------------------------------------------------------------------------------

// By what was largest before, which may be less than what is now.
static void round_by(nm_eval_op *e, nm_dtype to, double peak)
{
    double scale = peak > 0 ? nm_qdq_scale(to, peak) : 1, largest = nm_largest_of(to);
    nm_walk w = {0};
    nm_walk_over(&w, e->out, NULL, NULL);
    nm_walk_read(&w, e->in[0]);
    nm_walk_read(&w, e->out);
    nm_each_element(w) {
        double q = e->in[0]->data[w.off[0]] * scale;
        q = q > largest ? largest : q < -largest ? -largest : q;
        e->out->data[w.off[1]] = (e->opts->f64 ? q : nm_round_to(to, q)) / scale;
    }
}

void nm_eval_qdq(nm_eval_op *e)
{
    if (e->op->n_in == 2) {
        round_by(e, nm_attr_get(e->op, "to")->u.dtype, e->in[1]->data[0]);
        return;
    }
    nm_dtype to = nm_attr_get(e->op, "to")->u.dtype;
    double *most = nm_new_n(e->opts->arena, double, (size_t)e->out->n + 1);
    nm_walk w = {0};
    nm_walk_over(&w, e->out, NULL, NULL);
    nm_walk_read(&w, e->in[0]);
    nm_walk_read(&w, e->out);
    nm_each_element(w) {
        double v = fabs(e->in[0]->data[w.off[0]]), *m = &most[scale_of(e, &w)];
        *m = v > *m ? v : *m;
    }
    nm_each_element(w) {
        double v = e->in[0]->data[w.off[0]], scale = nm_qdq_scale(to, most[scale_of(e, &w)]);
        e->out->data[w.off[1]] = e->opts->f64 ? v : nm_round_to(to, v * scale) / scale;
    }
}
