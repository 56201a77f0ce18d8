// Maps: those of constants are folded by the interpreter; broadcasts are dropped where alignment by
// name repeats the value anyway, and move behind the map where all of its operands are repeated.
#include "ir/eval.h"
#include "passes/simplify.h"

#include <string.h>

static bool is_const(const nm_value *v) { return v->def && v->def->code == NM_OP_const; }

// --- constants ---------------------------------------------------------------------------------

// In double, so exactly as a reader of the source would compute it; ints as ints.
static bool fold(nm_op *op, double *value)
{
    enum { MAX = 3 };
    double data[MAX];
    nm_tensor in[MAX], out = {.type = op->out[0].type, .n = 1, .data = value};
    const nm_tensor *ins[MAX];
    if (op->n_in < 1 || op->n_in > MAX || op->out[0].type->rank || !nm_info(op)->eval)
        return false;
    for (int i = 0; i < op->n_in; i++) {
        if (!is_const(op->in[i]) || op->in[i]->type->rank)
            return false;
        data[i] = nm_attr_float(op->in[i]->def, "value", 0);
        in[i] = (nm_tensor){.type = op->in[i]->type, .n = 1, .data = &data[i]};
        ins[i] = &in[i];
    }
    nm_eval_opts opts = {.arena = op->func->module->arena, .f64 = true};
    nm_eval_op e = {.op = op, .m = op->func->module, .opts = &opts, .in = ins, .out = &out};
    *value = 0;
    nm_info(op)->eval(&e);
    return !e.failed && *value - *value == 0; // inf and NaN stay where they arise
}

static bool fold_size(nm_op *op, double *value)
{
    int64_t n;
    if (op->code != NM_OP_size || op->out[0].type->rank ||
        !nm_extent_is_const(nm_attr_get(op, "of")->u.extent, &n))
        return false;
    *value = (double)n;
    return true;
}

static bool fold_constant(nm_op *op)
{
    double value;
    if (!(nm_is(op, NM_MAP) && fold(op, &value)) && !fold_size(op, &value))
        return false;
    nm_value *c = nm_build_const(op->func, op, op->loc, op->out[0].type->dtype, value);
    c->name = op->out[0].name;
    nm_replace(&op->out[0], c);
    nm_erase(op);
    return true;
}

// --- broadcasts --------------------------------------------------------------------------------

// v without its repetition: another value with fewer dims, or in another order; else v.
static nm_value *narrow(nm_op *before, nm_value *v)
{
    nm_op *def = v->def;
    if (def && def->code == NM_OP_broadcast)
        return def->in[0];
    if (!is_const(v) || !v->type->rank)
        return v;
    return nm_build_const(before->func, before, def->loc, v->type->dtype,
                          nm_attr_float(def, "value", 0));
}

static bool is_repeated(const nm_value *v)
{
    return v->def && (v->def->code == NM_OP_broadcast || (is_const(v) && v->type->rank));
}

static bool lacks_only(const nm_op *op, int i, const nm_type *wide, const nm_type *few)
{
    for (int d = 0; d < wide->rank; d++) {
        bool found = nm_has_dim(few, wide->dim[d].name);
        for (int k = 0; k < op->n_in; k++)
            found |= k != i && nm_has_dim(op->in[k]->type, wide->dim[d].name);
        if (!found)
            return false;
    }
    return true;
}

// The dims of operand i that its source lacks are there through the other operands.
static bool drop_repetition(nm_op *op, int i)
{
    static const nm_type scalar;
    nm_value *v = op->in[i];
    if (!is_repeated(v) || !lacks_only(op, i, v->type, is_const(v) ? &scalar : v->def->in[0]->type))
        return false;
    nm_set_operand(op, i, narrow(op, v));
    return true;
}

// Every operand is repeated along some dim of the result: compute once, then repeat.
static bool repeat_later(nm_op *op)
{
    nm_value *in[3], *small, *wide;
    const nm_type *want = op->out[0].type;
    if (op->n_in < 1 || op->n_in > 3)
        return false;
    for (int d = 0; d < want->rank; d++) {
        bool needed = false;
        for (int i = 0; i < op->n_in; i++) {
            nm_value *v = op->in[i];
            bool through = is_repeated(v) &&
                           (is_const(v) || !nm_has_dim(v->def->in[0]->type, want->dim[d].name));
            needed |= nm_has_dim(v->type, want->dim[d].name) && !through;
        }
        if (needed)
            continue;
        for (int i = 0; i < op->n_in; i++)
            in[i] = narrow(op, op->in[i]);
        small = nm_build(op->func, op,
                         &(nm_proto){.code = op->code,
                                     .loc = op->loc,
                                     .n_in = op->n_in,
                                     .in = in,
                                     .n_attrs = op->n_attrs,
                                     .attr = op->attr});
        wide = nm_build(op->func, op,
                        &(nm_proto){.code = NM_OP_broadcast,
                                    .loc = op->loc,
                                    .n_in = 1,
                                    .in = &small,
                                    .type = want,
                                    .name = op->out[0].name});
        nm_replace(&op->out[0], wide);
        nm_erase(op);
        return true;
    }
    return false;
}

static bool simplify(nm_op *op)
{
    bool changed = false;
    if (op->n_out != 1)
        return false;
    if (fold_constant(op))
        return true;
    if (!nm_is(op, NM_MAP) && op->code != NM_OP_dot)
        return false;
    for (int i = 0; i < op->n_in; i++)
        changed |= drop_repetition(op, i);
    return (nm_is(op, NM_MAP) && repeat_later(op)) || changed;
}

void nm_simplify_maps(nm_func *f, bool *changed)
{
    nm_each_op_safe(op, f) {
        if (op->body)
            nm_simplify_maps(op->body, changed);
        *changed |= simplify(op);
    }
}
