// --evaluate-each finds a pass that changes what is computed, whichever way it orders dims; and on
// random programs no pass of the pipeline does, for processors and for GPUs.
#include "passes/evaluate.h"

#include "passes/pass.h"
#include "tests/expect.h"
#include "tests/passes/random_graph.h"

#include <stdlib.h>
#include <string.h>

static nm_arena arena;

static nm_module *parse_text(nm_diag *diag, const char *text)
{
    nm_module *m = nm_module_new(&arena, diag);
    nm_source *src = nm_new(&arena, nm_source);
    *src = (nm_source){.name = "text.nmir", .text = text, .len = strlen(text)};
    EXPECT(nm_parse(m, src) && nm_verify(m));
    return m;
}

static const char program[] =
    "dims i = 3, j = %d\n\n"
    "func @f(param %%a: f32[i, j], param %%b: f32[j]) -> (out y, out z) {\n"
    "  %%1 = mul %%a, %%b : f32[i, j]\n"
    "  %%2 = sum %%1 {over = [i]} : f32[j]\n"
    "  %%3 = cast %%1 {to = bf16} : bf16[i, j]\n"
    "  %%4 = cast %%3 {to = f32} : f32[i, j]\n"
    "  ret %%4, %%2\n}\n";

// What is found after `change` was made of the program's function.
static bool agrees(int j, void (*change)(nm_func *f), nm_numbers numbers, nm_agreement *a)
{
    nm_diag diag = {0};
    nm_module *m = parse_text(&diag, nm_arena_fmt(&arena, program, j));
    nm_evaluation *e = nm_evaluation_new(m, numbers);
    change(m->first_func);
    bool ok = nm_evaluation_renew(m, e, "test", a);
    EXPECT(ok == (diag.errors == 0));
    nm_evaluation_free(e);
    return ok;
}

static void change_nothing(nm_func *f) { (void)f; }
static void add_instead(nm_func *f) { f->first->code = NM_OP_add; }
static void take_the_largest(nm_func *f) { f->first->next->code = NM_OP_max; }
static void rename_it(nm_func *f) { f->name = nm_sym_get(f->module, "g"); }

static void swap(nm_func *f)
{
    nm_value *a = f->first->in[0];
    nm_set_operand(f->first, 0, f->first->in[1]);
    nm_set_operand(f->first, 1, a);
}

static void drop_the_rounding(nm_func *f) { nm_set_operand(f->last, 0, &f->first->out[0]); }

static void lie_otherwise(nm_func *f) // a's dims in another order
{
    nm_type t = *f->param[0]->type;
    t.dim[0] = f->param[0]->type->dim[1];
    t.dim[1] = f->param[0]->type->dim[0];
    f->param[0]->type = nm_type_get(f->module, &t);
}

static void finds_what_changed(void)
{
    nm_agreement a;
    for (nm_numbers n = NM_NUMBERS_exact; n <= NM_NUMBERS_rounded; n++) {
        EXPECT(agrees(4, change_nothing, n, &a) && a.same == 1 && !a.changed && !a.left_out);
        EXPECT(!agrees(4, add_instead, n, &a) && !a.same && !a.changed);
        EXPECT(!agrees(4, take_the_largest, n, &a));
        EXPECT(agrees(4, swap, n, &a) && a.changed == 1 && !a.same && !a.gone && !a.added);
        EXPECT(agrees(4, lie_otherwise, n, &a) && a.changed == 1);
        EXPECT(agrees(4, rename_it, n, &a) && a.gone == 1 && a.added == 1);
        EXPECT(agrees(90000000, add_instead, n, &a) && a.left_out == 1);
    }
    EXPECT(agrees(4, drop_the_rounding, NM_NUMBERS_exact, &a));
    EXPECT(!agrees(4, drop_the_rounding, NM_NUMBERS_rounded, &a));
    nm_arena_free(&arena);
}

// --- random programs -----------------------------------------------------------------------------

static void random_infer(nm_module *m, uint64_t seed)
{
    nm_func *f = random_func(m, seed);
    f->name = nm_sym_get(m, "infer.x");
    for (int i = 0; i < f->n_params; i++)
        f->param_bind[i] =
            (nm_bind){.kind = i ? NM_BIND_data : NM_BIND_param, .name = nm_sym_fmt(m, "x%d", i)};
    for (int i = 0; i < f->n_results; i++)
        f->result_bind[i] = (nm_bind){.kind = NM_BIND_out, .name = nm_sym_fmt(m, "y%d", i)};
}

static bool check_random(uint64_t seed, nm_flavour flavour)
{
    nm_diag diag = {0};
    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = flavour;
    random_infer(m, seed);
    FILE *log = fopen("/dev/null", "w");
    nm_pipeline_opts passes = {
        .verify_each = true, .evaluate_each = true, .dump = stdout, .log = log};
    bool ok = nm_verify(m) && nm_pipeline_run(m, &passes);
    fclose(log);
    nm_arena_free(&arena);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t last = argc > 1 ? strtoull(argv[1], NULL, 10) : 300;
    finds_what_changed();
    int wrong = 0;
    for (uint64_t seed = 1; seed <= last; seed++)
        for (int flavour = NM_FLAVOUR_host; flavour <= NM_FLAVOUR_gpu; flavour++)
            if (!check_random(seed, (nm_flavour)flavour))
                wrong += printf("FAIL: random program %d, flavour %d\n", (int)seed, flavour) > 0;
    EXPECT(wrong == 0);
    return expect_failed;
}
