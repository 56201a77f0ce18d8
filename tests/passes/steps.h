// Running the parts of a step by the interpreter, as the runtime does: a store keeps what the parts
// bind by name, and every part reads and writes it.
#ifndef NM_TESTS_PASSES_STEPS_H
#define NM_TESTS_PASSES_STEPS_H

#include "passes/pass.h"
#include "tests/inputs.h"
#include "tests/passes/subjects.h"

#include <string.h>

enum { MAX_ROWS = 1024 };

typedef struct row {
    nm_bind_kind kind;
    const char *name;
    nm_tensor t;
} row;

typedef struct store {
    int n;
    row row[MAX_ROWS];
} store;

static row *find_row(store *s, nm_bind bind)
{
    for (int i = 0; i < s->n; i++)
        if (s->row[i].kind == bind.kind && !strcmp(s->row[i].name, bind.name))
            return &s->row[i];
    return NULL;
}

static void put(store *s, nm_bind bind, nm_tensor t)
{
    row *r = find_row(s, bind);
    if (!r) {
        if (s->n == MAX_ROWS)
            nm_bug("the store is full");
        r = &s->row[s->n++];
    }
    *r = (row){bind.kind, bind.name, t};
}

static const subject subjects[] = {
    {.path = "tests/passes/tiny_llama.nmir"},
    TINY_GPT2("2"),
    TINY_LLAMA3,
    TINY_PHI3,
    {.path = "models/lstm.nm",
     .define = {{"vocab", "11"}, {"d", "6"}, {"layers", "2"}},
     .no_decode = true},
    {.path = "tests/passes/decayed.nm",
     .define = {{"vocab", "11"}, {"d", "6"}, {"layers", "3"}},
     .no_decode = true},
    {.path = "tests/passes/peaks.nm", .no_decode = true},
};
enum { N_SUBJECTS = sizeof subjects / sizeof *subjects };

static bool elaborate(nm_module *m, const subject *s)
{
    nm_elab_opts opts = {.define = s->define};
    while (opts.n_defines < MAX_DEFINES && s->define[opts.n_defines].name)
        opts.n_defines++;
    const nm_ast_program *program = load_subject(m, s);
    return program && nm_elaborate(m, program, &opts);
}

static bool parse(nm_module *m, const subject *s)
{
    const nm_source *src = nm_source_read(m->arena, m->diag, s->path);
    return src && nm_parse(m, src);
}

// The program after these passes; NULL: reported.
static nm_module *load(nm_arena *arena, nm_diag *diag, const subject *s, const char *passes)
{
    nm_module *m = nm_module_new(arena, diag);
    bool is_text = strstr(s->path, ".nmir") != NULL;
    nm_pipeline_opts opts = {.only = passes, .verify_each = true, .dump = stdout, .log = stdout};
    bool ok = (is_text ? parse(m, s) : elaborate(m, s)) && nm_verify(m);
    return ok && nm_pipeline_run(m, &opts) ? m : NULL;
}

static nm_func *find_func(nm_module *m, const char *name)
{
    nm_each_func(f, m)
        if (!strcmp(f->name, name))
            return f;
    return NULL;
}

// Rows [first, first + n) of the outermost dim.
static nm_tensor slice_rows(const nm_tensor *t, int64_t first, int64_t n)
{
    nm_tensor s = *t;
    int64_t size = t->n / t->extent[0];
    s.extent[0] = n;
    s.n = n * size;
    s.data = t->data + first * size;
    return s;
}

// Call f: arguments from the store (data cut to this micro-batch; what is not there is zero),
// results into it. false: reported.
static inline bool call(nm_func *f, const nm_eval_opts *opts, store *s, int64_t batch)
{
    nm_tensor *args = nm_new_n(opts->arena, nm_tensor, f->n_params + 1);
    const nm_eval_sym *sym = &opts->sym[0];
    for (int i = 0; i < f->n_params; i++) {
        row *r = find_row(s, f->param_bind[i]);
        if (!r && !nm_tensor_new(f->module, f->loc, opts, f->param[i]->type, &args[i]))
            return false;
        if (r)
            args[i] = r->t;
        if (r && r->kind == NM_BIND_data && sym->size != batch)
            args[i] = slice_rows(&r->t, sym->offset, sym->size);
        args[i].type = f->param[i]->type;
    }
    nm_tensor *results = run_func(f, opts, args);
    for (int i = 0; results && i < f->n_results; i++)
        put(s, f->result_bind[i], results[i]);
    return results != NULL;
}

// Every row of `want` of these kinds is in `got`, and near.
static inline bool same_rows(store *want, store *got, unsigned kinds, double tolerance)
{
    for (int i = 0; i < want->n; i++) {
        row *a = &want->row[i];
        if (!(kinds >> a->kind & 1))
            continue;
        row *b = find_row(got, (nm_bind){.kind = a->kind, .name = a->name});
        if (!b || b->t.n != a->t.n)
            return printf("%s is missing\n", a->name), false;
        for (int64_t k = 0; k < a->t.n; k++)
            if (!is_near(a->t.data[k], b->t.data[k], tolerance))
                return printf("%s, element %d: %.12g, not %.12g\n", a->name, (int)k, b->t.data[k],
                              a->t.data[k]),
                       false;
    }
    return true;
}

#endif
