// Products that are calls of a library: functions whose products are calls equal the interpreter
// where a loop does what the library would, by the tables and the geometry alone; and all products
// of a GPT-2 and of a Llama are calls. Runs in the root of the tree.
#include "codegen/product.h"
#include "tests/codegen/host.h"

#include "passes/pass.h"

// --- the library
// ------------------------------------------------------------------------------------------

static int n_products; // called

static double product_sum(const nmdrv_geometry *g, const nmdrv_product *x, const void *a,
                          const void *b, int64_t batch, int64_t m, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < g->k; k++)
        sum += host_get(x->a_dtype, a, batch * g->a_batch + m * g->a_m + k * g->a_k) *
               host_get(x->b_dtype, b, batch * g->b_batch + n * g->b_n + k * g->b_k);
    return sum;
}

// One of the two is 1, and the other as long as a line, at least: what a library asks for.
static bool is_matrix(int64_t row_stride, int64_t rows, int64_t col_stride, int64_t cols)
{
    return (col_stride == 1 && row_stride >= cols) || (row_stride == 1 && col_stride >= rows);
}

static void check_geometry(const nmdrv_geometry *g, const char *name)
{
    if (is_matrix(g->a_m, g->m, g->a_k, g->k) && is_matrix(g->b_n, g->n, g->b_k, g->k) &&
        g->c_n == 1 && g->c_m >= g->n)
        return;
    fprintf(stderr, "%s: its operands are no matrices\n", name);
    failures++;
}

static void host_product(nmdrv_frame *f, int64_t product, const nmdrv_geometry *g, void *c,
                         const void *a, const void *b, const void *bias)
{
    const host *h = f->device;
    const nmdrv_product *x = &h->p->product[product];
    check_geometry(g, x->name);
    n_products++;
    for (int64_t i = 0; i < g->batch * g->m * g->n; i++) {
        int64_t batch = i / g->n / g->m, m = i / g->n % g->m, n = i % g->n;
        int64_t at = batch * g->c_batch + m * g->c_m + n * g->c_n;
        double y = x->alpha * product_sum(g, x, a, b, batch, m, n);
        y += x->adds ? host_get(x->c_dtype, c, at) : 0;
        y += x->epilogue == NMDRV_EPILOGUE_BIAS ? host_get(x->bias_dtype, bias, n) : 0;
        host_put(x->c_dtype, c, at, y);
    }
}

static void host_copy(nmdrv_frame *f, void *to, const void *from, int64_t bytes)
{
    (void)f;
    memcpy(to, from, (size_t)bytes);
}

// --- functions of products alone
// --------------------------------------------------------------------------

// "products N" stands above the function.
static int expected(const nm_func *f)
{
    const char *line = f->loc.src->text + f->loc.off, *text = f->loc.src->text;
    while (line > text && strncmp(line, "# products ", 11) != 0)
        line--;
    return atoi(line + 11);
}

static void check_func(nm_module *m, nm_func *f, const nmdrv_program *p, const nm_eval_opts *opts,
                       const nmdrv_sym *abi)
{
    nm_tensor *args = nm_new_n(m->arena, nm_tensor, (size_t)f->n_params + 1);
    nm_tensor *results = nm_new_n(m->arena, nm_tensor, (size_t)f->n_results + 1);
    for (int i = 0; i < f->n_params; i++) {
        if (!nm_tensor_new(m, f->loc, opts, f->param[i]->type, &args[i]))
            exit(1);
        for (int64_t k = 0; k < args[i].n; k++)
            args[i].data[k] =
                nm_round_to(f->param[i]->type->dtype, (double)((k * 37 + 11) % 23) / 23 - 0.5);
    }
    if (!nm_eval(f, opts, args, results))
        exit(1);
    n_products = 0;
    host_check(p, f->name, "gpu", abi, f->n_results, args, results, 1e-5);
    int runs = 2, turns = strstr(f->name, "turns") ? 3 : 1;
    if (n_products != runs * turns * expected(f)) {
        fprintf(stderr, "%s: %d products in a run\n", f->name, n_products / runs);
        failures++;
    }
}

static nm_module *run_passes(nm_arena *arena, nm_diag *diag, const char *path)
{
    nm_module *m = nm_module_new(arena, diag);
    const nm_source *src = nm_source_read(arena, diag, path);
    nm_pipeline_opts pipeline = {
        .disable = "units,shard,localize,ring", .dump = stderr, .log = stderr};
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
    nm_eval_opts opts = {.arena = &arena, .n_syms = 2, .sym = sym, .f64 = true};
    nm_each_func(f, m)
        check_func(m, f, p, &opts, abi);
    failures += diag.errors != 0 || p->n_kernels != 0;
    nm_arena_free(&arena);
}

// --- models
// -----------------------------------------------------------------------------------------------

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
    host_calls.product = host_product;
    host_calls.copy = host_copy;
    check_calls(3, 5);
    check_calls(1, 1);
    check_model("tests/passes/tiny_gpt2.nmir", 15);
    check_model("tests/passes/tiny_llama.nmir", 28);
    return failures != 0;
}
