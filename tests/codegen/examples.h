// The examples of the op table, with arguments drawn by chance and the interpreter's results.
#ifndef NM_TESTS_CODEGEN_EXAMPLES_H
#define NM_TESTS_CODEGEN_EXAMPLES_H

#include "ir/eval.h"
#include "ir/example.h"

#include <math.h>

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

#endif
