// Inputs for functions under test: fixed pseudo-random tensors that fit their types.
#ifndef NM_TESTS_INPUTS_H
#define NM_TESTS_INPUTS_H

#include "base/philox.h"
#include "ir/eval.h"

#include <math.h>
#include <stdio.h>

// Floats in [0.2, 1.2), so that log, sqrt and pow are smooth; ints 0, 1 or 2; bools mostly true.
static double input_element(const nm_type *t, int arg, int64_t i)
{
    double u = nm_philox_uniform(nm_philox_draw(7, 11, 0, (uint32_t)arg, (uint64_t)i));
    if (t->dtype == NM_bool)
        return u < 0.7;
    return nm_dtype_table[t->dtype].is_float ? 0.2 + u : floor(3 * u);
}

// The arguments of f; NULL: reported.
static inline nm_tensor *input_args(nm_func *f, const nm_eval_opts *opts)
{
    nm_tensor *args = nm_new_n(opts->arena, nm_tensor, f->n_params + 1);
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(f->module, f->loc, opts, f->param[i]->type, &args[i]))
            return NULL;
        for (int64_t k = 0; k < args[i].n; k++)
            args[i].data[k] = input_element(args[i].type, i, k);
    }
    return args;
}

// The results of f for them; NULL: reported.
static inline nm_tensor *run_func(nm_func *f, const nm_eval_opts *opts, const nm_tensor *args)
{
    nm_tensor *results = nm_new_n(opts->arena, nm_tensor, f->n_results + 1);
    return nm_eval(f, opts, args, results) ? results : NULL;
}

static inline bool is_near(double a, double b, double tolerance)
{
    double scale = fabs(a) > fabs(b) ? fabs(a) : fabs(b);
    return fabs(a - b) <= tolerance * (scale > 1 ? scale : 1) || a == b;
}

// Whether f gave the same twice, but for 1e-9; else the first that differs is printed.
static inline bool same_results(const nm_func *f, const nm_tensor *a, const nm_tensor *b)
{
    for (int i = 0; i < f->n_results; i++)
        for (int64_t k = 0; k < a[i].n; k++)
            if (!is_near(a[i].data[k], b[i].data[k], 1e-9))
                return printf("result %d: %.12g became %.12g\n", i, a[i].data[k], b[i].data[k]),
                       false;
    return true;
}

#endif
