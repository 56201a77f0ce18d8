// Gradients against central differences in f64: for the example of every differentiable row of
// ops.def, and for the functions of tests/ir/gradients.nmir. The loss is a sum of the results, each
// element with a weight of its own, so that no gradient is uniform by chance.
#include "ir/example.h"
#include "passes/pass.h"
#include "tests/inputs.h"

#include <string.h>

static int bad;

static bool is_float(const nm_value *v) { return nm_dtype_table[v->type->dtype].is_float; }

// A log-sum-exp is there for the backward pass; it has no gradient of its own.
static bool is_lse(const nm_value *v)
{
    return v->def && v->def->code == NM_OP_attention && v->index == 1;
}

static nm_value *sum_all(nm_func *f, nm_value *v)
{
    nm_module *m = f->module;
    nm_sym dim[NM_MAX_RANK];
    for (int i = 0; i < v->type->rank; i++)
        dim[i] = v->type->dim[i].name;
    nm_attr over = nm_mk_dims(m, "over", (nm_syms){v->type->rank, dim});
    return nm_build(
        f, NULL, &(nm_proto){.code = NM_OP_sum, .n_in = 1, .in = &v, .n_attrs = 1, .attr = &over});
}

// f's float results become parts of one loss: f now gives that alone, and has weights as further
// parameters. NULL: f has no float result.
static nm_value *weigh(nm_func *f)
{
    nm_module *m = f->module;
    nm_op *ret = f->last;
    nm_value *loss = NULL;
    int n = ret->n_in;
    nm_value **result = nm_new_n(m->arena, nm_value *, n);
    memcpy(result, ret->in, (size_t)n * sizeof *result);
    nm_erase(ret);
    nm_attr f32 = nm_mk_dtype(m, "to", NM_f32);
    for (int i = 0; i < n; i++) {
        if (!is_float(result[i]) || is_lse(result[i]))
            continue;
        nm_value *weight = nm_func_param(f, result[i]->type, NULL, (nm_bind){0});
        nm_value *part = sum_all(f, nm_build2(f, NULL, (nm_loc){0}, NM_OP_mul, result[i], weight));
        part = nm_build(
            f, NULL,
            &(nm_proto){.code = NM_OP_cast, .n_in = 1, .in = &part, .n_attrs = 1, .attr = &f32});
        loss = loss ? nm_build2(f, NULL, (nm_loc){0}, NM_OP_add, loss, part) : part;
    }
    if (loss)
        nm_func_ret(f, (nm_loc){0}, 1, &loss, NULL);
    return loss;
}

// A copy of the loss f that gives the gradients of its first n parameters of floats.
static nm_func *gradient_of(nm_func *f, int n, int *wanted)
{
    nm_module *m = f->module;
    nm_func *g = nm_func_clone(f, nm_sym_fmt(m, "%s.grad", f->name), NULL);
    nm_value **in = nm_new_n(m->arena, nm_value *, n + 1),
             **out = nm_new_n(m->arena, nm_value *, n);
    int k = 0;
    in[0] = g->last->in[0];
    nm_erase(g->last);
    for (int i = 0; i < n; i++)
        if (is_float(g->param[i])) {
            wanted[k++] = i;
            in[k] = g->param[i];
        }
    nm_op *op = nm_build_op(g, NULL, &(nm_proto){.code = NM_OP_grad, .n_in = k + 1, .in = in});
    for (int i = 0; i < k; i++)
        out[i] = &op->out[i];
    nm_func_ret(g, (nm_loc){0}, k, out, NULL);
    return g;
}

static double loss_at(nm_func *f, const nm_eval_opts *opts, const nm_tensor *args, double *element,
                      double value)
{
    double was = *element;
    nm_arena_mark mark = nm_arena_mark_get(opts->arena);
    *element = value;
    nm_tensor *loss = run_func(f, opts, args);
    double y = loss ? loss->data[0] : NAN;
    *element = was;
    nm_arena_reset(opts->arena, mark);
    return y;
}

static void compare(nm_func *f, const nm_eval_opts *opts, nm_tensor *args, int param,
                    const nm_tensor *grad)
{
    const double h = 1e-5;
    for (int64_t k = 0; k < grad->n; k++) {
        double *x = &args[param].data[k];
        double numeric =
            (loss_at(f, opts, args, x, *x + h) - loss_at(f, opts, args, x, *x - h)) / (2 * h);
        if (is_near(numeric, grad->data[k], 1e-6))
            continue;
        fprintf(stderr, "@%s: d/d%d[%d] is %.9g, and the difference quotient %.9g\n", f->name,
                param, (int)k, grad->data[k], numeric);
        bad++;
        return;
    }
}

static void check(nm_func *f)
{
    nm_module *m = f->module;
    nm_arena arena = {0};
    nm_eval_opts opts = {.arena = &arena, .f64 = true};
    int n = f->n_params, *wanted = nm_new_n(m->arena, int, n + 1);
    bool changed = false;
    if (!weigh(f))
        return;
    nm_func *g = gradient_of(f, n, wanted);
    nm_tensor *args = input_args(f, &opts);
    if (!nm_pass_experts(m, &changed) || !nm_pass_autodiff(m, &changed) || !nm_verify(m)) {
        fprintf(stderr, "@%s: not differentiated\n", f->name);
        bad++;
        return;
    }
    nm_tensor *grads = args ? run_func(g, &opts, args) : NULL;
    bad += !grads;
    for (int i = 0; grads && i < g->n_results; i++)
        compare(f, &opts, args, wanted[i], &grads[i]);
    nm_arena_free(&arena);
}

static void check_row(nm_opcode code)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    nm_example_dims(m);
    check(nm_op_example(m, code));
    nm_arena_free(&arena);
}

static void check_file(const char *path)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_read(&arena, &diag, path);
    bad += !src || !nm_parse(m, src);
    nm_func *last = m->last_func;
    for (nm_func *f = m->first_func; f; f = f == last ? NULL : f->next)
        check(f);
    nm_arena_free(&arena);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < NM_N_OPS; i++)
        if (nm_op_table[i].grad && nm_op_table[i].example)
            check_row((nm_opcode)i);
    check_file(argc > 1 ? argv[1] : "tests/ir/gradients.nmir");
    check_file("tests/ir/extern.nmir");
    check_file("tests/ir/library.nmir");
    return bad != 0;
}
