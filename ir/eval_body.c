// The meaning of ops that run a function: groups, calls and repeats, of all ranks at once.
//
// The tensors of a turn of a repeat are given back when the turn ends, so memory is that of one
// turn.
#include "ir/eval_run.h"
#include "ir/eval_walk.h"

enum { MAX_CALLS = 64 };

void nm_eval_group(nm_eval_op *e)
{
    nm_eval_run *run = e->run;
    nm_func *body = e->op->body;
    for (int64_t r = 0; r < run->n; r++)
        for (int i = 0; i < body->n_params; i++)
            run->val[r][body->param[i]->id] = *e[r].in[i];
    e->failed = !nm_eval_ops(run, body);
    for (int64_t r = 0; r < run->n && !e->failed; r++)
        for (int i = 0; i < e->op->n_out; i++)
            nm_tensor_copy(&e[r].out[i], &run->val[r][body->last->in[i]->id]);
}

static nm_func *find_callee(const nm_eval_op *e)
{
    nm_sym name = nm_attr_sym(e->op, "callee");
    nm_each_func(f, e->m)
        if (f->name == name)
            return f;
    return NULL;
}

void nm_eval_call(nm_eval_op *e)
{
    nm_eval_run *run = e->run;
    nm_func *callee = find_callee(e);
    if (!callee || run->calls == MAX_CALLS || callee->n_params != e->op->n_in) {
        e->failed = !nm_error(e->m->diag, e->op->loc, "call: cannot run @%s here",
                              nm_attr_sym(e->op, "callee"));
        return;
    }
    const nm_tensor **args = nm_new_n(e->opts->arena, const nm_tensor *, run->n);
    nm_tensor **results = nm_new_n(e->opts->arena, nm_tensor *, run->n);
    for (int64_t r = 0; r < run->n; r++) {
        nm_tensor *arg = nm_new_n(e->opts->arena, nm_tensor, e->op->n_in);
        for (int i = 0; i < e->op->n_in; i++)
            arg[i] = *e[r].in[i];
        args[r] = arg;
        results[r] = e[r].out;
    }
    e->failed = !nm_eval_func(callee, run->n, run->opts, run->calls + 1, args, results);
}

// --- repeats -------------------------------------------------------------------------------------

typedef struct turns {
    nm_sym over;
    int carried, stacked;
    int64_t n;
    nm_tensor **carry; // [rank][carried]
} turns;

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

static bool start_turn(nm_eval_op *e, const turns *t, int64_t rank, int64_t turn)
{
    nm_func *body = e->op->body;
    for (int i = 0; i < body->n_params; i++) {
        nm_tensor *p = &e->run->val[rank][body->param[i]->id];
        *p = i < t->carried ? t->carry[rank][i] : *e->in[i];
        if (i < t->carried || i >= t->carried + t->stacked)
            continue;
        nm_tensor whole = *e->in[i];
        if (!nm_tensor_new(e->m, e->op->loc, e->opts, body->param[i]->type, p))
            return false;
        copy_turn(&whole, p, t->over, turn, false);
    }
    return true;
}

// First all that is stacked: a carried result may be a carried parameter.
static void end_turn(nm_eval_op *e, const turns *t, int64_t rank, int64_t turn)
{
    nm_op *ret = e->op->body->last;
    nm_tensor *val = e->run->val[rank];
    for (int i = t->carried; i < ret->n_in; i++)
        copy_turn(&e->out[i], &val[ret->in[i]->id], t->over, turn, true);
    for (int i = 0; i < t->carried; i++)
        nm_tensor_copy(&e->out[i], &val[ret->in[i]->id]);
    for (int i = 0; i < t->carried; i++)
        nm_tensor_copy(&t->carry[rank][i], &e->out[i]);
}

static bool eval_turn(nm_eval_op *e, const turns *t, int64_t turn)
{
    for (int64_t r = 0; r < e->run->n; r++)
        if (!start_turn(&e[r], t, r, turn))
            return false;
    if (!nm_eval_ops(e->run, e->op->body))
        return false;
    for (int64_t r = 0; r < e->run->n; r++)
        end_turn(&e[r], t, r, turn);
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

static bool start_carry(nm_eval_op *e, const turns *t, int64_t rank)
{
    t->carry[rank] = nm_new_n(e->opts->arena, nm_tensor, t->carried);
    for (int i = 0; i < t->carried; i++) {
        nm_tensor *c = &t->carry[rank][i];
        if (!nm_tensor_new(e->m, e->op->loc, e->opts, e->in[i]->type, c))
            return false;
        nm_tensor_copy(c, e->in[i]);
        nm_tensor_copy(&e->out[i], e->in[i]);
    }
    return true;
}

void nm_eval_repeat(nm_eval_op *e)
{
    turns t = {.over = nm_attr_sym(e->op, "over"),
               .carried = (int)nm_attr_int(e->op, "carried", 0),
               .stacked = (int)nm_attr_int(e->op, "stacked", 0)};
    bool reverse = nm_attr_bool(e->op, "reverse");
    t.carry = nm_new_n(e->opts->arena, nm_tensor *, e->run->n);
    t.n = count_turns(e, &t);
    for (int64_t r = 0; r < e->run->n; r++)
        e->failed |= !start_carry(&e[r], &t, r);
    for (int64_t i = 0; i < t.n && !e->failed; i++) {
        nm_arena_mark mark = nm_arena_mark_get(e->opts->arena);
        e->failed = !eval_turn(e, &t, reverse ? t.n - 1 - i : i);
        nm_arena_reset(e->opts->arena, mark);
    }
}
