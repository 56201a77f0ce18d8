// Which values a gradient may have to reach (activity), and the backward walk over a list of ops.
#include "ir/grads.h"

static bool is_float(const nm_value *v) { return nm_dtype_table[v->type->dtype].is_float; }

// Maps and free values without a gradient are constant on purpose: floor, lt, stop, random. So is
// an extern op whose declaration names none.
static bool is_constant(const nm_op *op)
{
    if (op->code == NM_OP_extern)
        return !nm_attr_get(op, "grad");
    return nm_is(op, NM_NO_GRAD) && (nm_is(op, NM_MAP) || nm_is(op, NM_FREE));
}

static bool reads_active(const nm_op *op, const bool *active)
{
    for (int i = 0; i < op->n_in; i++)
        if (active[op->in[i]->id])
            return true;
    return false;
}

// A carried value is active if it comes in active or if a turn makes it so: to a fixed point.
static void mark_repeat(nm_op *op, bool *active)
{
    nm_func *body = op->body;
    int carried = (int)nm_attr_int(op, "carried", 0);
    for (int i = 0; i < op->n_in; i++)
        active[body->param[i]->id] |= active[op->in[i]->id];
    for (bool again = true; again;) {
        again = false;
        nm_grad_mark(body, NULL, active);
        for (int i = 0; i < carried; i++) {
            bool *enters = &active[body->param[i]->id];
            if (active[body->last->in[i]->id] && !*enters)
                *enters = again = true;
        }
    }
    for (int i = 0; i < op->n_out; i++)
        active[op->out[i].id] |= active[body->last->in[i]->id];
}

void nm_grad_mark(nm_func *f, const nm_op *end, bool *active)
{
    for (nm_op *op = f->first; op && op != end; op = op->next) {
        if (is_constant(op) || !reads_active(op, active))
            continue;
        if (op->code == NM_OP_repeat) {
            mark_repeat(op, active);
            continue;
        }
        for (int i = 0; i < op->n_out; i++)
            active[op->out[i].id] |= is_float(&op->out[i]);
    }
}

static void warn_cut(const nm_op *op)
{
    nm_diag *diag = op->func->module->diag;
    nm_warning(diag, op->loc,
               "no gradient goes through %s, whose declaration names no grad: what it reads is not "
               "trained by what it gives [ext-1]",
               nm_attr_sym(op, "name"));
    nm_help(diag, op->loc, "'grad: NAME' names the function; stop(x) says that none is meant");
}

// From `last` back. reached: by id, does the loss hang on it? All that a body gives is taken to.
static void find_cuts(const nm_op *last, const bool *active, bool *reached)
{
    for (const nm_op *op = last; op; op = op->prev) {
        bool is_reached = false;
        for (int i = 0; i < op->n_out; i++)
            is_reached |= reached[op->out[i].id] && is_float(&op->out[i]);
        if (!is_reached && op->n_out)
            continue;
        if (op->code == NM_OP_extern && is_constant(op) && reads_active(op, active))
            warn_cut(op);
        if (is_constant(op))
            continue;
        if (op->body)
            find_cuts(op->body->last, active, reached);
        for (int i = 0; i < op->n_in; i++)
            reached[op->in[i]->id] = true;
    }
}

void nm_grad_warn_cuts(const nm_op *grad, const bool *active)
{
    nm_func *f = nm_func_outer(grad->func);
    bool *reached = nm_new_n(f->module->arena, bool, f->n_values);
    reached[grad->in[0]->id] = true;
    find_cuts(grad->prev, active, reached);
}

static bool has_gradient(nm_grad *g, const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        if (nm_grad_of(g, op, i))
            return true;
    return false;
}

static bool is_wanted(const nm_grad *g, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_grad_wants(g, op->in[i]))
            return true;
    return false;
}

bool nm_grad_walk(nm_grad *g, nm_op *last)
{
    for (nm_op *op = last, *prev; op; op = prev) {
        prev = op->prev;
        if (is_constant(op) || !has_gradient(g, op) || !is_wanted(g, op))
            continue;
        const nm_op_info *info = nm_info(op);
        if (!info->grad)
            return nm_error(g->f->module->diag, op->loc, "%s has no gradient yet", info->name);
        info->grad(g, op);
        if (g->failed)
            return false;
    }
    return true;
}
