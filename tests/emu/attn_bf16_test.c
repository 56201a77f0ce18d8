// The bf16 templates of attention of gpu kernels on the emulator, forward and backward, against the
// formulas in double on the same bf16 numbers: every option, odd sizes, in eager, lazy and random
// orders of events.
#include "codegen/templates/gpu/attn_bf16.h"
#include "tests/emu/attn_tensors.h"

KERNEL(forward, run, r)
{
    nmg_attn_bf16(&r.spec, &r.x, r.p, r.bias, r.position, r.key_position, ctaid_x());
}
KERNEL(norms, run, r) { nmg_attn_norms_bf16(&r.spec, &r.x, r.norms, ctaid_x()); }
KERNEL(backward, run, r)
{
    nmg_attn_grad_bf16(&r.spec, &r.x, r.norms, r.p, r.bias, r.position, r.key_position, ctaid_x());
}
KERNEL(clear, run, r) { nmg_attn_clear_bf16(&r.spec, &r.x, r.sums, ctaid_x()); }
KERNEL(once, run, r)
{
    nmg_attn_grad_once_bf16(&r.spec, &r.x, r.norms, r.sums, r.p, r.bias, r.position, r.key_position,
                            ctaid_x());
}
KERNEL(rounded, run, r) { nmg_attn_round_bf16(&r.spec, &r.x, r.sums, ctaid_x()); }

// Results from this one on.
static void compare(const char *name, tensor t[N_TENSORS], int from, nmemu_mode mode)
{
    printf("%s %s:", name, mode_name[mode]);
    for (int i = from; i < N_TENSORS; i++) {
        double e = error_of(&t[i]);
        printf(" %s %.1e", t[i].name, e);
        if (!(e < 1e-2))
            fails(t[i].name);
    }
    printf("\n");
}

static void compare_all(const char *name, const problem *p, tensor t[N_TENSORS], nmemu_mode mode)
{
    const config *c = &p->c;
    double lse = worst(c->n0 * c->n1 * c->n_q * c->kv * c->g, p->x.lse, p->lse);
    printf("lse %.1e, ", lse);
    HOLDS(lse < 1e-5);
    compare(name, t, N_GIVEN, mode);
}

// --- a case --------------------------------------------------------------------------------------

typedef struct sharing { // blocks: tiles of rows and keys of all heads, slices
    int64_t rows, keys, slices;
} sharing;

static sharing sharing_of(const config *c)
{
    int64_t heads = c->n0 * c->n1 * c->kv, hd = c->hd > c->hd_v ? c->hd : c->hd_v;
    return (sharing){heads * ceil_div(c->n_q * c->g, NMG_ATTN_BF16_TILE),
                     heads * ceil_div(c->n_k, NMG_ATTN_BF16_TILE),
                     ceil_div(hd, NMG_ATTN_BF16_WIDE)};
}

static nmemu_launch launch_of(const char *name, void (*fn)(const void *), int64_t shared)
{
    return (nmemu_launch){
        .name = name, .fn = fn, .threads = NMG_ATTN_BF16_THREADS, .shared_bytes = (u32)shared};
}

static void run_all(const config *c, const run *r, nmemu_mode mode)
{
    sharing n = sharing_of(c);
    int64_t forth = NMG_ATTN_BF16_SHARED(c->hd, c->hd_v);
    int64_t back = NMG_ATTN_BF16_GRAD_SHARED(c->hd, c->hd_v);
    launch(launch_of("forward", forward, forth), r, n.rows, mode);
    launch(launch_of("norms", norms, 0), r, n.rows, mode);
    launch(launch_of("backward", backward, back), r, n.slices * (n.rows + n.keys), mode);
}

// The backward in one pass, behind a run of all.
static void run_once(const config *c, const run *r, nmemu_mode mode)
{
    sharing n = sharing_of(c);
    int64_t shared = NMG_ATTN_BF16_ONCE_SHARED(c->hd, c->hd_v);
    launch(launch_of("clear", clear, 0), r, n.rows, mode);
    launch(launch_of("once", once, shared), r, n.slices * n.keys, mode);
    launch(launch_of("rounded", rounded, 0), r, n.rows, mode);
}

static void run_and_compare(const char *name, const problem *p, const run *r, tensor t[N_TENSORS],
                            nmemu_mode mode)
{
    forget_results(p, t, N_GIVEN);
    run_all(&p->c, r, mode);
    compare_all(name, p, t, mode);
    forget_results(p, t, DQ);
    run_once(&p->c, r, mode);
    compare(name, t, DQ, mode);
}

static void test(const char *name, config c)
{
    if (c.hd > NMG_ATTN_BF16_MOST || c.hd_v > NMG_ATTN_BF16_MOST)
        return;
    device = nmemu_new(1);
    problem p = make(c);
    tensor t[N_TENSORS];
    list_tensors(&p, t);
    round_given(t);
    reference(&p);
    run r = run_of(&p);
    take_bits(&r, t);
    size_t rows = (size_t)(c.n0 * c.n1 * c.n_q * c.kv * c.g);
    r.norms = problem_alloc(8 * rows);
    r.sums = problem_alloc(4 * rows * (size_t)c.hd);
    memset(r.sums, 0xff, 4 * rows * (size_t)c.hd);
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++)
        run_and_compare(name, &p, &r, t, mode);
    release(&p);
    nmemu_free(device);
}

// Head sizes that copies of 16 bytes fit, and tiles that nothing is hidden in.
static void test_head_sizes(void)
{
    config c = {.n0 = 1, .n1 = 1, .kv = 1, .g = 2, .n_q = 70, .n_k = 150, .causal = 1, .at = 80};
    static const int64_t sizes[] = {16, 32, 64, 80, 96, 128, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        c.hd = c.hd_v = sizes[i];
        test("head sizes", c);
    }
    c.hd = 40, c.hd_v = 200, test("two head sizes", c);
}

int main(void)
{
    test_all();
    test_head_sizes();
    return rig_failures != 0;
}
