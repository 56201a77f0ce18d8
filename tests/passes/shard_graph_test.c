// Random programs with random claims on random meshes: sharded, each gives what it gives whole, in
// every mode; and the check backward from the types agrees. So it does with local extents.
#include "passes/pass.h"
#include "tests/passes/mesh_run.h"
#include "tests/passes/random_graph.h"

enum { N_PROGRAMS = 400 };

static const struct {
    const char *row;     // of the mesh table
    const char *axis[3]; // in types
} rows[] = {{"dp", {"dpr", "dps", "dpp"}}, {"cp", {"cpr", "cps"}}, {"tp", {"tpk", "tpr"}}};
enum { N_ROWS = 3 };

static int64_t draw_below(uint64_t *state, uint32_t n)
{
    graph g = {.state = *state};
    uint32_t v = draw(&g, n);
    *state = g.state;
    return v;
}

// How many parts a dim may be cut in: k is also split into p and q, p gets its axes.
static int64_t room_of(const nm_dim_decl *d)
{
    int64_t extent = 1;
    nm_extent_is_const(d->extent, &extent);
    return !strcmp(d->name, "k") ? 2 : d->pad ? d->pad : extent;
}

// The ranks of all rows that list it, or with which it shares axes.
static int64_t ranks_of(const nm_module *m, nm_sym dim, const int64_t *size)
{
    int64_t n = 1;
    for (int i = 0; i < m->n_mesh; i++) {
        bool shares = false;
        for (int k = 0; k < m->mesh[i].dims.n; k++) {
            nm_sym other = m->mesh[i].dims.sym[k];
            shares |= other == dim || (strchr("kp", *dim) && strchr("kp", *other));
        }
        n *= shares ? size[i] : 1;
    }
    return n;
}

// The dims of a row: of those that its ranks divide, some.
static nm_syms draw_dims(nm_module *m, uint64_t *state, const int64_t *size)
{
    nm_sym *sym = nm_new_n(m->arena, nm_sym, m->n_dims);
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        bool fits = room_of(d) % (ranks_of(m, d->name, size) * size[m->n_mesh]) == 0;
        if (fits && strlen(d->name) == 1 && draw_below(state, 3))
            sym[n++] = d->name;
    }
    return (nm_syms){n, sym};
}

static void draw_mesh(ranks *t, uint64_t *state)
{
    int64_t size[N_ROWS];
    for (int i = 0; i < N_ROWS; i++) {
        static const int64_t sizes[] = {1, 2, 2, 3};
        int n = i == 0 ? 3 : 2;
        int64_t which = draw_below(state, (uint32_t)n);
        size[i] = sizes[draw_below(state, 4)];
        if (nm_mesh_ranks(&t->mesh) * size[i] > MAX_MESH_RANKS)
            size[i] = 1;
        for (int k = 0; k < n; k++)
            add_axis(t, rows[i].axis[k], k == which ? size[i] : 1);
        nm_mesh_add(t->m, (nm_mesh_row){.axis = nm_sym_get(t->m, rows[i].row),
                                        .dims = draw_dims(t->m, state, size)});
    }
}

static bool is_same(const ranks *t, nm_func *f, const nm_tensor *args, const nm_tensor *want)
{
    nm_tensor **parts = nm_new_n(t->opts.arena, nm_tensor *, f->n_params + 1);
    for (int i = 0; i < f->n_params; i++)
        parts[i] = cut(t, f->param[i]->type, &args[i]);
    nm_tensor **got = run_ranks(t, f, parts);
    for (int i = 0; got && i < f->n_results; i++)
        if (!is_whole(t, f->last->in[i]->type, got[i], &want[i], 1e-9))
            return false;
    return got != NULL;
}

static int check_modes(const ranks *t, const nm_tensor *args, const nm_tensor *want, uint64_t seed)
{
    int bad = 0;
    nm_each_func(f, t->m) {
        if (is_same(t, f, args, want))
            continue;
        bad++;
        printf("FAIL: seed %llu, @%s\n", (unsigned long long)seed, f->name);
        nm_print(stdout, t->m, (nm_print_opts){0});
    }
    return bad;
}

static int check_program(uint64_t seed, int *n_split)
{
    nm_arena arena = {0}, values = {0};
    nm_diag diag = nm_diag_to(stdout);
    uint64_t state = seed * 2 + 1;
    bool changed;
    ranks t = {.m = nm_module_new(&arena, &diag), .opts = {.arena = &values, .f64 = true}};
    nm_func *f = random_func(t.m, seed);
    f->name = nm_sym_get(t.m, "train");
    nm_dim_lookup(t.m, nm_sym_get(t.m, "j"))->pad = draw_below(&state, 2) ? 4 : 0;
    draw_mesh(&t, &state);
    nm_tensor *args = input_args(f, &t.opts), *want = run_func(f, &t.opts, args);
    bool ok = want && nm_pass_shard(t.m, &changed) && nm_verify(t.m);
    int bad = ok ? check_modes(&t, args, want, seed) : 1;
    nm_each_func(g, t.m)
        *n_split += !nm_type_is_bare(g->param[2]->type);
    if (!bad && (ok = nm_pass_localize(t.m, &changed) && nm_verify(t.m))) {
        set_sizes(&t, true, false, 0, NULL);
        bad = check_modes(&t, args, want, seed);
    }
    bad += !ok && !bad;
    if (!ok)
        printf("FAIL: seed %llu\n", (unsigned long long)seed);
    nm_arena_free(&values);
    nm_arena_free(&arena);
    return bad;
}

int main(void)
{
    int bad = 0, n_split = 0;
    for (uint64_t seed = 0; seed < N_PROGRAMS && bad < 3; seed++)
        bad += check_program(seed, &n_split);
    if (n_split < N_PROGRAMS / 2)
        bad += printf("FAIL: only %d functions were split\n", n_split) > 0;
    return bad != 0;
}
