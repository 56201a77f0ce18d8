// A pipeline of units is the whole step: its chains give what that gives.
#include "tests/passes/units_run.h"

// --- the whole ---------------------------------------------------------------------------------

static bool run_whole(nm_func *f, store *inputs, store *results)
{
    nm_tensor *args = nm_new_n(&arena, nm_tensor, f->n_params + 1);
    for (int i = 0; i < f->n_params; i++)
        args[i] = find_row(inputs, f->param_bind[i])->t;
    nm_tensor *out = run_func(f, &opts, args);
    for (int i = 0; out && i < f->n_results; i++)
        put(results, f->result_bind[i], out[i]);
    return out != NULL;
}

static const unsigned checked = 1u << NM_BIND_emit | 1u << NM_BIND_param | 1u << NM_BIND_state;

// A step, or an evaluation, by chains of units; it starts from `inputs`.
static bool check_role(world *w, const char *role, const store *inputs, store *want)
{
    memset(w->acc, 0, sizeof w->acc);
    w->shared = *inputs, w->done.n = 0;
    return run_all(w, nm_arena_fmt(&arena, "%s.count", role)) &&
           run_chains(w, nm_arena_fmt(&arena, "%s.micro.", role)) &&
           run_all(w, nm_arena_fmt(&arena, "%s.finish.before.", role)) &&
           run_all(w, nm_arena_fmt(&arena, "%s.finish.middle", role)) &&
           run_all(w, nm_arena_fmt(&arena, "%s.finish.after.", role)) &&
           same_rows(want, &w->done, checked, 1e-9);
}

typedef struct role {
    const char *name;
    nm_func *whole;
    store inputs, want;
} role;

static int check_chunks(world *w, role *roles, int n, const char *path)
{
    int bad = 0;
    for (int i = 0; i < n; i++) {
        bool init = !strcmp(roles[i].name, "init");
        w->done.n = 0, w->shared = roles[i].inputs;
        bool ok = init ? run_all(w, "init.") && same_rows(&roles[i].want, &w->done, checked, 1e-9)
                       : check_role(w, roles[i].name, &roles[i].inputs, &roles[i].want);
        if (!ok)
            bad += printf("FAIL: %s: @%s by units, %d turns a chunk\n", path, roles[i].name,
                          w->chunk) > 0;
    }
    return bad;
}

static int check_subject(const subject *what)
{
    static role roles[] = {{.name = "train"}, {.name = "eval"}, {.name = "init"}};
    static world w;
    nm_diag diag = nm_diag_to(stderr);
    nm_module *whole = load(&arena, &diag, what, "split_heads,simplify,autodiff");
    int n = 0, bad = 0;
    w = (world){.m = whole};
    for (int i = 0; whole && i < 3; i++) {
        role r = {.name = roles[i].name, .whole = find_func(whole, roles[i].name)};
        if (!r.whole)
            continue;
        set_syms(&w, NULL, 0, BATCH);
        r.inputs = whole_inputs(r.whole);
        if (!run_whole(r.whole, &r.inputs, &r.want))
            nm_bug("%s: @%s does not run", what->path, r.name);
        roles[n++] = r;
    }
    w = (world){.m = load_cut(&diag, what, "")};
    if (!n || !w.m)
        return printf("FAIL: %s does not compile\n", what->path) > 0;
    open_chunks(&w);
    for (w.chunk = 1; w.chunk <= 3; w.chunk++)
        bad += check_chunks(&w, roles, n, what->path);
    return bad;
}

int main(void)
{
    int bad = 0;
    for (int i = 0; i < N_SUBJECTS + N_MIXED; i++) {
        bad += check_subject(i < N_SUBJECTS ? &subjects[i] : &mixed[i - N_SUBJECTS]);
        nm_arena_free(&arena);
    }
    for (uint64_t seed = 1; seed <= N_MODELS; seed++) {
        subject s = random_subject(&arena, seed);
        bad += check_subject(&s);
        nm_arena_free(&arena);
    }
    return bad != 0;
}
