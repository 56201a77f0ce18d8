// Simplify: algebra that is always a win, value numbering, dead code, calls inlined. It changes no
// number but the sign of a zero; rules that trade one cost for another belong in fuse.c. It runs
// before autodiff, which wants no calls, and after it, since gradient rules are naive on purpose.
#include "passes/simplify.h"

#include "passes/inline.h"
#include "passes/pass.h"
#include "passes/rewrite.h"
#include "passes/value_number.h"

#include <string.h>

// --- conditions and results that text cannot say -----------------------------------------------

static nm_op *inner_of(const nm_match *m) { return m->root->in[0]->def; }

static bool keeps_type(const nm_match *m) { return m->root->in[0]->type == m->root->out[0].type; }

// Gradients are done: nothing has to be told that the value is constant.
static bool grads_are_done(const nm_match *m) { return m->f->module->facts & GRADS; }

// Is every number of dtype a one of b, so that a cast from a to b loses nothing?
static bool is_exact(nm_dtype a, nm_dtype b)
{
    if (a == b || a == NM_bool)
        return true;
    if (nm_dtype_table[a].is_float)
        return (b == NM_f64 && a != NM_real) || (b == NM_f32 && a != NM_f64) ||
               ((a == NM_e4m3 || a == NM_e5m2) && (b == NM_bf16 || b == NM_f16));
    return !nm_dtype_table[b].is_float && b <= a && a != NM_u8 && a != NM_u4;
}

static bool inner_is_exact(const nm_match *m)
{
    return is_exact(nm_var(m, 'x')->type->dtype, inner_of(m)->out[0].type->dtype);
}

static nm_value *rebuild(nm_match *m, nm_opcode code, const nm_type *type, int n,
                         const nm_attr *attr)
{
    nm_value *x = nm_var(m, 'x');
    return nm_build(m->f, m->root,
                    &(nm_proto){.code = code,
                                .loc = m->root->loc,
                                .n_in = 1,
                                .in = &x,
                                .type = type,
                                .n_attrs = n,
                                .attr = attr});
}

static nm_value *cast_once(nm_match *m)
{
    return rebuild(m, NM_OP_cast, m->root->out[0].type, m->root->n_attrs, m->root->attr);
}

static nm_value *broadcast_once(nm_match *m)
{
    return rebuild(m, NM_OP_broadcast, m->root->out[0].type, 0, NULL);
}

// a called b, called c: a called c
static nm_value *rename_once(nm_match *m)
{
    nm_module *mod = m->f->module;
    nm_op *inner = inner_of(m);
    if (nm_attr_sym(inner, "to") != nm_attr_sym(m->root, "from"))
        return NULL;
    nm_sym from = nm_attr_sym(inner, "from"), to = nm_attr_sym(m->root, "to");
    if (from == to)
        return nm_var(m, 'x');
    nm_attr attr[] = {nm_mk_sym(mod, "from", from), nm_mk_sym(mod, "to", to)};
    return rebuild(m, NM_OP_rename, m->root->out[0].type, 2, attr);
}

static bool same_list(nm_syms a, nm_syms b)
{
    return a.n == b.n && (!a.n || !memcmp(a.sym, b.sym, (size_t)a.n * sizeof *a.sym));
}

// What was split and merged again, or merged and split again, in the same way.
static nm_value *undo_merge(nm_match *m)
{
    nm_op *split = m->root, *merge = inner_of(m);
    bool undone = nm_attr_sym(merge, "into") == nm_attr_sym(split, "from") &&
                  same_list(nm_attr_dims(merge, "from"), nm_attr_dims(split, "into")) &&
                  nm_type_same_set(nm_var(m, 'x')->type, split->out[0].type);
    return undone ? nm_var(m, 'x') : NULL;
}

static nm_value *undo_split(nm_match *m)
{
    nm_op *merge = m->root, *split = inner_of(m);
    bool undone = nm_attr_sym(merge, "into") == nm_attr_sym(split, "from") &&
                  same_list(nm_attr_dims(merge, "from"), nm_attr_dims(split, "into")) &&
                  nm_type_same_set(nm_var(m, 'x')->type, merge->out[0].type);
    return undone ? nm_var(m, 'x') : NULL;
}

static nm_value *sum_over(nm_match *m, nm_syms over)
{
    nm_attr attr = nm_mk_dims(m->f->module, "over", over);
    return rebuild(m, NM_OP_sum, m->root->out[0].type, 1, &attr);
}

static nm_value *sum_once(nm_match *m)
{
    nm_syms a = nm_attr_dims(inner_of(m), "over"), b = nm_attr_dims(m->root, "over");
    nm_sym both[2 * NM_MAX_RANK];
    if (a.n + b.n > NM_MAX_RANK)
        return NULL;
    memcpy(both, a.sym, (size_t)a.n * sizeof *both);
    memcpy(both + a.n, b.sym, (size_t)b.n * sizeof *both);
    return sum_over(m, (nm_syms){a.n + b.n, both});
}

// The number of equal terms, as a scalar like x.
static nm_value *count(nm_match *m, const nm_extent *n, nm_dtype dtype)
{
    nm_module *mod = m->f->module;
    nm_attr of = nm_mk_extent(mod, "of", n);
    return nm_build(m->f, m->root,
                    &(nm_proto){.code = NM_OP_size,
                                .loc = m->root->loc,
                                .type = nm_type_scalar(mod, dtype),
                                .n_attrs = 1,
                                .attr = &of});
}

// Dims that x lacks count how often its elements are added up. `size` is of the whole batch, so
// this is not for the micro-batches' functions: accumulate does not apply rules to what it has cut.
static nm_value *sum_of_broadcast(nm_match *m)
{
    nm_module *mod = m->f->module;
    nm_value *x = nm_var(m, 'x');
    nm_syms over = nm_attr_dims(m->root, "over");
    nm_sym left[NM_MAX_RANK];
    int n = 0;
    const nm_extent *times = nm_extent_const(mod, 1);
    for (int i = 0; i < over.n; i++)
        if (nm_has_dim(x->type, over.sym[i]))
            left[n++] = over.sym[i];
        else
            times = nm_extent_mul(
                mod, times,
                m->root->in[0]->type->dim[nm_type_find(m->root->in[0]->type, over.sym[i])].extent);
    if (n == over.n || !times)
        return NULL;
    nm_value *sum = x;
    if (n) {
        nm_attr attr = nm_mk_dims(mod, "over", (nm_syms){n, left});
        sum = rebuild(m, NM_OP_sum, NULL, 1, &attr);
    }
    return nm_build2(m->f, m->root, m->root->loc, NM_OP_mul, sum, count(m, times, x->type->dtype));
}

// clang-format off
static const nm_rule rules[] = {
    RULE("neg(neg(?x))              => ?x"),
    RULE("not(not(?x))              => ?x"),
    RULE("abs(neg(?x))              => abs(?x)"),
    RULE("add(?x, 0)                => ?x"),  // -0 + 0 is 0: the sign of a zero
    RULE("sub(?x, 0)                => ?x"),
    RULE("sub(0, ?x)                => neg(?x)"),
    RULE("mul(?x, 1)                => ?x"),
    RULE("mul(?x, -1)               => neg(?x)"),
    RULE("div(?x, 1)                => ?x"),
    RULE("div(?x, -1)               => neg(?x)"),
    RULE("add(?x, neg(?y))          => sub(?x, ?y)"),
    RULE("sub(?x, neg(?y))          => add(?x, ?y)"),
    RULE("mul(neg(?x), neg(?y))     => mul(?x, ?y)"),
    RULE("pow(?x, 0)                => 1"),
    RULE("pow(?x, 1)                => ?x"),
    RULE("pow(?x, 2)                => mul(?x, ?x)"),
    RULE("pow(?x, 3)                => mul(?x, mul(?x, ?x))"),
    RULE("pow(?x, 0.5)              => sqrt(?x)"),
    RULE("maximum(?x, ?x)           => ?x"),
    RULE("minimum(?x, ?x)           => ?x"),
    RULE("and(?x, ?x)               => ?x"),
    RULE("or(?x, ?x)                => ?x"),
    RULE("and(?x, 1)                => ?x"),
    RULE("or(?x, 0)                 => ?x"),
    RULE("select(?c, ?x, ?x)        => ?x"),
    RULE("select(1, ?x, ?y)         => ?x"),
    RULE("select(0, ?x, ?y)         => ?y"),
    RULE("stop(?x)                  => ?x", .when = grads_are_done),
    // NOT mul(?x, 0) => 0, nor sub(?x, ?x) => 0: inf and NaN.
    // NOT mul(exp(?x), exp(?y)) => exp(add(?x, ?y)): inf * 0 on the left.
    // NOT div(?x, c) => mul(?x, 1/c): another rounding, but for powers of two.

    RULE("cast(?x)                  => ?x", .when = keeps_type),
    RULE("cast(cast(?x))", .when = inner_is_exact, .build = cast_once),
    RULE("broadcast(?x)             => ?x", .when = keeps_type),
    RULE("slice(?x)                 => ?x", .when = keeps_type),
    RULE("pad(?x)                   => ?x", .when = keeps_type),
    RULE("concat(?x)                => ?x"),
    RULE("broadcast(broadcast(?x))", .build = broadcast_once),
    RULE("rename(rename(?x))", .build = rename_once),
    RULE("split(merge(?x))", .build = undo_merge),
    RULE("merge(split(?x))", .build = undo_split),
    RULE("sum(sum(?x))", .build = sum_once, .fuse = true),
    RULE("sum(broadcast(?x))", .build = sum_of_broadcast),
};
// clang-format on

void nm_drop_dead(nm_func *f, bool *changed)
{
    for (nm_op *op = f->last, *prev; op; op = prev) {
        prev = op->prev;
        bool used = !nm_is(op, NM_PURE);
        for (int i = 0; i < op->n_out; i++)
            used |= op->out[i].uses != NULL;
        if (!used) {
            nm_erase(op);
            if (changed)
                *changed = true;
        } else if (op->body) {
            nm_drop_dead(op->body, changed);
        }
    }
}

void nm_simplify_func(nm_func *f, bool *changed)
{
    nm_inline_calls(f, changed);
    for (bool again = true; again; *changed |= again) {
        again = false;
        nm_drop_dead(f, &again);
        nm_rewrite(f, rules, sizeof rules / sizeof *rules, &again);
        nm_simplify_maps(f, &again);
        nm_value_number(f, &again);
        nm_simplify_loops(f, &again);
    }
}

bool nm_pass_simplify(nm_module *m, bool *changed)
{
    nm_each_func(f, m)
        nm_simplify_func(f, changed);
    return true;
}
