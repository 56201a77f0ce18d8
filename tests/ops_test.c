// Every row of ops.def, held to the promises in its header comment: documented; differentiable or
// said not to be; its example verifies, survives printing and parsing, and has finite values that
// agree in f32 and f64.
#include "ir/example.h"
#include "tests/inputs.h"

#include <stdlib.h>
#include <string.h>

static int bad;

static void complain(const char *op, const char *what)
{
    fprintf(stderr, "ops.def: %s: %s\n", op, what);
    bad++;
}

static void check_row(const nm_op_info *op)
{
    bool ends = op->traits & NM_TERMINATOR, free_value = (op->traits & NM_FREE) == NM_FREE;
    if (!op->doc)
        complain(op->name, "wants .doc");
    if (!op->shape && !ends)
        complain(op->name, "wants .shape");
    if (!op->grad == !(op->traits & NM_NO_GRAD))
        complain(op->name, "wants .grad or NM_NO_GRAD, not both");
    if (free_value && !(op->traits & NM_NO_GRAD))
        complain(op->name, "is free, so NM_NO_GRAD");
    if (op->example && !op->eval)
        complain(op->name, "has an example and no .eval");
}

static char *print(nm_module *m)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    nm_print(out, m, (nm_print_opts){.locs = false});
    fclose(out);
    return text;
}

static void check_round_trip(nm_module *m, const char *name)
{
    nm_module *copy = nm_module_new(m->arena, m->diag);
    char *before = print(m);
    const nm_source *src = nm_source_text(m->arena, m->diag, name, before, strlen(before));
    if (!nm_parse(copy, src) || !nm_verify(copy))
        complain(name, "its printed text does not parse");
    char *after = print(copy);
    if (strcmp(before, after) != 0)
        complain(name, "changes when printed, parsed and printed");
    free(before);
    free(after);
}

// Numbers of 8 bits have four digits, or three.
static double tolerance(const nm_func *f, const nm_type *t)
{
    if (f->first->code == NM_OP_qdq)
        return 0x1p-4;
    return t->dtype == NM_f32 ? 1e-5 : 1e-2;
}

static void check_values(nm_func *f, const char *name)
{
    nm_arena arena = {0};
    nm_eval_opts f32 = {.arena = &arena}, f64 = {.arena = &arena, .f64 = true};
    nm_tensor *args = input_args(f, &f32);
    nm_tensor *a = args ? run_func(f, &f32, args) : NULL,
              *b = args ? run_func(f, &f64, args) : NULL;
    for (int i = 0; a && b && i < f->n_results; i++)
        for (int64_t k = 0; k < a[i].n; k++)
            if (!isfinite(a[i].data[k]) ||
                !is_near(a[i].data[k], b[i].data[k], tolerance(f, a[i].type)))
                complain(name, "is not finite, or f32 and f64 differ");
    if (!a || !b)
        complain(name, "does not evaluate");
    nm_arena_free(&arena);
}

static void check_example(nm_opcode code)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const char *name = nm_op_table[code].name;
    nm_example_dims(m);
    nm_func *f = nm_op_example(m, code);
    if (f && nm_verify(m)) {
        check_round_trip(m, name);
        check_values(f, name);
    } else
        complain(name, "its example does not verify");
    nm_arena_free(&arena);
}

int main(void)
{
    for (int i = 0; i < NM_N_OPS; i++) {
        check_row(&nm_op_table[i]);
        if (nm_op_table[i].example)
            check_example((nm_opcode)i);
    }
    return bad != 0;
}
