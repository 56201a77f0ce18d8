// Products on GPUs: functions whose products are calls of a library, and such that are kernels,
// equal the interpreter, and are what products.nmir says; and all products of a GPT-2 and of a
// Llama are calls. Runs in the root of the tree.
#include "ir/product.h"
#include "tests/codegen/gpu.h"

#include "passes/pass.h"

// --- functions -----------------------------------------------------------------------------------

// "products N" stands above the function.
static int expected(const nm_func *f)
{
    const char *line = f->loc.src->text + f->loc.off, *text = f->loc.src->text;
    while (line > text && strncmp(line, "# products ", 11) != 0)
        line--;
    return atoi(line + 11);
}

static void fill(nm_tensor *t)
{
    for (int64_t i = 0; i < t->n; i++)
        if (nm_dtype_table[t->type->dtype].is_float)
            t->data[i] = nm_round_to(t->type->dtype, (double)((i * 37 + 11) % 23) / 23 - 0.5);
        else
            t->data[i] = (double)(i * 5 % 4);
}

static void check_func(nm_module *m, nm_func *f, const nmdrv_program *p, nm_eval_opts *opts,
                       const nmdrv_sym *abi)
{
    nm_tensor *args = nm_new_n(m->arena, nm_tensor, (size_t)f->n_params + 1);
    nm_tensor *results = nm_new_n(m->arena, nm_tensor, (size_t)f->n_results + 1);
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(m, f->loc, opts, f->param[i]->type, &args[i]))
            exit(1);
        fill(&args[i]);
    }
    bool halves = f->param[0]->type->dtype == NM_bf16;
    opts->f64 = !halves;
    if (!nm_eval(f, opts, args, results))
        exit(1);
    gpu_products = 0;
    host_check(p, f->name, "gpu", abi, f->n_results, args, results, halves ? 1e-2 : 1e-5);
    int n = __builtin_popcountll(gpu_products);
    if (!record && n != expected(f)) {
        fprintf(stderr, "%s: %d products\n", f->name, n);
        failures++;
    }
}

static nm_module *run_passes(nm_arena *arena, nm_diag *diag, const char *path)
{
    nm_module *m = nm_module_new(arena, diag);
    const nm_source *src = nm_source_read(arena, diag, path);
    nm_pipeline_opts pipeline = {
        .disable = "stages,units,shard,ring", .dump = stderr, .log = stderr};
    m->options.flavour = NM_FLAVOUR_gpu;
    if (!src || !nm_parse(m, src) || !nm_pipeline_run(m, &pipeline))
        exit(1);
    return m;
}

static void check_calls(int64_t batch, int64_t seq)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = run_passes(&arena, &diag, "tests/codegen/products.nmir");
    const nmdrv_program *p = host_load(m, "native");
    nm_eval_sym sym[] = {nm_eval_sym_of(nm_sym_get(m, "batch"), batch, 0, batch),
                         nm_eval_sym_of(nm_sym_get(m, "seq"), seq, 0, seq)};
    nmdrv_sym abi[] = {{.size = batch, .total = batch}, {.size = seq, .total = seq}};
    nm_eval_opts opts = {.arena = &arena, .n_syms = 2, .sym = sym};
    nm_each_func(f, m)
        check_func(m, f, p, &opts, abi);
    failures += diag.errors != 0;
    nm_arena_free(&arena);
}

// --- models --------------------------------------------------------------------------------------

static void count(nm_module *m, nm_func *f, int *calls, int *kernels)
{
    nm_each_op(op, f) {
        nm_product_call call;
        if (op->code == NM_OP_repeat)
            count(m, op->body, calls, kernels);
        if (op->code != NM_OP_group || strcmp(nm_attr_sym(op, "kind"), "dot") != 0)
            continue;
        bool is_call = nm_product_of(m, op, &call);
        ++*(is_call ? calls : kernels);
        if (!is_call)
            nm_warning(m->diag, op->loc, "this product is a kernel");
    }
}

static void check_model(const char *path, int products)
{
    nm_arena arena = {0};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = run_passes(&arena, &diag, path);
    int calls = 0, kernels = 0;
    nm_each_func(f, m)
        count(m, f, &calls, &kernels);
    printf("%s: %d products are calls, %d are kernels\n", path, calls, kernels);
    failures += kernels != 0 || calls != products;
    nm_arena_free(&arena);
}

int main(void)
{
    gpu_begin();
    check_calls(3, 5);
    check_calls(1, 1);
    check_model("tests/passes/tiny_gpt2.nmir", 15);
    check_model("tests/passes/tiny_llama.nmir", 35); // @train.micro 21, @decode and @logits 7 each
    gpu_end();
    return failures != 0;
}
