// What forward's turns keep for backward's does not change a bit: the chains of a step, with one
// variant or with another in each chunk of turns, add to all accumulators what they add where
// nothing was chosen. In f64, and in bf16 with its roundings.
#include "tests/passes/units_run.h"

static nm_recompute none(int unit, int chunk) { return (void)unit, (void)chunk, NM_RECOMPUTE_none; }
static nm_recompute full(int unit, int chunk) { return (void)unit, (void)chunk, NM_RECOMPUTE_full; }

static nm_recompute selective(int unit, int chunk)
{
    return (void)unit, (void)chunk, NM_RECOMPUTE_selective;
}

static nm_recompute each_another(int unit, int chunk)
{
    return (nm_recompute)(NM_RECOMPUTE_none + (unit / 2 + chunk) % 3);
}

static const struct {
    const char *name;
    nm_recompute (*choose)(int unit, int chunk);
} choices[] = {
    {"none", none}, {"selective", selective}, {"full", full}, {"each another", each_another}};

static bool run_micros(world *w, const store *inputs)
{
    memset(w->acc, 0, sizeof w->acc);
    w->shared = *inputs, w->done.n = 0;
    return run_all(w, "train.count") && run_chains(w, "train.micro.");
}

static bool same_bits(world *got, world *want)
{
    for (int r = 0; r < RANKS; r++)
        for (int i = 0; i < want->acc[r].n; i++) {
            row *a = &want->acc[r].row[i];
            row *b = find_row(&got->acc[r], (nm_bind){.kind = a->kind, .name = a->name});
            if (!b || b->t.n != a->t.n ||
                memcmp(a->t.data, b->t.data, (size_t)a->t.n * sizeof *a->t.data))
                return printf("%s on rank %d differs\n", a->name, r), false;
        }
    return true;
}

static int check_choices(const subject *what, world *want, world *got, const store *inputs)
{
    int bad = 0;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        got->choose = choices[i].choose;
        if (!run_micros(got, inputs) || !same_bits(got, want))
            bad += printf("FAIL: %s: %s, %s, %d turns a chunk\n", what->path, choices[i].name,
                          opts.f64 ? "f64" : "bf16", got->chunk) > 0;
    }
    return bad;
}

static int check_subject(const subject *what)
{
    static world want, got;
    nm_diag diag = nm_diag_to(stderr);
    nm_module *whole = load(&arena, &diag, what, "split_heads,simplify,autodiff");
    nm_func *f = whole ? find_func(whole, "train") : NULL;
    want = (world){.m = whole};
    if (!f)
        return printf("FAIL: %s does not train\n", what->path) > 0;
    set_syms(&want, NULL, 0, BATCH);
    store inputs = whole_inputs(f);
    want = (world){.m = load_cut(&diag, what, ""), .chunk = 2};
    got = (world){.m = load_cut(&diag, what, ",recompute"), .chunk = 2};
    if (!want.m || !got.m)
        return printf("FAIL: %s does not compile\n", what->path) > 0;
    open_chunks(&want);
    open_chunks(&got);
    if (!run_micros(&want, &inputs))
        return printf("FAIL: %s does not run\n", what->path) > 0;
    return check_choices(what, &want, &got, &inputs);
}

int main(void)
{
    int bad = 0;
    for (int i = 0; i < 2 * (N_SUBJECTS + N_MIXED); i++) {
        int k = i / 2;
        opts.f64 = i % 2 == 0;
        bad += check_subject(k < N_SUBJECTS ? &subjects[k] : &mixed[k - N_SUBJECTS]);
        nm_arena_free(&arena);
    }
    for (uint64_t seed = 1; seed <= N_MODELS; seed++) {
        subject s = random_subject(&arena, seed);
        opts.f64 = seed % 2 == 0;
        bad += check_subject(&s);
        nm_arena_free(&arena);
    }
    return bad != 0;
}
