// Micro-batches: a function evaluated in two halves of `batch` gives the two halves of the whole,
// also for what counts (index), what is drawn (random, dropout) and what asks for the size.
#include "tests/expect.h"
#include "tests/inputs.h"

#include <string.h>

static const char text[] =
    "dims batch = ?, seq = 3, kv = 2, hd = 2\n"
    "func @f(%x: f32[batch, seq, kv, hd], %k: f32[batch, seq', kv, hd], %seed: i64[], %t: i32[]) "
    "{\n"
    "  %i = index {dim = batch} : i32[batch]\n"
    "  %m = index {dim = rows} : i32[rows=(batch * seq)]\n"
    "  %n = size {of = 2 * batch} : i32[]\n"
    "  %nb = broadcast %n : i32[batch]\n"
    "  %u = random %seed, %t {dist = uniform, key = \"u\"} : f32[batch, seq]\n"
    "  %r = random %seed, %t, %t {dist = normal, key = \"r\"} : f32[rows=(batch * seq)]\n"
    "  %o, %l = attention %x, %k, %k, %seed, %t {over = seq', hd = hd, scale = 1, dropout = 0.5, "
    "key = \"d\", extra = [seed, step]}\n"
    "  ret %i, %m, %nb, %u, %r, %o, %l\n"
    "}\n"
    "func @g(%a: f32[batch], %w: f32[seq, batch]) {\n"
    "  %y = repeat %a, %w {over = seq, carried = 1, stacked = 1} : f32[batch] {\n"
    "    (%p: f32[batch], %q: f32[batch])\n"
    "    %s = add %p, %q : f32[batch]\n"
    "    ret %s\n"
    "  }\n"
    "  ret %y\n"
    "}\n";

static nm_tensor *run_part(nm_func *f, nm_arena *arena, int64_t offset, int64_t size)
{
    nm_eval_sym batch = nm_eval_sym_of(nm_sym_get(f->module, "batch"), size, offset, 4);
    nm_eval_opts opts = {.arena = arena, .n_syms = 1, .sym = &batch};
    nm_tensor *args = input_args(f, &opts);
    for (int i = 0; i < 2; i++) // batch is outermost: the part's elements in the whole
        for (int64_t k = 0; k < args[i].n; k++)
            args[i].data[k] = input_element(args[i].type, i, k + offset * args[i].n / size);
    return run_func(f, &opts, args);
}

static void halves(nm_func *f)
{
    nm_arena arena = {0};
    nm_tensor *whole = run_part(f, &arena, 0, 4);
    nm_tensor *half[] = {run_part(f, &arena, 0, 2), run_part(f, &arena, 2, 2)};
    EXPECT(whole && half[0] && half[1]);
    for (int i = 0; whole && i < f->n_results; i++)
        for (int h = 0; h < 2; h++)
            EXPECT(!memcmp(half[h][i].data, whole[i].data + h * half[h][i].n,
                           (size_t)half[h][i].n * sizeof(double)));
    nm_arena_free(&arena);
}

static void refused(nm_func *f)
{
    nm_arena arena = {0};
    nm_tensor result, args[2] = {0};
    nm_eval_sym huge =
        nm_eval_sym_of(nm_sym_get(f->module, "batch"), INT64_MAX / 2, 0, INT64_MAX / 2);
    nm_eval_opts opts = {.arena = &arena};
    f->module->diag->out = NULL;
    EXPECT(!nm_eval(f, &opts, args, &result) && f->module->diag->errors == 1);
    opts = (nm_eval_opts){.arena = &arena, .n_syms = 1, .sym = &huge};
    EXPECT(!nm_eval(f, &opts, args, &result) && f->module->diag->errors == 2);
    nm_arena_free(&arena);
}

int main(void)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    const nm_source *src = nm_source_text(&arena, &diag, "halves", text, strlen(text));
    EXPECT(nm_parse(m, src) && nm_verify(m));
    if (!expect_failed) {
        halves(m->first_func);
        refused(m->last_func);
    }
    nm_arena_free(&arena);
    return expect_failed;
}
