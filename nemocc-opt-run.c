#include "nemocc-opt-run.h"

#include "ir/eval.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ARGS = 16, MAX_SYMS = 16, MAX_NUMBERS = 4096 };

typedef struct literal { // [[1, 2]]
    int rank, n;
    int64_t extent[NM_MAX_RANK];
    double *data;
} literal;

typedef struct reader {
    nm_module *m;
    const nm_source *src;
    const char *at, *end; // of the line
    nm_arena arena;
} reader;

static nm_loc here(const reader *r)
{
    return (nm_loc){r->src, (uint32_t)(r->at - r->src->text), 1};
}

static bool malformed(reader *r, const char *expected)
{
    return nm_error(r->m->diag, here(r), "run line: expected %s", expected);
}

static void skip_space(reader *r)
{
    while (r->at < r->end && isspace((unsigned char)*r->at))
        r->at++;
}

static bool accept(reader *r, const char *token)
{
    skip_space(r);
    size_t n = strlen(token);
    if ((size_t)(r->end - r->at) < n || strncmp(r->at, token, n) != 0)
        return false;
    r->at += n;
    return true;
}

static bool read_number(reader *r, double *value)
{
    char *end;
    skip_space(r);
    *value = strtod(r->at, &end);
    if (end == r->at || end > r->end)
        return malformed(r, "a number");
    r->at = end;
    return true;
}

static bool read_level(reader *r, literal *l, int depth)
{
    if (!accept(r, "[")) {
        l->rank = depth > l->rank ? depth : l->rank;
        if (l->n == MAX_NUMBERS)
            return malformed(r, "a smaller tensor");
        return read_number(r, &l->data[l->n++]);
    }
    if (depth == NM_MAX_RANK)
        return malformed(r, "fewer dims");
    int64_t n = 0;
    do {
        if (!read_level(r, l, depth + 1))
            return false;
        n++;
    } while (accept(r, ","));
    if (l->extent[depth] && l->extent[depth] != n)
        return malformed(r, "rows of one length");
    l->extent[depth] = n;
    return accept(r, "]") || malformed(r, "']'");
}

static bool read_literal(reader *r, literal *l)
{
    *l = (literal){.data = nm_new_n(&r->arena, double, MAX_NUMBERS)};
    return read_level(r, l, 0);
}

static bool read_list(reader *r, literal *list, int *n)
{
    do {
        if (*n == MAX_ARGS || !read_literal(r, &list[*n]))
            return *n == MAX_ARGS ? malformed(r, "fewer tensors") : false;
        ++*n;
    } while (accept(r, ","));
    return true;
}

static nm_func *read_func(reader *r)
{
    if (!accept(r, "@"))
        return malformed(r, "'@'"), NULL;
    size_t n = strcspn(r->at, "( \n");
    nm_each_func(f, r->m)
        if (strlen(f->name) == n && !strncmp(f->name, r->at, n)) {
            r->at += n;
            return f;
        }
    nm_error(r->m->diag, here(r), "run line: no function @%.*s", (int)n, r->at);
    return NULL;
}

// --- one line ----------------------------------------------------------------------------------

// Sizes of run-time dims, from the arguments whose types name them alone.
static void bind_sizes(const nm_func *f, const literal *arg, nm_eval_sym *sym, nm_eval_opts *opts)
{
    for (int i = 0; i < f->n_params; i++)
        for (int d = 0; d < f->param[i]->type->rank; d++) {
            nm_dim dim = f->param[i]->type->dim[d];
            const nm_dim_decl *decl = nm_dim_lookup(f->module, dim.name);
            bool known = !decl || !decl->runtime || decl->extent != dim.extent;
            for (int k = 0; k < opts->n_syms; k++)
                known |= sym[k].name == dim.name;
            if (known || opts->n_syms == MAX_SYMS)
                continue;
            int64_t n = arg[i].extent[d];
            sym[opts->n_syms++] = nm_eval_sym_of(dim.name, n, 0, n);
        }
}

static bool make_args(reader *r, nm_func *f, const nm_eval_opts *opts, const literal *arg,
                      nm_tensor *tensor)
{
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(r->m, here(r), opts, f->param[i]->type, &tensor[i]))
            return false;
        if (tensor[i].n != arg[i].n)
            return nm_error(r->m->diag, here(r), "run line: argument %d has %d numbers, not %lld",
                            i, arg[i].n, (long long)tensor[i].n);
        memcpy(tensor[i].data, arg[i].data, (size_t)arg[i].n * sizeof(double));
    }
    return true;
}

static bool same(reader *r, int i, const nm_tensor *got, const literal *want, double tolerance)
{
    if (got->n != want->n)
        return nm_error(r->m->diag, here(r), "run line: result %d has %lld numbers, not %d", i,
                        (long long)got->n, want->n);
    for (int k = 0; k < want->n; k++) {
        double a = got->data[k], b = want->data[k];
        if (!(fabs(a - b) <= tolerance * (1 + fabs(b))))
            return nm_error(r->m->diag, here(r),
                            "run line: result %d, element %d is %.9g, not %.9g", i, k, a, b);
    }
    return true;
}

static bool run(reader *r, nm_func *f, const literal *arg, int n_want, const literal *want,
                double tolerance)
{
    nm_eval_sym sym[MAX_SYMS];
    nm_eval_opts opts = {.arena = &r->arena, .f64 = !r->m->options.precision, .sym = sym};
    nm_tensor args[MAX_ARGS], *results = nm_new_n(&r->arena, nm_tensor, f->n_results + 1);
    bind_sizes(f, arg, sym, &opts);
    if (!make_args(r, f, &opts, arg, args) || !nm_eval(f, &opts, args, results))
        return false;
    if (n_want != f->n_results)
        return nm_error(r->m->diag, here(r), "run line: @%s has %d results", f->name, f->n_results);
    for (int i = 0; i < n_want; i++)
        if (!same(r, i, &results[i], &want[i], tolerance))
            return false;
    return true;
}

static bool run_line(reader *r)
{
    literal arg[MAX_ARGS], want[MAX_ARGS];
    int n_args = 0, n_want = 0;
    double tolerance = 1e-6;
    nm_func *f = read_func(r);
    if (!f)
        return false;
    if (!accept(r, "("))
        return malformed(r, "'('");
    if (!accept(r, ")") && (!read_list(r, arg, &n_args) || !accept(r, ")")))
        return malformed(r, "')'");
    if (!accept(r, "~="))
        return malformed(r, "'~='");
    if (!read_list(r, want, &n_want))
        return false;
    skip_space(r);
    if (r->at < r->end && !read_number(r, &tolerance))
        return false;
    if (n_args != f->n_params)
        return nm_error(r->m->diag, here(r), "run line: @%s has %d parameters", f->name,
                        f->n_params);
    return run(r, f, arg, n_want, want, tolerance);
}

bool nm_run_lines(nm_module *m, const nm_source *src)
{
    static const char mark[] = "# run:";
    bool ok = true;
    for (const char *line = src->text; (line = strstr(line, mark)); line++) {
        reader r = {.m = m, .src = src, .at = line + strlen(mark)};
        r.end = r.at + strcspn(r.at, "\n");
        ok &= run_line(&r);
        nm_arena_free(&r.arena);
    }
    return ok;
}
