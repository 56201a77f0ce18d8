// What the tests of attention's gpu templates share: problems in the emulator's memory, launches,
// and the cases. Who includes this defines `test`, which runs one case.
#ifndef NM_TESTS_EMU_ATTN_CASES_H
#define NM_TESTS_EMU_ATTN_CASES_H

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
    nmk_attn_args x;
    float *norms, *sums;
    nmk_bias *bias;
    nmk_position *position, *key_position;
} run;

static run run_of(const problem *p)
{
    const config *c = &p->c;
    return (run){{c->hd, c->hd_v, c->causal, c->window != 0, c->capped, c->dropout, c->keys,
                  c->segments, c->sink, 0},
                 p,
                 p->x,
                 NULL,
                 NULL,
                 c->bias ? bias_of : NULL,
                 c->jump || c->block ? position_of : NULL,
                 c->block ? position_of_key : NULL};
}

static int64_t ceil_div(int64_t n, int64_t by) { return (n + by - 1) / by; }

// `l` says the kernel, its threads and its shared memory; params: what it gets.
static void launch(nmemu_launch l, const void *params, int64_t blocks, nmemu_mode mode)
{
    l.params = params, l.grid[0] = (uint32_t)blocks, l.grid[1] = l.grid[2] = 1;
    l.mode = mode, l.seed = (u64)blocks;
    must(nmemu_run(device, &l, NULL));
}

static void test(const char *name, config c);

static void test_sizes(void)
{
    config c = {.n0 = 2, .n1 = 1, .kv = 2, .g = 1, .n_q = 37, .n_k = 37, .hd = 16, .hd_v = 16};
    test("plain", c);
    c.n_q = 64, c.n_k = 100, test("whole tiles of rows, not of keys", c);
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
    c.capped = 1, test("rows that see nothing, softcap", c);
    c = (config){.n0 = 1, .n1 = 1, .kv = 1, .g = 3, .n_q = 60, .n_k = 200, .hd = 16, .hd_v = 16};
    c.causal = 1, c.at = 20, c.half = 30, c.jump = 120, c.segments = 1, test("zigzag", c);
    c.segments = 0, c.window = 40, c.dropout = 1, test("zigzag, window, dropout", c);
    c.block = 1, c.key_at = 10, c.key_half = 90, c.key_jump = 37, test("keys of another rank", c);
}

static void test_all(void)
{
    test_sizes();
    test_options();
    test_positions();
}

#endif
