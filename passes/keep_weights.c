// The function that gives what is kept: the formulas of all that the functions of a unit read,
// each once, those of turns in a repeat over the same dim.
#include "passes/keep_weights.h"

#include "passes/inline.h"
#include "passes/parts.h"

typedef struct copied { // of a function whose formulas were copied
    const nm_func *from;
    nm_value **map; // by its ids
} copied;

typedef struct giver {
    nm_keep *k;
    nm_func *f;
    int n_loops, n_copied;
    nm_loop *loop; // by dim
    copied *copied;
    nm_value **map; // of the formula under way
} giver;

bool nm_keep_is_constant(const nm_value *v)
{
    return v->def && nm_is(v->def, NM_FREE) && !v->def->n_in;
}

bool nm_keep_is_turn(const nm_value *param)
{
    const nm_op *op = param->func->parent;
    int carried = (int)nm_attr_int(op, "carried", 0), stacked = (int)nm_attr_int(op, "stacked", 0);
    return param->index >= carried && param->index < carried + stacked;
}

// The repeated dim, as an operand of the repeat has it.
static nm_dim repeated_dim(const nm_op *repeat)
{
    nm_sym over = nm_attr_sym(repeat, "over");
    const nm_type *t = repeat->in[nm_attr_int(repeat, "carried", 0)]->type;
    return t->dim[nm_type_find(t, over)];
}

const nm_type *nm_keep_type(const nm_kept *k)
{
    const nm_op *repeat = k->v->func->parent;
    return repeat ? nm_type_with_outer(nm_func_outer(k->v->func)->module, k->order,
                                       repeated_dim(repeat))
                  : k->order;
}

// --- building ------------------------------------------------------------------------------------

static nm_value *bring(giver *g, nm_value *v);

static nm_value *bring_param(giver *g, const nm_value *v)
{
    nm_bind bind = v->func->param_bind[v->index];
    int i = nm_func_find_param(g->f, bind.kind, bind.name);
    return i >= 0 ? g->f->param[i] : nm_func_param(g->f, v->type, v->name, bind);
}

// A repeat like this one, with a first operand, which is turned.
static nm_loop *open_loop(giver *g, const nm_op *like, nm_value *operand)
{
    nm_module *m = g->k->m;
    nm_sym over = nm_attr_sym(like, "over");
    nm_func *body = nm_body_new(g->f, like->loc);
    nm_func_param(body, nm_type_without(m, operand->type, over), operand->name, (nm_bind){0});
    nm_func_ret(body, like->loc, 0, NULL, NULL);
    nm_attr attr[] = {nm_mk_sym(m, "over", over), nm_mk_int(m, "carried", 0),
                      nm_mk_int(m, "stacked", 1)};
    nm_op *op = nm_build_op(g->f, NULL,
                            &(nm_proto){.code = NM_OP_repeat,
                                        .loc = like->loc,
                                        .n_in = 1,
                                        .in = &operand,
                                        .n_attrs = 3,
                                        .attr = attr,
                                        .body = body});
    g->loop = nm_arena_grow(m->arena, g->loop, g->n_loops, sizeof *g->loop);
    g->loop[g->n_loops] = nm_loop_open(op);
    return &g->loop[g->n_loops++];
}

static nm_loop *find_loop(const giver *g, nm_sym over)
{
    for (int i = 0; i < g->n_loops; i++)
        if (nm_attr_sym(g->loop[i].op, "over") == over)
            return &g->loop[i];
    return NULL;
}

static nm_value *taken_row(const nm_loop_rows *rows, const nm_value *operand)
{
    for (int i = 0; i < rows->n; i++)
        if (rows->row[i].operand == operand)
            return rows->row[i].param;
    return NULL;
}

static nm_value *bring_operand(giver *g, nm_value *v)
{
    const nm_op *repeat = v->func->parent;
    bool turn = nm_keep_is_turn(v);
    nm_value *operand = bring(g, repeat->in[v->index]);
    nm_loop *l = find_loop(g, nm_attr_sym(repeat, "over"));
    if (!l && turn)
        l = open_loop(g, repeat, operand);
    if (!l)
        l = open_loop(g, repeat, bring(g, repeat->in[nm_attr_int(repeat, "carried", 0)]));
    nm_value *param = taken_row(turn ? &l->stacked : &l->whole, operand);
    return param ? param : (turn ? nm_loop_stack : nm_loop_whole)(l, operand, NULL)->param;
}

static void bring_operands(giver *g, const nm_op *op, bool constant)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_keep_is_constant(op->in[i]) == constant)
            bring(g, op->in[i]);
}

static nm_value *bring_op(giver *g, nm_value *v)
{
    nm_sym over = v->func->parent ? nm_attr_sym(v->func->parent, "over") : NULL;
    bring_operands(g, v->def, false);
    bring_operands(g, v->def, true); // constants stand where the others have opened a loop
    nm_loop *l = over ? find_loop(g, over) : NULL;
    nm_func *into = l ? l->body : g->f;
    nm_op *before = l ? l->body->last : g->n_loops ? g->loop[0].op : NULL;
    nm_copy_op(into, before, v->def, g->map);
    return g->map[v->id];
}

static nm_value *bring(giver *g, nm_value *v)
{
    if (!g->map[v->id])
        g->map[v->id] = v->def            ? bring_op(g, v)
                        : v->func->parent ? bring_operand(g, v)
                                          : bring_param(g, v);
    return g->map[v->id];
}

static nm_value **map_of(giver *g, const nm_func *from)
{
    for (int i = 0; i < g->n_copied; i++)
        if (g->copied[i].from == from)
            return g->copied[i].map;
    g->copied = nm_arena_grow(g->k->m->arena, g->copied, g->n_copied, sizeof *g->copied);
    g->copied[g->n_copied] =
        (copied){from, nm_new_n(g->k->m->arena, nm_value *, from->n_values + 1)};
    return g->copied[g->n_copied++].map;
}

// In the order in which it is stored.
static nm_value *in_order(nm_value *v, const nm_type *order)
{
    nm_proto p = nm_proto_of(v->def);
    p.type = order;
    return v->type == order ? v : nm_build(v->func, v->def->next, &p);
}

// --- the function --------------------------------------------------------------------------------

nm_func *nm_keep_giver(nm_keep *k, nm_sym name, nm_loc loc)
{
    giver g = {.k = k, .f = nm_func_new(k->m, name, loc)};
    nm_value **made = nm_new_n(k->m->arena, nm_value *, k->n + 1);
    nm_gives gives = {0};
    g.f->part = k->part;
    for (int i = 0; i < k->n; i++) {
        g.map = map_of(&g, nm_func_outer(k->kept[i].v->func));
        made[i] = in_order(bring(&g, k->kept[i].v), k->kept[i].order);
        if (made[i]->func->parent)
            nm_loop_give(find_loop(&g, nm_attr_sym(made[i]->func->parent, "over")), made[i]);
    }
    for (int i = 0; i < g.n_loops; i++)
        nm_loop_close(&g.loop[i]);
    int *n = nm_new_n(k->m->arena, int, g.n_loops + 1); // of each loop's results, those given
    for (int i = 0; i < k->n; i++) {
        nm_func *body = made[i]->func;
        nm_loop *l = body->parent ? find_loop(&g, nm_attr_sym(body->parent, "over")) : NULL;
        nm_part_give(&gives, l ? l->result.row[n[l - g.loop]++].out : made[i],
                     (nm_bind){.kind = NM_BIND_kept, .name = k->kept[i].name});
    }
    nm_func_ret(g.f, loc, gives.n, gives.value, gives.bind);
    nm_part_clean(g.f);
    nm_part_drop_params(g.f);
    return g.f;
}
