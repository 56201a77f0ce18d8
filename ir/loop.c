#include "ir/loop.h"

#include <string.h>

static nm_loop_row *append(nm_loop *l, nm_loop_rows *rows, nm_loop_row row)
{
    rows->row = nm_arena_grow(l->body->module->arena, rows->row, rows->n, sizeof *rows->row);
    rows->row[rows->n] = row;
    return &rows->row[rows->n++];
}

nm_loop nm_loop_open(nm_op *op)
{
    nm_loop l = {.op = op, .body = op->body};
    int carried = (int)nm_attr_int(op, "carried", 0), stacked = (int)nm_attr_int(op, "stacked", 0);
    nm_op *ret = l.body->last;
    for (int i = 0; i < op->n_in; i++) {
        nm_loop_row row = {.operand = op->in[i], .param = l.body->param[i]};
        if (i < carried)
            row.result = ret->in[i], row.out = &op->out[i];
        append(&l, i < carried ? &l.carried : i < carried + stacked ? &l.stacked : &l.whole, row);
    }
    for (int i = carried; i < op->n_out; i++)
        append(&l, &l.result, (nm_loop_row){.result = ret->in[i], .out = &op->out[i]});
    return l;
}

static nm_value *param_for(nm_loop *l, nm_value *operand, nm_value *param, bool turn)
{
    const nm_type *t = operand->type;
    if (param)
        return param;
    if (turn)
        t = nm_type_without(l->body->module, t, nm_attr_sym(l->op, "over"));
    return nm_func_param(l->body, t, operand->name, (nm_bind){0});
}

nm_loop_row *nm_loop_carry(nm_loop *l, nm_value *operand, nm_value *param, nm_value *result)
{
    param = param_for(l, operand, param, false);
    return append(l, &l->carried, (nm_loop_row){operand, param, result, NULL});
}

nm_loop_row *nm_loop_stack(nm_loop *l, nm_value *operand, nm_value *param)
{
    param = param_for(l, operand, param, true);
    return append(l, &l->stacked, (nm_loop_row){operand, param, NULL, NULL});
}

nm_loop_row *nm_loop_whole(nm_loop *l, nm_value *operand, nm_value *param)
{
    param = param_for(l, operand, param, false);
    return append(l, &l->whole, (nm_loop_row){operand, param, NULL, NULL});
}

nm_loop_row *nm_loop_give(nm_loop *l, nm_value *result)
{
    return append(l, &l->result, (nm_loop_row){.result = result});
}

void nm_loop_replace(nm_loop *l, nm_value *old, nm_value *with)
{
    nm_loop_rows *giving[] = {&l->carried, &l->result};
    nm_replace(old, with);
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < giving[c]->n; i++)
            if (giving[c]->row[i].result == old)
                giving[c]->row[i].result = with;
}

void nm_loop_drop(nm_loop_rows *rows, int i)
{
    rows->n--;
    memmove(&rows->row[i], &rows->row[i + 1], (size_t)(rows->n - i) * sizeof *rows->row);
}

// The body's parameters and ret as the rows say.
static void settle_body(nm_loop *l)
{
    const nm_loop_rows *classes[] = {&l->carried, &l->stacked, &l->whole};
    nm_func *body = l->body;
    nm_arena *arena = body->module->arena;
    nm_loc loc = body->last->loc;
    int n = l->carried.n + l->stacked.n + l->whole.n, n_results = l->carried.n + l->result.n;
    body->param =
        nm_new_n(arena, nm_value *, 2 * n + 1); // room: nm_func_param doubles at powers of 2
    body->param_bind = nm_new_n(arena, nm_bind, 2 * n + 1);
    body->n_params = 0;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < classes[c]->n; i++) {
            nm_value *p = classes[c]->row[i].param;
            p->index = body->n_params;
            body->param[body->n_params++] = p;
        }
    nm_value **result = nm_new_n(arena, nm_value *, n_results + 1);
    for (int i = 0; i < n_results; i++)
        result[i] =
            i < l->carried.n ? l->carried.row[i].result : l->result.row[i - l->carried.n].result;
    nm_erase(body->last);
    nm_func_ret(body, loc, n_results, result, NULL);
}

static nm_op *build(nm_loop *l)
{
    const nm_loop_rows *classes[] = {&l->carried, &l->stacked, &l->whole};
    nm_module *m = l->body->module;
    nm_value **in = nm_new_n(m->arena, nm_value *, l->body->n_params + 1);
    int n = 0;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < classes[c]->n; i++)
            in[n++] = classes[c]->row[i].operand;
    nm_attr attr[] = {nm_mk_sym(m, "over", nm_attr_sym(l->op, "over")),
                      nm_mk_int(m, "carried", l->carried.n), nm_mk_int(m, "stacked", l->stacked.n),
                      nm_mk_bool(m, "reverse", true)};
    l->op->body = NULL;
    return nm_build_op(l->op->func, l->op,
                       &(nm_proto){.code = NM_OP_repeat,
                                   .loc = l->op->loc,
                                   .n_in = n,
                                   .in = in,
                                   .n_attrs = nm_attr_bool(l->op, "reverse") ? 4 : 3,
                                   .attr = attr,
                                   .body = l->body});
}

static void hand_over(nm_loop_row *row, nm_value *out)
{
    if (row->out) {
        out->name = row->out->name;
        nm_replace(row->out, out);
    }
    row->out = out;
}

nm_op *nm_loop_close(nm_loop *l)
{
    settle_body(l);
    nm_op *op = build(l);
    for (int i = 0; i < op->n_out; i++)
        hand_over(i < l->carried.n ? &l->carried.row[i] : &l->result.row[i - l->carried.n],
                  &op->out[i]);
    nm_erase(l->op);
    return l->op = op;
}
