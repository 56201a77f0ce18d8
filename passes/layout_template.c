// What templates need of the layout: attention reads and writes vectors along the head dim, so that
// has to be innermost where it is stored, whatever the dims are called there: rope stores it as
// {two, half}. An extern's C function wants all dims in its own order.
#include "ir/attn.h"
#include "ir/extern.h"
#include "passes/fuse.h"
#include "passes/layout.h"

#include <string.h>

const nm_type *nm_layout_innermost(nm_module *m, const nm_type *type, nm_sym dim)
{
    nm_type t = *type;
    int at = nm_type_find(&t, dim);
    nm_dim moved = t.dim[at];
    memmove(&t.dim[at], &t.dim[at + 1], sizeof moved * (size_t)(t.rank - at - 1));
    t.dim[t.rank - 1] = moved;
    return nm_type_get(m, &t);
}

static void replace_dim(nm_made_of *x, int at, nm_syms with)
{
    memmove(&x->dim[at + with.n], &x->dim[at + 1], sizeof(nm_sym) * (size_t)(x->n - at - 1));
    memcpy(&x->dim[at], with.sym, sizeof(nm_sym) * (size_t)with.n);
    x->n += with.n - 1;
}

static int find_dim(const nm_made_of *x, nm_sym dim)
{
    for (int i = 0; dim && i < x->n; i++)
        if (x->dim[i] == dim)
            return i;
    return -1;
}

// Through one view, from its result to its operand. false: not by dims alone.
static bool look_behind(nm_made_of *x, const nm_op *op)
{
    nm_sym from = nm_attr_sym(op, "from");
    int at;
    switch (op->code) {
    case NM_OP_rename:
        at = find_dim(x, nm_attr_sym(op, "to"));
        if (at >= 0)
            x->dim[at] = from;
        return true;
    case NM_OP_merge:
        at = find_dim(x, nm_attr_sym(op, "into"));
        if (at >= 0)
            replace_dim(x, at, nm_attr_dims(op, "from"));
        return x->n < NM_MAX_RANK;
    case NM_OP_split: {
        nm_syms into = nm_attr_dims(op, "into");
        at = find_dim(x, into.sym[0]);
        for (int i = 1; at >= 0 && i < into.n; i++)
            if (at + i >= x->n || x->dim[at + i] != into.sym[i])
                return false;
        if (at < 0)
            return true;
        memmove(&x->dim[at + 1], &x->dim[at + into.n],
                sizeof(nm_sym) * (size_t)(x->n - at - into.n));
        x->dim[at] = from;
        x->n -= into.n - 1;
        return true;
    }
    case NM_OP_broadcast: return true;
    default: return false;
    }
}

nm_made_of nm_layout_made_of(const nm_value *v, nm_sym dim)
{
    nm_made_of x = {.n = 1, .dim = {dim}};
    for (; v->def; v = v->def->in[0])
        if (!nm_is(v->def, NM_VIEW) || v->def->n_in != 1 || !look_behind(&x, v->def))
            return (nm_made_of){0};
    x.stored = v;
    return x;
}

const nm_type *nm_layout_all_innermost(nm_module *m, const nm_type *t, const nm_made_of *x)
{
    for (int i = 0; i < x->n; i++)
        if (nm_has_dim(t, x->dim[i]))
            t = nm_layout_innermost(m, t, x->dim[i]);
    return t;
}

// A template reads vectors along hd, whatever the dims are called that make it where it is stored.
static void copy_operand(nm_op *group, const nm_value *operand, nm_sym hd)
{
    nm_func *f = group->func;
    nm_made_of x = nm_has_dim(operand->type, hd) ? nm_layout_made_of(operand, hd) : (nm_made_of){0};
    const nm_type *wanted =
        x.stored ? nm_layout_all_innermost(f->module, x.stored->type, &x) : NULL;
    if (!wanted || wanted == x.stored->type)
        return;
    int at = x.stored->index;
    nm_set_operand(group, at, nm_copy_group(f, group, group->in[at], wanted));
    group->body->param[at]->type = wanted;
}

static void copy_for_template(nm_op *group)
{
    nm_each_op(op, group->body)
        for (int i = 0; i < op->n_in; i++)
            if (nm_is_attention(op))
                copy_operand(group, op->in[i], nm_attr_sym(op, "hd"));
}

// --- extern --------------------------------------------------------------------------------------

static void give_extern(nm_op *group, const nm_op *op)
{
    nm_func *f = group->func;
    for (int i = 0; i < op->n_in; i++) {
        nm_value *param = op->in[i];
        const nm_type *wanted = nm_extern_order(f->module, op, param->type);
        if (param->def || wanted == param->type)
            continue;
        nm_set_operand(group, param->index,
                       nm_copy_group(f, group, group->in[param->index], wanted));
        param->type = wanted;
    }
}

// What another order is wanted of, is a copy.
static void take_extern(nm_op *group, const nm_op *op)
{
    nm_func *f = group->func;
    for (int i = 0; i < group->n_out; i++) {
        nm_value *v = &group->out[i];
        const nm_type *wanted = v->type, *own = nm_extern_order(f->module, op, wanted);
        if (own == wanted)
            continue;
        v->type = group->body->last->in[i]->type = own;
        if (!v->uses) // scratch
            continue;
        nm_value *c = nm_copy_group(f, group->next, v, wanted);
        nm_replace(v, c);
        nm_set_operand(c->def, 0, v);
    }
}

static void copy_for_extern(nm_op *group)
{
    nm_each_op(op, group->body) {
        if (op->code != NM_OP_extern)
            continue;
        give_extern(group, op);
        take_extern(group, op);
    }
}

void nm_layout_copy_for_templates(nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat)
            nm_layout_copy_for_templates(op->body);
        else if (op->code == NM_OP_group) {
            copy_for_template(op);
            copy_for_extern(op);
        }
}
