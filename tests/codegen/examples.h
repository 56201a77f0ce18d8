// The examples of the op table, with arguments drawn by chance, against the interpreter.
#ifndef NM_TESTS_CODEGEN_EXAMPLES_H
#define NM_TESTS_CODEGEN_EXAMPLES_H

#include "tests/codegen/host.h"

#include "ir/example.h"
#include "passes/pass.h"

typedef struct example {
    const char *name;
    int n_args, n_results;
    nm_tensor *args, *results;
} example;

static uint32_t state = 1;
static double draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 24);
}

// Positive floats where a logarithm or a power asks for them; small whole numbers for ints.
static void fill(nm_tensor *t, bool positive)
{
    for (int64_t i = 0; i < t->n; i++) {
        double x = draw();
        if (t->type->dtype == NM_bool)
            t->data[i] = x < 0.5;
        else if (!nm_dtype_table[t->type->dtype].is_float)
            t->data[i] = 1 + floor(2 * x);
        else
            t->data[i] = nm_round_to(t->type->dtype, positive ? 0.25 + x : 4 * x - 2);
    }
}

static bool make(nm_module *m, nm_opcode code, const nm_eval_opts *opts, example *e)
{
    nm_func *f = nm_op_example(m, code);
    if (!f)
        return false;
    *e = (example){.name = f->name, .n_args = f->n_params, .n_results = f->n_results};
    e->args = nm_new_n(m->arena, nm_tensor, (size_t)f->n_params + 1);
    e->results = nm_new_n(m->arena, nm_tensor, (size_t)f->n_results + 1);
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(m, f->loc, opts, f->param[i]->type, &e->args[i]))
            return false;
        fill(&e->args[i], code == NM_OP_log || code == NM_OP_sqrt || code == NM_OP_pow);
    }
    return nm_eval(f, opts, e->args, e->results);
}

// attention_grad reads what attention gave: its own example draws q, k and v.
static bool make_attention_grad(nm_module *m, const nm_eval_opts *opts, const example *forward,
                                example *e)
{
    nm_func *f = m->last_func;
    for (int i = 0; i < 3; i++)
        e->args[i].data = forward->args[i].data;
    for (int i = 0; i < 2; i++)
        e->args[3 + i].data = forward->results[i].data;
    return nm_eval(f, opts, e->args, e->results);
}

// All of them, compiled as one module for `cpu`, or for GPUs.
static void check_examples(const char *cpu, nm_flavour flavour)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = flavour;
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
    nm_pipeline_opts pipeline = {
        .only = "quantise,fuse,layout,schedule", .dump = stderr, .log = stderr};
    const nmdrv_program *p = nm_pipeline_run(m, &pipeline) ? host_load(m, cpu) : NULL;
    failures += !p || n < 40;
    for (int i = 0; i < n && p; i++)
        host_check(p, list[i].name, cpu, NULL, list[i].n_results, list[i].args, list[i].results,
                   2e-5);
    failures += diag.errors != 0;
    nm_arena_free(&arena);
}

#endif
