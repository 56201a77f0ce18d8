// Evaluation before and after a pass: see evaluate.h.
//
// Arguments are numbers by place in memory, drawn when a name is first met; a pass that orders the
// dims of a parameter anew sees them permuted. There are two evaluations:
//
//   exact     in f64 nothing is rounded, so that what is only added up in another order, or rounded
//             elsewhere, agrees to 1e-9 of the tensor's largest element, and a wrong formula does
//             not
//   rounded   each result to its dtype: what a pass rounds otherwise than it was told to shows. In
//             another order sums may then fall on either side of a rounding, so that a tensor
//             agrees if it is within 1e-4 of its norm
//
// What a backward reads of forward is drawn, too, and does not belong together: exp(score - lse) of
// such numbers may be larger than any f32. Where a function gives such a number, any of its results
// may then be none: a scale of 8 bits does not reach that far.
#include "passes/evaluate.h"

#include "base/philox.h"
#include "ir/eval.h"
#include "ir/eval_mesh.h"
#include "ir/names.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct known { // an argument or a result of a function
    nm_bind bind;
    nm_tensor t;
} known;

typedef struct evaluated { // a function
    const char *name;
    nm_sym mode;
    nm_recompute recompute;
    uint64_t text;  // a hash of it
    bool ran;       // else it was left out
    bool overflows; // gives numbers that are too large for an f32
    int n_params, n_results;
    known *param, *result;
} evaluated;

struct nm_evaluation {
    nm_arena arena; // of all below
    nm_numbers numbers;
    int n;
    evaluated *func;
};

static const double most_work = 3e7; // multiplications of one function, about

// --- sizes ---------------------------------------------------------------------------------------

static int64_t small_size(const nm_dim_decl *d)
{
    if (d->fixed)
        return d->fixed;
    int64_t multiple = d->multiple > 1 ? d->multiple : 1;
    int64_t size = (4 + multiple - 1) / multiple * multiple;
    while (size < d->min)
        size += multiple;
    return d->max && size > d->max ? d->max : size;
}

static nm_eval_opts small_opts(nm_module *m, nm_numbers numbers, nm_arena *scratch)
{
    nm_eval_sym *base = nm_new_n(scratch, nm_eval_sym, m->n_dims + 1);
    nm_eval_sym *all = nm_new_n(scratch, nm_eval_sym, m->n_dims + 1);
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        const nm_dim_decl *d = &m->dim[i];
        int64_t size = d->runtime && !d->of && !d->axes.n ? small_size(d) : 0;
        if (size)
            base[n++] = nm_eval_sym_of(d->name, size, 0, size);
    }
    static const struct nm_eval_mesh one = {0};
    n = nm_mesh_syms(m, &one, 0, false, n, base, all);
    return (nm_eval_opts){
        .arena = scratch, .f64 = numbers == NM_NUMBERS_exact, .n_syms = n, .sym = all};
}

static int64_t size_of(void *user, nm_sym sym)
{
    const nm_eval_sym *known = nm_eval_find_sym(user, sym);
    return known ? known->size : 1;
}

// Indices of all dims that the op's operands and results have together.
static double work_of_op(const nm_op *op, const nm_eval_opts *o)
{
    nm_sym seen[64];
    int n = 0;
    double work = 1;
    for (int i = 0; i < op->n_in + op->n_out; i++) {
        const nm_type *t = i < op->n_in ? op->in[i]->type : op->out[i - op->n_in].type;
        for (int k = 0; k < t->rank; k++) {
            int at = 0;
            while (at < n && seen[at] != t->dim[k].name)
                at++;
            if (at < n || n == 64)
                continue;
            seen[n++] = t->dim[k].name;
            work *= (double)nm_extent_eval(t->dim[k].extent, size_of, (void *)o);
        }
    }
    return work;
}

static double work_of(const nm_func *f, const nm_eval_opts *o)
{
    double work = 0;
    nm_each_op(op, f) {
        double once = op->body ? work_of(op->body, o) : work_of_op(op, o);
        if (op->code == NM_OP_repeat && op->n_in) {
            const nm_value *stacked = op->in[(int)nm_attr_int(op, "carried", 0) % op->n_in];
            int at = nm_type_find(stacked->type, nm_attr_sym(op, "over"));
            once *= at < 0
                        ? 1
                        : (double)nm_extent_eval(stacked->type->dim[at].extent, size_of, (void *)o);
        }
        work += once;
    }
    return work;
}

static bool has_meaning(const nm_func *f)
{
    nm_each_op(op, f)
        if (op->body ? !has_meaning(op->body) : op->code != NM_OP_ret && !nm_info(op)->eval)
            return false;
    return true;
}

// --- arguments -----------------------------------------------------------------------------------

static bool same_bind(nm_bind a, nm_bind b) { return a.kind == b.kind && a.name == b.name; }

static double draw(nm_bind bind, const nm_type *t, int64_t i)
{
    uint32_t who = (uint32_t)bind.kind;
    for (const char *c = bind.name ? bind.name : ""; *c; c++)
        who = who * 31 + (unsigned char)*c;
    double u = nm_philox_uniform(nm_philox_draw(7, 11, 0, who, (uint64_t)i));
    if (t->dtype == NM_bool)
        return u < 0.7;
    return nm_dtype_table[t->dtype].is_float ? 0.2 + u : floor(3 * u);
}

static bool has_dims_of(const nm_type *a, const nm_type *b)
{
    bool all = a->rank == b->rank;
    for (int i = 0; i < a->rank && all; i++)
        all = nm_has_dim(b, a->dim[i].name);
    return all;
}

// `from` as a tensor of `to`'s type, with `outside` behind the end of a dim that is padded now;
// where dims were renamed or split it is the same memory.
static bool take_over(const nm_tensor *from, nm_tensor *to, double outside)
{
    bool same_dims = has_dims_of(from->type, to->type);
    if (same_dims)
        nm_tensor_reorder(from, to, outside);
    else if (from->n == to->n)
        memcpy(to->data, from->data, (size_t)to->n * sizeof *to->data);
    return same_dims || from->n == to->n;
}

static const known *find(int n, const known *list, nm_bind bind, int at)
{
    if (bind.kind == NM_BIND_none)
        return at < n && list[at].bind.kind == NM_BIND_none ? &list[at] : NULL;
    for (int i = 0; i < n; i++)
        if (same_bind(list[i].bind, bind))
            return &list[i];
    return NULL;
}

// A sum that is not complete yet was what it is when it is: on one rank there is no difference.
static const known *find_param(nm_module *m, const evaluated *old, nm_bind bind, int at)
{
    const known *k = find(old->n_params, old->param, bind, at);
    nm_sym complete = k ? NULL : nm_complete_name(m, bind);
    if (!complete)
        return k;
    bind.name = complete;
    return find(old->n_params, old->param, bind, at);
}

static const evaluated *find_name(const nm_evaluation *e, const char *name, size_t length)
{
    for (int i = 0; e && i < e->n; i++)
        if (strncmp(e->func[i].name, name, length) == 0 && !e->func[i].name[length])
            return &e->func[i];
    return NULL;
}

// What f was: shard writes a function for each mode, which on one rank computes what it did, and
// keep one that takes what it computed. Whose links have become those of a variant is another.
static const evaluated *find_func(const nm_evaluation *e, const nm_func *f)
{
    const evaluated *same = find_name(e, f->name, strlen(f->name));
    const char *mode = f->part.mode ? nm_sym_fmt(f->module, ".%s", f->part.mode) : NULL;
    const char *at = mode ? strstr(f->name, mode) : NULL;
    if (!same && at)
        same = find_name(e, f->name, (size_t)(at - f->name));
    if (!same && f->part.kept)
        same = find_name(e, f->name, strlen(f->name) - strlen(".kept"));
    return same && same->recompute == f->part.recompute ? same : NULL;
}

// What another function gives to f, which stands before it.
static const known *find_kept(const nm_evaluation *now, const nm_func *f, nm_bind bind)
{
    for (int i = 0; i < now->n; i++) {
        const evaluated *giver = &now->func[i];
        const known *k = find(giver->n_results, giver->result, bind, 0);
        if (k && giver->mode == f->part.mode)
            return k;
    }
    return NULL;
}

// A parameter of the model, as the other functions of f's mode had it.
static const known *find_weight(const nm_evaluation *was, const nm_func *f, nm_bind bind)
{
    for (int i = 0; was && i < was->n && bind.kind == NM_BIND_param; i++) {
        const known *k = find(was->func[i].n_params, was->func[i].param, bind, 0);
        if (k && was->func[i].mode == f->part.mode)
            return k;
    }
    return NULL;
}

static const known *find_arg(nm_func *f, int i, const nm_evaluation *was, const nm_evaluation *now)
{
    const evaluated *old = find_func(was, f);
    nm_bind bind = f->param_bind[i];
    if (bind.kind == NM_BIND_kept)
        return find_kept(now, f, bind);
    return old ? find_param(f->module, old, bind, i) : find_weight(was, f, bind);
}

static bool make_args(nm_func *f, const nm_eval_opts *o, const nm_evaluation *was,
                      const nm_evaluation *now, nm_tensor *args)
{
    for (int i = 0; i < f->n_params; i++) {
        nm_bind bind = f->param_bind[i];
        const known *k = find_arg(f, i, was, now);
        if ((!k && bind.kind == NM_BIND_kept) ||
            !nm_tensor_new(f->module, f->loc, o, f->param[i]->type, &args[i]))
            return false;
        if (!bind.name)
            bind.name = nm_sym_fmt(f->module, "%d", i);
        if (k && take_over(&k->t, &args[i], 0))
            continue;
        for (int64_t e = 0; e < args[i].n; e++)
            args[i].data[e] = draw(bind, args[i].type, e);
    }
    return true;
}

// --- one function --------------------------------------------------------------------------------

static bool run(nm_func *f, const nm_eval_opts *o, const nm_tensor *args, nm_tensor *results)
{
    static const struct nm_eval_mesh one = {0};
    const nm_eval_sym *const syms[] = {o->sym};
    struct nm_eval_mesh mesh = one;
    mesh.sym = syms;
    return nm_eval_mesh(f, o, &mesh, &(const nm_tensor *){args}, &(nm_tensor *){results});
}

static known *keep(nm_arena *scratch, int n, const nm_bind *bind, const nm_tensor *t)
{
    known *k = nm_new_n(scratch, known, n + 1);
    for (int i = 0; i < n; i++)
        k[i] = (known){bind ? bind[i] : (nm_bind){0}, t[i]};
    return k;
}

// Has f32 no room for it: in f64 it is larger, rounded it is infinite.
static bool is_too_large(double x, nm_numbers numbers)
{
    return numbers == NM_NUMBERS_rounded ? isinf(x) : fabs(x) > FLT_MAX && !isinf(x);
}

static bool have_too_large(const nm_tensor *t, int n, nm_numbers numbers)
{
    for (int i = 0; i < n; i++)
        for (int64_t e = 0; e < t[i].n; e++)
            if (is_too_large(t[i].data[e], numbers))
                return true;
    return false;
}

// What cannot be evaluated is no mistake of the module's: nothing is reported.
static evaluated evaluate(nm_func *f, const nm_eval_opts *o, const nm_evaluation *was,
                          const nm_evaluation *now)
{
    nm_arena *scratch = o->arena;
    evaluated e = {.name = f->name,
                   .mode = f->part.mode,
                   .recompute = f->part.recompute,
                   .text = nm_func_hash(f)};
    if (!has_meaning(f) || work_of(f, o) > most_work)
        return e;
    nm_diag *diag = f->module->diag, silent = {0};
    f->module->diag = &silent;
    nm_tensor *args = nm_new_n(scratch, nm_tensor, f->n_params + 1);
    nm_tensor *results = nm_new_n(scratch, nm_tensor, f->n_results + 1);
    e.ran = make_args(f, o, was, now, args) && run(f, o, args, results);
    f->module->diag = diag;
    e.n_params = f->n_params;
    e.n_results = e.ran ? f->n_results : 0;
    e.overflows = have_too_large(results, e.n_results, now->numbers);
    e.param = keep(scratch, e.n_params, f->param_bind, args);
    e.result = keep(scratch, e.n_results, f->result_bind, results);
    return e;
}

static nm_evaluation evaluate_all(nm_module *m, nm_numbers numbers, const nm_evaluation *old)
{
    nm_evaluation e = {.numbers = numbers};
    nm_eval_opts opts = small_opts(m, numbers, &e.arena);
    nm_each_func(f, m) {
        e.func = nm_arena_grow(&e.arena, e.func, e.n, sizeof *e.func);
        e.func[e.n] = evaluate(f, &opts, old, &e);
        e.n++;
    }
    return e;
}

nm_evaluation *nm_evaluation_new(nm_module *m, nm_numbers numbers)
{
    nm_evaluation *e = malloc(sizeof *e);
    if (!e)
        nm_bug("out of memory");
    *e = evaluate_all(m, numbers, NULL);
    return e;
}

void nm_evaluation_free(nm_evaluation *e)
{
    if (e)
        nm_arena_free(&e->arena);
    free(e);
}

// --- comparing -----------------------------------------------------------------------------------

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = isfinite(x[i]) ? fmax(most, fabs(x[i])) : most;
    return most;
}

// The first element that is not what it was, to 1e-9 of itself or of the tensor's largest; -1:
// there is none. Of what cancels (the gradient of a key's bias) just the rounding of its terms is
// left, which is no more than 1e-13. What was no number, or behind the end of a dim, may be
// anything.
static int64_t find_other(const double *was, const double *is, int64_t n)
{
    double most = fmax(largest(was, n), 1e-4);
    for (int64_t i = 0; i < n; i++)
        if (was[i] != is[i] && !isnan(was[i]) && !(fabs(was[i] - is[i]) <= 1e-9 * most))
            return i;
    return -1;
}

// How far a tensor is from what it was, as a part of its norm.
static double distance(const double *was, const double *is, int64_t n)
{
    double apart = 0, size = 1e-30;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(was[i]) || was[i] == is[i])
            continue;
        apart += (was[i] - is[i]) * (was[i] - is[i]);
        size += was[i] * was[i];
    }
    return sqrt(apart / size);
}

static bool same_exact(nm_func *f, const char *what, const nm_tensor *was, const nm_tensor *is)
{
    int64_t at = find_other(was->data, is->data, is->n);
    return at < 0 || nm_error(f->module->diag, f->loc,
                              "%s is not what it was: element %lld is %.12g, and was %.12g", what,
                              (long long)at, is->data[at], was->data[at]);
}

static bool same_rounded(nm_func *f, const char *what, const nm_tensor *was, const nm_tensor *is)
{
    double apart = distance(was->data, is->data, is->n);
    return apart <= 1e-4 ||
           nm_error(f->module->diag, f->loc,
                    "%s is rounded otherwise than it was: by %.2g of its norm", what, apart);
}

// What is no number was none before.
static void forget_overflows(const nm_tensor *is, nm_tensor *was)
{
    for (int64_t e = 0; e < is->n; e++)
        if (!isfinite(is->data[e]))
            was->data[e] = NAN;
}

static bool same_tensor(nm_func *f, const known *was, const known *is, bool overflows,
                        nm_numbers numbers, const char *pass)
{
    nm_module *m = f->module;
    nm_tensor before = is->t;
    before.data = nm_new_n(m->arena, double, is->t.n + 1);
    const char *what = nm_arena_fmt(m->arena, "after pass %s: %s of @%s", pass,
                                    is->bind.name ? is->bind.name : "a result", f->name);
    if (!take_over(&was->t, &before, NAN))
        return nm_error(m->diag, f->loc, "%s has another size", what);
    if (overflows)
        forget_overflows(&is->t, &before);
    return numbers == NM_NUMBERS_exact ? same_exact(f, what, &before, &is->t)
                                       : same_rounded(f, what, &before, &is->t);
}

static bool same_func(nm_func *f, const evaluated *was, const evaluated *is, nm_numbers numbers,
                      const char *pass)
{
    bool same = true;
    for (int i = 0; i < is->n_results; i++) {
        const known *r = find(was->n_results, was->result, is->result[i].bind, i);
        same = same && (!r || same_tensor(f, r, &is->result[i], was->overflows, numbers, pass));
    }
    return same;
}

static int count_met(nm_module *m, const nm_evaluation *e)
{
    bool *met = nm_new_n(m->arena, bool, e->n + 1);
    nm_each_func(f, m) {
        const evaluated *was = find_func(e, f);
        if (was)
            met[was - e->func] = true;
    }
    int n = 0;
    for (int i = 0; i < e->n; i++)
        n += met[i];
    return n;
}

bool nm_evaluation_renew(nm_module *m, nm_evaluation *e, const char *pass, nm_agreement *a)
{
    nm_evaluation now = evaluate_all(m, e->numbers, e);
    bool same = true;
    int i = 0;
    *a = (nm_agreement){.gone = e->n - count_met(m, e)};
    nm_each_func(f, m) {
        const evaluated *was = find_func(e, f), *is = &now.func[i++];
        if (!was)
            a->added++;
        else if (!was->ran || !is->ran)
            a->left_out++;
        else if (!same_func(f, was, is, e->numbers, pass))
            same = false;
        else if (was->text != is->text)
            a->changed++;
        else
            a->same++;
    }
    nm_arena_free(&e->arena);
    *e = now;
    return same;
}
