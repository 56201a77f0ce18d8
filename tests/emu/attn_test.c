// The f32 templates of attention of gpu kernels on the emulator, forward and backward, against the
// formulas in double: every option, odd sizes, in eager, lazy and random orders of events.
#include "codegen/templates/gpu/attn.h"
#include "tests/emu/attn_cases.h"

KERNEL(forward, run, r)
{
    nmg_attn(&r.spec, &r.x, r.p, r.bias, r.position, r.key_position, ctaid_x());
}
KERNEL(backward, run, r)
{
    nmg_attn_grad(&r.spec, &r.x, r.p, r.bias, r.position, r.key_position, ctaid_x());
}

static void compare(const char *name, const problem *p, nmemu_mode mode)
{
    const config *c = &p->c;
    const nmk_attn_args *x = &p->x;
    int64_t nq = c->n0 * c->n1 * c->n_q * c->kv * c->g, nk = c->n0 * c->n1 * c->n_k * c->kv;
    double e[] = {worst(nq * c->hd_v, x->out, p->out), worst(nq, x->lse, p->lse),
                  worst(nq * c->hd, x->dq, p->dq), worst(nk * c->hd, x->dk, p->dk),
                  worst(nk * c->hd_v, x->dv, p->dv)};
    printf("%s %s: out %.1e, lse %.1e, dq %.1e, dk %.1e, dv %.1e\n", name, mode_name[mode], e[0],
           e[1], e[2], e[3], e[4]);
    for (int i = 0; i < 5; i++)
        HOLDS(e[i] < 4e-6);
}

static void forget_results(problem *p)
{
    const config *c = &p->c;
    int64_t nq = c->n0 * c->n1 * c->n_q * c->kv * c->g, nk = c->n0 * c->n1 * c->n_k * c->kv;
    float *result[] = {p->x.out, p->x.lse, p->x.dq, p->x.dk, p->x.dv};
    int64_t n[] = {nq * c->hd_v, nq, nq * c->hd, nk * c->hd, nk * c->hd_v};
    for (int i = 0; i < 5; i++)
        memset(result[i], 0xff, 4 * (size_t)n[i]); // NaNs
}

static void test(const char *name, config c)
{
    device = nmemu_new(1);
    problem p = make(c);
    reference(&p);
    run r = run_of(&p);
    int64_t heads = c.n0 * c.n1 * c.kv, rows = ceil_div(c.n_q * c.g, NMG_ATTN_TILE);
    int64_t keys = ceil_div(c.n_k, NMG_ATTN_TILE), hd = c.hd > c.hd_v ? c.hd : c.hd_v;
    nmemu_launch fwd = {.name = "forward",
                        .fn = forward,
                        .threads = NMG_ATTN_THREADS,
                        .shared_bytes = NMG_ATTN_SHARED};
    nmemu_launch bwd = fwd;
    bwd.name = "backward", bwd.fn = backward;
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++) {
        forget_results(&p);
        launch(fwd, &r, heads * ceil_div(c.hd_v, NMG_ATTN_WIDE) * rows, mode);
        launch(bwd, &r, heads * ceil_div(hd, NMG_ATTN_WIDE) * (rows + keys), mode);
        compare(name, &p, mode);
    }
    release(&p);
    nmemu_free(device);
}

int main(void)
{
    test_all();
    return rig_failures != 0;
}
