// Every op of the table that has an example, compiled for GPUs and run by the emulator, equals the
// interpreter. Arguments: names of ops; none: all.
#include "tests/codegen/examples.h"
#include "tests/codegen/gpu.h"

#include "passes/pass.h"

static int checked, skipped;

// attention_grad needs the results of attention, in a function before it.
static bool make_one(nm_module *m, nm_opcode code, const nm_eval_opts *opts, example *e)
{
    example forward;
    if (code != NM_OP_attention_grad)
        return make(m, code, opts, e);
    return make(m, NM_OP_attention, opts, &forward) && make(m, code, opts, e) &&
           make_attention_grad(m, opts, &forward, e);
}

static void check(nm_opcode code)
{
    nm_arena arena = {0};
    gpu_skips skips;
    nm_diag diag = gpu_diag(&skips);
    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = NM_FLAVOUR_gpu;
    nm_eval_opts opts = {.arena = &arena};
    nm_example_dims(m);
    example e;
    nm_pipeline_opts pipeline = {.only = "fuse,layout,schedule", .dump = stderr, .log = stderr};
    const nmdrv_program *p = NULL;
    if (make_one(m, code, &opts, &e) && nm_pipeline_run(m, &pipeline))
        p = gpu_load(m, nm_op_table[code].name, &skips, &skipped);
    else
        failures++;
    if (p) {
        host_check(p, e.name, "gpu", NULL, e.n_results, e.args, e.results, 2e-5);
        checked++;
    }
    nm_arena_free(&arena);
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc == 1;
}

int main(int argc, char **argv)
{
    gpu_begin();
    for (int code = 0; code < NM_N_OPS; code++)
        if (nm_op_table[code].example && wanted(nm_op_table[code].name, argc, argv))
            check((nm_opcode)code);
    gpu_end();
    printf("%d ops checked, %d skipped\n", checked, skipped);
    return failures != 0 || checked == 0;
}
