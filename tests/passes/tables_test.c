// Any mesh table: the dims of small models are dealt to the rows dp, cp and tp by chance, and the
// step of each table on each mesh is the step of one rank (tests/passes/shard_step.h), by axes and
// by local extents. A table that a pass refuses with a message is passed over; most are not.
//
//     tables_test [SEED N]    N tables of each model from SEED on; without them, a few
#include "tests/passes/shard_step.h"

#include <stdlib.h>

static const char passes[] = "split_heads,simplify,autodiff,tidy,precision,accumulate,units,shard";

static const subject models[] = {
    {.path = "models/gpt2.nm",
     .define = {{"vocab", "16"},
                {"d", "8"},
                {"heads", "4"},
                {"hd", "4"},
                {"ff", "16"},
                {"layers", "1"},
                {"context", "8"}}},
    {.path = "tests/passes/tables_rope.nm", .define = {{"layers", "1"}}},
    {.path = "tests/passes/tables_rope.nm"},
};

// Every dim is divisible by what two of the rows have together.
static const mesh_sizes meshes[] = {
    {1, 1, 1, 1, 1, 2, 1}, {1, 1, 1, 1, 1, 2, 2}, {1, 2, 1, 1, 2, 1, 1}, {2, 1, 1, 1, 1, 2, 1},
    {1, 1, 2, 1, 2, 1, 1}, {1, 1, 2, 1, 1, 2, 1}, {1, 2, 1, 1, 2, 2, 1},
};
enum { N_MESHES = sizeof meshes / sizeof *meshes };

// Run-time dims stand behind those of parameters (mesh-9).
static const char *const row_name[] = {"dp", "cp", "tp"};
static const char *const dim_name[] = {"d", "ff", "heads", "kv", "hd", "vocab", "batch", "seq"};
enum { N_ROWS = sizeof row_name / sizeof *row_name, N_DIMS = sizeof dim_name / sizeof *dim_name };

// --- tables --------------------------------------------------------------------------------------

static uint32_t draw(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

static void list_dim(nm_module *m, int row, nm_sym dim)
{
    nm_syms *dims = &m->mesh[row].dims;
    nm_sym *all = nm_new_n(m->arena, nm_sym, N_DIMS);
    for (int i = 0; i < dims->n; i++)
        all[i] = dims->sym[i];
    all[dims->n] = dim;
    *dims = (nm_syms){dims->n + 1, all};
}

// In no row, in one, or (a run-time dim: its second home) in two.
static void deal_dim(nm_module *m, const nm_dim_decl *d, uint64_t *state)
{
    uint32_t first = draw(state, N_ROWS), n = draw(state, 6);
    if (n > 1)
        list_dim(m, (int)first, d->name);
    if (n == 5 && d->runtime && first + 1 < N_ROWS)
        list_dim(m, (int)first + 1, d->name);
}

static void deal(nm_module *m, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u;
    m->mesh = nm_new_n(m->arena, nm_mesh_row, N_ROWS);
    m->n_mesh = N_ROWS;
    for (int i = 0; i < N_ROWS; i++)
        m->mesh[i] = (nm_mesh_row){.axis = nm_sym_get(m, row_name[i])};
    for (int i = 0; i < N_DIMS; i++) {
        const nm_dim_decl *d = nm_dim_lookup(m, nm_sym_get(m, dim_name[i]));
        if (d)
            deal_dim(m, d, &state);
    }
}

static void print_table(const nm_module *m)
{
    printf("mesh {");
    for (int i = 0; i < m->n_mesh; i++) {
        printf(" %s:", m->mesh[i].axis);
        for (int k = 0; k < m->mesh[i].dims.n; k++)
            printf(" %s", m->mesh[i].dims.sym[k]);
    }
    printf(" }");
}

static bool run_passes(nm_module *m, const char *list)
{
    nm_pipeline_opts opts = {.only = list, .verify_each = true, .dump = stdout, .log = stdout};
    return nm_pipeline_run(m, &opts);
}

// --- one table -----------------------------------------------------------------------------------

static int check_mesh(nm_module *m, int mesh, const how *way, wanted *w)
{
    how in_mode = *way;
    nm_arena run = {0};
    in_mode.once = mesh % 2 && meshes[mesh].dpp == 1;
    in_mode.mode = "mesh";
    bool ok = run_sharded(m, &run, &meshes[mesh], &in_mode, w);
    nm_arena_free(&run);
    if (ok)
        return 0;
    printf("FAIL: mesh %d%s%s: ", mesh, way->local ? ", local" : "", way->zigzag ? ", zigzag" : "");
    print_table(m);
    return printf("\n") > 0;
}

typedef enum { FINE, REFUSED, WRONG } verdict;

static verdict check_table(const subject *what, uint64_t seed, wanted *w)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stdout);
    nm_module *m = nm_module_new(&arena, &diag);
    int bad = 0;
    bool ok = elaborate(m, what);
    if (ok)
        deal(m, seed);
    fflush(stdout); // a bug ends the program
    ok = ok && run_passes(m, passes);
    int first = (int)(seed % N_MESHES), second = (int)((seed + 1 + seed / N_MESHES % 6) % N_MESHES);
    for (int k = 0; ok && k < 2; k++)
        bad += check_mesh(m, k ? second : first, &(how){0}, w);
    ok = ok && run_passes(m, "localize");
    for (int k = 0; ok && k < 2; k++)
        bad += check_mesh(m, k ? second : first, &(how){.local = true, .zigzag = k}, w);
    if (!ok || bad) {
        printf("%s %llu: %s: ", what->path, (unsigned long long)seed, ok ? "FAIL" : "refused");
        print_table(m);
        printf("\n");
    }
    nm_arena_free(&arena);
    return bad ? WRONG : ok ? FINE : REFUSED;
}

static bool check_model(const subject *what, uint64_t seed, int n)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stdout);
    wanted *w = run_whole(&arena, &diag, what);
    int count[WRONG + 1] = {0};
    for (int i = 0; i < n; i++)
        count[check_table(what, seed + (uint64_t)i, w)]++;
    nm_arena_free(&arena);
    if (count[REFUSED] > n / 2)
        printf("FAIL: %s: %d of %d tables are refused\n", what->path, count[REFUSED], n);
    return !count[WRONG] && count[REFUSED] <= n / 2;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 2 ? strtoull(argv[1], NULL, 10) : 1;
    int n = argc > 2 ? atoi(argv[2]) : 4;
    bool ok = true;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        ok = check_model(&models[i], seed, n) && ok;
    return !ok;
}
