// Repeats: a value that no turn changes is not carried, one operand is taken once, and what nobody
// reads is neither carried, taken nor given. A repeat of maps that carries nothing (an optimizer's)
// is a map of whole tensors. Liveness runs to a fixed point, since a carried value that only feeds
// itself is dead.
#include "ir/loop.h"
#include "passes/inline.h"
#include "passes/simplify.h"

static bool *mark_live(nm_loop *l, nm_arena *arena)
{
    nm_func *body = l->body;
    nm_op *ret = body->last;
    bool *live = nm_new_n(arena, bool, nm_func_outer(body)->n_values + 1);
    for (int i = 0; i < ret->n_in; i++)
        live[ret->in[i]->id] |= l->op->out[i].uses != NULL;
    for (bool again = true; again;) {
        again = false;
        for (nm_op *op = ret->prev; op; op = op->prev) {
            bool needed = !nm_is(op, NM_PURE);
            for (int i = 0; i < op->n_out; i++)
                needed |= live[op->out[i].id];
            for (int i = 0; needed && i < op->n_in; i++)
                live[op->in[i]->id] = true;
        }
        for (int i = 0; i < l->carried.n; i++) {
            const nm_loop_row *row = &l->carried.row[i];
            if (live[row->param->id] && !live[row->result->id])
                live[row->result->id] = again = true;
        }
    }
    return live;
}

// Carried values that come back as they went in are whole.
static bool drop_unchanged(nm_loop *l)
{
    bool changed = false;
    for (int i = l->carried.n - 1; i >= 0; i--) {
        nm_loop_row row = l->carried.row[i];
        if (row.result != row.param)
            continue;
        nm_replace(row.out, row.operand);
        nm_loop_whole(l, row.operand, row.param);
        nm_loop_drop(&l->carried, i);
        changed = true;
    }
    return changed;
}

static bool drop_dead_rows(nm_loop *l, const bool *live)
{
    bool changed = false;
    for (int i = l->carried.n - 1; i >= 0; i--) {
        const nm_loop_row *row = &l->carried.row[i];
        if (row->out->uses || live[row->param->id])
            continue;
        nm_loop_drop(&l->carried, i);
        changed = true;
    }
    for (int i = l->result.n - 1; i >= 0; i--)
        if (!l->result.row[i].out->uses) {
            nm_loop_drop(&l->result, i);
            changed = true;
        }
    nm_loop_rows *taken[] = {&l->stacked, &l->whole};
    for (int c = 0; c < 2; c++)
        for (int i = taken[c]->n - 1; i >= 0; i--)
            if (!live[taken[c]->row[i].param->id]) {
                nm_loop_drop(taken[c], i);
                changed = true;
            }
    return changed;
}

static bool merge_same(nm_loop *l, nm_loop_rows *rows)
{
    bool changed = false;
    for (int i = rows->n - 1; i > 0; i--)
        for (int k = 0; k < i; k++) {
            if (rows->row[k].operand != rows->row[i].operand)
                continue;
            nm_loop_replace(l, rows->row[i].param, rows->row[k].param);
            nm_loop_drop(rows, i);
            changed = true;
            break;
        }
    return changed;
}

// Constants and sizes are computed where they are read.
static bool sink_free(nm_loop *l)
{
    bool changed = false;
    nm_func *body = l->body;
    for (int i = l->whole.n - 1; i >= 0; i--) {
        const nm_op *def = l->whole.row[i].operand->def;
        if (!def || !nm_is(def, NM_FREE) || def->n_in)
            continue;
        nm_value **map =
            nm_new_n(body->module->arena, nm_value *, nm_func_outer(body)->n_values + 1);
        nm_op *copy = nm_copy_op(body, body->first, def, map);
        nm_loop_replace(l, l->whole.row[i].param, &copy->out[0]);
        nm_loop_drop(&l->whole, i);
        changed = true;
    }
    return changed;
}

// --- a repeat of maps --------------------------------------------------------------------------

static bool is_map_only(const nm_op *op)
{
    int stacked = (int)nm_attr_int(op, "stacked", 0);
    if (nm_attr_int(op, "carried", 0))
        return false;
    for (int i = stacked; i < op->n_in; i++)
        if (nm_has_dim(op->in[i]->type, nm_attr_sym(op, "over")))
            return false;
    nm_each_op(inner, op->body) {
        bool free = nm_is(inner, NM_FREE) && !inner->n_in; // a draw in each turn is not one draw
        if (!nm_is(inner, NM_MAP) && !free && inner->code != NM_OP_ret)
            return false;
    }
    return true;
}

static nm_value *build_whole(nm_op *before, const nm_op *op, nm_value **map)
{
    nm_value *in[4];
    for (int i = 0; i < op->n_in; i++)
        in[i] = map[op->in[i]->id];
    return nm_build(before->func, before,
                    &(nm_proto){.code = op->code,
                                .loc = op->loc,
                                .n_in = op->n_in,
                                .in = in,
                                .type = nm_is(op, NM_FREE) ? op->out[0].type : NULL,
                                .n_attrs = op->n_attrs,
                                .attr = op->attr,
                                .name = op->out[0].name});
}

// v as stacked in the order of `type`; a map gives any order.
static nm_value *stack(nm_op *before, nm_value *v, const nm_type *type)
{
    if (v->def && nm_is(v->def, NM_MAP) && nm_type_same_set(v->type, type))
        v->type = type;
    if (v->type == type)
        return v;
    return nm_build(
        before->func, before,
        &(nm_proto){
            .code = NM_OP_broadcast, .loc = before->loc, .n_in = 1, .in = &v, .type = type});
}

static void dissolve(nm_op *op)
{
    nm_func *body = op->body;
    nm_arena scratch = {0};
    nm_value **map = nm_new_n(&scratch, nm_value *, nm_func_outer(body)->n_values + 1);
    for (int i = 0; i < op->n_in; i++)
        map[body->param[i]->id] = op->in[i];
    for (nm_op *inner = body->first; inner != body->last; inner = inner->next)
        map[inner->out[0].id] = build_whole(op, inner, map);
    for (int i = 0; i < op->n_out; i++)
        nm_replace(&op->out[i], stack(op, map[body->last->in[i]->id], op->out[i].type));
    nm_arena_free(&scratch);
    nm_erase(op);
}

static bool simplify(nm_op *op)
{
    if (is_map_only(op)) {
        dissolve(op);
        return true;
    }
    nm_arena scratch = {0};
    nm_loop l = nm_loop_open(op);
    bool ignored = false, changed = drop_dead_rows(&l, mark_live(&l, &scratch));
    nm_arena_free(&scratch);
    changed |= drop_unchanged(&l);
    changed |= merge_same(&l, &l.stacked);
    changed |= merge_same(&l, &l.whole);
    changed |= sink_free(&l);
    if (!changed)
        return false;
    nm_func *body = nm_loop_close(&l)->body;
    nm_drop_dead(body, &ignored);
    return true;
}

void nm_simplify_loops(nm_func *f, bool *changed)
{
    nm_each_op_safe(op, f) {
        if (!op->body)
            continue;
        nm_simplify_loops(op->body, changed);
        if (op->code == NM_OP_repeat)
            *changed |= simplify(op);
    }
}
