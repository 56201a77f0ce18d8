// Who demands what: the form in which each reader wants each operand, and through free values,
// which are computed in whatever form is demanded, the form in which data is read.
#include "passes/shard.h"

static const nm_type **needs_of_repeat(nm_shard *s, nm_op *op)
{
    const nm_type **need = nm_new_n(s->arena, const nm_type *, op->n_in + 1);
    for (int i = 0; i < op->n_in; i++) {
        const nm_type *inner = s->form[op->body->param[i]->id], *t = op->in[i]->type;
        need[i] = inner ? nm_shard_like(s->m, t, inner) : nm_type_bare(s->m, t);
    }
    return need;
}

static const nm_type **needs_of_ret(nm_shard *s, nm_op *op)
{
    const nm_type **need = nm_new_n(s->arena, const nm_type *, op->n_in + 1);
    const nm_op *parent = op->func->parent;
    for (int i = 0; i < op->n_in; i++)
        need[i] = parent ? nm_shard_like(s->m, op->in[i]->type, s->form[parent->out[i].id])
                         : nm_shard_result_form(s, i);
    return need;
}

bool nm_shard_is_free(const nm_shard *s, const nm_op *op)
{
    return op->n_out && s->free[op->out[0].id];
}

const nm_type **nm_shard_needs(nm_shard *s, nm_op *op)
{
    if (op->code == NM_OP_repeat)
        return needs_of_repeat(s, op);
    return op->code == NM_OP_ret ? needs_of_ret(s, op) : nm_shard_transfer(s, op).need;
}

// The form of operand i that makes a free op's result have `form`.
const nm_type *nm_shard_form_behind(nm_shard *s, const nm_op *op, int i, const nm_type *form)
{
    nm_type t = *op->in[i]->type;
    for (int k = 0; k < t.rank; k++) {
        nm_sym dim = nm_space_of_operand(op, t.dim[k].name);
        t.dim[k].axes = (nm_axes){0};
        for (int r = 0; dim && r < form->rank; r++)
            if (nm_space_of_result(op, form->dim[r].name) == dim)
                t.dim[k].axes = form->dim[r].axes;
    }
    t.pending = (nm_axes){0};
    return nm_type_get(s->m, &t);
}

// --- collecting ----------------------------------------------------------------------------------

static bool is_noted(const nm_demand *d, const nm_type *form)
{
    while (d && d->form != form)
        d = d->next;
    return d != NULL;
}

static void demand(nm_shard *s, nm_value *v, const nm_type *form)
{
    if (is_noted(s->demand[v->id], form))
        return;
    nm_demand *d = nm_new(s->arena, nm_demand);
    *d = (nm_demand){form, s->demand[v->id]};
    s->demand[v->id] = d;
    if (!s->free[v->id])
        return;
    if (!v->def) {
        if (!v->func->parent)
            nm_shard_join_data(s, v->index, form);
        return;
    }
    for (int i = 0; i < v->def->n_in; i++)
        demand(s, v->def->in[i], nm_shard_form_behind(s, v->def, i, form));
}

static void collect(nm_shard *s, nm_func *f)
{
    nm_each_op(op, f) {
        if (nm_shard_is_free(s, op))
            continue;
        const nm_type **need = nm_shard_needs(s, op);
        for (int i = 0; i < op->n_in; i++)
            demand(s, op->in[i], need[i]);
        if (op->body)
            collect(s, op->body);
    }
}

void nm_shard_demand(nm_shard *s) { collect(s, s->f); }
