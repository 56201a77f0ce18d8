// The pipeline's lists: every shape of pipeline gives lists that pass the checker; lists with one
// mistake planted never do.
#include "runtime/actions.h"

#include "tests/runtime/check.h"

#include <string.h>

static const nmdrv_sym_info sym[2] = {
    {.name = "enc.pp", .of = "enc", .extent = 5, .of_sym = -1},
    {.name = "layers.pp", .of = "layers", .extent = 11, .of_sym = -1},
};
static const nmdrv_func func[2] = {
    {.name = "f1",
     .role = NMDRV_MICRO,
     .phase = NMDRV_FORWARD,
     .units = 1 << 1,
     .turns = 0,
     .recompute = -1,
     .products = -1},
    {.name = "f3",
     .role = NMDRV_MICRO,
     .phase = NMDRV_FORWARD,
     .units = 1 << 3,
     .turns = 1,
     .recompute = -1,
     .products = -1},
};
static const nmdrv_program program = {.n_units = 5,
                                      .n_funcs = 2,
                                      .func = func,
                                      .n_syms = 2,
                                      .sym = sym,
                                      .pp_where = "layers (t5.nm:4)"};

static void test_dealing(int pp, int vp)
{
    nmrt_stages s;
    nmrt_error e;
    CHECK(nmrt_stages_init(&s, &program, pp, vp, &e) == NMRT_OK);
    int64_t next[5] = {0}, least = 99, most = 0, last = 0;
    int unit = 0;
    for (int v = 0; v < s.n; v++) {
        int64_t here = 0;
        for (int i = s.at[v]; i < s.at[v + 1]; i++) {
            const nmrt_stage_part *p = &s.part[i];
            CHECK(p->unit == unit || p->unit == unit + 1);
            CHECK(p->first == next[p->unit] && p->n > 0);
            unit = p->unit;
            next[unit] += p->n;
            here += unit % 2 ? p->n : 0;
        }
        least = here < least ? here : least;
        most = here > most ? here : most;
        last = here;
    }
    for (int u = 0; u < 5; u++)
        CHECK(next[u] == s.turns[u]);
    CHECK(most - least <= 1 && last == least);
    uint64_t all = 0;
    for (int r = 0; r < pp; r++)
        all |= nmrt_stages_units(&s, r);
    CHECK(all == 31);
    nmrt_stages_release(&s);
}

// Turns of six layers and of one: stages get layers, and whole turns.
static void test_grouped(void)
{
    nmdrv_sym_info grouped[2] = {sym[0], sym[1]};
    grouped[0].extent = 5, grouped[0].each = 6;
    grouped[1].extent = 4, grouped[1].each = 1, grouped[1].first = 30;
    nmdrv_program p = program;
    p.sym = grouped;
    nmrt_stages s;
    nmrt_error e;
    nmrt_run_of run[4];
    CHECK(nmrt_stages_init(&s, &p, 2, 1, &e) == NMRT_OK);
    CHECK(nmrt_stages_runs(&s, 0, 1 << 1 | 1 << 3, run) == 1 && run[0].from == 0 && run[0].n == 18);
    CHECK(nmrt_stages_runs(&s, 1, 1 << 1 | 1 << 3, run) == 2);
    CHECK(run[0].from == 18 && run[0].n == 12 && run[1].from == 30 && run[1].n == 4);
    nmrt_stages_release(&s);
    CHECK(nmrt_stages_init(&s, &p, 3, 3, &e) == NMRT_OK);
    for (int v = 0; v < s.n; v++)
        CHECK(s.at[v + 1] > s.at[v]);
    CHECK(nmrt_stages_runs(&s, 0, 1 << 1, run) == 2 && run[1].from == 18 && run[1].n == 6);
    nmrt_stages_release(&s);
}

static void test_lists(int pp, int vp, int n_micro, bool training)
{
    nmrt_stages s;
    nmrt_actions a;
    nmrt_error e = {.text = ""};
    CHECK(nmrt_stages_init(&s, &program, pp, vp, &e) == NMRT_OK);
    CHECK(nmrt_actions_init(&a, &s, n_micro, training, &e) == NMRT_OK);
    CHECK(nmrt_actions_check(&a, &e) == NMRT_OK);
    CHECK(!*e.text);
    if (vp == 1 && training) // 1F1B: no more in flight than stages to the end
        for (int v = 0; v < s.n; v++)
            CHECK(a.slots[v] == (pp - v < n_micro ? pp - v : n_micro));
    for (int r = 0; r < pp; r++) { // shared, never more than each stage's own
        int own = 0;
        for (int v = r; v < s.n; v += pp)
            own += a.slots[v] > 1 ? a.slots[v] : 0;
        CHECK(training ? a.shared[r] <= own && (vp > 1 || a.shared[r] == own) : !a.shared[r]);
    }
    nmrt_actions_release(&a);
    nmrt_stages_release(&s);
}

// --- mistakes ------------------------------------------------------------------------------------

typedef bool mistake(nmrt_actions *a, int rank, int i); // false: it makes no mistake here

static bool drop(nmrt_actions *a, int rank, int i)
{
    nmrt_list *l = &a->list[rank];
    memmove(&l->action[i], &l->action[i + 1], (size_t)(--l->n - i) * sizeof *l->action);
    return true;
}

static bool repeat(nmrt_actions *a, int rank, int i)
{
    nmrt_list *l = &a->list[rank];
    if (i + 1 == l->n)
        return false;
    l->action[i + 1] = l->action[i];
    return true;
}

static bool other_micro(nmrt_actions *a, int rank, int i)
{
    nmrt_action *x = &a->list[rank].action[i];
    if (x->act == NMRT_COUNTED || x->act >= NMRT_BEFORE)
        return false;
    x->micro = (x->micro + 1) % a->n_micro;
    return true;
}

static bool other_stage(nmrt_actions *a, int rank, int i)
{
    nmrt_action *x = &a->list[rank].action[i];
    if (x->act < NMRT_FORWARD || x->act >= NMRT_BEFORE)
        return false;
    x->stage = (x->stage + 1) % a->stages->n;
    return true;
}

static bool other_peer(nmrt_actions *a, int rank, int i)
{
    nmrt_action *x = &a->list[rank].action[i];
    if (x->act < NMRT_SEND_FORWARD || x->act > NMRT_RECV_BACKWARD)
        return false;
    x->peer = (x->peer + 1) % a->stages->pp;
    return true;
}

static bool swap(nmrt_actions *a, int rank, int i)
{
    nmrt_list *l = &a->list[rank];
    if (i + 1 == l->n)
        return false;
    nmrt_action x = l->action[i], y = l->action[i + 1];
    // counts may come in any order; a stage's work and another's are free to change places
    if (x.act == NMRT_COUNT_MICRO || x.stage != y.stage || x.micro != y.micro)
        return false;
    l->action[i] = y;
    l->action[i + 1] = x;
    return true;
}

static bool fewer_slots(nmrt_actions *a, int rank, int i)
{
    int v = a->list[rank].action[i].stage;
    if (a->slots[v] < 2)
        return false;
    a->slots[v]--;
    return true;
}

// What has another slot than the first began while the first was taken.
static bool same_slot(nmrt_actions *a, int rank, int i)
{
    const nmrt_action *x = &a->list[rank].action[i];
    int *slot = &a->slot[x->stage * a->n_micro + x->micro];
    if (x->act != NMRT_FORWARD || !*slot)
        return false;
    *slot = 0;
    return true;
}

// Megatron's schedule of 8 stages of 8 on each rank: the first one's stages have 71 under way.
static void test_shared(void)
{
    nmdrv_sym_info many[2] = {sym[0], sym[1]};
    many[0].extent = many[1].extent = 64;
    nmdrv_program p = program;
    p.sym = many;
    nmrt_stages s;
    nmrt_actions a;
    nmrt_error e;
    CHECK(nmrt_stages_init(&s, &p, 8, 8, &e) == NMRT_OK);
    CHECK(nmrt_actions_init(&a, &s, 64, true, &e) == NMRT_OK);
    CHECK(a.shared[0] == 14 + 56 + 1);
    nmrt_actions_release(&a);
    nmrt_stages_release(&s);
}

static void test_mistake(mistake *m, int pp, int vp, int n_micro)
{
    nmrt_stages s;
    nmrt_actions a;
    nmrt_error e;
    int made = 0;
    CHECK(nmrt_stages_init(&s, &program, pp, vp, &e) == NMRT_OK);
    for (int r = 0; r < pp; r++)
        for (int i = 0, n = 1; i < n; i++) {
            CHECK(nmrt_actions_init(&a, &s, n_micro, true, &e) == NMRT_OK);
            n = a.list[r].n;
            if (m(&a, r, i)) {
                made++;
                CHECK(nmrt_actions_check(&a, &e) == NMRT_CORRUPT);
                CHECK(strstr(e.text, "lists are wrong") != NULL);
            }
            nmrt_actions_release(&a);
        }
    CHECK(made > 0);
    nmrt_stages_release(&s);
}

// Stages wait for each other: rank 0 asks for the backward before it sent the forward.
static void test_deadlock(void)
{
    nmrt_stages s;
    nmrt_actions a;
    nmrt_error e;
    CHECK(nmrt_stages_init(&s, &program, 2, 1, &e) == NMRT_OK);
    CHECK(nmrt_actions_init(&a, &s, 1, true, &e) == NMRT_OK);
    nmrt_list *l = &a.list[0];
    for (int i = 0; i < l->n; i++)
        if (l->action[i].act == NMRT_RECV_BACKWARD) {
            nmrt_action wait = l->action[i];
            l->action[i] = l->action[i - 1];
            l->action[i - 1] = wait;
            break;
        }
    CHECK(nmrt_actions_check(&a, &e) == NMRT_CORRUPT);
    CHECK(strstr(e.text, "it waits for ever") != NULL);
    nmrt_actions_release(&a);
    nmrt_stages_release(&s);
}

// The textbook's figure: (pp - 1) / (vp n_micro + pp - 1) of a step, where stages are alike.
static void test_bubble(int pp, int vp, int n_micro)
{
    double forward[16], backward[16];
    nmdrv_sym_info even[2] = {sym[0], sym[1]};
    even[0].extent = even[1].extent = 8;
    nmdrv_program p = program;
    p.sym = even;
    for (int i = 0; i < 16; i++) {
        forward[i] = 1;
        backward[i] = 2;
    }
    nmrt_stages s;
    nmrt_actions a;
    nmrt_error e;
    CHECK(nmrt_stages_init(&s, &p, pp, vp, &e) == NMRT_OK);
    CHECK(nmrt_actions_init(&a, &s, n_micro, true, &e) == NMRT_OK);
    double found = nmrt_actions_bubble(&a, forward, backward);
    double expected = (pp - 1) / (double)(vp * n_micro + pp - 1);
    CHECK(found > expected - 1e-9 && found < expected + 1e-9);
    nmrt_actions_release(&a);
    nmrt_stages_release(&s);
}

int main(void)
{
    test_grouped();
    nmrt_error e;
    nmrt_stages s;
    for (int pp = 1; pp <= 8; pp++)
        for (int vp = 1; vp * pp <= 16 && (pp > 1 || vp == 1); vp++) {
            test_dealing(pp, vp);
            for (int n = 1; n <= 3; n++) {
                test_lists(pp, vp, n * pp, true);
                test_lists(pp, vp, n * pp + 1, false);
            }
            for (int n = 1; n <= 10 && vp == 1; n++)
                test_lists(pp, 1, n, true);
        }
    static mistake *const mistakes[] = {drop,       repeat, other_micro, other_stage,
                                        other_peer, swap,   fewer_slots, same_slot};
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        test_mistake(mistakes[i], 2, 1, 3);
        test_mistake(mistakes[i], 3, 2, 6);
    }
    test_deadlock();
    test_shared();
    test_bubble(4, 1, 8);
    test_bubble(4, 2, 8);
    test_bubble(4, 4, 4);
    test_bubble(1, 1, 3);
    CHECK(nmrt_stages_init(&s, &program, 9, 2, &e) == NMRT_USAGE);
    CHECK(strstr(e.text, "layers (t5.nm:4)") != NULL);
    return check_result();
}
