// Attention's bf16 backward with tensor maps (sm_90a) on the emulator, in two passes and in one,
// against the formulas in double on the same bf16 numbers: every option, odd sizes, in eager, lazy
// and random orders of events. Head sizes and groups are those that maps allow.
#include "codegen/templates/gpu/attn_bf16.h"
#include "tests/emu/attn_tensors.h"

enum { Q_MAP, DOUT_MAP, K_MAP, V_MAP, N_MAPS, COLUMN = 64, OTHERS = NMG_ATTN_MAPS_OTHERS };

typedef struct mapped { // what the kernel gets
    _Alignas(128) tmap map[N_MAPS];
    run r;
    float *sums; // NULL: in two passes
} mapped;

KERNEL(forward, run, r)
{
    nmg_attn_bf16(&r.spec, &r.x, r.p, r.bias, r.position, r.key_position, ctaid_x());
}
KERNEL(norms, run, r) { nmg_attn_norms_bf16(&r.spec, &r.x, r.norms, ctaid_x()); }
KERNEL(clear, run, r) { nmg_attn_clear_bf16(&r.spec, &r.x, r.sums, ctaid_x()); }
KERNEL(backward, mapped, p)
{
    nmg_attn_grad_maps_bf16(&p.r.spec, &p.r.x, p.r.norms, p.sums, p.r.p, p.r.bias, p.r.position,
                            p.r.key_position, p.map, ctaid_x());
}
KERNEL(rounded, run, r) { nmg_attn_round_bf16(&r.spec, &r.x, r.sums, ctaid_x()); }

// --- maps ----------------------------------------------------------------------------------------

static void write_map(tmap *to, const float *t, nmemu_tensor m)
{
    m.base = (void *)(uintptr_t)t;
    m.element_bytes = 2, m.rank = 5, m.swizzle = 3;
    for (int i = 0; i < 4; i++)
        m.stride[i] *= 2; // bytes
    must(nmemu_tensor_map(to, &m));
}

static void map_keys(tmap *to, const config *c, const float *t, const nmk_strides *s, int64_t hd)
{
    write_map(to, t,
              (nmemu_tensor){.dim = {(u64)hd, (u64)c->n_k, (u64)c->kv, (u64)c->n1, (u64)c->n0},
                             .stride = {(u64)s->pos, (u64)s->kv, (u64)s->batch1, (u64)s->batch0},
                             .box = {COLUMN, OTHERS, 1, 1, 1}});
}

static void map_rows(tmap *to, const config *c, const float *t, const nmk_strides *s, int64_t hd)
{
    u64 kv = (u64)c->kv, n_q = (u64)c->n_q, n1 = (u64)c->n1;
    nmemu_tensor m = {.dim = {(u64)hd, (u64)c->g, n_q, kv, n1},
                      .stride = {(u64)s->g, (u64)s->pos, (u64)s->kv, (u64)s->batch1},
                      .box = {COLUMN, (u32)c->g, OTHERS / (u32)c->g, 1, 1}};
    if (c->g == 1)
        m = (nmemu_tensor){.dim = {(u64)hd, n_q, kv, n1, (u64)c->n0},
                           .stride = {(u64)s->pos, (u64)s->kv, (u64)s->batch1, (u64)s->batch0},
                           .box = {COLUMN, OTHERS, 1, 1, 1}};
    write_map(to, t, m);
}

// --- a case --------------------------------------------------------------------------------------

static void launch_simple(const char *name, void (*fn)(const void *), int64_t shared, const run *r,
                          nmemu_mode mode)
{
    const config *c = &r->p->c;
    nmemu_launch l = {.name = name, .fn = fn, .threads = NMG_ATTN_BF16_THREADS};
    l.shared_bytes = (u32)shared;
    launch(l, r, c->n0 * c->n1 * c->kv * ceil_div(c->n_q * c->g, NMG_ATTN_BF16_TILE), mode);
}

static void run_backward(const run *r, float *sums, nmemu_mode mode)
{
    const config *c = &r->p->c;
    mapped p = {.r = *r, .sums = sums};
    int64_t hd = c->hd > c->hd_v ? c->hd : c->hd_v, keys = ceil_div(c->n_k, NMG_ATTN_MAPS_ROWS);
    int64_t rows = sums ? 0 : ceil_div(c->n_q * c->g, NMG_ATTN_MAPS_ROWS);
    nmemu_launch l = {.name = "backward", .fn = backward, .threads = NMG_ATTN_MAPS_THREADS};
    l.shared_bytes = (u32)NMG_ATTN_GRAD_MAPS_SHARED(c->hd, c->hd_v);
    map_rows(&p.map[Q_MAP], c, r->x.q, &r->x.q_s, c->hd);
    map_rows(&p.map[DOUT_MAP], c, r->x.dout, &r->x.dout_s, c->hd_v);
    map_keys(&p.map[K_MAP], c, r->x.k, &r->x.k_s, c->hd);
    map_keys(&p.map[V_MAP], c, r->x.v, &r->x.v_s, c->hd_v);
    launch(l, &p, c->n0 * c->n1 * c->kv * ceil_div(hd, NMG_ATTN_BF16_WIDE) * (rows + keys), mode);
}

static void compare(const char *name, const char *how, tensor t[N_TENSORS], nmemu_mode mode)
{
    printf("%s, %s, %s:", name, how, mode_name[mode]);
    for (int i = DQ; i < N_TENSORS; i++) {
        double e = error_of(&t[i]);
        printf(" %s %.1e", t[i].name, e);
        if (!(e < 1e-2))
            fails(t[i].name);
    }
    printf("\n");
}

static void run_and_compare(const char *name, const run *r, tensor t[N_TENSORS], nmemu_mode mode)
{
    const config *c = &r->p->c;
    forget_results(r->p, t, OUT);
    launch_simple("forward", forward, NMG_ATTN_BF16_SHARED(c->hd, c->hd_v), r, mode);
    launch_simple("norms", norms, 0, r, mode);
    HOLDS(worst(c->n0 * c->n1 * c->n_q * c->kv * c->g, r->x.lse, r->p->lse) < 1e-5);
    run_backward(r, NULL, mode);
    compare(name, "two passes", t, mode);
    forget_results(r->p, t, DQ);
    launch_simple("clear", clear, 0, r, mode);
    run_backward(r, r->sums, mode);
    launch_simple("rounded", rounded, 0, r, mode);
    compare(name, "one pass", t, mode);
}

// Sizes that maps allow: multiples of 8, groups that divide a tile, one batch dim beside them.
static config allowed(config c)
{
    c.hd = ceil_div(c.hd, 8) * 8, c.hd_v = ceil_div(c.hd_v, 8) * 8;
    c.g = c.g == 3 ? 4 : c.g;
    if (c.g > 1 && c.n0 > 1)
        c.n1 = c.n0, c.n0 = 1;
    return c;
}

static void test(const char *name, config c)
{
    c = allowed(c);
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
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++)
        run_and_compare(name, &r, t, mode);
    release(&p);
    nmemu_free(device);
}

// More tiles than a ring has places, and warpgroups that see others.
static void test_tiles(void)
{
    config c = {.n0 = 1, .n1 = 1, .kv = 1, .g = 2, .n_q = 150, .n_k = 200, .causal = 1, .at = 50};
    static const int64_t sizes[] = {64, 80, 128, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        c.hd = c.hd_v = sizes[i];
        test("tiles", c);
    }
    c.hd = 40, c.hd_v = 200, test("two head sizes", c);
    c.hd = c.hd_v = 64, c.window = 70, test("window", c);
}

int main(void)
{
    test_all();
    test_tiles();
    return rig_failures != 0;
}
