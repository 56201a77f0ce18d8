// slice(f(x)) = f(slice(x)) for every op that treats the positions alike: the norm and the product
// with the vocabulary, the most costly ops of a small model's decode, then run on one position.
#include "ir/form.h"
#include "passes/build.h"
#include "passes/decode.h"

typedef struct last {
    nm_sym dim;
    const nm_extent *length;
    nm_value **done; // by value id
} last;

static nm_value *last_of(last *l, nm_value *v);

static nm_value *slice(const last *l, nm_value *v)
{
    nm_module *m = v->func->module;
    nm_attr attr[] = {
        nm_mk_sym(m, "over", l->dim),
        nm_mk_extent(m, "start", nm_extent_add(m, l->length, nm_extent_const(m, -1)))};
    return nm_at_build1(nm_at_behind(v), NM_OP_slice, v, 2, attr,
                        nm_type_without(m, v->type, l->dim));
}

static nm_value *last_of(last *l, nm_value *v)
{
    nm_value *in[8];
    nm_op *op = v->def;
    if (!nm_has_dim(v->type, l->dim))
        return v;
    if (l->done[v->id])
        return l->done[v->id];
    if (!op || op->n_in > 8 || !nm_form_is_alone(op, l->dim))
        return l->done[v->id] = slice(l, v);
    for (int i = 0; i < op->n_in; i++)
        in[i] = last_of(l, op->in[i]);
    return l->done[v->id] =
               nm_build(op->func, op->next,
                        &(nm_proto){.code = op->code,
                                    .loc = op->loc,
                                    .n_in = op->n_in,
                                    .in = in,
                                    .type = nm_type_without(op->func->module, v->type, l->dim),
                                    .n_attrs = op->n_attrs,
                                    .attr = op->attr,
                                    .name = v->name});
}

nm_value *nm_decode_last(nm_value *v, nm_sym dim, const nm_extent *length)
{
    nm_arena *arena = v->func->module->arena;
    nm_value **done = nm_new_n(arena, nm_value *, nm_func_outer(v->func)->n_values + 1);
    return last_of(&(last){dim, length, done}, v);
}
