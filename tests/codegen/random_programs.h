// Random programs, compiled, against the interpreter.
#ifndef NM_TESTS_CODEGEN_RANDOM_PROGRAMS_H
#define NM_TESTS_CODEGEN_RANDOM_PROGRAMS_H

#include "tests/codegen/host.h"

#include "passes/pass.h"
#include "tests/passes/random_graph.h"

typedef struct sample {
    const char *name;
    int n_results;
    nm_tensor *args, *results;
} sample;

static bool make(nm_module *m, uint64_t seed, const nm_eval_opts *opts, sample *s)
{
    nm_func *f = random_func(m, seed);
    f->name = nm_sym_fmt(m, "seed%d", (int)seed);
    *s = (sample){.name = f->name, .n_results = f->n_results, .args = input_args(f, opts)};
    s->results = s->args ? run_func(f, opts, s->args) : NULL;
    return s->results != NULL;
}

// Seeds first .. first + n, compiled as one module for this machine or for GPUs.
static void check_random(int first, int n, nm_flavour flavour)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = flavour;
    nm_eval_opts opts = {.arena = &arena};
    sample *s = calloc((size_t)n + 1, sizeof *s);
    for (int i = 0; i < n; i++)
        failures += !make(m, (uint64_t)(first + i), &opts, &s[i]);
    nm_pipeline_opts pipeline = {
        .only = "simplify,fuse,layout,schedule", .dump = stderr, .log = stderr};
    const nmdrv_program *p =
        !failures && nm_pipeline_run(m, &pipeline) ? host_load(m, "native") : NULL;
    failures += !p;
    for (int i = 0; i < n && p; i++)
        host_check(p, s[i].name, flavour == NM_FLAVOUR_gpu ? "gpu" : "native", NULL, s[i].n_results,
                   s[i].args, s[i].results, 1e-3);
    failures += diag.errors != 0;
    free(s);
    nm_arena_free(&arena);
}

#endif
