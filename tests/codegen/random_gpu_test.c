// Random programs, compiled for GPUs and run by the emulator, equal the interpreter. Arguments: the
// first seed, and how many.
#include "tests/codegen/gpu.h"

#include "passes/pass.h"
#include "tests/passes/random_graph.h"

static int skipped;

static bool check(int seed)
{
    nm_arena arena = {0};
    gpu_skips skips;
    nm_diag diag = gpu_diag(&skips);
    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = NM_FLAVOUR_gpu;
    nm_eval_opts opts = {.arena = &arena};
    nm_func *f = random_func(m, (uint64_t)seed);
    f->name = nm_sym_fmt(m, "seed%d", seed);
    const char *name = f->name;
    int n_results = f->n_results;
    nm_tensor *args = input_args(f, &opts), *results = args ? run_func(f, &opts, args) : NULL;
    nm_pipeline_opts pipeline = {
        .only = "simplify,fuse,layout,schedule", .dump = stderr, .log = stderr};
    const nmdrv_program *p = NULL;
    if (results && nm_pipeline_run(m, &pipeline))
        p = gpu_load(m, name, &skips, &skipped);
    else
        failures++;
    if (p)
        host_check(p, name, "gpu", NULL, n_results, args, results, 1e-3);
    nm_arena_free(&arena);
    return p != NULL;
}

int main(int argc, char **argv)
{
    int first = argc > 1 ? atoi(argv[1]) : 1, n = argc > 2 ? atoi(argv[2]) : 12, checked = 0;
    gpu_begin();
    for (int i = 0; i < n; i++)
        checked += check(first + i);
    gpu_end();
    printf("%d programs checked, %d skipped\n", checked, skipped);
    return failures != 0;
}
