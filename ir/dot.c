// The dims of a group's dot: see dot.h.
#include "ir/dot.h"

static nm_sym innermost(const nm_value *v);

static nm_sym innermost_of_view(const nm_op *op)
{
    nm_sym inner = innermost(op->in[0]);
    if (op->code == NM_OP_rename && inner == nm_attr_sym(op, "from"))
        return nm_attr_sym(op, "to");
    if (op->code == NM_OP_split && inner == nm_attr_sym(op, "from")) {
        nm_syms into = nm_attr_dims(op, "into");
        return into.sym[into.n - 1];
    }
    if (op->code == NM_OP_merge && nm_syms_has(nm_attr_dims(op, "from"), inner))
        return nm_attr_sym(op, "into");
    return inner;
}

// The dim of v that is contiguous in memory where most of it is read from; NULL: a scalar.
static nm_sym innermost(const nm_value *v)
{
    const nm_type *t = v->type;
    if (!v->def)
        return t->rank ? t->dim[t->rank - 1].name : NULL;
    if (nm_is(v->def, NM_VIEW))
        return innermost_of_view(v->def);
    const nm_value *widest = NULL;
    for (int i = 0; i < v->def->n_in; i++)
        if (!widest || v->def->in[i]->type->rank > widest->type->rank)
            widest = v->def->in[i];
    return widest ? innermost(widest) : NULL;
}

nm_dot_list nm_dot_list_of(const nm_dot *d, nm_sym dim)
{
    if (nm_syms_has(nm_attr_dims(d->op, "over"), dim))
        return NM_DOT_K;
    bool in_a = nm_has_dim(d->a->type, dim), in_b = nm_has_dim(d->b->type, dim);
    return in_a && in_b ? NM_DOT_BATCH : in_a ? NM_DOT_M : NM_DOT_N;
}

static bool has(const nm_dot *d, nm_dot_list l, nm_sym dim)
{
    for (int i = 0; i < d->n[l]; i++)
        if (d->dim[l][i].name == dim)
            return true;
    return false;
}

static void list_dims(nm_dot *d, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++) {
        nm_dot_list l = nm_dot_list_of(d, t->dim[i].name);
        if (!has(d, l, t->dim[i].name))
            d->dim[l][d->n[l]++] = t->dim[i];
    }
}

static void find_lists(nm_dot *d, const nm_type *result)
{
    nm_sym along = innermost(d->b);
    bool by_b = along && nm_dot_list_of(d, along) == NM_DOT_K;
    list_dims(d, result);
    list_dims(d, by_b ? d->b->type : d->a->type);
    list_dims(d, by_b ? d->a->type : d->b->type);
}

static bool along_row(const nm_dot *d, const nm_value *v, nm_dot_list row)
{
    nm_sym inner = innermost(v);
    return inner && nm_dot_list_of(d, inner) == row;
}

// a and b change places where the innermost dim that only one operand has is a's.
static void find_roles(nm_dot *d, const nm_type *result)
{
    for (int i = result->rank; i-- > 0;) {
        nm_dot_list l = nm_dot_list_of(d, result->dim[i].name);
        if (l == NM_DOT_BATCH)
            continue;
        if (l == NM_DOT_M) {
            d->a = d->op->in[1];
            d->b = d->op->in[0];
        }
        return;
    }
}

nm_dot nm_dot_of(nm_op *group, nm_op *dot)
{
    nm_dot d = {.op = dot, .a = dot->in[0], .b = dot->in[1]};
    find_roles(&d, group->out[0].type);
    find_lists(&d, group->out[0].type);
    d.a_along_row = along_row(&d, d.a, NM_DOT_M);
    d.b_along_row = along_row(&d, d.b, NM_DOT_N);
    return d;
}
