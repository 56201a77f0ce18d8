// The gradient of an extern op is another one: the function that its `grad` names gets the op's
// operands, its results, and the gradients of those that are floats, and gives that of every
// operand that is a tensor of floats. Without a `grad` the op is constant to autodiff.
#include "ir/extern.h"
#include "ir/grads.h"

#include <string.h>

typedef struct values { // of the gradient's op
    int n;
    nm_value **in;
} values;

static bool is_float(const nm_value *v) { return nm_dtype_table[v->type->dtype].is_float; }

// The gradient of result i, zeros where nobody asked.
static nm_value *gradient_of(nm_grad *g, nm_op *op, int i)
{
    nm_value *dy = nm_grad_of(g, op, i);
    return dy ? dy : nm_build_filled(g->f, g->before, op->loc, op->out[i].type, 0);
}

static values operands_of(nm_grad *g, nm_op *op)
{
    int n_results = nm_extern_n_results(op);
    values v = {.in = nm_new_n(g->f->module->arena, nm_value *, op->n_in + 2 * n_results)};
    for (int i = 0; i < op->n_in; i++)
        v.in[v.n++] = g->of(g, op->in[i]);
    for (int i = 0; i < n_results; i++)
        v.in[v.n++] = g->of(g, &op->out[i]);
    for (int i = 0; i < n_results; i++)
        if (is_float(&op->out[i]))
            v.in[v.n++] = gradient_of(g, op, i);
    return v;
}

static bool has_gradient(const nm_op *op, int operand)
{
    return is_float(op->in[operand]) && !nm_extern_is_number(op, operand);
}

// Those of the gradients, then those of scratch.
static int list_types(nm_module *m, const nm_op *op, const nm_type ***types)
{
    int n = 0;
    *types = nm_new_n(m->arena, const nm_type *, op->n_in + op->n_out);
    for (int i = 0; i < op->n_in; i++)
        if (has_gradient(op, i))
            (*types)[n++] = op->in[i]->type;
    for (int i = nm_extern_n_results(op); i < op->n_out; i++)
        (*types)[n++] = op->out[i].type;
    return n;
}

// The op's own, with another name and without a gradient.
static int list_attrs(nm_module *m, const nm_op *op, nm_attr **attrs)
{
    int n = 0;
    *attrs = nm_new_n(m->arena, nm_attr, op->n_attrs);
    for (int i = 0; i < op->n_attrs; i++)
        if (!strcmp(op->attr[i].name, "name"))
            (*attrs)[n++] = nm_mk_sym(m, "name", nm_attr_sym(op, "grad"));
        else if (strcmp(op->attr[i].name, "grad") != 0)
            (*attrs)[n++] = op->attr[i];
    return n;
}

void nm_grad_extern(nm_grad *g, nm_op *op)
{
    nm_module *m = g->f->module;
    const nm_type **types;
    nm_attr *attr;
    int n_types = list_types(m, op, &types), n_attrs = list_attrs(m, op, &attr), k = 0;
    if (!nm_attr_get(op, "grad") || n_types == op->n_out - nm_extern_n_results(op))
        return;
    values v = operands_of(g, op);
    nm_op *d = nm_build_op(g->f, g->before,
                           &(nm_proto){.code = NM_OP_extern,
                                       .loc = op->loc,
                                       .n_in = v.n,
                                       .in = v.in,
                                       .n_attrs = n_attrs,
                                       .attr = attr,
                                       .n_types = n_types,
                                       .types = types});
    for (int i = 0; d && i < op->n_in; i++)
        if (has_gradient(op, i))
            nm_grad_into(g, op, op->in[i], &d->out[k++]);
    g->failed |= !d;
}
