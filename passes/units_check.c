// May a function run for some of the turns of a repeat? If every op outside of the repeat treats
// each index of the dim alone, and a turn sees nothing of the others but what is carried. Then the
// dim is an extent like any other, and its part of a stage is a smaller one.
#include "passes/units.h"

#include "ir/form.h"

static bool reads(const nm_op *op, nm_sym dim)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_has_dim(op->in[i]->type, dim))
            return true;
    return false;
}

static bool body_keeps(const nm_func *body, nm_sym dim)
{
    nm_each_op(op, body)
        if (op->code != NM_OP_ret && !nm_units_keeps(op, dim))
            return false;
    return true;
}

// Of the repeat over dim: nobody but the turns has the dim.
static bool turns_are_alone(const nm_op *op, nm_sym dim)
{
    int carried = (int)nm_attr_int(op, "carried", 0), stacked = (int)nm_attr_int(op, "stacked", 0);
    for (int i = 0; i < op->n_in; i++)
        if ((i < carried || i >= carried + stacked) && nm_has_dim(op->in[i]->type, dim))
            return false;
    return true;
}

bool nm_units_keeps(const nm_op *op, nm_sym dim)
{
    if (nm_is(op, NM_FREE))
        return true;
    if (op->code == NM_OP_repeat && nm_attr_sym(op, "over") == dim)
        return !nm_attr_int(op, "carried", 0) && turns_are_alone(op, dim);
    if (op->body && !body_keeps(op->body, dim))
        return false;
    if (!reads(op, dim))
        return true;
    for (int i = 0; i < op->n_out; i++)
        if (!nm_has_dim(op->out[i].type, dim))
            return false;
    return !nm_op_names(op, dim);
}

bool nm_units_sums_over(const nm_op *op, nm_sym dim)
{
    return nm_form_sums(op) && reads(op, dim) && nm_form_drops(op, 0, dim);
}

static bool fail(nm_units *u, nm_loc at, const char *what, nm_sym dim)
{
    return nm_error(u->m->diag, at,
                    "%s, and a pipeline stage has only its part of '%s': the mesh's row pp cannot "
                    "cut this model into stages [pp-3]",
                    what, dim);
}

static bool check_param(nm_units *u, const nm_value *v, nm_bind bind, nm_sym dim)
{
    nm_sym has = nm_units_dim_in(u, v->type);
    bool stored = bind.kind == NM_BIND_param || bind.kind == NM_BIND_state ||
                  bind.kind == NM_BIND_acc || bind.kind == NM_BIND_link;
    if (!has || !stored)
        return true;
    nm_loc at = v->uses ? v->uses->op->loc : v->func->loc;
    if (has != dim)
        return fail(
            u, at, nm_arena_fmt(u->m->arena, "'%s' is read outside of its repeat", bind.name), has);
    return v->type->dim[0].name == dim ||
           fail(u, at, nm_arena_fmt(u->m->arena, "'%s' has another outermost dim", bind.name), has);
}

static bool check_result(nm_units *u, const nm_value *v, nm_sym dim)
{
    nm_sym has = nm_units_dim_in(u, v->type);
    nm_loc at = v->def ? v->def->loc : v->func->loc;
    if (has && has != dim)
        return fail(u, at, "this is all turns' value outside of their repeat", has);
    return !has || v->type->dim[0].name == dim ||
           fail(u, at, "this has another outermost dim", has);
}

static bool check_op(nm_units *u, const nm_op *op, nm_sym dim)
{
    bool stage = op->code == NM_OP_repeat && nm_attr_sym(op, "over") == dim;
    return (stage ? turns_are_alone(op, dim) : nm_units_keeps(op, dim)) ||
           fail(u, op->loc, "this mixes the turns of a repeat", dim);
}

bool nm_units_check(nm_units *u, nm_func *f, nm_sym dim)
{
    for (int i = 0; i < f->n_params; i++)
        if (!check_param(u, f->param[i], f->param_bind[i], dim))
            return false;
    for (nm_op *op = f->first; op != f->last; op = op->next)
        if (dim && !check_op(u, op, dim))
            return false;
    for (int i = 0; i < f->n_results; i++)
        if (!check_result(u, f->last->in[i], dim))
            return false;
    return true;
}
