// fuse, layout and schedule keep the meaning: for every op's example, two models and random
// programs,
//   eval(before) == eval(after fuse) == the plan, run group by group in packed and poisoned memory,
// every op stands in a group, and the plan is proved. Arguments: seeds FROM TO.
#include "tests/passes/plan_run.h"

#include "ir/example.h"
#include "passes/pass.h"
#include "passes/schedule.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// --- random numbers -------------------------------------------------------------------------

static uint64_t state = 1;

static unsigned below(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

// --- random programs ------------------------------------------------------------------------
//
// Values have dims among i, j, k; each line takes values from above. @f has a repeat in the middle.

enum { MAX_TEXT = 1 << 16, MAX_VALUES = 64 };

typedef struct program {
    char *text;
    size_t len;
    int n, base;              // values so far; the first that is in sight
    char dims[MAX_VALUES][4]; // "ij": of each, outermost first
    char name[MAX_VALUES][8];
    const char *at; // the i32[i] that is in sight
} program;

static int some(const program *p) { return p->base + (int)below((unsigned)(p->n - p->base)); }

static void say(program *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(program *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    p->len += (size_t)vsnprintf(p->text + p->len, MAX_TEXT - p->len, fmt, args);
    va_end(args);
}

static const char *type_of(const char *dims)
{
    static char text[4][40];
    static int next;
    char *t = text[next++ % 4];
    strcpy(t, "f32[");
    for (const char *d = dims; *d; d++)
        sprintf(t + strlen(t), "%s%c", d == dims ? "" : ", ", *d);
    return strcat(t, "]");
}

static int add_value(program *p, const char *name, const char *dims)
{
    snprintf(p->name[p->n], sizeof p->name[0], "%s", name);
    snprintf(p->dims[p->n], sizeof p->dims[0], "%s", dims);
    return p->n++;
}

static int new_value(program *p, const char *dims)
{
    char name[8];
    snprintf(name, sizeof name, "v%d", p->n);
    say(p, "  %%%s = ", name);
    return add_value(p, name, dims);
}

static void join_dims(char *out, const char *a, const char *b)
{
    strcpy(out, a);
    for (; *b; b++)
        if (!strchr(out, *b))
            sprintf(out + strlen(out), "%c", *b);
}

static void drop_dim(char *dims, char d)
{
    char *at = strchr(dims, d);
    if (at)
        memmove(at, at + 1, strlen(at));
}

static void say_map(program *p)
{
    static const char *const two[] = {"add", "sub", "mul", "maximum"}, *const one[] = {
                                                                           "tanh", "neg", "abs"};
    int a = some(p), b = some(p);
    char dims[8];
    join_dims(dims, p->dims[a], p->dims[b]);
    if (below(3) == 0) {
        new_value(p, p->dims[a]);
        say(p, "%s %%%s : %s\n", one[below(3)], p->name[a], type_of(p->dims[a]));
        return;
    }
    new_value(p, dims);
    say(p, "%s %%%s, %%%s : %s\n", two[below(4)], p->name[a], p->name[b], type_of(dims));
}

static void say_reduction(program *p)
{
    int a = some(p);
    char dims[8];
    if (!p->dims[a][0])
        return;
    strcpy(dims, p->dims[a]);
    char over = dims[below((unsigned)strlen(dims))];
    drop_dim(dims, over);
    new_value(p, dims);
    say(p, "%s %%%s {over = [%c]} : %s\n", below(4) ? "sum" : "max", p->name[a], over,
        type_of(dims));
}

static void say_dot(program *p)
{
    int a = some(p), b = some(p);
    char dims[8], over = 0;
    for (const char *d = p->dims[a]; *d; d++)
        if (strchr(p->dims[b], *d))
            over = *d;
    if (!over)
        return;
    join_dims(dims, p->dims[a], p->dims[b]);
    drop_dim(dims, over);
    new_value(p, dims);
    say(p, "dot %%%s, %%%s {over = [%c]} : %s\n", p->name[a], p->name[b], over, type_of(dims));
}

static void say_view(program *p)
{
    int a = some(p);
    char dims[8];
    strcpy(dims, p->dims[a]);
    if (strchr(dims, 'k') && below(2)) { // the indices are i32[i]
        char with_i[8];
        drop_dim(dims, 'k');
        join_dims(with_i, dims, "i");
        new_value(p, with_i);
        say(p, "gather %%%s, %%%s {over = k} : %s\n", p->name[a], p->at, type_of(with_i));
    } else if (strchr(dims, 'i') && !strchr(dims, 'k') && below(2)) {
        drop_dim(dims, 'i');
        strcat(dims, "k");
        new_value(p, dims);
        say(p, "scatter_add %%%s, %%%s {over = k} : %s\n", p->name[a], p->at, type_of(dims));
    } else if (dims[0]) {
        char over = dims[below((unsigned)strlen(dims))];
        drop_dim(dims, over);
        new_value(p, dims);
        say(p, "slice %%%s {over = %c, start = %u} : %s\n", p->name[a], over, below(3),
            type_of(dims));
    }
}

static void say_ops(program *p, int n)
{
    while (n-- > 0 && p->n < MAX_VALUES - 8)
        switch (below(8)) {
        case 0: say_reduction(p); break;
        case 1: say_dot(p); break;
        case 2: say_view(p); break;
        default: say_map(p); break;
        }
}

// Some value as one of these dims: summed over what is too much, broadcast over what lacks.
static int fit(program *p, const char *dims)
{
    int a = below(2) ? p->n - 1 : some(p), x;
    char all[8], now[8];
    strcpy(all, p->dims[a]);
    strcpy(now, all);
    for (const char *d = all; *d; d++) {
        if (strchr(dims, *d))
            continue;
        drop_dim(now, *d);
        x = new_value(p, now);
        say(p, "max %%%s {over = [%c]} : %s\n", p->name[a], *d, type_of(now));
        a = x;
    }
    x = new_value(p, dims);
    say(p, "broadcast %%%s : %s\n", p->name[a], type_of(dims));
    return x;
}

// Carried [i, j], a stacked operand, a stacked and accumulated result.
static void say_repeat(program *p, const char *x)
{
    char carried[8], part[8];
    int outside = p->n;
    say(p,
        "  %%y, %%part = repeat %%%s, %%w, %%at {over = t, carried = 1, stacked = 1} : f32[i, j], "
        "f32[t, i, k] {\n    (%%x.t: f32[i, j], %%w.t: f32[i, k], %%at.t: i32[i])\n",
        x);
    p->base = p->n;
    p->at = "at.t";
    add_value(p, "x.t", "ij");
    add_value(p, "w.t", "ik");
    say_ops(p, 6);
    strcpy(carried, p->name[below(4) ? fit(p, "ij") : p->base]);
    strcpy(part, p->name[below(4) ? fit(p, "ik") : p->base + 1]);
    say(p, "  ret %%%s, %%%s\n  }\n", carried, part);
    p->base = 0;
    p->at = "at";
    for (int i = outside; i < p->n; i++) // what is inside is out of sight
        strcpy(p->name[i], "y"), strcpy(p->dims[i], "ij");
}

static const char *make_program(nm_arena *arena, unsigned seed)
{
    program p = {.text = nm_arena_alloc(arena, MAX_TEXT), .at = "at"};
    state = seed * 2654435761u + 1;
    say(&p, "dims i = 3, j = 4, k = 3, t = 2\n\n"
            "func @f(%%a: f32[i, j], %%b: f32[j], %%c: f32[j, k], param %%w: f32[t, i, k], "
            "state %%s: f32[i, j], acc %%g: f32[t, i, k], %%at: i32[i]) -> "
            "(out y, state s, acc g, out z) {\n");
    add_value(&p, "a", "ij");
    add_value(&p, "b", "j");
    add_value(&p, "c", "jk");
    add_value(&p, "s", "ij");
    say_ops(&p, 3 + (int)below(12));
    char x[8], s[8];
    strcpy(x, p.name[below(2) ? fit(&p, "ij") : below(2) ? 0 : 3]);
    say_repeat(&p, x);
    say_ops(&p, 3 + (int)below(12));
    strcpy(s, p.name[fit(&p, "ij")]);
    say(&p, "  %%sum = add %%g, %%part : f32[t, i, k]\n");
    say(&p, "  ret %%%s, %%%s, %%sum, %%%s\n}\n", p.name[p.n - 1 - (int)below(5)], s,
        p.name[some(&p)]);
    return p.text;
}

// --- before and after -----------------------------------------------------------------------

typedef struct numbers {
    nm_eval_opts opts;
    nm_tensor args[64], results[64];
} numbers;

static void make_args(nm_func *f, numbers *x)
{
    for (int i = 0; i < f->n_params; i++) {
        nm_tensor_new(f->module, f->loc, &x->opts, f->param[i]->type, &x->args[i]);
        bool whole = !nm_dtype_table[f->param[i]->type->dtype].is_float;
        for (int64_t k = 0; k < x->args[i].n; k++)
            x->args[i].data[k] = whole ? (double)below(6) - 1 : (below(2000) + 1) / 1000.0;
    }
}

static bool close_to(nm_func *f, const nm_tensor *a, const nm_tensor *b, const char *what)
{
    for (int i = 0; i < f->n_results; i++) {
        if (a[i].type != b[i].type)
            return fprintf(stderr, "%s: result %d has another type\n", what, i), false;
        for (int64_t k = 0; k < a[i].n; k++)
            if (!(fabs(a[i].data[k] - b[i].data[k]) <= 1e-9 * (1 + fabs(a[i].data[k]))))
                return fprintf(stderr, "%s: result %d, element %lld: %.17g, not %.17g\n", what, i,
                               (long long)k, b[i].data[k], a[i].data[k]),
                       false;
    }
    return true;
}

static bool all_grouped(const nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code != NM_OP_group && op->code != NM_OP_repeat && op->code != NM_OP_ret)
            return fprintf(stderr, "%s is in no group\n", nm_info(op)->name), false;
        if (op->code == NM_OP_repeat && !all_grouped(op->body))
            return false;
    }
    return true;
}

static bool run_pass(nm_module *m, bool (*pass)(nm_module *m, bool *changed), const char *name)
{
    bool changed;
    return (pass(m, &changed) && nm_verify(m)) || (fprintf(stderr, "%s fails\n", name), false);
}

// Results may have another order of dims after layout.
static void in_order(nm_tensor *t, const nm_type *wanted, nm_arena *arena)
{
    nm_tensor ordered = nm_tensor_like(arena, t, wanted);
    nm_tensor_reorder(t, &ordered, 0);
    *t = ordered;
}

static bool agrees(nm_func *f, numbers *x, const nm_tensor *want, bool by_plan, const char *what)
{
    bool ran = by_plan ? nm_plan_run(f->plan, &x->opts, x->args, x->results)
                       : nm_eval(f, &x->opts, x->args, x->results);
    for (int i = 0; ran && i < f->n_results; i++)
        if (x->results[i].type != want[i].type)
            in_order(&x->results[i], want[i].type, x->opts.arena);
    return ran && close_to(f, want, x->results, what);
}

// Every function of the module, from here to its plan.
enum { MAX_FUNCS = 16 };
typedef struct run {
    nm_func *f;
    numbers x;
    nm_tensor want[64];
} run;

static bool all_agree(nm_module *m, run *r, bool by_plan, const char *what)
{
    bool ok = true;
    nm_each_func(f, m) {
        ok = ok && all_grouped(f) && agrees(f, &r->x, r->want, by_plan, what);
        r++;
    }
    return ok;
}

static bool check_module(nm_module *m)
{
    nm_eval_sym *sym = nm_new_n(m->arena, nm_eval_sym, 3);
    sym[0] = nm_eval_sym_of(nm_sym_get(m, "batch"), 2, 0, 2);
    sym[1] = nm_eval_sym_of(nm_sym_get(m, "seq"), 3, 0, 3);
    sym[2] = nm_eval_sym_of(nm_sym_get(m, "context.cache"), 5, 0, 5);
    run *all = nm_new_n(m->arena, run, MAX_FUNCS), *r = all;
    nm_each_func(f, m) {
        *r = (run){.f = f, .x.opts = {.arena = m->arena, .f64 = true, .n_syms = 3, .sym = sym}};
        make_args(f, &r->x);
        if (!nm_eval(f, &r->x.opts, r->x.args, r->want))
            return false;
        r++;
    }
    return run_pass(m, nm_pass_quantise, "quantise") && run_pass(m, nm_pass_fuse, "fuse") &&
           all_agree(m, all, false, "fuse") && run_pass(m, nm_pass_layout, "layout") &&
           all_agree(m, all, false, "layout") && run_pass(m, nm_pass_schedule, "schedule") &&
           all_agree(m, all, false, "schedule") && all_agree(m, all, true, "plan");
}

static bool check_program(unsigned seed)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    nm_source src = {.name = "random.nmir", .text = make_program(&arena, seed)};
    src.len = strlen(src.text);
    bool ok = nm_parse(m, &src) && nm_verify(m) && check_module(m);
    if (!ok)
        fprintf(stderr, "seed %u:\n%s", seed, src.text);
    nm_arena_free(&arena);
    return ok;
}

static bool check_example(nm_opcode code)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    nm_example_dims(m);
    bool ok = true;
    nm_func *f = nm_op_table[code].eval ? nm_op_example(m, code) : NULL;
    if (f)
        ok = check_module(m);
    if (!ok)
        fprintf(stderr, "example of %s\n", nm_op_table[code].name);
    nm_arena_free(&arena);
    return ok;
}

static bool check_model(const char *path)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_read(&arena, &diag, path);
    nm_pipeline_opts opts = {.stop_after = "decode"};
    bool ok = src && nm_parse(m, src) && nm_pipeline_run(m, &opts) && check_module(m);
    if (!ok)
        fprintf(stderr, "model %s\n", path);
    nm_arena_free(&arena);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned from = argc > 1 ? (unsigned)atoi(argv[1]) : 0,
             to = argc > 2 ? (unsigned)atoi(argv[2]) : 300;
    bool ok = true;
    for (int i = 0; i < NM_N_OPS; i++)
        ok &= check_example((nm_opcode)i);
    ok &= check_model("tests/passes/tiny_llama.nmir") && check_model("tests/passes/tiny_gpt2.nmir");
    for (unsigned seed = from; seed < to && ok; seed++)
        ok &= check_program(seed);
    return ok ? 0 : 1;
}
