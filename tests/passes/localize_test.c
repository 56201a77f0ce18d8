// Localize, head_chunks and ring: every function of a model, for the ranks of a mesh by local
// extents (seq dealt over cp in two runs), and its head by chunks of a few tokens, gives what it
// gives by axes; behind the end of a padded dim what is kept is 0, and all is finite but what a
// mask takes in.
#include "ir/eval_mesh.h"
#include "tests/expect.h"
#include "tests/passes/steps.h"

enum { N_AXES = 8, MAX_RANKS = 8, MAX_SYMS = 64 };
static const char *const axis_name[N_AXES] = {"pp",  "dpr", "dps", "dpp",
                                              "cpr", "cps", "tpk", "tpr"};

static const char *const before =
    "split_heads,simplify,autodiff,tidy,precision,accumulate,units,shard";

static const subject models[] = {
    TINY_GPT2("2"),
    TINY_LLAMA3,
    {.path = "models/llama3.nm", // a head that is wide: it is cut
     .define = {{"vocab", "42"},
                {"d", "8"},
                {"heads", "4"},
                {"kv", "2"},
                {"hd", "4"},
                {"ff", "16"},
                {"layers", "1"}}},
    {.path = "tests/passes/picked.nm"},
    {.path = "tests/passes/sphere.nm"},
    {.path = "tests/passes/localize_segments.nmir"},
    {.path = "tests/passes/ring.nmir"},
};

typedef struct side { // the program of one of the two forms
    nm_module *m;
    nm_mesh_axis axis[N_AXES];
    struct nm_eval_mesh mesh;
    const nm_eval_sym *own[MAX_RANKS];
    nm_eval_opts opts;
    int n_behind; // values seen that have elements behind the end of vocab
} side;

// --- sides ---------------------------------------------------------------------------------------

static bool make(nm_arena *arena, nm_diag *diag, const subject *s, bool local, side *out)
{
    *out = (side){.m = load(arena, diag, s, before)};
    if (!out->m)
        return false;
    nm_dim_lookup(out->m, nm_sym_get(out->m, "vocab"))->pad = 4;
    out->m->options.head_chunk = 5; // divides no rank's tokens
    nm_pipeline_opts opts = {
        .only = "localize,head_chunks,ring", .verify_each = true, .dump = stdout, .log = stdout};
    return !local || nm_pipeline_run(out->m, &opts);
}

// This call is the second micro-batch of three.
static int base_syms(const nm_module *m, nm_eval_sym *sym)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        bool batch = !strcmp(d->name, "batch");
        if (d->runtime && !d->axes.n)
            sym[n++] = batch ? nm_eval_sym_of(d->name, 4, 4, 12) : nm_eval_sym_of(d->name, 8, 0, 8);
    }
    return n;
}

static void set_mesh(side *x, nm_arena *arena, const int64_t *size)
{
    nm_eval_sym *base = nm_new_n(arena, nm_eval_sym, MAX_SYMS);
    int n = base_syms(x->m, base);
    for (int i = 0; i < N_AXES; i++)
        x->axis[i] = (nm_mesh_axis){nm_sym_get(x->m, axis_name[i]), size[i]};
    x->mesh = (struct nm_eval_mesh){.n = N_AXES, .axis = x->axis};
    x->opts = (nm_eval_opts){.arena = arena, .f64 = true, .n_syms = n, .sym = base};
}

static void set_local_syms(side *x, nm_arena *arena)
{
    const nm_eval_opts base = x->opts;
    for (int64_t r = 0; r < nm_mesh_ranks(&x->mesh); r++) {
        nm_eval_sym *sym = nm_new_n(arena, nm_eval_sym, x->m->n_dims);
        x->opts.n_syms = nm_mesh_syms(x->m, &x->mesh, r, true, base.n_syms, base.sym, sym);
        x->own[r] = sym;
    }
    x->mesh.sym = x->own;
    x->opts.sym = x->own[0];
}

// --- one function --------------------------------------------------------------------------------

typedef struct all { // of every rank
    nm_tensor *rank[MAX_RANKS];
} all;

static all room(side *x, int n)
{
    all a = {0};
    for (int64_t r = 0; r < nm_mesh_ranks(&x->mesh); r++)
        a.rank[r] = nm_new_n(x->opts.arena, nm_tensor, n + 1);
    return a;
}

// The type of this side, with the pending sums that the other still has.
static const nm_type *with_pending(side *x, const nm_type *own, const nm_type *other)
{
    nm_type t = *own;
    t.kind = other->kind;
    t.pending.n = other->pending.n;
    for (int i = 0; i < t.pending.n; i++)
        t.pending.axis[i] = nm_sym_get(x->m, other->pending.axis[i]);
    return nm_type_get(x->m, &t);
}

static nm_tensor whole_arg(side *axes, const nm_func *f, int i)
{
    nm_type bare = *f->param[i]->type;
    for (int k = 0; k < bare.rank; k++)
        bare.dim[k].axes = (nm_axes){0};
    bare.pending = (nm_axes){0};
    const nm_bind *b = &f->param_bind[i];
    nm_tensor t;
    EXPECT(nm_tensor_new(axes->m, f->loc, &axes->opts, nm_type_get(axes->m, &bare), &t));
    for (int64_t k = 0; k < t.n; k++) {
        double u = nm_philox_uniform(nm_philox_draw(7, 11, 0, (uint32_t)i, (uint64_t)k));
        t.data[k] = b->index_of ? floor(11 * u) : input_element(t.type, i, k);
        if (b->kind == NM_BIND_scalar && nm_dtype_table[t.type->dtype].is_float)
            t.data[k] = 0.2 + 0.7 * u; // decays
    }
    return t;
}

// The arguments of one side, of all ranks; axes: the function with axes.
static all cut_args(side *x, nm_func *f, const nm_func *axes, const nm_tensor *whole)
{
    all a = room(x, f->n_params);
    nm_tensor part[MAX_RANKS];
    for (int i = 0; i < f->n_params; i++) {
        const nm_type *t = with_pending(x, f->param[i]->type, axes->param[i]->type);
        nm_tensor all_of = whole[i];
        all_of.type = t; // the names of this side's module; the extents are in the tensor
        EXPECT(nm_mesh_cut(x->m, &x->opts, &x->mesh, t, &all_of, part));
        for (int64_t r = 0; r < nm_mesh_ranks(&x->mesh); r++) {
            a.rank[r][i] = part[r];
            a.rank[r][i].type = f->param[i]->type;
        }
    }
    return a;
}

static nm_tensor join(side *x, nm_func *f, const nm_func *axes, const all *results, int i)
{
    nm_tensor part[MAX_RANKS], whole = {0};
    const nm_type *own = f->last->in[i]->type, *other = axes->last->in[i]->type;
    for (int64_t r = 0; r < nm_mesh_ranks(&x->mesh); r++)
        part[r] = results->rank[r][i];
    EXPECT(
        nm_mesh_join(x->m, f->loc, &x->opts, &x->mesh, with_pending(x, own, other), part, &whole));
    return whole;
}

// Elements of a rank's value that lie behind the total of vocab: those of first, first + 1, ...
typedef struct behind {
    int64_t inner, extent, first; // index i of the dim is element k's if k / inner % extent == i
} behind;

static bool is_behind(const behind *b, int64_t k) { return k / b->inner % b->extent >= b->first; }

// None, if the value has not this rank's part of vocab.
static behind find_behind(side *x, int64_t rank, const nm_tensor *t)
{
    behind b = {1, 1, 1};
    nm_sym vocab = nm_sym_get(x->m, "vocab.tp");
    int at = nm_type_find(t->type, nm_sym_get(x->m, "vocab"));
    if (at < 0 || t->type->dim[at].extent != nm_extent_sym(x->m, vocab))
        return b;
    int64_t first = 0, total = 0;
    EXPECT(nm_extent_is_const(nm_dim_of(x->m, nm_sym_get(x->m, "vocab")).extent, &total));
    for (int k = at + 1; k < t->type->rank; k++)
        b.inner *= t->extent[k];
    for (int k = 0; k < x->opts.n_syms; k++)
        if (x->own[rank][k].name == vocab)
            first = x->own[rank][k].offset;
    b.extent = t->extent[at];
    b.first = total - first;
    return b;
}

// A kept value is 0 where it lies behind the total.
static void check_padding(side *x, const nm_func *f, int64_t rank, int i, const nm_tensor *t)
{
    nm_bind_kind kind = f->result_bind[i].kind;
    bool is_kept = kind == NM_BIND_param || kind == NM_BIND_state || kind == NM_BIND_acc;
    behind b = find_behind(x, rank, t);
    for (int64_t k = 0; k < t->n && is_kept; k++)
        if (is_behind(&b, k))
            EXPECT(t->data[k] == 0);
}

// Is the value for a mask only, which takes another number where it lies behind the total?
static bool is_masked(const nm_value *v)
{
    return v->uses && !v->uses->next && v->uses->op->code == NM_OP_select &&
           v->uses->op->in[1] == v;
}

// Every value is finite there.
static void check_finite(void *watcher, const nm_value *v, int64_t rank, const nm_tensor *t)
{
    side *x = (side *)watcher;
    if (expect_failed || !nm_dtype_table[t->type->dtype].is_float || is_masked(v))
        return;
    behind b = find_behind(x, rank, t);
    x->n_behind += b.first < b.extent;
    for (int64_t k = 0; k < t->n && !expect_failed; k++)
        if (is_behind(&b, k) && !isfinite(t->data[k])) {
            fprintf(stderr, "@%s: %%%s is %g behind the end of vocab\n", v->func->name, v->name,
                    t->data[k]);
            expect_failed = 1;
        }
}

static void compare(const nm_func *f, const int64_t *size, int i, const nm_tensor *got,
                    const nm_tensor *want)
{
    EXPECT(got->n == want->n);
    for (int64_t k = 0; k < got->n && k < want->n; k++)
        if (!is_near(got->data[k], want->data[k], 1e-9)) {
            fprintf(stderr,
                    "@%s, %d %d %d %d %d %d: result %d element %lld: %.12g, by axes %.12g\n",
                    f->name, (int)size[1], (int)size[2], (int)size[3], (int)size[4], (int)size[5],
                    (int)size[6], i, (long long)k, got->data[k], want->data[k]);
            expect_failed = 1;
            return;
        }
}

static all run(side *x, nm_func *f, const nm_func *axes, const nm_tensor *whole)
{
    all args = cut_args(x, f, axes, whole), results = room(x, f->n_results);
    EXPECT(nm_eval_mesh(f, &x->opts, &x->mesh, (const nm_tensor *const *)args.rank, results.rank));
    return results;
}

static void check_func(side *axes, side *local, nm_func *f, const int64_t *size)
{
    nm_func *g = find_func(local->m, f->name);
    nm_tensor whole[128];
    EXPECT(g && f->n_params <= 128);
    for (int i = 0; i < f->n_params; i++)
        whole[i] = whole_arg(axes, f, i);
    all a = run(axes, f, f, whole), b = run(local, g, f, whole);
    for (int i = 0; i < f->n_results && !expect_failed; i++) {
        nm_tensor want = join(axes, f, f, &a, i), got = join(local, g, f, &b, i);
        compare(f, size, i, &got, &want);
        for (int64_t r = 0; r < nm_mesh_ranks(&local->mesh); r++)
            check_padding(local, g, r, i, &b.rank[r][i]);
    }
}

// --- models and meshes ---------------------------------------------------------------------------

// Is the function for meshes of these sizes?
static bool is_for(const nm_func *f, const int64_t *size)
{
    nm_sym mode = f->part.mode;
    bool one = true, no_tp = size[N_AXES - 2] * size[N_AXES - 1] == 1;
    for (int i = 1; i < N_AXES; i++)
        one = one && size[i] == 1;
    if (!mode || strstr(mode, "nosp"))
        return false;
    return strcmp(mode, "one") ? no_tp || !strstr(mode, "notp") : one;
}

static void check_mesh(side *axes, side *local, const int64_t *size)
{
    nm_arena arena = {0};
    int n = 0;
    set_mesh(axes, &arena, size);
    set_mesh(local, &arena, size);
    set_local_syms(local, &arena);
    local->opts.watch = check_finite;
    local->opts.watcher = local;
    nm_each_func(f, axes->m) {
        if (expect_failed || !is_for(f, size))
            continue;
        nm_arena_mark mark = nm_arena_mark_get(&arena);
        check_func(axes, local, f, size);
        nm_arena_reset(&arena, mark);
        n++;
    }
    EXPECT(n > 0);
    nm_arena_free(&arena);
}

static void check_model(const subject *s)
{
    static const int64_t size[][N_AXES] = {
        {1, 1, 1, 1, 1, 1, 1, 1}, // pp, dpr, dps, dpp, cpr, cps, tpk, tpr
        {1, 1, 1, 1, 1, 1, 2, 1}, {1, 1, 1, 1, 1, 2, 1, 1}, {1, 2, 1, 1, 1, 1, 2, 1},
        {1, 1, 1, 2, 1, 2, 2, 1}, {1, 1, 2, 1, 2, 1, 2, 1}, {1, 1, 2, 1, 1, 1, 2, 2},
    };
    nm_arena arena[2] = {{0}};
    nm_diag diag = nm_diag_to(stderr);
    side axes, local;
    bool ok = make(&arena[0], &diag, s, false, &axes) && make(&arena[1], &diag, s, true, &local);
    EXPECT(ok);
    for (size_t i = 0; ok && i < sizeof size / sizeof *size; i++)
        if (size[i][7] == 1 || !strstr(s->path, "gpt2"))
            check_mesh(&axes, &local, size[i]);
    EXPECT(local.n_behind || !strstr(s->path, "sphere"));
    nm_arena_free(&arena[0]);
    nm_arena_free(&arena[1]);
}

int main(void)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        check_model(&models[i]);
    return expect_failed;
}
