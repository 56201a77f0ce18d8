#include "ir/launch.h"

bool nm_is_sent(const nm_op *op) { return nm_is(op, NM_COLLECTIVE) && !nm_is(op, NM_VIEW); }

bool nm_gathers_param(const nm_op *op)
{
    if (op->code != NM_OP_all_gather)
        return false;
    const nm_value *v = op->in[0];
    while (v->def && v->def->code == NM_OP_cast)
        v = v->def->in[0];
    return !v->def && !v->func->parent && v->func->param_bind[v->index].kind == NM_BIND_param;
}

static bool has_more(const nm_op *op)
{
    return (nm_is(op, NM_COLLECTIVE) || op->code == NM_OP_group) && nm_attr_bool(op, "more");
}

nm_op *nm_launch_first(const nm_op *op)
{
    while (op->prev && has_more(op->prev))
        op = op->prev;
    return (nm_op *)op;
}

nm_op *nm_launch_last(const nm_op *op)
{
    while (has_more(op))
        op = op->next;
    return (nm_op *)op;
}

const nm_op *nm_launch_wait(const nm_op *op)
{
    if (!nm_is_sent(op))
        return NULL;
    nm_each_use(u, &op->out[0])
        if (u->op->code == NM_OP_wait)
            return u->op;
    return NULL;
}

bool nm_launch_is_read(const nm_op *first, const nm_op *last, const nm_op *op)
{
    for (const nm_op *c = first;; c = c->next) {
        for (int i = 0; i < op->n_in; i++)
            if (op->in[i]->def == c)
                return true;
        if (c == last)
            return false;
    }
}

// --- sizes ----------------------------------------------------------------------------------

static int64_t size_of(void *user, nm_sym sym)
{
    nm_module *m = user;
    const nm_dim_decl *d = nm_dim_lookup(m, sym), *whole = d && d->of ? nm_dim_lookup(m, d->of) : d;
    if (d && !d->of && d->axes.n)
        return 1;
    return nm_extent_nominal(
        whole && !whole->runtime ? whole->extent : nm_extent_sym(m, whole ? whole->name : sym));
}

static double elements(nm_module *m, const nm_extent *e)
{
    return (double)nm_extent_eval(e, size_of, m);
}

double nm_nominal_elements(nm_module *m, const nm_type *t)
{
    double n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= elements(m, t->dim[i].extent);
    return n;
}

// Of a dot: a multiplication for every element of the result and every index that is summed over.
static double products_of_dot(const nm_op *dot)
{
    nm_module *m = dot->func->module;
    nm_syms over = nm_attr_dims(dot, "over");
    double n = nm_nominal_elements(m, dot->out[0].type);
    for (int i = 0; i < over.n; i++) {
        const nm_value *v = dot->in[!nm_has_dim(dot->in[0]->type, over.sym[i])]; // not always both
        n *= elements(m, v->type->dim[nm_type_find(v->type, over.sym[i])].extent);
    }
    return n;
}

double nm_nominal_products(const nm_op *group)
{
    double n = 0;
    nm_each_op(op, group->body)
        if (op->code == NM_OP_dot)
            n += products_of_dot(op);
    return n;
}

double nm_sent_elements(const nm_op *op)
{
    nm_module *m = op->func->module;
    double in = nm_nominal_elements(m, op->in[0]->type),
           out = nm_nominal_elements(m, op->out[0].type);
    return in > out ? in : out;
}

double nm_launch_elements(const nm_op *last)
{
    double n = nm_sent_elements(last);
    for (const nm_op *op = nm_launch_first(last); op != last; op = op->next)
        n += nm_sent_elements(op);
    return n;
}
