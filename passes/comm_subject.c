// A collective is of a parameter if it completes or splits what a function gets as one, or what it
// gives back as one; likewise of a state or of a gradient, which is an accumulator grad.PATH. So
// two walks, back to what is bound and ahead to it, through ops that only move numbers and through
// bodies of repeats, whose parameters and results are those of the op.
#include "passes/comm_subject.h"

#include "ir/names.h"

// Does the op hand the numbers of its only operand on?
static bool hands_on(const nm_op *op)
{
    return nm_is(op, NM_COLLECTIVE) || (nm_is(op, NM_IDLE) && op->n_in == 1);
}

static nm_bind bind_behind(const nm_value *v)
{
    for (;;)
        if (v->def && hands_on(v->def))
            v = v->def->in[0];
        else if (v->def)
            return (nm_bind){.kind = NM_BIND_none};
        else if (v->func->parent)
            v = v->func->parent->in[v->index];
        else
            return v->func->param_bind[v->index];
}

// Is it one of those that are gathered, scattered and summed by themselves?
static bool is_stored(nm_module *m, nm_bind b)
{
    return b.kind == NM_BIND_param || b.kind == NM_BIND_state || nm_gradient_bound(m, b);
}

// Is operand i added to an accumulator?
static bool is_accumulated(const nm_op *op, int i)
{
    return op->code == NM_OP_add && bind_behind(op->in[1 - i]).kind == NM_BIND_acc;
}

static nm_bind bind_ahead(const nm_value *v);

static nm_bind bind_by(const nm_use *u)
{
    const nm_op *op = u->op;
    if (op->code == NM_OP_ret && op->func->parent)
        return bind_ahead(&op->func->parent->out[u->index]);
    if (op->code == NM_OP_ret)
        return op->func->result_bind[u->index];
    if (hands_on(op) || is_accumulated(op, u->index))
        return bind_ahead(&op->out[0]);
    return (nm_bind){.kind = NM_BIND_none};
}

static nm_bind bind_ahead(const nm_value *v)
{
    nm_each_use(u, v) {
        nm_bind b = bind_by(u);
        if (is_stored(v->func->module, b))
            return b;
    }
    return (nm_bind){.kind = NM_BIND_none};
}

nm_comm_subject nm_comm_subject_of(const nm_op *collective)
{
    nm_module *m = collective->func->module;
    nm_bind b = bind_behind(collective->in[0]);
    b = is_stored(m, b) ? b : bind_ahead(&collective->out[0]);
    if (!is_stored(m, b))
        return (nm_comm_subject){0};
    if (b.kind == NM_BIND_acc)
        return (nm_comm_subject){"gradient of", nm_param_lookup(m, nm_gradient_bound(m, b)), true};
    return (nm_comm_subject){b.kind == NM_BIND_param ? "parameter" : "state",
                             nm_param_lookup(m, b.name), false};
}

static void name_one(nm_op *op)
{
    nm_comm_subject s = nm_comm_subject_of(op);
    if (!s.param)
        return;
    op->out[0].name =
        s.gradient ? nm_gradient_name(op->func->module, s.param->path) : s.param->path;
    op->loc = s.param->loc;
}

void nm_comm_name_all(nm_func *f)
{
    nm_each_op(op, f) {
        if (op->body)
            nm_comm_name_all(op->body);
        if (nm_is(op, NM_COLLECTIVE))
            name_one(op);
    }
}
