// A text fed to @decode in pieces gets, after each piece, the logits that the whole model gives at
// the same position. By the interpreter, in f64.
#include "tests/passes/steps.h"

enum { BATCH = 2, SEQ = 5, CONTEXT = 7 };

static nm_eval_sym sym[3];
static nm_arena arena;
static nm_eval_opts opts = {.arena = &arena, .f64 = true, .n_syms = 3, .sym = sym};

static void set_sizes(nm_module *m, int64_t seq)
{
    sym[0] = nm_eval_sym_of(nm_sym_get(m, "batch"), BATCH, 0, BATCH);
    sym[1] = nm_eval_sym_of(nm_sym_get(m, "seq"), seq, 0, seq);
    sym[2] = nm_eval_sym_of(nm_sym_get(m, "context.cache"), CONTEXT, 0, CONTEXT);
}

// Positions [first, first + n) of tokens [batch, seq].
static nm_tensor slice_tokens(const nm_tensor *t, int first, int n)
{
    nm_tensor s = *t;
    s.n = BATCH * n;
    s.extent[1] = n;
    s.data = nm_new_n(&arena, double, s.n);
    for (int b = 0; b < BATCH; b++)
        for (int i = 0; i < n; i++)
            s.data[b * n + i] = t->data[b * t->extent[1] + first + i];
    return s;
}

// The whole logits are [batch, seq, vocab], those of decode [batch, vocab].
static bool same_position(const nm_tensor *whole, const nm_tensor *one, int at)
{
    int64_t vocab = whole->extent[2]; // outermost first: batch, seq, vocab
    for (int64_t b = 0; b < BATCH; b++)
        for (int64_t v = 0; v < vocab; v++)
            if (!is_near(whole->data[(b * SEQ + at) * vocab + v], one->data[b * vocab + v], 1e-10))
                return printf("FAIL: position %d differs\n", at), false;
    return true;
}

static row *find_out(store *s)
{
    for (int i = 0; i < s->n; i++)
        if (s->row[i].kind == NM_BIND_out)
            return &s->row[i];
    nm_bug("the model gives nothing");
}

static bool run_pieces(nm_module *m, store inputs, const nm_tensor *whole, const int *pieces)
{
    nm_func *f = find_func(m, "decode");
    nm_bind tokens = {.kind = NM_BIND_data, .name = "tokens"};

    nm_tensor text = find_row(&inputs, tokens)->t;
    double position = 0;
    nm_tensor at = {.n = 1, .data = &position};
    for (int i = 0, first = 0; pieces[i]; first += pieces[i++]) {
        set_sizes(m, pieces[i]);
        position = first;
        put(&inputs, tokens, slice_tokens(&text, first, pieces[i]));
        put(&inputs, (nm_bind){.kind = NM_BIND_scalar, .name = "at"}, at);
        if (!call(f, &opts, &inputs, BATCH) ||
            !same_position(whole, &find_out(&inputs)->t, first + pieces[i] - 1))
            return false;
    }
    return true;
}

static nm_func *find_model(nm_module *m)
{
    nm_each_func(f, m)
        if (nm_func_has_role(f, "model"))
            return f;
    nm_bug("there is no model");
}

static int check_subject(const subject *what)
{
    static const int pieces[][SEQ + 1] = {{5}, {2, 3}, {3, 1, 1}, {1, 1, 1, 1, 1}};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = load(&arena, &diag, what, "split_heads,simplify,autodiff,tidy,precision");
    nm_module *d = load(&arena, &diag, what, "split_heads,simplify,autodiff,tidy,precision,decode");
    if (!m || !d || d->no_decode)
        return printf("FAIL: %s: %s\n", what->path, d ? d->no_decode : "errors"), 1;
    set_sizes(m, SEQ);
    nm_func *model = find_model(m);
    store inputs = {0};
    nm_tensor *args = input_args(model, &opts);
    for (int i = 0; i < model->n_params; i++)
        put(&inputs, model->param_bind[i], args[i]);
    store whole = inputs;
    if (!call(model, &opts, &whole, BATCH))
        return 1;
    int bad = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        bad += !run_pieces(d, inputs, &find_out(&whole)->t, pieces[i]);
    if (bad)
        printf("FAIL: %s\n", what->path);
    return bad;
}

int main(void)
{
    int bad = 0;
    for (int i = 0; i < N_SUBJECTS; i++) {
        bad += !subjects[i].no_decode && check_subject(&subjects[i]);
        nm_arena_free(&arena);
    }
    return bad != 0;
}
