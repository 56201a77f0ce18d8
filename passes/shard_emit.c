// The inferred forms into the function, in place: each value's type becomes its form, and before
// each reader stands what brings an operand into the form in which it is demanded. Free values are
// computed again in each form in which they are read.
#include "passes/shard.h"

// --- what is demanded ----------------------------------------------------------------------------

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

static bool is_free(const nm_shard *s, const nm_op *op)
{
    return op->n_out && s->free[op->out[0].id];
}

static const nm_type **needs_of(nm_shard *s, nm_op *op)
{
    if (op->code == NM_OP_repeat)
        return needs_of_repeat(s, op);
    return op->code == NM_OP_ret ? needs_of_ret(s, op) : nm_shard_transfer(s, op).need;
}

static void collect(nm_shard *s, nm_func *f)
{
    nm_each_op(op, f) {
        if (is_free(s, op))
            continue;
        const nm_type **need = needs_of(s, op);
        for (int i = 0; i < op->n_in; i++) {
            nm_demand *d = nm_new(s->arena, nm_demand);
            *d = (nm_demand){need[i], s->demand[op->in[i]->id]};
            s->demand[op->in[i]->id] = d;
        }
        if (op->body)
            collect(s, op->body);
    }
}

// --- free values ---------------------------------------------------------------------------------

static nm_value *provide(nm_shard *s, nm_value *v, const nm_type *form, nm_op *before);

// The form of operand i that makes a free op's result have `form`.
static const nm_type *form_behind(nm_shard *s, const nm_op *op, int i, const nm_type *form)
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

static nm_value *compute_again(nm_shard *s, const nm_op *op, const nm_type *form, nm_op *before)
{
    nm_proto p = nm_proto_of(op);
    nm_value **in = nm_new_n(s->arena, nm_value *, op->n_in + 1);
    for (int i = 0; i < op->n_in; i++)
        in[i] = provide(s, op->in[i], form_behind(s, op, i, form), before);
    p.in = in;
    p.type = form;
    return nm_build(before->func, before, &p);
}

static nm_value *provide_free(nm_shard *s, nm_value *v, const nm_type *form, nm_op *before)
{
    if (!v->def)
        return nm_shard_convert(v, form, before);
    for (nm_made *m = s->made[v->id]; m; m = m->next)
        if (m->value->type == form)
            return m->value;
    nm_made *made = nm_new(s->arena, nm_made);
    *made = (nm_made){compute_again(s, v->def, form, before), s->made[v->id]};
    s->made[v->id] = made;
    return made->value;
}

// --- all values ----------------------------------------------------------------------------------

// A form that another reader demands and of which this one is a part: sent once, then cut.
static const nm_type *find_wider(nm_shard *s, const nm_value *v, const nm_type *form)
{
    if (form->pending.n || nm_shard_is_local(s->m, v->type, form))
        return NULL;
    for (nm_demand *d = s->demand[v->id]; d; d = d->next)
        if (d->form != form && !d->form->pending.n && nm_shard_is_local(s->m, d->form, form))
            return d->form;
    return NULL;
}

static nm_value *provide(nm_shard *s, nm_value *v, const nm_type *form, nm_op *before)
{
    if (!s->free[v->id]) {
        const nm_type *wider = find_wider(s, v, form);
        nm_value *from = wider ? provide(s, v, wider, before) : v;
        return nm_shard_convert(from, form, before);
    }
    const nm_type *done = form;
    if (form->pending.n) {
        nm_type t = *form;
        t.pending = (nm_axes){0};
        done = nm_type_get(s->m, &t);
    }
    return nm_shard_convert(provide_free(s, v, done, before), form, before);
}

// --- the function --------------------------------------------------------------------------------

static void emit_func(nm_shard *s, nm_func *f);

static void emit_body(nm_shard *s, nm_op *op)
{
    for (int i = 0; i < op->n_in; i++) {
        nm_value *param = op->body->param[i];
        if (s->form[param->id])
            param->type = s->form[param->id];
    }
    emit_func(s, op->body);
}

static void emit_func(nm_shard *s, nm_func *f)
{
    nm_each_op(op, f) {
        if (is_free(s, op))
            continue;
        const nm_type **need = needs_of(s, op);
        for (int i = 0; i < op->n_in; i++)
            nm_set_operand(op, i, provide(s, op->in[i], need[i], op));
        if (op->body)
            emit_body(s, op);
        for (int i = 0; i < op->n_out; i++)
            op->out[i].type = s->form[op->out[i].id];
    }
}

// What was free was computed again wherever it is read.
static void erase_unread(nm_func *f)
{
    for (nm_op *op = f->last, *prev; op; op = prev) {
        prev = op->prev;
        bool read = !nm_is(op, NM_PURE);
        for (int i = 0; i < op->n_out; i++)
            read |= op->out[i].uses != NULL;
        if (!read)
            nm_erase(op);
        else if (op->body)
            erase_unread(op->body);
    }
}

void nm_shard_emit(nm_shard *s)
{
    collect(s, s->f);
    for (int i = 0; i < s->f->n_params; i++) {
        nm_value *param = s->f->param[i];
        bool data = s->f->param_bind[i].kind == NM_BIND_data;
        param->type = data ? nm_claims_canonical(s->m, &s->table->data, param->type)
                           : nm_shard_param_form(s, i);
    }
    emit_func(s, s->f);
    erase_unread(s->f);
}
