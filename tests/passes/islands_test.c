// Layers in bf16 of a program in fp8: with all chunks of turns in bf16 the chains of a step add to
// gradients and loss what the program of precision bf16 adds, to the bit, and nothing to the maxima
// that delayed scales come from. A chunk in bf16 among others changes what they add, and what is
// kept for backward does not.
#include "tests/passes/units_run.h"

static nm_products fp8(int unit, int chunk) { return (void)unit, (void)chunk, NM_PRODUCTS_fp8; }
static nm_products bf16(int unit, int chunk) { return (void)unit, (void)chunk, NM_PRODUCTS_bf16; }

static nm_products ends(int unit, int chunk)
{
    return unit == 1 && !chunk ? NM_PRODUCTS_bf16 : NM_PRODUCTS_fp8;
}

static nm_recompute none(int unit, int chunk) { return (void)unit, (void)chunk, NM_RECOMPUTE_none; }

static nm_recompute each_another(int unit, int chunk)
{
    return (nm_recompute)(NM_RECOMPUTE_none + (unit / 2 + chunk) % 3);
}

static const subject *find_subject(const char *path)
{
    for (int i = 0; i < N_MIXED; i++)
        if (!strcmp(mixed[i].path, path))
            return &mixed[i];
    return NULL;
}

static bool run_micros(world *w, const store *inputs)
{
    memset(w->acc, 0, sizeof w->acc);
    w->shared = *inputs, w->done.n = 0;
    return run_all(w, "train.count") && run_chains(w, "train.micro.");
}

static bool is_named(const row *a)
{
    return !strncmp(a->name, "grad.", 5) || !strcmp(a->name, "loss");
}

// Gradients and losses; other accumulators are numbered, and compared by how many there are.
static bool same_bits(world *got, world *want)
{
    for (int r = 0; r < RANKS; r++) {
        for (int i = 0; i < want->acc[r].n; i++) {
            row *a = &want->acc[r].row[i];
            row *b = find_row(&got->acc[r], (nm_bind){.kind = a->kind, .name = a->name});
            if (is_named(a) && (!b || b->t.n != a->t.n ||
                                memcmp(a->t.data, b->t.data, (size_t)a->t.n * sizeof *a->t.data)))
                return false;
        }
        if (want->acc[r].n != got->acc[r].n)
            return false;
    }
    return true;
}

// The states of this program alone begin at 0.
static void put_own(const world *w, store *inputs)
{
    for (int i = 0; i < w->m->n_params; i++) {
        const nm_param *p = &w->m->param[i];
        nm_tensor zero;
        if (p->own && nm_tensor_new(w->m, p->loc, &opts, p->type, &zero))
            put(inputs, (nm_bind){.kind = NM_BIND_state, .name = p->path}, zero);
    }
}

typedef struct programs {
    world bf16, fp8;
    store inputs;
} programs;

static bool open_programs(programs *p, nm_diag *diag, const subject *what, nm_recipe recipe)
{
    nm_module *whole = load(&arena, diag, what, "split_heads,simplify,autodiff");
    nm_func *f = whole ? find_func(whole, "train") : NULL;
    *p = (programs){.bf16.m = whole};
    if (!f)
        return false;
    set_syms(&p->bf16, NULL, 0, BATCH);
    p->inputs = whole_inputs(f);
    p->bf16 = (world){.m = load_cut(diag, what, ""), .chunk = 1};
    p->fp8 = (world){.m = load_cut_in(NM_PRECISION_fp8, recipe, diag, what, ",islands,recompute"),
                     .chunk = 1};
    if (!p->bf16.m || !p->fp8.m)
        return false;
    open_chunks(&p->bf16);
    open_chunks(&p->fp8);
    put_own(&p->fp8, &p->inputs);
    return run_micros(&p->bf16, &p->inputs);
}

static bool run_as(programs *p, nm_products (*choose)(int, int), nm_recompute (*how)(int, int))
{
    p->fp8.choose_products = choose;
    p->fp8.choose = how;
    return run_micros(&p->fp8, &p->inputs);
}

static int check(const char *path, nm_recipe recipe)
{
    static programs p;
    static world before;
    nm_diag diag = nm_diag_to(stderr);
    int bad = 0;
    if (!open_programs(&p, &diag, find_subject(path), recipe))
        return printf("FAIL: %s does not run\n", path) > 0;
    if (!run_as(&p, bf16, none) || !same_bits(&p.fp8, &p.bf16))
        bad += printf("FAIL: %s, %s: all in bf16\n", path, nm_recipe_name[recipe]) > 0;
    if (!run_as(&p, fp8, none) || same_bits(&p.fp8, &p.bf16))
        bad += printf("FAIL: %s, %s: none in bf16\n", path, nm_recipe_name[recipe]) > 0;
    before = p.fp8;
    if (!run_as(&p, ends, none) || same_bits(&p.fp8, &p.bf16) || same_bits(&p.fp8, &before))
        bad += printf("FAIL: %s, %s: the first in bf16\n", path, nm_recipe_name[recipe]) > 0;
    before = p.fp8;
    if (!run_as(&p, ends, each_another) || !same_bits(&p.fp8, &before))
        bad += printf("FAIL: %s, %s: the first in bf16, computed again\n", path,
                      nm_recipe_name[recipe]) > 0;
    nm_arena_free(&arena);
    return bad;
}

int main(void)
{
    opts.f64 = false;
    int bad = check("models/gpt2.nm", NM_RECIPE_current);
    bad += check("models/gpt2.nm", NM_RECIPE_delayed);
    bad += check("models/gemma2.nm",
                 NM_RECIPE_current); // turns of several layers, and what is left over
    bad += check("models/t5.nm", NM_RECIPE_current);
    return bad != 0;
}
