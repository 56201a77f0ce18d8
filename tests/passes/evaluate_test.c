// --evaluate-each finds a pass that changes what is computed, whichever way it orders dims; and on
// random programs and steps no pass of the pipeline does, for processors and for GPUs.
#include "passes/evaluate.h"

#include "frontend/elab.h"
#include "passes/pass.h"
#include "tests/expect.h"
#include "tests/passes/random_graph.h"
#include "tests/passes/random_model.h"

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

static const char small_numbers[] = "dims i = 3\n\n"
                                    "func @f(param %a: f32[i], param %b: f32[i]) -> (out y) {\n"
                                    "  %1 = mul %a, %b : f32[i]\n"
                                    "  %2 = const {value = 1e-10} : f32[]\n"
                                    "  %3 = mul %1, %2 : f32[i]\n"
                                    "  ret %3\n}\n";

static void finds_what_changed_in_small_numbers(void)
{
    nm_diag diag = {0};
    nm_agreement a;
    for (nm_numbers n = NM_NUMBERS_exact; n <= NM_NUMBERS_rounded; n++) {
        nm_module *m = parse_text(&diag, small_numbers);
        nm_evaluation *e = nm_evaluation_new(m, n);
        swap(m->first_func);
        EXPECT(nm_evaluation_renew(m, e, "test", &a) && a.changed == 1);
        add_instead(m->first_func);
        EXPECT(!nm_evaluation_renew(m, e, "test", &a));
        nm_evaluation_free(e);
    }
    nm_arena_free(&arena);
}

// --- what was compared ---------------------------------------------------------------------------

static struct { // by pass, of all programs
    char name[32];
    int compared; // functions that it changed, and that compute what they did
} seen[64];
static int n_seen;

static void count(const char *pass, int changed)
{
    int i = 0;
    while (i < n_seen && strcmp(seen[i].name, pass))
        i++;
    if (i == n_seen)
        snprintf(seen[n_seen++].name, sizeof seen->name, "%s", pass);
    seen[i].compared += changed;
}

// How many functions the pipeline's log says were compared.
static int count_compared(FILE *log)
{
    char line[256], pass[32];
    int changed, total = 0;
    rewind(log);
    while (fgets(line, sizeof line, log))
        if (sscanf(line, "evaluate %31s %d functions changed", pass, &changed) == 2) {
            count(pass, changed);
            total += changed;
        }
    return total;
}

static bool was_compared(const char *pass)
{
    for (int i = 0; i < n_seen; i++)
        if (!strcmp(seen[i].name, pass))
            return seen[i].compared > 0;
    return false;
}

// The whole pipeline, each pass held to what the functions computed before it; of some of them.
static bool check_pipeline(nm_module *m)
{
    FILE *log = tmpfile();
    nm_pipeline_opts passes = {
        .verify_each = true, .evaluate_each = true, .dump = stdout, .log = log};
    bool ok = nm_verify(m) && nm_pipeline_run(m, &passes) && count_compared(log) > 0;
    fclose(log);
    return ok;
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
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = flavour;
    random_infer(m, seed);
    bool ok = check_pipeline(m);
    nm_arena_free(&arena);
    return ok;
}

static void check_programs(uint64_t last)
{
    for (uint64_t seed = 1; seed <= last; seed++)
        for (int flavour = NM_FLAVOUR_host; flavour <= NM_FLAVOUR_gpu; flavour++)
            if (!check_random(seed, (nm_flavour)flavour))
                expect_failed = printf("FAIL: random program %d, flavour %d\n", (int)seed, flavour);
}

// --- random steps --------------------------------------------------------------------------------

static bool check_model(uint64_t seed, nm_precision precision, nm_flavour flavour)
{
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const char *text = random_model(&arena, seed);
    nm_source src = {.name = "random.nm", .text = text, .len = strlen(text)};
    m->options.precision = precision;
    m->options.flavour = flavour;
    m->options.recompute = 1u << NM_RECOMPUTE_none | 1u << NM_RECOMPUTE_selective;
    m->options.head_chunk = 2;
    const nm_ast_program *parsed = nm_load_text(m, &src);
    bool ok = parsed && nm_elaborate(m, parsed, &(nm_elab_opts){0}) && check_pipeline(m);
    if (!ok)
        printf("FAIL: random model %d, precision %s, flavour %d:\n%s", (int)seed,
               nm_precision_name[precision], flavour, text);
    nm_arena_free(&arena);
    return ok;
}

// Each seed in another precision, so that a few are all of them. What makes other functions of a
// step (accumulate, units, recompute) is held to the whole step's numbers by tests of its own.
static void check_models(uint64_t last)
{
    static const char *const pass[] = {"simplify", "tidy",        "precision", "shard",
                                       "localize", "head_chunks", "quantise",  "epilogues",
                                       "keep",     "fuse",        "layout",    "schedule"};
    n_seen = 0;
    for (uint64_t seed = 1; seed <= last; seed++) {
        nm_precision precision = (nm_precision)(NM_PRECISION_f32 + seed % 3);
        EXPECT(check_model(seed, precision, (nm_flavour)(seed % 2)));
    }
    for (size_t i = 0; i < sizeof pass / sizeof *pass; i++)
        if (!was_compared(pass[i]))
            expect_failed = printf("FAIL: no function was compared after %s\n", pass[i]);
}

int main(int argc, char **argv)
{
    uint64_t programs = argc > 1 ? strtoull(argv[1], NULL, 10) : 300;
    uint64_t models = argc > 2 ? strtoull(argv[2], NULL, 10) : 6;
    finds_what_changed();
    finds_what_changed_in_small_numbers();
    check_programs(programs);
    check_models(models);
    return expect_failed != 0;
}
