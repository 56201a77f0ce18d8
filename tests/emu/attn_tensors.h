// What the tests of attention's bf16 templates share beside the cases: the problem's tensors in
// bf16, and the errors of results.
#ifndef NM_TESTS_EMU_ATTN_TENSORS_H
#define NM_TESTS_EMU_ATTN_TENSORS_H

#include "tests/emu/attn_cases.h"

// --- tensors: the problem's, in bf16 -------------------------------------------------------------

enum { Q, K, V, DOUT, OUT, DQ, DK, DV, N_TENSORS, N_GIVEN = OUT };

typedef struct tensor {
    const char *name;
    float **at; // in the problem's arguments
    int64_t n;
    const double *want;
    u16 *bits;
} tensor;

static void list_tensors(problem *p, tensor t[N_TENSORS])
{
    const config *c = &p->c;
    nmk_attn_args *x = &p->x;
    int64_t nq = c->n0 * c->n1 * c->n_q * c->kv * c->g, nk = c->n0 * c->n1 * c->n_k * c->kv;
    t[Q] = (tensor){"q", (float **)&x->q, nq * c->hd, NULL, NULL};
    t[K] = (tensor){"k", (float **)&x->k, nk * c->hd, NULL, NULL};
    t[V] = (tensor){"v", (float **)&x->v, nk * c->hd_v, NULL, NULL};
    t[DOUT] = (tensor){"dout", (float **)&x->dout, nq * c->hd_v, NULL, NULL};
    t[OUT] = (tensor){"out", &x->out, nq * c->hd_v, p->out, NULL};
    t[DQ] = (tensor){"dq", &x->dq, nq * c->hd, p->dq, NULL};
    t[DK] = (tensor){"dk", &x->dk, nk * c->hd, p->dk, NULL};
    t[DV] = (tensor){"dv", &x->dv, nk * c->hd_v, p->dv, NULL};
}

// The numbers that are given become what bf16 can hold.
static void round_given(tensor t[N_TENSORS])
{
    for (int i = 0; i < N_TENSORS; i++) {
        t[i].bits = problem_alloc(2 * (size_t)t[i].n);
        for (int64_t e = 0; e < t[i].n && i < N_GIVEN; e++) {
            t[i].bits[e] = to_bf16((*t[i].at)[e]);
            (*t[i].at)[e] = (float)wide(t[i].bits[e]);
        }
    }
}

// The kernels' arguments: those of the problem, in bf16.
static void take_bits(run *r, tensor t[N_TENSORS])
{
    nmk_attn_args *x = &r->x;
    x->q = (float *)t[Q].bits, x->k = (float *)t[K].bits, x->v = (float *)t[V].bits;
    x->dout = (float *)t[DOUT].bits, x->out = (float *)t[OUT].bits;
    x->dq = (float *)t[DQ].bits, x->dk = (float *)t[DK].bits, x->dv = (float *)t[DV].bits;
}

// Those from this one on.
static void forget_results(const problem *p, tensor t[N_TENSORS], int from)
{
    const config *c = &p->c;
    if (from == OUT)
        memset(p->x.lse, 0xff, 4 * (size_t)(c->n0 * c->n1 * c->n_q * c->kv * c->g));
    for (int i = from; i < N_TENSORS; i++)
        memset(t[i].bits, 0xff, 2 * (size_t)t[i].n); // NaNs
}

// The largest error by the largest number, or by 0.05 where there is but rounding.
static double error_of(const tensor *t)
{
    double most = 0.05, off = 0;
    for (int64_t i = 0; i < t->n; i++) {
        most = fmax(most, fabs(t->want[i]));
        off = worse(off, fabs(wide(t->bits[i]) - t->want[i]));
    }
    return off / most;
}

#endif
