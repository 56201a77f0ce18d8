// On random programs, with random claims and meshes: what shard makes of a function follows the
// rule backward from its types, and on all ranks computes what the function computes, in every
// mode. In f64; replicas are equal to the last bit. Arguments: the first seed, and how many.
#include "passes/pass.h"
#include "tests/passes/mesh_run.h"
#include "tests/passes/random_graph.h"

#include <stdlib.h>

enum { N_ROWS = 3, N_SPLIT = 4 };
static const struct {
    const char *row, *axis;
} rows[N_ROWS] = {{"dp", "dpr"}, {"cp", "cps"}, {"tp", "tpk"}};
static const struct { // dims of random programs, and in how many parts each can be cut: of k its
    const char *name; // major part p, of two
    int64_t parts;
} split[N_SPLIT] = {{"i", 2}, {"j", 3}, {"k", 2}, {"q", 2}};

typedef struct table { // which rows list which dims, and how large their axes are
    bool lists[N_ROWS][N_SPLIT];
    int64_t size[N_ROWS];
} table;

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

// Each dim in one row, in two (its second home), or in none.
static table draw_table(graph *g)
{
    table t = {0};
    for (int d = 0; d < N_SPLIT; d++)
        for (int home = 0; home < 1 + (draw(g, 3) == 0); home++) {
            uint32_t row = draw(g, N_ROWS + 1);
            if (row < N_ROWS)
                t.lists[row][d] = true;
        }
    int64_t left[N_SPLIT];
    for (int d = 0; d < N_SPLIT; d++)
        left[d] = split[d].parts;
    for (int r = 0; r < N_ROWS; r++) {
        for (int d = 0; d < N_SPLIT; d++)
            t.size[r] = t.lists[r][d] ? gcd(left[d], t.size[r]) : t.size[r];
        t.size[r] = t.size[r] ? t.size[r] : 1;
        for (int d = 0; d < N_SPLIT; d++)
            left[d] /= t.lists[r][d] ? t.size[r] : 1;
    }
    for (int r = 0; t.size[0] * t.size[1] * t.size[2] > MAX_MESH_RANKS; r++)
        t.size[r] = 1;
    return t;
}

static void declare(nm_module *m, const table *t)
{
    for (int r = 0; r < N_ROWS; r++) {
        nm_sym *dim = nm_new_n(m->arena, nm_sym, N_SPLIT);
        nm_mesh_row row = {.axis = nm_sym_get(m, rows[r].row), .dims = {0, dim}};
        for (int d = 0; d < N_SPLIT; d++)
            if (t->lists[r][d])
                dim[row.dims.n++] = nm_sym_get(m, split[d].name);
        nm_mesh_add(m, row);
    }
    nm_type wide = {.dtype = NM_f32, .rank = 1, .dim = {nm_dim_of(m, nm_sym_get(m, "p"))}};
    nm_param_add(m, (nm_param){.path = nm_sym_get(m, "w"), .type = nm_type_get(m, &wide)});
}

// Each function of a mode on all ranks, against the whole results.
static int check_modes(const ranks *t, nm_tensor *const args, const nm_tensor *want)
{
    int n = 0;
    nm_each_func(f, t->m) {
        nm_tensor **parts = nm_new_n(t->opts.arena, nm_tensor *, f->n_params);
        for (int i = 0; i < f->n_params; i++)
            parts[i] = cut(t, f->param[i]->type, &args[i]);
        nm_tensor **got = run_ranks(t, f, parts);
        for (int i = 0; i < f->n_results; i++)
            if (!got || !is_whole(t, f->last->in[i]->type, got[i], &want[i], 1e-9))
                return printf("@%s, result %d\n", f->name, i), -1;
        n++;
    }
    return n;
}

// How many texts there were; -1: one of them is wrong.
static int check(uint64_t seed)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    nm_func *f = random_func(m, seed);
    graph g = {.f = f, .state = seed * 7919 + 1};
    table tab = draw_table(&g);
    ranks t = {.m = m, .opts = {.arena = &arena, .f64 = true}};
    f->name = nm_sym_get(m, "infer.f");
    declare(m, &tab);
    for (int r = 0; r < N_ROWS; r++)
        add_axis(&t, rows[r].axis, tab.size[r]);
    nm_eval_opts whole = {.arena = &arena, .f64 = true};
    nm_tensor *args = input_args(f, &whole), *want = run_func(f, &whole, args);
    nm_pipeline_opts opts = {
        .only = "simplify,shard", .verify_each = true, .dump = stdout, .log = stdout};
    int n = want && nm_pipeline_run(m, &opts) ? check_modes(&t, args, want) : -1;
    if (n < 0)
        printf("seed %llu, %lld x %lld x %lld ranks\n", (unsigned long long)seed,
               (long long)tab.size[0], (long long)tab.size[1], (long long)tab.size[2]);
    nm_arena_free(&arena);
    return n;
}

int main(int argc, char **argv)
{
    long first = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 150, bad = 0, texts = 0;
    for (long i = 0; i < n; i++) {
        int k = check((uint64_t)(first + i));
        bad += k < 0;
        texts += k > 0 ? k : 0;
    }
    printf("%ld programs, %ld texts, %ld wrong\n", n, texts, bad);
    return bad || texts < 2 * n; // of most, one rank's and two for meshes
}
