// A step that is cut into micro-batches is the whole step, however it is cut; and each pass on the
// way keeps the step's numbers. All by the interpreter, in f64.
#include "tests/passes/steps.h"

enum { BATCH = 4, SEQ = 3 };
static const unsigned checked = 1u << NM_BIND_emit | 1u << NM_BIND_param | 1u << NM_BIND_state;

static nm_eval_sym sym[2];
static nm_arena arena;
static nm_eval_opts opts = {.arena = &arena, .f64 = true, .n_syms = 2, .sym = sym};

static void set_batch(nm_module *m, int64_t size, int64_t offset)
{
    sym[0] = nm_eval_sym_of(nm_sym_get(m, "batch"), size, offset, BATCH);
    sym[1] = nm_eval_sym_of(nm_sym_get(m, "seq"), SEQ, 0, SEQ);
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

static int check_subject(const subject *what)
{
    static const char *const before = "split_heads,simplify,autodiff";
    static const char *const later[] = {"split_heads,simplify,autodiff,tidy",
                                        "split_heads,simplify,autodiff,tidy,precision"};
    static const char *const cut = "split_heads,simplify,autodiff,tidy,precision,accumulate";
    static const int splits[][BATCH + 1] = {{4}, {2, 2}, {1, 3}, {3, 1}, {1, 1, 1, 1}};
    nm_diag diag = nm_diag_to(stderr);
    store inputs, ignored, whole = run_whole(&diag, what, before, &inputs);
    int bad = 0;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        store s = run_whole(&diag, what, later[i], &ignored);
        if (!same_rows(&whole, &s, checked, 1e-9))
            bad += printf("FAIL: %s after %s\n", what->path, later[i]) > 0;
    }
    nm_module *m = load(&arena, &diag, what, cut);
    for (size_t i = 0; m && i < sizeof splits / sizeof *splits; i++)
        if (!run_cut(m, inputs, splits[i], &whole))
            bad +=
                printf("FAIL: %s split %d, %d, ...\n", what->path, splits[i][0], splits[i][1]) > 0;
    return bad + !m;
}

int main(void)
{
    int bad = 0;
    for (int i = 0; i < N_SUBJECTS; i++) {
        bad += check_subject(&subjects[i]);
        nm_arena_free(&arena);
    }
    return bad != 0;
}
