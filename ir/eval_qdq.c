// The meaning of qdq: what numbers of 8 bits hold of a tensor, scaled for them by a power of two,
// which rounds nothing. The scale is the largest one that keeps the largest element finite.
#include "ir/eval_walk.h"

#include <math.h>

static double largest(const nm_tensor *t)
{
    double most = 0;
    for (int64_t i = 0; i < t->n; i++)
        most = fabs(t->data[i]) > most ? fabs(t->data[i]) : most;
    return most;
}

double nm_qdq_scale(nm_dtype to, double amax)
{
    return nm_floor_pow2(nm_largest_of(to) / fmax(amax, NM_QDQ_FLOOR));
}

void nm_eval_qdq(nm_eval_op *e)
{
    nm_dtype to = nm_attr_get(e->op, "to")->u.dtype;
    double scale = nm_qdq_scale(to, largest(e->in[0]));
    nm_walk w = {0};
    nm_walk_over(&w, e->out, NULL, NULL);
    nm_walk_read(&w, e->in[0]);
    nm_walk_read(&w, e->out);
    nm_each_element(w) {
        double v = e->in[0]->data[w.off[0]];
        e->out->data[w.off[1]] = e->opts->f64 ? v : nm_round_to(to, v * scale) / scale;
    }
}
