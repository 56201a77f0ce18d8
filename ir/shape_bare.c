// An op's own rules know whole tensors only: they see its types without axes and pending sums. What
// an op may do with the form of a value (axes, pending sums) is one rule for all of them
// (ir/verify_form.c).
#include "ir/shape.h"

typedef struct bared { // values whose types are put aside, with them
    int n;
    nm_value **value;
    const nm_type **type;
} bared;

static void bare(nm_module *m, bared *b, nm_value *v)
{
    if (!v->type || nm_type_is_bare(v->type))
        return;
    b->value[b->n] = v;
    b->type[b->n++] = v->type;
    v->type = nm_type_bare(m, v->type);
}

static int count(const nm_op *op)
{
    const nm_func *body = op->body;
    return op->n_in + op->n_out + (body ? body->n_params + (body->last ? body->last->n_in : 0) : 0);
}

static void bare_all(nm_module *m, bared *b, nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        bare(m, b, op->in[i]);
    for (int i = 0; i < op->n_out; i++)
        bare(m, b, &op->out[i]);
    for (int i = 0; op->body && i < op->body->n_params; i++)
        bare(m, b, op->body->param[i]);
    for (int i = 0; op->body && op->body->last && i < op->body->last->n_in; i++)
        bare(m, b, op->body->last->in[i]);
}

static bool is_bare(const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (!nm_type_is_bare(op->in[i]->type))
            return false;
    for (int i = 0; i < op->n_out; i++)
        if (op->out[i].type && !nm_type_is_bare(op->out[i].type))
            return false;
    return !op->body;
}

static bool rules(nm_module *m, nm_op *op)
{
    const nm_op_info *info = nm_info(op);
    return (!info->shape || info->shape(m, op)) && (!info->verify || info->verify(m, op));
}

bool nm_shape_check(nm_module *m, nm_op *op)
{
    nm_arena scratch = {0};
    if (is_bare(op))
        return rules(m, op);
    bared b = {.value = nm_new_n(&scratch, nm_value *, count(op)),
               .type = nm_new_n(&scratch, const nm_type *, count(op))};
    bare_all(m, &b, op);
    bool ok = rules(m, op);
    for (int i = 0; i < b.n; i++)
        b.value[i]->type = b.type[i];
    nm_arena_free(&scratch);
    return ok;
}
