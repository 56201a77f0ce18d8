// The interpreter: functions, bodies and sizes. The meaning of each op is in ir/eval_*.c.
//
// The tensors of a turn of a repeat are given back when the turn ends, so memory is that of one
// turn.
#include "ir/eval.h"

#include "ir/eval_walk.h"

#include <string.h>

enum { MAX_CALLS = 64 };
static const int64_t max_elements = 1ll << 31;

typedef struct nm_eval_run {
    nm_module *m;
    const nm_eval_opts *opts;
    nm_func *outer;
    nm_tensor *val; // [outer->n_values], by value id
    int calls;      // functions around this one
} nm_eval_run;

// --- sizes ---------------------------------------------------------------------------------------

typedef struct lookup {
    const nm_eval_opts *opts;
    bool total;
    nm_sym unknown;
} lookup;

static const nm_eval_sym *find_sym(const nm_eval_opts *opts, nm_sym name)
{
    for (int i = 0; i < opts->n_syms; i++)
        if (opts->sym[i].name == name)
            return &opts->sym[i];
    return NULL;
}

static int64_t look_up(void *user, nm_sym name)
{
    lookup *l = user;
    const nm_eval_sym *s = find_sym(l->opts, name);
    if (s)
        return l->total ? s->total : s->size;
    l->unknown = name;
    return 0;
}

static bool resolve(nm_module *m, nm_loc loc, const nm_eval_opts *opts, bool total,
                    const nm_extent *e, int64_t *out)
{
    lookup l = {.opts = opts, .total = total};
    *out = nm_extent_eval(e, look_up, &l);
    return !l.unknown || nm_error(m->diag, loc, "the size of '%s' is not given", l.unknown);
}

static int64_t extent_of(nm_eval_op *e, const nm_extent *x, bool total)
{
    int64_t v = 0;
    e->failed |= !resolve(e->m, e->op->loc, e->opts, total, x, &v);
    return v;
}

int64_t nm_eval_size_of(nm_eval_op *e, const nm_extent *x) { return extent_of(e, x, false); }
int64_t nm_eval_total_of(nm_eval_op *e, const nm_extent *x) { return extent_of(e, x, true); }

// A product of dims of which one is split: as many whole parts come before this call's first.
int64_t nm_eval_offset_of(nm_eval_op *e, const nm_extent *x)
{
    if (x->n_terms != 1)
        return 0;
    const nm_term *t = &x->term[0];
    int64_t first = t->factor;
    bool split = false;
    for (int i = 0; i < t->n_atoms; i++) {
        const nm_eval_sym *s = t->atom[i].sym ? find_sym(e->opts, t->atom[i].sym) : NULL;
        if (!s)
            return 0;
        bool splits = s->offset || s->size != s->total;
        first *= splits ? s->offset : s->size;
        split |= splits;
    }
    return split ? first : 0;
}

bool nm_tensor_new(nm_module *m, nm_loc loc, const nm_eval_opts *opts, const nm_type *type,
                   nm_tensor *out)
{
    *out = (nm_tensor){.type = type, .n = 1};
    for (int i = 0; i < type->rank; i++) {
        if (!resolve(m, loc, opts, false, type->dim[i].extent, &out->extent[i]))
            return false;
        if (out->extent[i] < 0 || __builtin_mul_overflow(out->n, out->extent[i], &out->n) ||
            out->n > max_elements)
            return nm_error(m->diag, loc, "%s is too large to interpret", nm_type_str(m, type));
    }
    out->data = nm_new_n(opts->arena, double, out->n);
    return true;
}

static void copy_data(nm_tensor *to, const nm_tensor *from)
{
    if (to->n)
        memcpy(to->data, from->data, (size_t)to->n * sizeof *to->data);
}

static void round_tensor(const nm_eval_opts *opts, nm_tensor *t)
{
    if (opts->f64 && nm_dtype_table[t->type->dtype].is_float)
        return;
    for (int64_t i = 0; i < t->n; i++)
        t->data[i] = nm_round_to(t->type->dtype, t->data[i]);
}

// --- ops and functions ---------------------------------------------------------------------------

static bool eval_op(nm_eval_run *run, nm_op *op)
{
    const nm_tensor **in = nm_new_n(run->opts->arena, const nm_tensor *, op->n_in);
    nm_tensor *out = nm_new_n(run->opts->arena, nm_tensor, op->n_out);
    nm_eval_op e = {.op = op, .m = run->m, .run = run, .opts = run->opts, .in = in, .out = out};
    if (!nm_info(op)->eval)
        return nm_error(run->m->diag, op->loc, "%s has no meaning to the interpreter",
                        nm_info(op)->name);
    for (int i = 0; i < op->n_in; i++)
        in[i] = &run->val[op->in[i]->id];
    for (int i = 0; i < op->n_out; i++)
        if (!nm_tensor_new(run->m, op->loc, run->opts, op->out[i].type, &out[i]))
            return false;
    nm_info(op)->eval(&e);
    for (int i = 0; i < op->n_out && !e.failed; i++) {
        round_tensor(run->opts, &out[i]);
        run->val[op->out[i].id] = out[i];
    }
    return !e.failed;
}

// All ops but ret, whose operands are then in run->val.
static bool eval_ops(nm_eval_run *run, nm_func *f)
{
    nm_each_op(op, f)
        if (op->code != NM_OP_ret && !eval_op(run, op))
            return false;
    return f->last && f->last->code == NM_OP_ret;
}

static bool check_arg(nm_func *f, const nm_eval_opts *opts, int i, const nm_tensor *arg)
{
    nm_module *m = f->module;
    nm_tensor want;
    if (!nm_tensor_new(m, f->loc, opts, f->param[i]->type, &want))
        return false;
    return (arg->type == want.type && arg->n == want.n &&
            !memcmp(arg->extent, want.extent, sizeof want.extent)) ||
           nm_error(m->diag, f->loc, "@%s: argument %d is not %s of this call's sizes",
                    f->name ? f->name : "", i, nm_type_str(m, want.type));
}

static bool eval_func(nm_func *f, const nm_eval_opts *opts, int calls, const nm_tensor *args,
                      nm_tensor *results)
{
    nm_eval_run run = {.m = f->module, .opts = opts, .outer = f, .calls = calls};
    run.val = nm_new_n(opts->arena, nm_tensor, f->n_values);
    for (int i = 0; i < f->n_params; i++) {
        nm_tensor *p = &run.val[f->param[i]->id];
        if (!check_arg(f, opts, i, &args[i]) ||
            !nm_tensor_new(run.m, f->loc, opts, args[i].type, p))
            return false;
        copy_data(p, &args[i]);
        round_tensor(opts, p);
    }
    if (!eval_ops(&run, f))
        return false;
    for (int i = 0; i < f->last->n_in; i++)
        results[i] = run.val[f->last->in[i]->id];
    return true;
}

bool nm_eval(nm_func *f, const nm_eval_opts *opts, const nm_tensor *args, nm_tensor *results)
{
    return eval_func(f, opts, 0, args, results);
}

// --- bodies --------------------------------------------------------------------------------------

void nm_eval_group(nm_eval_op *e)
{
    nm_func *body = e->op->body;
    for (int i = 0; i < body->n_params; i++)
        e->run->val[body->param[i]->id] = *e->in[i];
    e->failed = !eval_ops(e->run, body);
    for (int i = 0; i < e->op->n_out && !e->failed; i++)
        copy_data(&e->out[i], &e->run->val[body->last->in[i]->id]);
}

void nm_eval_call(nm_eval_op *e)
{
    nm_sym name = nm_attr_sym(e->op, "callee");
    nm_func *callee = NULL;
    nm_each_func(f, e->m)
        if (f->name == name)
            callee = f;
    if (!callee || e->run->calls == MAX_CALLS || callee->n_params != e->op->n_in) {
        e->failed = !nm_error(e->m->diag, e->op->loc, "call: cannot run @%s here", name);
        return;
    }
    nm_tensor *args = nm_new_n(e->opts->arena, nm_tensor, e->op->n_in);
    for (int i = 0; i < e->op->n_in; i++)
        args[i] = *e->in[i];
    e->failed = !eval_func(callee, e->opts, e->run->calls + 1, args, e->out);
}

// Copy between one turn's slice of `stacked` and `whole`, which lacks the dim.
static void copy_turn(nm_tensor *stacked, nm_tensor *whole, nm_sym over, int64_t turn, bool out)
{
    nm_walk w = {0};
    int64_t start = turn * nm_tensor_stride(stacked, over);
    nm_walk_over(&w, whole, NULL, NULL);
    nm_walk_read(&w, stacked);
    nm_walk_read(&w, whole);
    nm_each_element(w)
        if (out)
            stacked->data[start + w.off[0]] = whole->data[w.off[1]];
        else
            whole->data[w.off[1]] = stacked->data[start + w.off[0]];
}

typedef struct turns {
    nm_sym over;
    int carried, stacked;
    int64_t n;
} turns;

static bool eval_turn(nm_eval_op *e, const turns *t, nm_tensor *carry, int64_t turn)
{
    nm_func *body = e->op->body;
    for (int i = 0; i < body->n_params; i++) {
        nm_tensor *p = &e->run->val[body->param[i]->id];
        *p = i < t->carried ? carry[i] : *e->in[i];
        if (i < t->carried || i >= t->carried + t->stacked)
            continue;
        nm_tensor whole = *e->in[i];
        if (!nm_tensor_new(e->m, e->op->loc, e->opts, body->param[i]->type, p))
            return false;
        copy_turn(&whole, p, t->over, turn, false);
    }
    if (!eval_ops(e->run, body))
        return false;
    nm_op *ret =
        body->last; // first all that is stacked: a carried result may be a carried parameter
    for (int i = t->carried; i < ret->n_in; i++)
        copy_turn(&e->out[i], &e->run->val[ret->in[i]->id], t->over, turn, true);
    for (int i = 0; i < t->carried; i++)
        copy_data(&e->out[i], &e->run->val[ret->in[i]->id]);
    for (int i = 0; i < t->carried; i++)
        copy_data(&carry[i], &e->out[i]);
    return true;
}

static int64_t count_turns(nm_eval_op *e, const turns *t)
{
    if (t->stacked)
        return nm_tensor_extent(e->in[t->carried], t->over);
    if (e->op->n_out > t->carried)
        return nm_tensor_extent(&e->out[t->carried], t->over);
    const nm_dim_decl *d = nm_dim_lookup(e->m, t->over);
    return d ? nm_eval_size_of(e, d->extent) : 0;
}

void nm_eval_repeat(nm_eval_op *e)
{
    turns t = {.over = nm_attr_sym(e->op, "over"),
               .carried = (int)nm_attr_int(e->op, "carried", 0),
               .stacked = (int)nm_attr_int(e->op, "stacked", 0)};
    bool reverse = nm_attr_bool(e->op, "reverse");
    nm_tensor *carry = nm_new_n(e->opts->arena, nm_tensor, t.carried);
    t.n = count_turns(e, &t);
    for (int i = 0; i < t.carried; i++) {
        if (!nm_tensor_new(e->m, e->op->loc, e->opts, e->in[i]->type, &carry[i])) {
            e->failed = true;
            return;
        }
        copy_data(&carry[i], e->in[i]);
        copy_data(&e->out[i], e->in[i]);
    }
    for (int64_t i = 0; i < t.n && !e->failed; i++) {
        nm_arena_mark mark = nm_arena_mark_get(e->opts->arena);
        e->failed = !eval_turn(e, &t, carry, reverse ? t.n - 1 - i : i);
        nm_arena_reset(e->opts->arena, mark);
    }
}
