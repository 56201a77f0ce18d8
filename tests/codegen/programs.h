// Whole programs: every function that the passes give a plan (a step's parts, init, decode),
// compiled, against the interpreter in f64. Paths are those from the root of the tree.
#ifndef NM_TESTS_CODEGEN_PROGRAMS_H
#define NM_TESTS_CODEGEN_PROGRAMS_H

#include "passes/pass.h"
#include "tests/codegen/host.h"

enum { MAX_SYMS = 8 };

static uint32_t state = 7;
static double draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 24);
}

// Floats from -0.4 on; states and scalars, whose mixture is a second moment that is divided by, are
// positive: the one from 0.6, the others in [0.2, 0.9).
static double from_draw(nm_bind_kind kind, double x)
{
    return kind == NM_BIND_state ? 0.6 + x : kind == NM_BIND_scalar ? 0.2 + 0.7 * x : x - 0.4;
}

static void fill(nm_tensor *t, nm_bind_kind kind)
{
    for (int64_t i = 0; i < t->n; i++) {
        double x = draw();
        if (nm_dtype_table[t->type->dtype].is_float)
            t->data[i] = nm_round_to(t->type->dtype, from_draw(kind, x));
        else
            t->data[i] = t->type->dtype == NM_bool ? x < 0.5 : floor(3 * x);
    }
}

// Small sizes, of which none divides another but as the program asks, `none` 0; this call is the
// second micro-batch of three.
static int bind_syms(const nm_module *m, nm_eval_sym *sym, nmdrv_sym *abi)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        if (!d->runtime)
            continue;
        bool batch = strcmp(d->name, "batch") == 0;
        int64_t size = batch ? 3 : strcmp(d->name, "seq") == 0 ? 5 : 11;
        size = strcmp(d->name, "none") == 0 ? 0 : size;
        size = d->multiple > 1 ? (size + d->multiple - 1) / d->multiple * d->multiple : size;
        sym[n] = nm_eval_sym_of(d->name, size, batch ? size : 0, batch ? 3 * size : size);
        abi[n] = (nmdrv_sym){.size = sym[n].size, .offset = sym[n].offset, .total = sym[n].total};
        n++;
    }
    return n;
}

// f64 does not round to a dtype; where rounding is the point, the interpreter rounds as well.
static bool has_halves(const nm_func *f)
{
    if (f->module->options.precision)
        return true;
    for (int i = 0; i < f->n_params; i++)
        if (f->param[i]->type->dtype == NM_bf16)
            return true;
    return false;
}

static void check_func(nm_module *m, nm_func *f, const nmdrv_program *p, nm_eval_opts *opts,
                       const nmdrv_sym *sym, const char *cpu)
{
    nm_tensor *args = nm_new_n(m->arena, nm_tensor, (size_t)f->n_params + 1);
    nm_tensor *results = nm_new_n(m->arena, nm_tensor, (size_t)f->n_results + 1);
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(m, f->loc, opts, f->param[i]->type, &args[i]))
            exit(1);
        fill(&args[i], f->param_bind[i].kind);
    }
    opts->f64 = !has_halves(f);
    if (!nm_eval(f, opts, args, results))
        exit(1);
    // a sum in f32 may round to the other neighbour of a bf16 than one in f64, and so on from there
    double bound = m->options.precision ? 2e-2 : 1e-4;
    host_check(p, f->name, cpu, sym, f->n_results, args, results, bound);
}

// numbers: precision and recipe; {0}: f32.
static void check_program_in(const char *path, const char *cpu, nm_flavour flavour,
                             nm_options numbers)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    m->options = numbers;
    m->options.flavour = flavour;
    const nm_source *src = nm_source_read(&arena, &diag, path);
    nm_pipeline_opts pipeline = {// whole tensors, as the interpreter has them
                                 .disable = "stages,units,shard,ring",
                                 .dump = stderr,
                                 .log = stderr};
    nm_eval_sym sym[MAX_SYMS];
    nmdrv_sym abi[MAX_SYMS];
    const nmdrv_program *p = NULL;
    if (src && nm_parse(m, src) && nm_pipeline_run(m, &pipeline))
        p = host_load(m, cpu);
    if (!p) {
        failures++;
        return;
    }
    int checked = 0, n = bind_syms(m, sym, abi);
    nm_eval_opts opts = {.arena = &arena, .n_syms = n, .sym = sym};
    nm_each_func(f, m)
        if (f->plan && host_find(p, f->name)) {
            check_func(m, f, p, &opts, abi, cpu);
            checked++;
        }
    printf("%s: %d functions\n", path, checked);
    failures += diag.errors != 0 || checked == 0;
    nm_arena_free(&arena);
}

static void check_program(const char *path, const char *cpu, nm_flavour flavour)
{
    check_program_in(path, cpu, flavour, (nm_options){0});
}

#endif
