// Links: on which stages a value lies, from when to when, in a slot or in the room, and what
// programs are refused; of a step's last micro-batch, too. Three units, six turns:
//
//     forward 0 -> x;  forward 1: x -> y a turn, saved;  turn: y, x -> dy
//     backward 1: dy, saved -> dx a turn;  backward 0: dx, y
#include "runtime/chain.h"

#include "tests/runtime/check.h"

#include <string.h>

enum { ROWS = 1000 }; // bytes of a value, or of a turn of one

static void no_run(nmdrv_frame *f) { (void)f; }

// clang-format off
#define LINK(name, buf, next, chunked) {NMDRV_LINK, name, buf, NMDRV_U8, 1, NULL, -1, next, chunked}
// clang-format on
static nmdrv_arg forward_0[] = {LINK("x", 0, "", 0)}, forward_1[] = {LINK("x", 0, "y", 0)},
                 forward_1_out[] = {LINK("y", 1, "", 0), LINK("saved", 2, "", 1)},
                 turn[] = {LINK("y", 0, "", 0), LINK("x", 1, "", 0)},
                 turn_out[] = {LINK("dy", 2, "", 0)},
                 backward_1[] = {LINK("dy", 0, "dx", 0), LINK("saved", 1, "", 1)},
                 backward_1_out[] = {LINK("dx", 2, "", 0)},
                 backward_0[] = {LINK("dx", 0, "", 0), LINK("y", 1, "", 0)};

static int64_t saved_buf(const nmdrv_sym *sym, int64_t *bytes, int64_t n, int64_t saved)
{
    for (int64_t i = 0; i < n; i++)
        bytes[i] = i == saved ? ROWS * sym[0].size : ROWS;
    return n;
}
static void sizes_plain(const nmdrv_sym *sym, int64_t *bytes) { saved_buf(sym, bytes, 3, -1); }
static void sizes_forward(const nmdrv_sym *sym, int64_t *bytes) { saved_buf(sym, bytes, 3, 2); }
static void sizes_backward(const nmdrv_sym *sym, int64_t *bytes) { saved_buf(sym, bytes, 3, 1); }
static int64_t no_flops(const nmdrv_sym *sym)
{
    (void)sym;
    return 0;
}

// backward_1 in a step's last micro-batch, with a buffer more; dx is as large as `last_dx` says.
static nmdrv_arg last_backward_1[] = {LINK("saved", 0, "", 1), LINK("dy", 3, "dx", 0)},
                 last_backward_1_out[] = {LINK("dx", 1, "", 0)};
static int64_t last_dx = ROWS;
static void sizes_last(const nmdrv_sym *sym, int64_t *bytes)
{
    saved_buf(sym, bytes, 4, 0);
    bytes[1] = last_dx;
}

static const nmdrv_buf bufs[4] = {
    {.where = "t.nm:1"}, {.where = "t.nm:2"}, {.where = "t.nm:3"}, {0}};
// clang-format off
#define TEXT(phase, unit, turns, sums, sizes, n_bufs, args, n_args, results, n_results)            \
    {"f",   NMDRV_MICRO, "",     -1,     phase,     1 << unit, turns, sums,   no_run,              \
     sizes, no_flops,    n_bufs, n_args, n_results, bufs,      args,  results, -1,  -1,    0}
// clang-format on
#define FUNC(phase, unit, turns, sizes, args, n_args, results, n_results)                          \
    TEXT(phase, unit, turns, NMDRV_EACH, sizes, 3, args, n_args, results, n_results)
static const nmdrv_func func[] = {
    FUNC(NMDRV_FORWARD, 0, -1, sizes_plain, NULL, 0, forward_0, 1),
    FUNC(NMDRV_FORWARD, 1, 0, sizes_forward, forward_1, 1, forward_1_out, 2),
    FUNC(NMDRV_TURN, 2, -1, sizes_plain, turn, 2, turn_out, 1),
    TEXT(NMDRV_BACKWARD, 1, 0, NMDRV_ONCE, sizes_backward, 3, backward_1, 2, backward_1_out, 1),
    TEXT(NMDRV_BACKWARD, 1, 0, NMDRV_LAST, sizes_last, 4, last_backward_1, 2, last_backward_1_out,
         1),
    FUNC(NMDRV_BACKWARD, 0, -1, sizes_plain, backward_0, 2, NULL, 0),
};
static const nmdrv_sym_info sym[] = {{.name = "layers.pp", .of = "layers", .extent = 6}};
static const nmdrv_program program = {
    .n_units = 3, .n_funcs = sizeof func / sizeof *func, .func = func, .n_syms = 1, .sym = sym};
static const nmdrv_sym at[1] = {{.size = 6, .total = 6}};

static nmrt_status open_chain(nmrt_chain *c, nmrt_stages *s, int pp, const int *slots,
                              nmrt_error *e)
{
    static const nmrt_recompute layers = {1, {{.name = "", .kind = NMRT_WAY_SELECTIVE}}};
    nmrt_chain_request q = {.texts = {&program, -1, true, true, false},
                            .role = NMDRV_MICRO,
                            .sym = at,
                            .slots = slots,
                            .recompute = &layers};
    CHECK(nmrt_stages_init(s, &program, pp, 1, e) == NMRT_OK);
    return nmrt_chain_init(c, s, &q, e);
}

static const nmrt_place *find(const nmrt_chain *c, int stage, const char *name, int64_t made)
{
    for (int i = c->at[stage]; i < c->at[stage + 1]; i++) {
        const nmrt_value *v = &c->value[c->place[i].value];
        if (strcmp(v->name, name) == 0 && c->call[v->made].stage == made)
            return &c->place[i];
    }
    return NULL;
}

static void test_places(void)
{
    nmrt_chain c;
    nmrt_stages s;
    nmrt_error e;
    const int slots[] = {3, 2, 1};
    CHECK(open_chain(&c, &s, 3, slots, &e) == NMRT_OK);
    CHECK(c.n_calls == 9);                     // two ends, the turn, three chunks each way
    const nmrt_place *p = find(&c, 0, "x", 0); // for the next chunk it is y; the turn reads it
    CHECK(p && p->sent[0] && !p->come[0] && !p->in_slot);
    p = find(&c, 1, "x", 0);
    CHECK(p && p->sent[0] && p->come[0] && !p->sent[1] && !p->in_slot);
    p = find(&c, 2, "x", 0);
    CHECK(p && !p->sent[0] && p->come[0]);
    p = find(&c, 1, "y", 0); // of the first chunk: read by the second
    CHECK(p && p->come[0] && !p->sent[0]);
    CHECK(!find(&c, 2, "y", 0));
    p = find(&c, 1, "y", 2); // of the last: read at the other end, on the way back
    CHECK(p && p->come[1] && p->sent[1] && !p->come[0] && !p->in_slot);
    p = find(&c, 0, "saved", 0); // kept from forward to backward, of this chunk alone
    CHECK(p && p->in_slot && c.value[p->value].bytes == 2 * ROWS);
    CHECK(!find(&c, 1, "saved", 0));
    CHECK(nmrt_chain_sent(&c, 0, false) == 2 * ROWS && nmrt_chain_sent(&c, 1, true) == 2 * ROWS);
    const nmrt_room room = nmrt_chain_room(&c, 0, false);
    CHECK(room.messages == 2 && room.bytes == 2 * 1024);
    CHECK(c.slot[0] >= 2 * ROWS && c.slot[1] >= 2 * ROWS && c.slot[2] == 0);
    CHECK(nmrt_chain_bytes(&c, 0, 3) == c.room[0] + 3 * c.slot[0]);
    nmrt_chain_release(&c);
    nmrt_stages_release(&s);
}

// The last micro-batch's text has the same links, in buffers of its own.
static void test_last(void)
{
    nmrt_chain c;
    nmrt_stages s;
    nmrt_error e = {.text = ""};
    const int slots[] = {3, 2, 1};
    int n = 0;
    CHECK(open_chain(&c, &s, 3, slots, &e) == NMRT_OK);
    for (int i = 0; i < c.n_calls; i++) {
        const nmrt_call *x = &c.call[i];
        n += x->last != NULL;
        CHECK(!x->last || (x->last_value[0] == x->value[1] && x->last_value[1] == x->value[2] &&
                           x->last_value[2] == -1 && x->last_value[3] == x->value[0]));
    }
    CHECK(n == 3); // the chunks of unit 1
    nmrt_chain_release(&c);
    nmrt_stages_release(&s);
    last_dx = ROWS + 4;
    CHECK(open_chain(&c, &s, 3, slots, &e) == NMRT_CORRUPT);
    CHECK(strstr(e.text, "dx has 1000 bytes in f, 1004 in f") != NULL);
    nmrt_stages_release(&s);
    last_dx = ROWS;
}

// What is alive together on a stage never shares memory.
static void test_memory(int pp, const int *slots)
{
    nmrt_chain c;
    nmrt_stages s;
    nmrt_error e;
    CHECK(open_chain(&c, &s, pp, slots, &e) == NMRT_OK);
    for (int i = 0; i < c.n_places; i++)
        for (int k = 0; k < i; k++) {
            const nmrt_place *a = &c.place[i], *b = &c.place[k];
            bool together = a->stage == b->stage && a->in_slot == b->in_slot &&
                            (a->in_slot || (a->first <= b->last && b->first <= a->last));
            int64_t a_end = a->offset + c.value[a->value].bytes,
                    b_end = b->offset + c.value[b->value].bytes;
            CHECK(!together || a->offset >= b_end || b->offset >= a_end);
            CHECK(a_end <= (a->in_slot ? c.slot : c.room)[a->stage]);
        }
    nmrt_chain_release(&c);
    nmrt_stages_release(&s);
}

// A part is cut where a block ends and where layers in bf16 do.
static void test_cuts(void)
{
    enum { N = sizeof func / sizeof *func };
    static const nmrt_recompute block = {1, {{.name = "", .kind = NMRT_WAY_BLOCK, .layers = 2}}};
    nmdrv_func texts[2 * N];
    nmdrv_program twice = program;
    nmrt_chain_request q = {.texts = {&twice, -1, true, true, false},
                            .role = NMDRV_MICRO,
                            .sym = at,
                            .slots = (const int[]){1},
                            .recompute = &block,
                            .islands = {1, 1}};
    nmrt_chain c;
    nmrt_stages s;
    nmrt_error e;
    twice.func = texts, twice.n_funcs = 2 * N;
    for (int i = 0; i < 2 * N; i++) {
        texts[i] = func[i / 2];
        texts[i].products = texts[i].units & 1 << 1 ? i % 2 : -1;
    }
    CHECK(nmrt_stages_init(&s, &twice, 1, 1, &e) == NMRT_OK);
    CHECK(nmrt_chain_init(&c, &s, &q, &e) == NMRT_OK);
    static const int64_t turns[] = {1, 1, 3, 1}, products[] = {1, 0, 0, 1};
    CHECK(c.n_calls == 11); // two ends, the turn, four chunks each way
    for (int i = 0; i < 4; i++) {
        const nmrt_call *there = &c.call[1 + i], *back = &c.call[9 - i];
        CHECK(there->part.n == turns[i] && there->func->products == products[i]);
        CHECK(back->part.n == turns[i] && back->func->products == products[i]);
        CHECK(back->backward && back->part.first == there->part.first);
    }
    nmrt_chain_release(&c);
    nmrt_stages_release(&s);
}

static void test_refused(nmdrv_arg *arg, nmdrv_arg wrong, int pp, const char *why)
{
    nmrt_chain c;
    nmrt_stages s;
    nmrt_error e = {.text = ""};
    nmdrv_arg was = *arg;
    *arg = wrong;
    CHECK(open_chain(&c, &s, pp, (const int[]){1, 1, 1, 1, 1, 1}, &e) != NMRT_OK);
    CHECK(strstr(e.text, why) != NULL);
    nmrt_stages_release(&s);
    *arg = was;
}

int main(void)
{
    test_places();
    test_last();
    test_memory(1, (const int[]){1});
    test_memory(3, (const int[]){1, 1, 1});
    test_memory(6, (const int[]){6, 5, 4, 3, 2, 1});
    test_cuts();
    test_refused(&turn[1], (nmdrv_arg)LINK("nobody", 1, "", 0), 2, "nothing makes nobody");
    test_refused(&turn[1], (nmdrv_arg)LINK("saved", 1, "", 0), 2, "of all turns at once");
    test_refused(&backward_1[1], (nmdrv_arg)LINK("x", 1, "", 0), 2, "bytes in");
    test_refused(&forward_1_out[1], (nmdrv_arg)LINK("saved", 1, "", 1), 2, "share a buffer");
    test_refused(&last_backward_1[0], (nmdrv_arg)LINK("x", 0, "", 1), 2, "f has no x, f has");
    return check_result();
}
