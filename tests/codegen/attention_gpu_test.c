// Attention as codegen makes it for GPUs, with constant sizes and options, run by the emulator,
// equals the interpreter: as all GPUs have it, and as sm_90a. Runs in the root of the tree.
#include "ir/eval.h"
#include "tests/codegen/gpu.h"

#include "passes/pass.h"

enum { BATCH = 2, SEQ = 70 }; // more than a tile, and no whole number of them

static uint32_t state = 7;
static double draw(void) // -1 .. 1
{
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1;
}

static void fill(nm_tensor *t)
{
    for (int64_t i = 0; i < t->n; i++)
        t->data[i] = t->type->rank ? nm_round_to(t->type->dtype, draw()) : 3;
}

static int bind_syms(const nm_module *m, nm_eval_sym *sym, nmdrv_sym *abi)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        int64_t size = strcmp(m->dim[i].name, "batch") == 0 ? BATCH : SEQ;
        if (!m->dim[i].runtime)
            continue;
        sym[n] = nm_eval_sym_of(m->dim[i].name, size, 0, size);
        abi[n++] = (nmdrv_sym){.size = size, .total = size};
    }
    return n;
}

static void check(nm_module *m, nm_func *f, const nmdrv_program *p, const nm_eval_opts *opts,
                  const nmdrv_sym *abi)
{
    nm_tensor *args = nm_new_n(m->arena, nm_tensor, (size_t)f->n_params + 1);
    nm_tensor *results = nm_new_n(m->arena, nm_tensor, (size_t)f->n_results + 1);
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(m, f->loc, opts, f->param[i]->type, &args[i]))
            exit(1);
        fill(&args[i]);
    }
    if (!nm_eval(f, opts, args, results))
        exit(1);
    bool halves = f->param[0]->type->dtype == NM_bf16;
    host_check(p, f->name, "gpu", abi, f->n_results, args, results, halves ? 2e-2 : 2e-5);
}

int main(void)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = nm_module_new(&arena, &diag);
    m->options.flavour = NM_FLAVOUR_gpu;
    const nm_source *src = nm_source_read(&arena, &diag, "tests/codegen/attention.nmir");
    nm_pipeline_opts pipeline = {.only = "fuse,layout,schedule", .dump = stderr, .log = stderr};
    gpu_begin();
    const nmdrv_program *p = NULL;
    if (src && nm_parse(m, src) && nm_pipeline_run(m, &pipeline))
        p = host_load(m, "native");
    if (!p)
        return 1;
    nm_eval_sym sym[8];
    nmdrv_sym abi[8];
    nm_eval_opts opts = {.arena = &arena, .n_syms = bind_syms(m, sym, abi), .sym = sym};
    int checked = 0;
    nm_each_func(f, m) {
        for (int i = 0; i < 2; i++) {
            gpu_sm90a = i;
            check(m, f, p, &opts, abi);
        }
        checked++;
    }
    gpu_end();
    nm_arena_free(&arena);
    printf("%d functions checked\n", checked);
    return failures != 0 || checked == 0;
}
