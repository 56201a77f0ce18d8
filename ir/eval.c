// The interpreter: tensors, ops and functions, of one rank or of several in lockstep. The meaning
// of each op is in ir/eval_*.c.
#include "ir/eval_mesh.h"
#include "ir/eval_run.h"
#include "ir/eval_walk.h"

#include <string.h>

static const int64_t max_elements = 1ll << 31;

// --- tensors -------------------------------------------------------------------------------------

// What of the dim this rank holds.
static bool local_extent(nm_module *m, nm_loc loc, const nm_eval_opts *opts, const nm_dim *d,
                         int64_t *out)
{
    int64_t n, ranks = nm_mesh_group(opts->mesh, &d->axes);
    if (!nm_eval_resolve(m, loc, opts, false, d->extent, &n))
        return false;
    int64_t block = nm_eval_block(m, opts, d, n);
    int64_t left = n - nm_eval_block_start(m, opts, d, n);
    *out = left < block ? (left < 0 ? 0 : left) : block;
    return block * ranks >= n || nm_error(m->diag, loc, "%s = %lld is not divisible by %lld ranks",
                                          d->name, (long long)n, (long long)ranks);
}

bool nm_tensor_new(nm_module *m, nm_loc loc, const nm_eval_opts *opts, const nm_type *type,
                   nm_tensor *out)
{
    *out = (nm_tensor){.type = type, .n = 1};
    for (int i = 0; i < type->rank; i++) {
        if (!local_extent(m, loc, opts, &type->dim[i], &out->extent[i]))
            return false;
        if (out->extent[i] < 0 || __builtin_mul_overflow(out->n, out->extent[i], &out->n) ||
            out->n > max_elements)
            return nm_error(m->diag, loc, "%s is too large to interpret", nm_type_str(m, type));
    }
    out->data = nm_new_n(opts->arena, double, out->n);
    return true;
}

void nm_tensor_copy(nm_tensor *to, const nm_tensor *from)
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

// --- ops -----------------------------------------------------------------------------------------

// The op's call by one rank.
static bool start_op(nm_eval_run *run, nm_op *op, int64_t rank, nm_eval_op *e)
{
    const nm_eval_opts *opts = &run->opts[rank];
    const nm_tensor **in = nm_new_n(opts->arena, const nm_tensor *, op->n_in);
    nm_tensor *out = nm_new_n(opts->arena, nm_tensor, op->n_out);
    *e = (nm_eval_op){.op = op, .m = run->m, .run = run, .opts = opts, .in = in, .out = out};
    for (int i = 0; i < op->n_in; i++)
        in[i] = &run->val[rank][op->in[i]->id];
    for (int i = 0; i < op->n_out; i++)
        if (!nm_tensor_new(run->m, op->loc, opts, op->out[i].type, &out[i]))
            return false;
    return true;
}

static void end_op(nm_eval_run *run, int64_t rank, nm_eval_op *e)
{
    for (int i = 0; i < e->op->n_out; i++) {
        round_tensor(e->opts, &e->out[i]);
        run->val[rank][e->op->out[i].id] = e->out[i];
        if (e->opts->watch)
            e->opts->watch(e->opts->watcher, &e->op->out[i], rank, &e->out[i]);
    }
}

static bool is_joint(const nm_op *op)
{
    return nm_is(op, NM_BODY) || nm_is(op, NM_COLLECTIVE) || op->code == NM_OP_call;
}

static bool eval_op(nm_eval_run *run, nm_op *op)
{
    nm_eval_op *e = nm_new_n(run->opts->arena, nm_eval_op, run->n);
    bool joint = is_joint(op), ok = true;
    if (!nm_info(op)->eval)
        return nm_error(run->m->diag, op->loc, "%s has no meaning to the interpreter",
                        nm_info(op)->name);
    for (int64_t r = 0; r < run->n; r++)
        if (!start_op(run, op, r, &e[r]))
            return false;
    for (int64_t r = 0; r < (joint ? 1 : run->n); r++)
        nm_info(op)->eval(&e[r]);
    for (int64_t r = 0; r < run->n; r++)
        ok = ok && !e[r].failed;
    for (int64_t r = 0; r < run->n && ok; r++)
        end_op(run, r, &e[r]);
    return ok;
}

bool nm_eval_ops(nm_eval_run *run, nm_func *f)
{
    nm_each_op(op, f)
        if (op->code != NM_OP_ret && !eval_op(run, op))
            return false;
    return f->last && f->last->code == NM_OP_ret;
}

// --- functions -----------------------------------------------------------------------------------

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

static bool take_args(nm_eval_run *run, nm_func *f, int64_t rank, const nm_tensor *args)
{
    const nm_eval_opts *opts = &run->opts[rank];
    run->val[rank] = nm_new_n(opts->arena, nm_tensor, f->n_values);
    for (int i = 0; i < f->n_params; i++) {
        nm_tensor *p = &run->val[rank][f->param[i]->id];
        if (!check_arg(f, opts, i, &args[i]) ||
            !nm_tensor_new(run->m, f->loc, opts, args[i].type, p))
            return false;
        nm_tensor_copy(p, &args[i]);
        round_tensor(opts, p);
    }
    return true;
}

bool nm_eval_func(nm_func *f, int64_t n, const nm_eval_opts *opts, int calls,
                  const nm_tensor *const *args, nm_tensor *const *results)
{
    nm_eval_run run = {.m = f->module, .n = n, .opts = opts, .calls = calls};
    run.val = nm_new_n(opts->arena, nm_tensor *, n);
    for (int64_t r = 0; r < n; r++)
        if (!take_args(&run, f, r, args[r]))
            return false;
    if (!nm_eval_ops(&run, f))
        return false;
    for (int64_t r = 0; r < n; r++)
        for (int i = 0; i < f->last->n_in; i++)
            results[r][i] = run.val[r][f->last->in[i]->id];
    return true;
}

bool nm_eval(nm_func *f, const nm_eval_opts *opts, const nm_tensor *args, nm_tensor *results)
{
    return nm_eval_func(f, 1, opts, 0, &args, &results);
}
