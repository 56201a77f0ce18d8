// Attention's bf16 forward with tensor maps (sm_90a) on the emulator, against the formulas in
// double on the same bf16 numbers: every option, odd sizes, in eager, lazy and random orders of
// events. Head sizes are those that maps allow.
#include "codegen/templates/gpu/attn_bf16.h"
#include "tests/emu/attn_tensors.h"

enum { N_MAPS = 2, COLUMN = 64 };

typedef struct mapped { // what the kernel gets
    _Alignas(128) tmap map[N_MAPS];
    run r;
} mapped;

KERNEL(forward, mapped, p)
{
    nmg_attn_bf16_maps(&p.r.spec, &p.r.x, p.r.p, p.r.bias, p.r.position, p.r.key_position, p.map,
                       ctaid_x());
}

static int64_t tile_keys(const config *c)
{
    return NMG_ATTN_MAPS_KEYS(c->hd, c->hd_v, c->capped || c->bias);
}

// Of keys or values, by their strides in elements.
static void write_map(tmap *to, const config *c, const float *t, const nmk_strides *s, int64_t hd)
{
    nmemu_tensor m = {
        .base = (void *)(uintptr_t)t,
        .element_bytes = 2,
        .rank = 5,
        .dim = {(u64)hd, (u64)c->n_k, (u64)c->kv, (u64)c->n1, (u64)c->n0},
        .stride = {2 * (u64)s->pos, 2 * (u64)s->kv, 2 * (u64)s->batch1, 2 * (u64)s->batch0},
        .box = {COLUMN, (u32)tile_keys(c), 1, 1, 1},
        .swizzle = 3};
    must(nmemu_tensor_map(to, &m));
}

static void run_forward(const config *c, const run *r, nmemu_mode mode)
{
    mapped p = {.r = *r};
    int64_t heads = c->n0 * c->n1 * c->kv, rows = ceil_div(c->n_q * c->g, NMG_ATTN_MAPS_ROWS);
    nmemu_launch l = {.name = "forward", .fn = forward, .threads = NMG_ATTN_MAPS_THREADS};
    l.shared_bytes = (u32)NMG_ATTN_MAPS_SHARED(c->hd, c->hd_v, tile_keys(c));
    write_map(&p.map[0], c, r->x.k, &r->x.k_s, c->hd);
    write_map(&p.map[1], c, r->x.v, &r->x.v_s, c->hd_v);
    launch(l, &p, heads * rows, mode);
}

static void compare(const char *name, const problem *p, tensor t[N_TENSORS], nmemu_mode mode)
{
    const config *c = &p->c;
    double lse = worst(c->n0 * c->n1 * c->n_q * c->kv * c->g, p->x.lse, p->lse);
    double out = error_of(&t[OUT]);
    printf("%s %s: lse %.1e, out %.1e\n", name, mode_name[mode], lse, out);
    HOLDS(lse < 1e-5);
    HOLDS(out < 1e-2);
}

static int64_t whole_eights(int64_t hd) { return ceil_div(hd, 8) * 8; }

static void test(const char *name, config c)
{
    c.hd = whole_eights(c.hd), c.hd_v = whole_eights(c.hd_v);
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
    for (nmemu_mode mode = NMEMU_EAGER; mode <= NMEMU_RANDOM; mode++) {
        forget_results(&p, t, OUT);
        run_forward(&c, &r, mode);
        compare(name, &p, t, mode);
    }
    release(&p);
    nmemu_free(device);
}

// More tiles than a ring has, rows of the second warpgroup that see more, or do not exist.
static void test_tiles(void)
{
    config c = {.n0 = 1, .n1 = 1, .kv = 1, .g = 1, .n_q = 200, .n_k = 600, .causal = 1, .at = 400};
    static const int64_t sizes[] = {16, 64, 80, 96, 128, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        c.hd = c.hd_v = sizes[i];
        test("tiles", c);
    }
    c.hd = 40, c.hd_v = 200, test("two head sizes", c);
    c.hd = c.hd_v = 64;
    c.window = 70, test("tiles behind the window", c);
    c.at = 0, c.window = 0, c.n_q = c.n_k = 300, c.g = 2, test("training", c);
    c.n0 = 6, c.g = 1, c.n_q = 128, c.n_k = 700, c.half = 64, c.jump = 500;
    test("two warpgroups far apart", c);
    c.window = 40, test("tiles that neither sees", c);
}

int main(void)
{
    test_all();
    test_tiles();
    return rig_failures != 0;
}
