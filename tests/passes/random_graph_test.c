// On random programs: simplify keeps what a function computes, and says truly whether it changed
// it; the result is printed, parsed and printed the same; gradients are central differences,
// through repeats in repeats. All in f64. Arguments: the first seed, and how many.
#include "passes/pass.h"
#include "tests/passes/random_graph.h"

#include <stdlib.h>
#include <string.h>

static const double step = 1e-5;

static nm_module *make(nm_arena *arena, nm_diag *diag, uint64_t seed)
{
    nm_module *m = nm_module_new(arena, diag);
    random_func(m, seed);
    return nm_verify(m) ? m : NULL;
}

static bool run_passes(nm_module *m, const char *passes)
{
    nm_pipeline_opts opts = {.only = passes, .verify_each = true, .dump = stdout, .log = stdout};
    return nm_pipeline_run(m, &opts);
}

static bool check_simplify(uint64_t seed)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_eval_opts opts = {.arena = &arena, .f64 = true};
    nm_module *m = make(&arena, &diag, seed);
    nm_tensor *args = m ? input_args(m->first_func, &opts) : NULL;
    nm_tensor *before = args ? run_func(m->first_func, &opts, args) : NULL;
    bool ok = before && run_passes(m, "simplify,simplify");
    nm_tensor *after = ok ? run_func(m->first_func, &opts, args) : NULL;
    ok = after && same_results(m->first_func, before, after);
    nm_arena_free(&arena);
    return ok;
}

// @f gives one scalar, and @g its gradients; as text @g is @f with a grad op.
static nm_func *add_gradient(nm_module *m)
{
    nm_func *f = m->first_func, *g;
    nm_value *loss = f->last->in[0], *in[8], *out[8];
    nm_erase(f->last);
    nm_func_ret(f, (nm_loc){0}, 1, &loss, NULL);
    g = nm_func_clone(f, nm_sym_get(m, "g"), NULL);
    in[0] = g->last->in[0];
    nm_erase(g->last);
    for (int i = 0; i < g->n_params; i++)
        in[i + 1] = g->param[i];
    nm_op *op =
        nm_build_op(g, NULL, &(nm_proto){.code = NM_OP_grad, .n_in = g->n_params + 1, .in = in});
    for (int i = 0; i < op->n_out; i++)
        out[i] = &op->out[i];
    nm_func_ret(g, (nm_loc){0}, op->n_out, out, NULL);
    return g;
}

static double loss_at(nm_func *f, const nm_eval_opts *opts, nm_tensor *args, double *x,
                      double value)
{
    double old = *x;
    *x = value;
    nm_tensor *y = run_func(f, opts, args);
    *x = old;
    return y ? y[0].data[0] : NAN;
}

// Central differences with two steps: where they disagree, a kink is near and nothing is said.
static bool check_element(nm_func *f, const nm_eval_opts *opts, nm_tensor *args, double *x,
                          double got)
{
    double d[2];
    for (int i = 0; i < 2; i++) {
        double h = step / (1 + i);
        d[i] = (loss_at(f, opts, args, x, *x + h) - loss_at(f, opts, args, x, *x - h)) / (2 * h);
    }
    if (!is_near(d[0], d[1], 1e-4) || is_near(d[1], got, 1e-4))
        return true;
    return printf("the gradient is %.9g, the difference %.9g\n", got, d[1]), false;
}

static bool check_gradients(uint64_t seed)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_eval_opts opts = {.arena = &arena, .f64 = true};
    nm_module *m = make(&arena, &diag, seed);
    nm_func *f = m ? m->first_func : NULL, *g = f ? add_gradient(m) : NULL;
    bool ok = g && run_passes(m, "simplify,autodiff,simplify");
    nm_tensor *args = ok ? input_args(f, &opts) : NULL,
              *grads = args ? run_func(g, &opts, args) : NULL;
    for (int i = 0; grads && ok && i < f->n_params; i++)
        for (int64_t k = 0; ok && k < args[i].n; k++)
            ok = check_element(f, &opts, args, &args[i].data[k], grads[i].data[k]);
    nm_arena_free(&arena);
    return ok && grads;
}

int main(int argc, char **argv)
{
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : 150;
    int bad = 0;
    for (uint64_t seed = from; seed < from + n; seed++) {
        if (!check_simplify(seed))
            bad += printf("FAIL: simplify, seed %llu\n", (unsigned long long)seed) > 0;
        if (seed % 2 == 0 && !check_gradients(seed))
            bad += printf("FAIL: gradients, seed %llu\n", (unsigned long long)seed) > 0;
    }
    return bad != 0;
}
