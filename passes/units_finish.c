// A step's end into functions of its owners, before and after what mixes them. What the middle
// needs of the owners is summed: each adds its part to an accumulator (acc' = acc + part, zero when
// the step starts), which the middle reads by an all_reduce over pp. The global norm of the
// gradients is one such sum, and its clip one link.
//
// What several stages have whole, as a tied embedding, has its gradient in parts: they are reduced
// before they are read, into the accumulator itself, and such an owner counts once in a sum.
#include "passes/parts.h"
#include "passes/units.h"

typedef struct finish {
    nm_units *u;
    nm_ends e;
    nm_sym *sum;      // by id: the accumulator of a value that is to be whole
    nm_sym *link;     // by id: a value of the middle that is read after it
    bool *is_reduced; // by id: of a parameter of f: an accumulator that `before` has reduced
} finish;

// --- what passes between them ------------------------------------------------------------------

static bool is_whole(const nm_ends *e, const nm_value *v)
{
    return e->kind[v->id] == NM_END_middle || e->whole[v->id];
}

// Does a function after the middle read v from it?
static bool is_link(const finish *x, const nm_value *v)
{
    const nm_ends *e = &x->e;
    if (!is_whole(e, v))
        return false;
    nm_each_use(use, v) {
        const nm_op *op = use->op;
        bool result = op->code == NM_OP_ret;
        if (result ? nm_units_is_kept(e->f->result_bind[use->index])
                   : e->kind[op->out[0].id] == NM_END_after)
            return true;
    }
    return false;
}

static void name_value(finish *x, const nm_value *v, int *n_sums)
{
    nm_module *m = x->u->m;
    if (x->e.whole[v->id])
        x->sum[v->id] = nm_sym_fmt(m, "norm.%d", (*n_sums)++);
    if (is_link(x, v))
        x->link[v->id] = nm_sym_fmt(m, "%s.finish.%u", x->e.role, v->id);
}

static void name_values(finish *x)
{
    nm_func *f = x->e.f;
    int n_sums = 0;
    for (int i = 0; i < f->n_params; i++)
        name_value(x, f->param[i], &n_sums);
    nm_each_op(op, f)
        for (int i = 0; i < op->n_out; i++)
            name_value(x, &op->out[i], &n_sums);
}

static nm_value *build_over_pp(nm_func *f, nm_op *before, nm_opcode code, nm_value *v)
{
    nm_module *m = f->module;
    nm_sym pp = nm_sym_get(m, "pp");
    nm_attr axes = nm_mk_dims(m, "axes", (nm_syms){1, &pp});
    return nm_build(f, before,
                    &(nm_proto){.code = code,
                                .loc = v->uses ? v->uses->op->loc : before->loc,
                                .n_in = 1,
                                .in = &v,
                                .n_attrs = 1,
                                .attr = &axes,
                                .type = v->type});
}

static nm_value *sum_param(nm_func *f, const nm_type *type, nm_sym name)
{
    return nm_func_param(f, type, nm_sym_fmt(f->module, "acc.%s", name),
                         (nm_bind){.kind = NM_BIND_acc, .name = name});
}

// Readers of a parameter read its sum over the stages instead, which this gives.
static nm_value *reduce_param(nm_func *f, nm_value *param)
{
    nm_value *sum = build_over_pp(f, f->first, NM_OP_all_reduce, param);
    nm_replace(param, sum);
    nm_set_operand(sum->def, 0, param);
    return sum;
}

static nm_func *start(const finish *x, const char *phase, nm_part part, nm_value ***map)
{
    nm_func *g = nm_part_copy(x->e.f, nm_sym_fmt(x->u->m, "%s.%s", x->e.f->name, phase), map);
    g->part = part;
    return g;
}

static void end(nm_func *g, const nm_gives *gives)
{
    if (gives->n)
        nm_part_end(g, gives);
    else
        nm_func_remove(g);
}

// --- before ------------------------------------------------------------------------------------

typedef struct terms { // an owner's terms of a sum
    const finish *x;
    int owner;
    nm_value **map;
    bool *needs; // by id: v of the whole function is a term
    nm_value *sum;
} terms;

static void add_terms(terms *t, nm_func *g, const nm_value *v)
{
    const nm_ends *e = &t->x->e;
    if (e->kind[v->id] == NM_END_pending && e->owner[v->id] < 0) {
        add_terms(t, g, v->def->in[0]);
        add_terms(t, g, v->def->in[1]);
    } else if (e->owner[v->id] == t->owner) {
        nm_value *term = t->map[v->id];
        nm_loc loc = v->def ? v->def->loc : g->last->loc;
        t->needs[v->id] = true;
        t->sum = t->sum ? nm_build2(g, g->last, loc, NM_OP_add, t->sum, term) : term;
    }
}

static void give_sum(terms *t, nm_func *g, const nm_value *v, nm_gives *gives)
{
    const finish *x = t->x;
    t->sum = NULL;
    add_terms(t, g, v);
    if (!t->sum)
        return;
    nm_value *part = t->sum;
    if (nm_owner_is_shared(&x->u->owner[t->owner]))
        part = build_over_pp(g, g->last, NM_OP_first, part);
    nm_sym name = x->sum[v->id];
    nm_value *acc = sum_param(g, v->type, name);
    nm_loc loc = v->def ? v->def->loc : g->last->loc;
    nm_part_give(gives, nm_build2(g, g->last, loc, NM_OP_add, acc, part),
                 (nm_bind){.kind = NM_BIND_acc, .name = name});
}

// The accumulators that the terms need are reduced, and stay so.
static void reduce_shared(finish *x, const terms *t, nm_func *g, nm_gives *gives)
{
    nm_func *f = x->e.f;
    for (nm_op *op = f->last->prev; op; op = op->prev)
        for (int i = 0; i < op->n_out; i++)
            for (int k = 0; t->needs[op->out[i].id] && k < op->n_in; k++)
                t->needs[op->in[k]->id] = true;
    for (int i = 0; i < f->n_params; i++) {
        uint32_t id = f->param[i]->id;
        if (f->param_bind[i].kind != NM_BIND_acc || x->e.owner[id] != t->owner || !t->needs[id])
            continue;
        x->is_reduced[id] = true;
        nm_part_give(gives, reduce_param(g, g->param[i]), f->param_bind[i]);
    }
}

static void build_before(finish *x, int owner)
{
    const nm_owner *o = &x->u->owner[owner];
    nm_func *f = x->e.f;
    nm_gives gives = {0};
    terms t = {.x = x, .owner = owner, .needs = nm_new_n(x->u->m->arena, bool, f->n_values + 1)};
    nm_func *g = start(x, nm_arena_fmt(x->u->m->arena, "before.%s", o->label),
                       (nm_part){.phase = NM_PHASE_before, .units = o->units}, &t.map);
    for (int i = 0; i < f->n_params; i++)
        if (x->sum[f->param[i]->id])
            give_sum(&t, g, f->param[i], &gives);
    nm_each_op(op, f)
        for (int i = 0; i < op->n_out; i++)
            if (x->sum[op->out[i].id])
                give_sum(&t, g, &op->out[i], &gives);
    if (gives.n && nm_owner_is_shared(o))
        reduce_shared(x, &t, g, &gives);
    end(g, &gives);
}

// --- the middle --------------------------------------------------------------------------------

static void read_sum(const finish *x, nm_func *g, const nm_value *v, nm_value **map)
{
    if (!x->sum[v->id])
        return;
    nm_value *acc = sum_param(g, v->type, x->sum[v->id]);
    nm_value *whole = build_over_pp(g, g->first, NM_OP_all_reduce, acc);
    nm_replace(map[v->id], whole);
    map[v->id] = whole;
}

static void read_sums(const finish *x, nm_func *g, nm_value **map)
{
    nm_func *f = x->e.f;
    for (int i = 0; i < f->n_params; i++) {
        nm_value *param = g->param[i];
        uint32_t id = f->param[i]->id;
        if (f->param_bind[i].kind == NM_BIND_acc && x->e.kind[id] == NM_END_middle && param->uses)
            map[id] = reduce_param(g, param);
        read_sum(x, g, f->param[i], map);
    }
    nm_each_op(op, f)
        for (int i = 0; i < op->n_out; i++)
            read_sum(x, g, &op->out[i], map);
}

static void give_link(const finish *x, const nm_value *v, nm_value **map, nm_gives *gives)
{
    if (x->link[v->id])
        nm_part_give(gives, map[v->id], (nm_bind){.kind = NM_BIND_link, .name = x->link[v->id]});
}

static void build_middle(finish *x)
{
    nm_value **map;
    nm_gives gives = {0};
    nm_func *f = x->e.f;
    nm_func *g = start(x, "middle", (nm_part){.phase = NM_PHASE_middle}, &map);
    read_sums(x, g, map);
    for (int i = 0; i < f->n_results; i++)
        if (!nm_units_is_kept(f->result_bind[i]))
            nm_part_give(&gives, map[f->last->in[i]->id], f->result_bind[i]);
    for (int i = 0; i < f->n_params; i++)
        give_link(x, f->param[i], map, &gives);
    nm_each_op(op, f)
        for (int i = 0; i < op->n_out; i++)
            give_link(x, &op->out[i], map, &gives);
    end(g, &gives);
}

// --- after -------------------------------------------------------------------------------------

static void read_link(const finish *x, nm_func *g, const nm_value *v, int owner, nm_value **map)
{
    nm_sym name = x->link[v->id];
    if (!name || (x->e.kind[v->id] == NM_END_owned && x->e.owner[v->id] == owner))
        return;
    nm_value *link = nm_func_param(g, v->type, name, (nm_bind){.kind = NM_BIND_link, .name = name});
    nm_replace(map[v->id], link);
    map[v->id] = link;
}

static void read_links(const finish *x, nm_func *g, int owner, nm_value **map)
{
    nm_func *f = x->e.f;
    for (int i = 0; i < f->n_params; i++) {
        uint32_t id = f->param[i]->id;
        bool acc = f->param_bind[i].kind == NM_BIND_acc && x->e.owner[id] == owner;
        if (acc && nm_owner_is_shared(&x->u->owner[owner]) && !x->is_reduced[id] &&
            g->param[i]->uses)
            reduce_param(g, g->param[i]);
        read_link(x, g, f->param[i], owner, map);
    }
    nm_each_op(op, f)
        for (int i = 0; i < op->n_out; i++)
            read_link(x, g, &op->out[i], owner, map);
}

static void build_after(finish *x, int owner)
{
    const nm_owner *o = &x->u->owner[owner];
    nm_func *f = x->e.f;
    nm_value **map;
    nm_gives gives = {0};
    nm_func *g = start(x, nm_arena_fmt(x->u->m->arena, "after.%s", o->label),
                       (nm_part){.phase = NM_PHASE_after, .units = o->units}, &map);
    read_links(x, g, owner, map);
    for (int i = 0; i < f->n_results; i++) {
        nm_bind b = f->result_bind[i];
        const nm_value *v = f->last->in[i];
        if (nm_units_is_kept(b) && nm_units_owner(x->u, x->e.role, b, v->type) == owner)
            nm_part_give(&gives, map[v->id], b);
    }
    end(g, &gives);
}

bool nm_units_cut_finish(nm_units *u, nm_func *f)
{
    finish x = {.u = u};
    if (!nm_units_class(u, f, &x.e))
        return false;
    x.sum = nm_new_n(u->m->arena, nm_sym, f->n_values + 1);
    x.link = nm_new_n(u->m->arena, nm_sym, f->n_values + 1);
    x.is_reduced = nm_new_n(u->m->arena, bool, f->n_values + 1);
    name_values(&x);
    for (int i = 0; i < u->n_owners; i++)
        build_before(&x, i);
    build_middle(&x);
    for (int i = 0; i < u->n_owners; i++)
        build_after(&x, i);
    nm_func_remove(f);
    return true;
}
