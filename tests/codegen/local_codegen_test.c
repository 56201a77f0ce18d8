// Kernels of a rank's part: the functions of local.nmir, compiled for each x86-64 level and run
// with the symbols of every rank of some meshes, equal the interpreter; behind the end of a padded
// dim operands are NaN. Runs in the root of the tree.
#include "ir/eval_mesh.h"
#include "tests/codegen/host.h"
#include "tests/inputs.h"

#include "passes/pass.h"

enum { N_AXES = 6, MAX_SYMS = 48 };
static const char *const axis_name[N_AXES] = {"dpr", "dps", "cpr", "cps", "tpk", "tpr"};
static const int64_t meshes[][N_AXES] = {
    {2, 1, 3, 1, 2, 1}, {1, 1, 1, 2, 1, 3}, {1, 1, 1, 1, 2, 1}};

typedef struct rank {
    nm_mesh_axis axis[N_AXES];
    struct nm_eval_mesh mesh;
    nm_eval_sym sym[MAX_SYMS];
    nmdrv_sym abi[MAX_SYMS]; // in the order of the module's run-time dims
    nm_eval_opts opts;
} rank;

// batch is of the second micro-batch of two.
static void make_rank(nm_module *m, nm_arena *arena, const int64_t *size, int64_t r, rank *out)
{
    nm_eval_sym base[] = {nm_eval_sym_of(nm_sym_get(m, "batch"), 4, 4, 8),
                          nm_eval_sym_of(nm_sym_get(m, "seq"), 36, 0, 36)};
    for (int i = 0; i < N_AXES; i++)
        out->axis[i] = (nm_mesh_axis){nm_sym_get(m, axis_name[i]), size[i]};
    out->mesh = (struct nm_eval_mesh){.n = N_AXES, .axis = out->axis};
    int n = nm_mesh_syms(m, &out->mesh, r, true, 2, base, out->sym);
    out->opts =
        (nm_eval_opts){.arena = arena, .n_syms = n, .sym = out->sym, .mesh = &out->mesh, .rank = r};
    int at = 0;
    for (int i = 0; i < m->n_dims; i++)
        for (int k = 0; k < n && m->dim[i].runtime; k++)
            if (out->sym[k].name == m->dim[i].name) {
                const nm_eval_sym *s = &out->sym[k];
                out->abi[at++] = (nmdrv_sym){s->size, s->offset, s->total, s->half, s->jump};
            }
}

// What lies behind the end of vocab may be anything, but where a parameter lies.
static void poison(nm_module *m, const rank *x, const nm_func *f, int i, nm_tensor *t)
{
    int at = nm_type_find(t->type, nm_sym_get(m, "vocab"));
    int64_t inner = 1, first = 0;
    if (at < 0 || t->extent[at] == 13)
        return;
    for (int k = 0; k < x->opts.n_syms; k++)
        if (!strcmp(x->sym[k].name, "vocab.tp"))
            first = x->sym[k].offset;
    for (int k = at + 1; k < t->type->rank; k++)
        inner *= t->extent[k];
    for (int64_t k = 0; k < t->n; k++)
        if (first + k / inner % t->extent[at] >= 13)
            t->data[k] = f->param_bind[i].kind == NM_BIND_none ? NAN : 0;
}

static void fill(nm_module *m, const rank *x, const nm_func *f, int i, nm_tensor *t)
{
    nm_sym of = f->param_bind[i].index_of;
    int64_t n = of ? !strcmp(of, "seq") ? 36 : 13 : 0;
    for (int64_t k = 0; k < t->n; k++)
        t->data[k] = n ? (double)((k * 7 + 3) % n) : input_element(t->type, i, k);
    poison(m, x, f, i, t);
}

static void check_rank(nm_module *m, const nmdrv_program *p, const char *cpu, const int64_t *size,
                       int64_t r)
{
    nm_arena arena = {0};
    rank x;
    make_rank(m, &arena, size, r, &x);
    nm_each_func(f, m) {
        nm_tensor *args = nm_new_n(&arena, nm_tensor, f->n_params + 1);
        nm_tensor *results = nm_new_n(&arena, nm_tensor, f->n_results + 1);
        for (int i = 0; i < f->n_params; i++) {
            if (!nm_tensor_new(m, f->loc, &x.opts, f->param[i]->type, &args[i]))
                exit(1);
            fill(m, &x, f, i, &args[i]);
        }
        if (!nm_eval(f, &x.opts, args, results))
            exit(1);
        host_check(p, f->name, cpu, x.abi, f->n_results, args, results, 2e-5);
    }
    nm_arena_free(&arena);
}

static void check_cpu(const char *cpu)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_read(&arena, &diag, "tests/codegen/local.nmir");
    nm_pipeline_opts pipeline = {
        .only = "localize,fuse,layout,schedule", .dump = stderr, .log = stderr};
    const nmdrv_program *p = NULL;
    if (src && nm_parse(m, src) && nm_pipeline_run(m, &pipeline))
        p = host_load(m, cpu);
    failures += !p;
    for (size_t i = 0; p && i < sizeof meshes / sizeof *meshes; i++)
        for (int64_t r = 0; r < meshes[i][0] * meshes[i][2] * meshes[i][3] * meshes[i][4]; r++)
            check_rank(m, p, cpu, meshes[i], r);
    nm_arena_free(&arena);
}

int main(void)
{
    check_cpu("x86-64-v2");
    if (__builtin_cpu_supports("x86-64-v3"))
        check_cpu("x86-64-v3");
    if (__builtin_cpu_supports("x86-64-v4"))
        check_cpu("x86-64-v4");
    return failures != 0;
}
