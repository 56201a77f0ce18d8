// Shape rules of the ops whose results follow from a function: a body, a callee.
#include "ir/shape.h"
#include "ir/tables.h"

#include <string.h>

static bool give_exactly(nm_module *m, nm_op *op, int i, const nm_type *t)
{
    nm_value *v = &op->out[i];
    if (!v->type)
        v->type = t;
    return v->type == t ||
           nm_error(m->diag, op->loc, "%s: result %d is %s, not %s [type-2]", nm_info(op)->name, i,
                    nm_type_str(m, t), nm_type_str(m, v->type));
}

static bool takes(nm_module *m, nm_op *op, int i, const nm_type *param, const nm_type *wanted)
{
    return param == wanted ||
           nm_error(m->diag, op->loc, "%s: operand %d is %s there, and the parameter is %s [%s-2]",
                    nm_info(op)->name, i, nm_type_str(m, wanted), nm_type_str(m, param),
                    nm_info(op)->name);
}

static bool check_body(nm_module *m, nm_op *op)
{
    const char *name = nm_info(op)->name;
    if (!op->body || !op->body->last || op->body->last->code != NM_OP_ret)
        return nm_error(m->diag, op->loc, "%s has a body that ends in ret [body-1]", name);
    return op->body->n_params == op->n_in ||
           nm_error(m->diag, op->loc, "%s: %d operands and %d parameters of the body [%s-1]", name,
                    op->n_in, op->body->n_params, name);
}

// --- repeat --------------------------------------------------------------------------------------

// The repeated dim: that of the stacked operands, else the declared one.
static bool turn_dim(nm_module *m, nm_op *op, int carried, int stacked, nm_dim *out)
{
    *out = (nm_dim){.name = nm_attr_sym(op, "over")};
    out->extent = nm_dim_default(m, out->name);
    for (int i = 0; i < stacked; i++) {
        const nm_type *t = op->in[carried + i]->type;
        int at = nm_type_find(t, out->name);
        if (at < 0)
            return nm_error(m->diag, op->loc,
                            "repeat: stacked operand %d is %s, without '%s' "
                            "[repeat-3]",
                            carried + i, nm_type_str(m, t), out->name);
        if (i && t->dim[at].extent != out->extent)
            return nm_error(m->diag, op->loc,
                            "repeat: stacked operands have %s = %s and %s [align-3]", out->name,
                            nm_extent_str(m, out->extent), nm_extent_str(m, t->dim[at].extent));
        *out = t->dim[at];
    }
    return out->extent ||
           nm_error(m->diag, op->loc, "repeat: '%s' has no extent here [repeat-3]", out->name);
}

static bool check_turns(nm_module *m, nm_op *op, int carried, int stacked, nm_dim over)
{
    for (int i = 0; i < op->n_in; i++) {
        const nm_type *t = op->in[i]->type;
        if (i >= carried && i < carried + stacked)
            t = nm_type_without(m, t, over.name);
        if (!takes(m, op, i, op->body->param[i]->type, t))
            return false;
    }
    return true;
}

static bool give_turns(nm_module *m, nm_op *op, int carried, nm_dim over)
{
    nm_op *ret = op->body->last;
    for (int i = 0; i < ret->n_in; i++) {
        const nm_type *t = ret->in[i]->type;
        if (i < carried && t != op->in[i]->type)
            return nm_error(m->diag, op->loc,
                            "repeat: carried value %d enters as %s and leaves as %s "
                            "[repeat-4]",
                            i, nm_type_str(m, op->in[i]->type), nm_type_str(m, t));
        if (i >= carried && (nm_has_dim(t, over.name) || t->rank == NM_MAX_RANK))
            return nm_error(m->diag, op->loc,
                            "repeat: result %d is %s and cannot gain '%s' "
                            "[repeat-5]",
                            i, nm_type_str(m, t), over.name);
        if (!give_exactly(m, op, i, i < carried ? t : nm_type_with_outer(m, t, over)))
            return false;
    }
    return true;
}

bool nm_shape_repeat(nm_module *m, nm_op *op)
{
    int64_t carried = nm_attr_int(op, "carried", 0), stacked = nm_attr_int(op, "stacked", 0);
    nm_dim over;
    if (!check_body(m, op))
        return false;
    int n = op->body->last->n_in;
    if (carried < 0 || stacked < 0 || carried > op->n_in || stacked > op->n_in - carried ||
        carried > n)
        return nm_error(m->diag, op->loc,
                        "repeat: %lld carried and %lld stacked of %d operands, %d "
                        "results [repeat-1]",
                        (long long)carried, (long long)stacked, op->n_in, n);
    return turn_dim(m, op, (int)carried, (int)stacked, &over) &&
           check_turns(m, op, (int)carried, (int)stacked, over) && nm_shape_results(m, op, n) &&
           give_turns(m, op, (int)carried, over);
}

// --- the others ----------------------------------------------------------------------------------

static const char *const kinds[] = {
    "map",     "row",    "column", "dot",    "attention",   "attention_grad",
    "scatter", "cumsum", "top_k",  "update", "overlap_add", "extern"};

static bool is_kind(nm_sym kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kind, kinds[i]))
            return true;
    return false;
}

bool nm_shape_group(nm_module *m, nm_op *op)
{
    nm_sym kind = nm_attr_sym(op, "kind");
    if (!is_kind(kind))
        return nm_error(m->diag, op->loc, "group: no kind of kernel is called '%s' [group-3]",
                        kind);
    if (!check_body(m, op) || !nm_shape_results(m, op, op->body->last->n_in))
        return false;
    for (int i = 0; i < op->n_in; i++)
        if (!takes(m, op, i, op->body->param[i]->type, op->in[i]->type))
            return false;
    for (int i = 0; i < op->n_out; i++)
        if (!give_exactly(m, op, i, op->body->last->in[i]->type))
            return false;
    return true;
}

// A callee stands before its callers, so no call is recursive.
static nm_func *find_callee(nm_module *m, nm_op *op)
{
    nm_func *caller = nm_func_outer(op->func);
    nm_sym name = nm_attr_sym(op, "callee");
    nm_each_func(f, m) {
        if (f == caller)
            break;
        if (f->name == name)
            return f;
    }
    nm_error(m->diag, op->loc, "call: no function @%s stands before @%s [call-1]", name,
             caller->name);
    return NULL;
}

bool nm_shape_call(nm_module *m, nm_op *op)
{
    nm_func *f = find_callee(m, op);
    if (!f)
        return false;
    if (!f->last || f->last->code != NM_OP_ret || f->n_params != op->n_in)
        return nm_error(m->diag, op->loc, "call: @%s takes %d operands, not %d [call-2]", f->name,
                        f->n_params, op->n_in);
    for (int i = 0; i < op->n_in; i++)
        if (!takes(m, op, i, f->param[i]->type, op->in[i]->type))
            return false;
    if (!nm_shape_results(m, op, f->last->n_in))
        return false;
    for (int i = 0; i < op->n_out; i++)
        if (!give_exactly(m, op, i, f->last->in[i]->type))
            return false;
    return true;
}

bool nm_shape_grad(nm_module *m, nm_op *op)
{
    if (op->n_in < 1 || op->in[0]->type->rank || !nm_dtype_table[op->in[0]->type->dtype].is_float)
        return nm_error(m->diag, op->loc, "grad is of a scalar float [grad-1]");
    if (!nm_shape_results(m, op, op->n_in - 1))
        return false;
    for (int i = 1; i < op->n_in; i++) {
        const nm_type *t = op->in[i]->type;
        if (!nm_dtype_table[t->dtype].is_float)
            return nm_error(m->diag, op->loc, "grad: operand %d is %s, not floats [grad-2]", i,
                            nm_type_str(m, t));
        if (!nm_shape_give(m, op, i - 1, t))
            return false;
    }
    return true;
}
