#include "passes/inline.h"

static nm_func *copy_body(nm_func *into, nm_func *body, nm_value **map)
{
    nm_func *copy = nm_body_new(into, body->loc);
    for (int i = 0; i < body->n_params; i++)
        map[body->param[i]->id] =
            nm_func_param(copy, body->param[i]->type, body->param[i]->name, body->param_bind[i]);
    nm_each_op(op, body)
        if (op->code != NM_OP_ret)
            nm_copy_op(copy, NULL, op, map);
    nm_op *ret = body->last;
    nm_value **result = nm_new_n(into->module->arena, nm_value *, ret->n_in + 1);
    for (int i = 0; i < ret->n_in; i++)
        result[i] = map[ret->in[i]->id];
    nm_func_ret(copy, ret->loc, ret->n_in, result, body->result_bind);
    return copy;
}

nm_op *nm_copy_op(nm_func *f, nm_op *before, const nm_op *op, nm_value **map)
{
    nm_arena *arena = f->module->arena;
    nm_value **in = nm_new_n(arena, nm_value *, op->n_in + 1);
    const nm_type **types = nm_new_n(arena, const nm_type *, op->n_out + 1);
    for (int i = 0; i < op->n_in; i++)
        in[i] = map[op->in[i]->id];
    for (int i = 0; i < op->n_out; i++)
        types[i] = op->out[i].type;
    nm_op *copy = nm_build_op(f, before,
                              &(nm_proto){.code = op->code,
                                          .loc = op->loc,
                                          .n_in = op->n_in,
                                          .in = in,
                                          .n_attrs = op->n_attrs,
                                          .attr = op->attr,
                                          .n_types = op->n_out,
                                          .types = types,
                                          .body = op->body ? copy_body(f, op->body, map) : NULL});
    if (!copy)
        nm_bug("a copy of a valid %s is not valid", nm_info(op)->name);
    for (int i = 0; i < op->n_out; i++) {
        copy->out[i].name = op->out[i].name;
        map[op->out[i].id] = &copy->out[i];
    }
    return copy;
}

static nm_func *callee_of(const nm_op *op)
{
    nm_sym name = nm_attr_sym(op, "callee");
    nm_each_func(f, op->func->module)
        if (f->name == name)
            return f;
    nm_bug("call of @%s, which is not there", name);
}

// The callee may call, too; its calls are inlined first, and no call is recursive (call-1).
static void inline_call(nm_op *op)
{
    nm_func *callee = callee_of(op);
    bool changed = false;
    nm_inline_calls(callee, &changed);
    nm_value **map = nm_new_n(op->func->module->arena, nm_value *, callee->n_values + 1);
    for (int i = 0; i < op->n_in; i++)
        map[callee->param[i]->id] = op->in[i];
    nm_each_op(inner, callee)
        if (inner->code != NM_OP_ret)
            nm_copy_op(op->func, op, inner, map);
    for (int i = 0; i < op->n_out; i++)
        nm_replace(&op->out[i], map[callee->last->in[i]->id]);
    nm_erase(op);
}

void nm_inline_calls(nm_func *f, bool *changed)
{
    nm_each_op_safe(op, f) {
        if (op->body)
            nm_inline_calls(op->body, changed);
        if (op->code != NM_OP_call)
            continue;
        inline_call(op);
        *changed = true;
    }
}
