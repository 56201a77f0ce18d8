// The templates of attention of gpu kernels on the emulator, forward and backward, against the
// formulas in double: every option, odd sizes, in eager, lazy and random orders of events.
#include "codegen/templates/gpu/attn.h"
#include "tests/emu/rig.h"

static nmemu *device;
static void *problem_alloc(size_t bytes)
{
    return nmemu_alloc(device, bytes ? bytes : 1, "tensor");
}
static void problem_free(void *p) { nmemu_release(device, p); }

#include "tests/templates/attn_problem.h"

typedef struct run { // what a kernel gets
    nmk_attn_spec spec;
    const problem *p;
    nmk_bias *bias;
    nmk_position *position, *key_position;
} run;

KERNEL(forward, run, r)
{
    nmg_attn(&r.spec, &r.p->x, r.p, r.bias, r.position, r.key_position, ctaid_x());
}
KERNEL(backward, run, r)
{
    nmg_attn_grad(&r.spec, &r.p->x, r.p, r.bias, r.position, r.key_position, ctaid_x());
}

static int64_t ceil_div(int64_t n, int64_t by) { return (n + by - 1) / by; }

static void launch(const char *name, void (*fn)(const void *), const run *r, int64_t blocks,
                   nmemu_mode mode)
{
    nmemu_launch l = {.name = name,
                      .fn = fn,
                      .params = r,
                      .grid = {(u32)blocks, 1, 1},
                      .threads = NMG_ATTN_THREADS,
                      .shared_bytes = NMG_ATTN_SHARED,
                      .mode = mode,
                      .seed = (u64)blocks};
    must(nmemu_run(device, &l, NULL));
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
    run r = {
        {c.hd, c.hd_v, c.causal, c.window != 0, c.capped, c.dropout, c.keys, c.segments, c.sink},
        &p,
        c.bias ? bias_of : NULL,
        c.jump || c.block ? position_of : NULL,
        c.block ? position_of_key : NULL};
    int64_t heads = c.n0 * c.n1 * c.kv, rows = ceil_div(c.n_q * c.g, NMG_ATTN_TILE);
    int64_t keys = ceil_div(c.n_k, NMG_ATTN_TILE), hd = c.hd > c.hd_v ? c.hd : c.hd_v;
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++) {
        forget_results(&p);
        launch("forward", forward, &r, heads * ceil_div(c.hd_v, NMG_ATTN_WIDE) * rows, mode);
        launch("backward", backward, &r, heads * ceil_div(hd, NMG_ATTN_WIDE) * (rows + keys), mode);
        compare(name, &p, mode);
    }
    release(&p);
    nmemu_free(device);
}

static void test_sizes(void)
{
    config c = {.n0 = 2, .n1 = 1, .kv = 2, .g = 1, .n_q = 37, .n_k = 37, .hd = 16, .hd_v = 16};
    test("plain", c);
    c = (config){.n0 = 1, .n1 = 2, .kv = 2, .g = 3, .n_q = 41, .n_k = 153, .at = 112, .causal = 1};
    c.hd = 1, c.hd_v = 4, test("head size 1", c);
    c.hd = 30, c.hd_v = 65, test("head size 30", c);
    c.kv = c.n1 = 1;
    c.hd = 128, c.hd_v = 100, test("head size 128", c);
    c.hd = 512, c.hd_v = 258, test("head size 512", c);
    c = (config){.n0 = 1, .n1 = 1, .kv = 1, .g = 2, .n_q = 1, .n_k = 1, .hd = 8, .hd_v = 8};
    test("one key", c);
}

static void test_options(void)
{
    config c = {.n0 = 1, .n1 = 2, .kv = 1, .g = 2, .n_q = 100, .n_k = 100, .hd = 20, .hd_v = 20};
    c.causal = 1, test("causal", c);
    c.window = 19, test("window", c);
    c.window = 0, c.capped = 1, test("softcap", c);
    c.dropout = 1, test("dropout and softcap", c);
    c.dropout = c.capped = 0, c.keys = 1, test("keys", c);
    c.keys = 0, c.segments = 1, test("segments", c);
    c.segments = 0, c.sink = c.bias = 1, test("sink and bias", c);
}

// One query behind a cache of keys, queries before all keys; queries and keys of two chunks each.
static void test_positions(void)
{
    config c = {.n0 = 3, .n1 = 1, .kv = 2, .g = 4, .n_q = 1, .n_k = 200, .hd = 64, .hd_v = 64};
    c.causal = 1, c.at = 121, test("decode", c);
    c = (config){.n0 = 1, .n1 = 1, .kv = 1, .g = 1, .n_q = 5, .n_k = 9, .hd = 8, .hd_v = 8};
    c.causal = 1, c.at = -3, test("rows that see nothing", c);
    c = (config){.n0 = 1, .n1 = 1, .kv = 1, .g = 3, .n_q = 60, .n_k = 200, .hd = 16, .hd_v = 16};
    c.causal = 1, c.at = 20, c.half = 30, c.jump = 120, c.segments = 1, test("zigzag", c);
    c.segments = 0, c.window = 40, c.dropout = 1, test("zigzag, window, dropout", c);
    c.block = 1, c.key_at = 10, c.key_half = 90, c.key_jump = 37, test("keys of another rank", c);
}

int main(void)
{
    test_sizes();
    test_options();
    test_positions();
    return rig_failures != 0;
}
