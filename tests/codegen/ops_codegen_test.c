// Every op of the table that has an example, compiled for each x86-64 level, equals the
// interpreter.
#include "tests/codegen/examples.h"
#include "tests/codegen/host.h"

#include "passes/pass.h"

static void check_all(const char *cpu)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    nm_eval_opts opts = {.arena = &arena};
    example list[NM_N_OPS];
    int n = 0;
    nm_example_dims(m);
    for (int code = 0; code < NM_N_OPS; code++) {
        if (nm_op_table[code].example && make(m, (nm_opcode)code, &opts, &list[n]))
            n++;
        else if (nm_op_table[code].example)
            failures++;
        if (code == NM_OP_attention_grad)
            failures += !make_attention_grad(m, &opts, &list[n - 2], &list[n - 1]);
    }
    nm_pipeline_opts pipeline = {.only = "fuse,layout,schedule", .dump = stderr, .log = stderr};
    const nmdrv_program *p = nm_pipeline_run(m, &pipeline) ? host_load(m, cpu) : NULL;
    failures += !p || n < 40;
    for (int i = 0; i < n && p; i++)
        host_check(p, list[i].name, cpu, NULL, list[i].n_results, list[i].args, list[i].results,
                   2e-5);
    failures += diag.errors != 0;
    nm_arena_free(&arena);
}

static bool has_cpu(const char *cpu)
{
    if (strcmp(cpu, "x86-64-v4") == 0)
        return __builtin_cpu_supports("x86-64-v4");
    return strcmp(cpu, "x86-64-v3") != 0 || __builtin_cpu_supports("x86-64-v3");
}

int main(void)
{
    static const char *const cpus[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4", "native"};
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++)
        if (has_cpu(cpus[i]))
            check_all(cpus[i]);
    return failures != 0;
}
