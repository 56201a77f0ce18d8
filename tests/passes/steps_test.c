// A step that is cut into micro-batches is the whole step, however it is cut; and each pass on the
// way keeps the step's numbers. So are random programs that accumulate does not warn of. All by the
// interpreter, in f64.
#include "tests/passes/random_graph.h"
#include "tests/passes/steps.h"

enum { BATCH = 4, SEQ = 3, N_MODELS = 8 };
static const unsigned checked = 1u << NM_BIND_emit | 1u << NM_BIND_param | 1u << NM_BIND_state;

static nm_eval_sym size[2];
static nm_arena arena;
static nm_eval_opts opts = {.arena = &arena, .f64 = true, .n_syms = 2, .sym = size};

static void set_batch(nm_module *m, int64_t n, int64_t offset)
{
    size[0] = nm_eval_sym_of(nm_sym_get(m, "batch"), n, offset, BATCH);
    size[1] = nm_eval_sym_of(nm_sym_get(m, "seq"), SEQ, 0, SEQ);
}

static store inputs_of(nm_func *f)
{
    store s = {0};
    nm_tensor *args = input_args(f, &opts);
    for (int i = 0; i < f->n_params; i++)
        put(&s, f->param_bind[i], args[i]);
    return s;
}

static store run_whole(nm_diag *diag, const subject *what, const char *passes, store *inputs)
{
    nm_module *m = load(&arena, diag, what, passes);
    if (!m)
        nm_bug("%s does not compile", what->path);
    set_batch(m, BATCH, 0);
    nm_func *f = find_func(m, "train");
    *inputs = inputs_of(f);
    store s = *inputs;
    if (!call(f, &opts, &s, BATCH))
        nm_bug("%s: @train does not run", what->path);
    return s;
}

// sizes: those of the micro-batches, up to a 0.
static bool run_cut(nm_module *m, store s, const int *sizes, store *want)
{
    static const char *const phase[] = {"train.count", "train.micro"};
    for (int p = 0; p < 2; p++) {
        nm_func *f = find_func(m, phase[p]);
        int64_t offset = 0;
        for (int i = 0; f && sizes[i]; offset += sizes[i++]) {
            set_batch(m, sizes[i], offset);
            if (!call(f, &opts, &s, BATCH))
                return false;
        }
    }
    set_batch(m, BATCH, 0);
    return call(find_func(m, "train.finish"), &opts, &s, BATCH) &&
           same_rows(want, &s, checked, 1e-9);
}

static bool run_splits(nm_module *m, store inputs, store *whole)
{
    static const int splits[][BATCH + 1] = {{4}, {2, 2}, {1, 3}, {3, 1}, {1, 1, 1, 1}};
    bool ok = true;
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (!run_cut(m, inputs, splits[i], whole))
            ok = printf("FAIL: split %d, %d, ...\n", splits[i][0], splits[i][1]) < 0;
    return ok;
}

static int check_subject(const subject *what)
{
    static const char *const before = "split_heads,simplify,autodiff";
    static const char *const later[] = {"split_heads,simplify,autodiff,tidy",
                                        "split_heads,simplify,autodiff,tidy,precision"};
    static const char *const cut = "split_heads,simplify,autodiff,tidy,precision,accumulate";
    nm_diag diag = nm_diag_to(stderr);
    store inputs, ignored, whole = run_whole(&diag, what, before, &inputs);
    int bad = 0;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        store s = run_whole(&diag, what, later[i], &ignored);
        if (!same_rows(&whole, &s, checked, 1e-9))
            bad += printf("FAIL: %s after %s\n", what->path, later[i]) > 0;
    }
    nm_module *m = load(&arena, &diag, what, cut);
    if (m && !run_splits(m, inputs, &whole))
        bad += printf("FAIL: %s is not what it was\n", what->path) > 0;
    return bad + !m;
}

// --- random programs -----------------------------------------------------------------------------

// A step whose dim i is the batch: data has it, parameters do not.
static nm_func *random_step(nm_module *m, uint64_t seed)
{
    nm_sym batch = nm_sym_get(m, "batch");
    const nm_extent *n = nm_extent_sym(m, batch);
    nm_dim_declare(m, (nm_dim_decl){.name = batch, .extent = n, .runtime = true});
    nm_dim_declare(m, (nm_dim_decl){.name = nm_sym_get(m, "i"), .extent = n});
    nm_func *f = random_func(m, seed);
    f->name = nm_sym_get(m, "train");
    for (int i = 0; i < f->n_params; i++) {
        bool data = nm_has_dim(f->param[i]->type, nm_sym_get(m, "i"));
        f->param_bind[i] =
            (nm_bind){.kind = data ? NM_BIND_data : NM_BIND_param, .name = nm_sym_fmt(m, "x%d", i)};
    }
    for (int i = 0; i < f->n_results; i++)
        f->result_bind[i] = (nm_bind){.kind = NM_BIND_emit, .name = nm_sym_fmt(m, "y%d", i)};
    return f;
}

// 1: cut, and right; 0: it is no sum over the batch, as the pass said, and right uncut; -1: wrong.
static int check_random(uint64_t seed)
{
    nm_diag diag = {0};
    nm_module *m = nm_module_new(&arena, &diag);
    nm_func *f = random_step(m, seed);
    nm_pipeline_opts passes = {
        .only = "simplify,accumulate", .verify_each = true, .dump = stdout, .log = stdout};
    set_batch(m, BATCH, 0);
    store inputs = inputs_of(f), whole = inputs;
    if (!nm_verify(m) || !call(f, &opts, &whole, BATCH))
        return -1;
    bool ok = nm_pipeline_run(m, &passes);
    if (!ok || !(diag.warnings ? run_cut(m, inputs, (int[]){BATCH, 0}, &whole)
                               : run_splits(m, inputs, &whole)))
        return -1;
    return !diag.warnings;
}

static int check_randoms(void)
{
    enum { N_PROGRAMS = 1000 };
    int right = 0, wrong = 0;
    for (uint64_t seed = 1; seed <= N_PROGRAMS; seed++) {
        int n = check_random(seed);
        right += n > 0;
        if (n < 0)
            wrong += printf("FAIL: random step %d\n", (int)seed) > 0;
        nm_arena_free(&arena);
    }
    printf("%d of %d random steps are sums over the batch\n", right, N_PROGRAMS);
    return wrong + (right < N_PROGRAMS / 10);
}

int main(void)
{
    int bad = 0;
    for (int i = 0; i < N_SUBJECTS; i++) {
        bad += check_subject(&subjects[i]);
        nm_arena_free(&arena);
    }
    for (uint64_t seed = 1; seed <= N_MODELS; seed++) {
        subject s = random_subject(&arena, seed);
        bad += check_subject(&s);
        nm_arena_free(&arena);
    }
    return bad + check_randoms() != 0;
}
