// Every op from its row: its example, with each dim that it may have split cut over axes of two and
// three ranks, each pair of dims, and each operand that may be one a part of a sum, gives what the
// whole op gives. What the row says of an op (traits, .whole, .parts) is the only input, so a row
// that promises too much fails here; the check backward from the types has to agree.
#include "ir/example.h"
#include "ir/form.h"
#include "tests/passes/mesh_run.h"

static const struct { // a multiple of six where the examples allow it
    const char *name;
    int64_t extent;
} dims[] = {{"i", 6}, {"j", 12}, {"k", 6}, {"p", 6}, {"q", 2}, {"b", 6}, {"s", 6}, {"h", 6}};

// What the examples leave out: lines of the same form.
static const char *const more_examples[] = {
    "attention f32[b, s, h, x], f32[b, s', h, x], f32[b, s', h, x], i64[], i32[] {over = s', hd = "
    "x, causal = true, scale = 0.5, dropout = 0.5, key = \"k\", extra = [seed, step]}",
    "attention_grad f32[b, s, h, x], f32[b, s', h, x], f32[b, s', h, x], f32[b, s, h, x], f32[b, "
    "s, h], f32[b, s, h, x], f32[h, s, s'], f32[h], i64[], i32[] {over = s', hd = x, causal = "
    "true, scale = 0.5, dropout = 0.5, key = \"k\", extra = [bias, sink, seed, step]}",
    "attention f32[b, s, k, h, x], f32[b, s', k, x], f32[b, s', k, x], i32[s] {over = s', hd = x, "
    "causal = true, window = 3, scale = 0.5, extra = [at]}",
    "random i64[], i32[] {dist = normal, key = \"a\"} : f32[j, i, k]",
    "gather f32[j, i, k], i32[k, i] {over = j}",
    "dot f32[i, k, j], f32[k, j, i] {over = [k, j]}",
    "merge f32[p, q] {from = [p, q], into = j}",
    "extern f32[b, k, j], f32[b, k, j] {name = recur, dims = [b, k, j], whole = [k], host = "
    "\"examples/op/recur.c\"} : f32[j, k, b]",
    "extern f32[i, j], f32[j], f32[], f32[i, j], f32[i, j] {name = scale_grad, dims = [i, j], "
    "numbers = 4, host = \"tests/codegen/scale.c\"} : f32[j, i], f32[j]",
};

static const nm_sym *axis; // [3] x, y, z, of 2, 3 and 2 ranks

typedef struct splitting { // what is tried on an op
    const char *what;      // its name
    nm_space space;        // axes of its dims
    uint32_t parts;        // operands that are pending over z
} splitting;

static const nm_type *type_of(nm_module *m, const nm_type *bare, const nm_space *s,
                              nm_sym (*find)(const nm_op *, nm_sym), const nm_op *op)
{
    nm_type t = *bare;
    for (int i = 0; i < t.rank; i++) {
        nm_sym name = find(op, t.dim[i].name);
        const nm_dim *d = name ? nm_space_find((nm_space *)s, name) : NULL;
        t.dim[i].axes = d ? d->axes : (nm_axes){0};
    }
    return nm_type_get(m, &t);
}

// The pending sum of result r: kept over z, and born where a split dim is dropped.
static const nm_type *with_pending(nm_module *m, const nm_type *t, const nm_op *op, int r,
                                   const splitting *sp)
{
    nm_type n = *t;
    if (sp->parts)
        nm_axes_add(&n.pending, axis[2]);
    for (int i = 0; i < sp->space.n; i++)
        for (int k = 0; k < sp->space.dim[i].axes.n; k++)
            if (nm_form_drops(op, r, sp->space.dim[i].name))
                nm_axes_add(&n.pending, sp->space.dim[i].axes.axis[k]);
    n.kind = op->code == NM_OP_max ? NM_PENDING_MAX : NM_PENDING_SUM;
    return nm_type_get(m, &n);
}

// f again with the types that follow from the splitting.
static nm_func *split_func(nm_func *f, const splitting *sp)
{
    nm_module *m = f->module;
    nm_func *g = nm_func_clone(f, nm_sym_fmt(m, "%s.split", f->name), NULL);
    nm_op *op = g->first;
    const nm_type *in[NM_MAX_RANK], *out[NM_MAX_RANK];
    for (int i = 0; i < op->n_in; i++) {
        nm_type t = *type_of(m, op->in[i]->type, &sp->space, nm_space_of_operand, op);
        if (sp->parts >> i & 1)
            t.pending = (nm_axes){1, {axis[2]}};
        in[i] = nm_type_get(m, &t);
    }
    for (int r = 0; r < op->n_out; r++)
        out[r] = with_pending(m, type_of(m, op->out[r].type, &sp->space, nm_space_of_result, op),
                              op, r, sp);
    for (int i = 0; i < op->n_in; i++)
        op->in[i]->type = in[i];
    for (int r = 0; r < op->n_out; r++)
        op->out[r].type = out[r];
    return g;
}

static double element(const nm_type *t, int arg, int64_t i)
{
    double u = nm_philox_uniform(nm_philox_draw(3, 5, 0, (uint32_t)arg, (uint64_t)i));
    bool index = !nm_dtype_table[t->dtype].is_float && t->dtype != NM_bool;
    return index ? floor(14 * u) - 1 : input_element(t, arg, i); // also outside of every dim
}

static nm_tensor *whole_args(const ranks *t, nm_func *f)
{
    nm_tensor *args = input_args(f, &t->opts);
    for (int i = 0; args && i < f->n_params; i++)
        for (int64_t k = 0; k < args[i].n; k++)
            args[i].data[k] = element(args[i].type, i, k);
    return args;
}

static bool try_splitting(const ranks *t, nm_func *f, const splitting *sp)
{
    nm_tensor *args = whole_args(t, f), *want = args ? run_func(f, &t->opts, args) : NULL;
    nm_func *g = split_func(f, sp);
    nm_tensor **parts = nm_new_n(t->opts.arena, nm_tensor *, g->n_params + 1);
    bool ok = want && nm_verify(t->m);
    for (int i = 0; ok && i < g->n_params; i++)
        parts[i] = cut(t, g->param[i]->type, &args[i]);
    nm_tensor **got = ok ? run_ranks(t, g, parts) : NULL;
    ok = got != NULL;
    for (int i = 0; ok && i < g->n_results; i++)
        ok = is_whole(t, g->last->in[i]->type, got[i], &want[i], 1e-11);
    if (!ok) {
        printf("FAIL: %s\n", sp->what);
        nm_print_func(stdout, g, (nm_print_opts){0});
    }
    nm_func_remove(g);
    return ok;
}

// --- what is tried -------------------------------------------------------------------------------

// May the dim be cut over n ranks? All that its operands and results call it have to be.
static bool divides(const nm_op *op, const nm_space *s, int dim, int64_t n)
{
    int64_t extent;
    for (int i = 0; i < op->n_in + op->n_out; i++) {
        bool is_in = i < op->n_in;
        const nm_type *t = is_in ? op->in[i]->type : op->out[i - op->n_in].type;
        for (int k = 0; k < t->rank; k++) {
            nm_sym name = is_in ? nm_space_of_operand(op, t->dim[k].name)
                                : nm_space_of_result(op, t->dim[k].name);
            if (name == s->dim[dim].name &&
                (!nm_extent_is_const(t->dim[k].extent, &extent) || extent % n))
                return false;
        }
    }
    return true;
}

typedef struct count {
    int tried, bad;
} count;

static void attempt(const ranks *t, nm_func *f, const splitting *sp, count *c)
{
    nm_arena_mark mark = nm_arena_mark_get(t->opts.arena);
    c->tried++;
    c->bad += !try_splitting(t, f, sp);
    nm_arena_reset(t->opts.arena, mark);
}

// With every operand whole, and with each that may be one, or all of a sum, a part.
static void try_parts(const ranks *t, nm_func *f, splitting sp, count *c)
{
    const nm_op *op = f->first;
    uint32_t all = 0;
    attempt(t, f, &sp, c);
    for (int i = 0; i < op->n_in; i++)
        all |= (uint32_t)nm_form_reads_parts(op, i) << i;
    if (nm_is(op, NM_SUM) && all) {
        sp.parts = all;
        attempt(t, f, &sp, c);
    }
    for (int i = 0; i < op->n_in && !nm_is(op, NM_SUM); i++)
        if (all >> i & 1) {
            sp.parts = 1u << i;
            attempt(t, f, &sp, c);
        }
}

static void try_op(const ranks *t, nm_func *f, count *c)
{
    splitting sp = {.what = f->name, .space = nm_space_of(f->first)};
    const nm_space none = sp.space;
    try_parts(t, f, sp, c);
    for (int a = 0; a < none.n; a++)
        for (int b = 0; b < none.n; b++) { // a over x, b over y; one dim over both
            bool both = a == b;
            if (!divides(f->first, &none, a, both ? 6 : 2) || !divides(f->first, &none, b, 3))
                continue;
            sp.space = none;
            nm_axes_add(&sp.space.dim[a].axes, axis[0]);
            nm_axes_add(&sp.space.dim[b].axes, axis[1]);
            try_parts(t, f, sp, c);
        }
    for (int a = 0; a < none.n; a++)
        for (int x = 0; x < 2; x++) {
            if (!divides(f->first, &none, a, 2 + x))
                continue;
            sp.space = none;
            nm_axes_add(&sp.space.dim[a].axes, axis[x]);
            try_parts(t, f, sp, c);
        }
}

// --- the examples --------------------------------------------------------------------------------

static void declare_dims(nm_module *m, nm_opcode code)
{
    nm_example_dims(m);
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        if (code != NM_OP_pad || strcmp(dims[i].name, "j")) // its example makes j = 6 of 4
            nm_dim_declare(m, (nm_dim_decl){.name = nm_sym_get(m, dims[i].name),
                                            .extent = nm_extent_const(m, dims[i].extent)});
}

static int check_example(nm_opcode code, const char *text)
{
    nm_arena arena = {0}, values = {0};
    nm_diag diag = nm_diag_to(stdout);
    count c = {0};
    ranks t = {.m = nm_module_new(&arena, &diag), .opts = {.arena = &values, .f64 = true}};
    nm_sym names[3];
    for (int i = 0; i < 3; i++)
        names[i] = nm_sym_get(t.m, (const char *const[]){"x", "y", "z"}[i]);
    axis = names;
    add_axis(&t, "x", 2), add_axis(&t, "y", 3), add_axis(&t, "z", 2);
    declare_dims(t.m, code);
    nm_func *f = text ? nm_example_parse(t.m, code, text) : nm_op_example(t.m, code);
    if (f)
        try_op(&t, f, &c);
    else
        c.bad++;
    nm_arena_free(&values);
    nm_arena_free(&arena);
    return c.bad + (c.tried == 0);
}

int main(void)
{
    int bad = 0;
    for (int code = 0; code < NM_N_OPS; code++)
        if (nm_op_table[code].example)
            bad += check_example((nm_opcode)code, NULL);
    for (size_t i = 0; i < sizeof more_examples / sizeof *more_examples; i++) {
        const char *text = more_examples[i];
        size_t n = strcspn(text, " ");
        bad += check_example((nm_opcode)nm_opcode_find(text, n), text + n + 1);
    }
    return bad != 0;
}
