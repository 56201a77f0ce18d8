// The inferred forms into the function, in place: each value's type becomes its form, and before
// each reader stands what brings an operand into the form in which it is demanded. Free values are
// computed again in each form in which they are read.
#include "passes/shard.h"

static nm_value *provide(nm_shard *s, nm_value *v, const nm_type *form, nm_op *before);

// --- free values ---------------------------------------------------------------------------------

static nm_value *compute_again(nm_shard *s, const nm_op *op, const nm_type *form, nm_op *before)
{
    nm_proto p = nm_proto_of(op);
    nm_value **in = nm_new_n(s->arena, nm_value *, op->n_in + 1);
    for (int i = 0; i < op->n_in; i++)
        in[i] = provide(s, op->in[i], nm_shard_form_behind(s, op, i, form), before);
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
        if (nm_shard_is_free(s, op))
            continue;
        const nm_type **need = nm_shard_needs(s, op);
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
    for (int i = 0; i < s->f->n_params; i++)
        s->f->param[i]->type = nm_shard_param_form(s, i);
    emit_func(s, s->f);
    erase_unread(s->f);
}
