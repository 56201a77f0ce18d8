// A text fed to @decode in pieces gets, after each piece, the logits that the whole model gives at
// the same position. By the interpreter, in f64.
#include "tests/passes/steps.h"

enum { BATCH = 2, SEQ = 5, CONTEXT = 7 };
static const char *const path = "tests/passes/tiny_llama.nmir";

static nm_eval_sym sym[3];
static nm_arena arena;
static nm_eval_opts opts = {.arena = &arena, .f64 = true, .n_syms = 3, .sym = sym};

static void set_sizes(nm_module *m, int64_t seq)
{
    sym[0] = (nm_eval_sym){nm_sym_get(m, "batch"), BATCH, 0, BATCH};
    sym[1] = (nm_eval_sym){nm_sym_get(m, "seq"), seq, 0, seq};
    sym[2] = (nm_eval_sym){nm_sym_get(m, "context.cache"), CONTEXT, 0, CONTEXT};
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
    int64_t vocab = whole->extent[2];
    for (int64_t b = 0; b < BATCH; b++)
        for (int64_t v = 0; v < vocab; v++)
            if (!is_near(whole->data[(b * SEQ + at) * vocab + v], one->data[b * vocab + v], 1e-10))
                return printf("FAIL: position %d differs\n", at), false;
    return true;
}

static bool run_pieces(nm_module *m, store inputs, const nm_tensor *whole, const int *pieces)
{
    nm_func *f = find_func(m, "decode");
    nm_bind tokens = {.kind = NM_BIND_data, .name = "tokens"};
    nm_bind out = {.kind = NM_BIND_out, .name = "logits"};
    nm_tensor text = find_row(&inputs, tokens)->t;
    double position = 0;
    nm_tensor at = {.n = 1, .data = &position};
    for (int i = 0, first = 0; pieces[i]; first += pieces[i++]) {
        set_sizes(m, pieces[i]);
        position = first;
        put(&inputs, tokens, slice_tokens(&text, first, pieces[i]));
        put(&inputs, (nm_bind){.kind = NM_BIND_scalar, .name = "at"}, at);
        if (!call(f, &opts, &inputs, BATCH) ||
            !same_position(whole, &find_row(&inputs, out)->t, first + pieces[i] - 1))
            return false;
    }
    return true;
}

int main(void)
{
    static const int pieces[][SEQ + 1] = {{5}, {2, 3}, {3, 1, 1}, {1, 1, 1, 1, 1}};
    nm_diag diag = nm_diag_to(stderr);
    nm_module *m = load(&arena, &diag, path, "split_heads,simplify,autodiff,tidy,precision,decode");
    set_sizes(m, SEQ);
    if (m->no_decode)
        return printf("FAIL: %s\n", m->no_decode), 1;
    nm_func *model = find_func(m, "model.tiny");
    store inputs = {0};
    nm_tensor *args = input_args(model, &opts);
    for (int i = 0; i < model->n_params; i++)
        put(&inputs, model->param_bind[i], args[i]);
    store whole = inputs;
    if (!call(model, &opts, &whole, BATCH))
        return 1;
    row *logits = find_row(&whole, (nm_bind){.kind = NM_BIND_out, .name = "logits"});
    int bad = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        bad += !run_pieces(m, inputs, &logits->t, pieces[i]);
    nm_arena_free(&arena);
    return bad != 0;
}
