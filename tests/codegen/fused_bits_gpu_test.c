// What is fused is no part of what is computed: random programs and the sums of fused_bits.nmir
// have the same bits, compiled with every fusion and with none. Arguments: the first seed, and how
// many.
#include "passes/pass.h"
#include "tests/codegen/gpu.h"
#include "tests/passes/random_graph.h"

static const char unfused[] = "fuse.maps"
#define FUSION(name, what) ",fuse." #name
#include "passes/fusions.def"
#undef FUSION
    ;

typedef struct compiled {
    nm_arena arena;
    nm_diag diag;
    nm_module *m;
    const nmdrv_program *p;
} compiled;

static bool add_random(nm_module *m, int first, int n)
{
    for (int i = 0; i < n; i++)
        random_func(m, (uint64_t)(first + i))->name = nm_sym_fmt(m, "seed%d", first + i);
    return nm_verify(m);
}

// path, or n random programs.
static void compile(compiled *c, nm_flavour flavour, const char *disable, const char *path,
                    int first, int n)
{
    *c = (compiled){.diag = nm_diag_to(stderr)};
    c->m = nm_module_new(&c->arena, &c->diag);
    c->m->options.flavour = flavour;
    c->m->options.plain_products = true;
    const nm_source *src = path ? nm_source_read(&c->arena, &c->diag, path) : NULL;
    bool made = path ? src && nm_parse(c->m, src) : add_random(c->m, first, n);
    nm_pipeline_opts pipeline = {
        .only = "simplify,fuse,layout,schedule", .disable = disable, .dump = stderr, .log = stderr};
    c->p = made && nm_pipeline_run(c->m, &pipeline) ? host_load(c->m, "native") : NULL;
    failures += !c->p;
}

static double **run(const compiled *c, const char *name, const nmdrv_sym *sym,
                    const nm_tensor *args, const nm_tensor *results)
{
    const nmdrv_func *f = host_find(c->p, name);
    double **out = calloc((size_t)f->n_results + 1, sizeof *out);
    for (int i = 0; i < f->n_results; i++)
        out[i] = calloc((size_t)results[i].n + 1, sizeof **out);
    host_run(c->p, f, sym, 1, args, results, out);
    return out;
}

enum { MAX_SYMS = 2 };

static int bind_syms(const nm_module *m, nm_eval_sym *sym, nmdrv_sym *abi)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        if (!d->runtime)
            continue;
        int64_t size = strcmp(d->name, "batch") == 0 ? 3 : 41;
        sym[n] = nm_eval_sym_of(d->name, size, 0, size);
        abi[n++] = (nmdrv_sym){.size = size, .total = size};
    }
    return n;
}

// Elements of the results whose bits differ.
static int64_t count_different(const compiled *a, const compiled *b, nm_func *f)
{
    nm_eval_sym sym[MAX_SYMS];
    nmdrv_sym abi[MAX_SYMS];
    nm_eval_opts opts = {.arena = f->module->arena, .sym = sym};
    opts.n_syms = bind_syms(f->module, sym, abi);
    nm_tensor *args = input_args(f, &opts), *results = args ? run_func(f, &opts, args) : NULL;
    if (!results)
        return failures++;
    host_check(a->p, f->name, "fused", abi, f->n_results, args, results, 1e-3);
    double **x = run(a, f->name, abi, args, results), **y = run(b, f->name, abi, args, results);
    int64_t n = 0;
    for (int i = 0; i < f->n_results; i++) {
        for (int64_t k = 0; k < results[i].n; k++)
            n += memcmp(&x[i][k], &y[i][k], sizeof x[i][k]) != 0;
        free(x[i]), free(y[i]);
    }
    free(x), free(y);
    return n;
}

static void check_bits(nm_flavour flavour, const char *path, int first, int n)
{
    compiled fused, plain;
    compile(&fused, flavour, NULL, path, first, n);
    compile(&plain, flavour, unfused, path, first, n);
    for (nm_func *f = failures ? NULL : fused.m->first_func; f; f = f->next) {
        int64_t different = count_different(&fused, &plain, f);
        if (different && failures++ < 40)
            fprintf(stderr, "@%s%s: %lld elements depend on what is fused\n", f->name,
                    flavour == NM_FLAVOUR_gpu ? " on a GPU" : "", (long long)different);
    }
    nm_arena_free(&fused.arena);
    nm_arena_free(&plain.arena);
}

int main(int argc, char **argv)
{
    int first = argc > 1 ? atoi(argv[1]) : 1, n = argc > 2 ? atoi(argv[2]) : 16;
    const char *sums = "tests/codegen/fused_bits.nmir";
    check_bits(NM_FLAVOUR_host, sums, 0, 0);
    check_bits(NM_FLAVOUR_host, NULL, first, n);
    gpu_begin();
    check_bits(NM_FLAVOUR_gpu, sums, 0, 0);
    check_bits(NM_FLAVOUR_gpu, NULL, first, n / 4);
    gpu_end();
    return failures != 0;
}
