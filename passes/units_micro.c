// A micro-batch's function into its units: for each position of the chain a copy of the whole in
// which the values of other positions are links, and accumulators are added to by this position's
// terms alone.
//
// A link is made where its value is, and nobody passes it on. A value that a repeat carries has
// two:
// `.in`, with which the first chunk of turns starts, and `.out`, what each chunk gives. What a turn
// saves as a view of something (keys, as attention calls them) is saved as what it is, first, and
// viewed where it is read: a link is stored, and a view would be a copy.
#include "passes/fuse.h"
#include "passes/parts.h"
#include "passes/units.h"

#include <string.h>

typedef struct carry { // a value that a repeat of the chain carries
    nm_op *repeat;
    int index; // of the operand
    int from;  // the position that gives what the first chunk starts with
    nm_sym in, out;
} carry;

typedef struct links {
    nm_places p;
    nm_sym role;
    nm_sym *name; // by id: of a value that other positions read; NULL: none do
    int n_carries;
    carry *carry;
} links;

// --- which values are links --------------------------------------------------------------------

static bool name_is_taken(const links *l, nm_sym name)
{
    for (uint32_t i = 0; i < l->p.f->n_values; i++)
        if (l->name[i] == name)
            return true;
    for (int i = 0; i < l->n_carries; i++)
        if (l->carry[i].in == name)
            return true;
    return false;
}

static nm_sym name_value(const links *l, const nm_value *v, const char *suffix)
{
    nm_module *m = l->p.f->module;
    nm_sym name = v->name ? nm_sym_fmt(m, "%s.%s%s", l->role, v->name, suffix)
                          : nm_sym_fmt(m, "%s.%u%s", l->role, v->id, suffix);
    return name_is_taken(l, name) ? nm_sym_fmt(m, "%s.%s.%u%s", l->role, v->name, v->id, suffix)
                                  : name;
}

static bool is_repeat_of_chain(const nm_places *p, const nm_op *op)
{
    int at = op->n_out ? p->at[op->out[0].id] : NM_ANYWHERE;
    return at >= 0 && p->repeat[at] == op;
}

static bool is_carried(const nm_places *p, const nm_op *op, int i)
{
    return is_repeat_of_chain(p, op) && i < nm_attr_int(op, "carried", 0) &&
           !p->is_acc[op->in[i]->id];
}

static bool is_read_elsewhere(const nm_places *p, const nm_value *v)
{
    int at = p->at[v->id];
    if (at < 0 || p->is_acc[v->id])
        return false;
    nm_each_use(u, v)
        if (u->op->code != NM_OP_ret && p->at[u->op->out[0].id] != at &&
            !is_carried(p, u->op, u->index))
            return true;
    return false;
}

static void add_carries(links *l, nm_op *op)
{
    int at = l->p.at[op->out[0].id];
    for (int i = 0; i < nm_attr_int(op, "carried", 0); i++) {
        if (!is_carried(&l->p, op, i))
            continue;
        nm_value *out = &op->out[i];
        int from = l->p.at[op->in[i]->id];
        l->name[out->id] = name_value(l, out, ".out");
        l->carry[l->n_carries++] = (carry){.repeat = op,
                                           .index = i,
                                           .from = from >= 0 ? from : at - 1,
                                           .in = name_value(l, out, ".in"),
                                           .out = l->name[out->id]};
    }
}

static void find_links(links *l)
{
    nm_func *f = l->p.f;
    int n = 0;
    nm_each_op(op, f)
        n += (int)nm_attr_int(op, "carried", 0);
    l->name = nm_new_n(f->module->arena, nm_sym, f->n_values + 1);
    l->carry = nm_new_n(f->module->arena, carry, n + 1);
    nm_each_op(op, f) {
        if (is_repeat_of_chain(&l->p, op))
            add_carries(l, op);
        for (int i = 0; i < op->n_out; i++)
            if (!l->name[op->out[i].id] && is_read_elsewhere(&l->p, &op->out[i]))
                l->name[op->out[i].id] = name_value(l, &op->out[i], "");
    }
}

// --- one position's function -------------------------------------------------------------------

// Accumulators are not read through what other positions add.
static void skip_other_terms(const links *l, int at, nm_value **map)
{
    nm_each_op(op, l->p.f)
        for (int i = 0; i < op->n_out; i++) {
            uint32_t id = op->out[i].id;
            if (l->p.base[id] && l->p.at[id] != at) {
                nm_value *acc = map[l->p.base[id]->id];
                nm_replace(map[id], acc);
                map[id] = acc;
            }
        }
}

static nm_value *link_param(nm_func *g, const nm_type *type, nm_sym name, nm_sym next)
{
    return nm_func_param(g, type, name,
                         (nm_bind){.kind = NM_BIND_link, .name = name, .next = next});
}

static void read_links(const links *l, int at, nm_func *g, nm_value **map)
{
    nm_each_op(op, l->p.f)
        for (int i = 0; i < op->n_out; i++) {
            const nm_value *v = &op->out[i];
            if (l->name[v->id] && l->p.at[v->id] != at)
                nm_replace(map[v->id], link_param(g, v->type, l->name[v->id], NULL));
        }
}

static void take_carries(const links *l, int at, nm_func *g, nm_value **map)
{
    for (int i = 0; i < l->n_carries; i++) {
        const carry *c = &l->carry[i];
        if (l->p.repeat[at] == c->repeat)
            nm_set_operand(map[c->repeat->out[0].id]->def, c->index,
                           link_param(g, c->repeat->in[c->index]->type, c->in, c->out));
    }
}

static void give_carries(const links *l, int at, nm_value **map, nm_gives *gives)
{
    for (int i = 0; i < l->n_carries; i++) {
        const carry *c = &l->carry[i];
        if (c->from == at)
            nm_part_give(gives, map[c->repeat->in[c->index]->id],
                         (nm_bind){.kind = NM_BIND_link, .name = c->in});
    }
}

static void give_links(const links *l, int at, nm_value **map, nm_gives *gives)
{
    nm_each_op(op, l->p.f)
        for (int i = 0; i < op->n_out; i++) {
            uint32_t id = op->out[i].id;
            if (l->name[id] && l->p.at[id] == at)
                nm_part_give(gives, map[id], (nm_bind){.kind = NM_BIND_link, .name = l->name[id]});
        }
}

static void give_accs(const links *l, int at, nm_func *g, nm_value **map, nm_gives *gives)
{
    const nm_func *f = l->p.f;
    for (int i = 0; i < f->n_results; i++) {
        bool here = false;
        for (const nm_value *v = f->last->in[i]; l->p.base[v->id]; v = l->p.base[v->id])
            here |= l->p.at[v->id] == at;
        if (here)
            nm_part_give(gives, map[f->last->in[i]->id], g->result_bind[i]);
    }
}

static nm_part part_at(const nm_places *p, int at)
{
    nm_phase phase = at < 2 * p->k    ? NM_PHASE_forward
                     : at == 2 * p->k ? NM_PHASE_turn
                                      : NM_PHASE_backward;
    return (nm_part){.phase = phase, .units = (uint64_t)1 << nm_unit_of(p, at)};
}

static nm_sym name_part(const links *l, int at)
{
    static const char *const name[] = {
        [NM_PHASE_forward] = "forward", [NM_PHASE_turn] = "turn", [NM_PHASE_backward] = "backward"};
    return nm_sym_fmt(l->p.f->module, "%s.micro.%s.%d", l->role, name[part_at(&l->p, at).phase],
                      nm_unit_of(&l->p, at));
}

static nm_owned owned(const nm_value *v, nm_bind_kind kind, nm_sym role, nm_sym name, int unit)
{
    const nm_op *op = v->uses ? v->uses->op : NULL;
    return (nm_owned){kind, role, name, v->type, (uint64_t)1 << unit, op ? op->loc : v->func->loc};
}

static void note_reads(nm_units *u, const links *l, int at, const nm_func *g)
{
    int unit = nm_unit_of(&l->p, at);
    for (int i = 0; i < g->n_params; i++) {
        nm_bind b = g->param_bind[i];
        if (b.kind == NM_BIND_param || b.kind == NM_BIND_state)
            nm_units_note(u, owned(g->param[i], b.kind, NULL, b.name, unit));
    }
    for (int i = 0; i < g->n_results; i++) {
        nm_bind b = g->result_bind[i];
        if (b.kind == NM_BIND_acc)
            nm_units_note(u, owned(g->last->in[i], b.kind, l->role, b.name, unit));
    }
}

static bool build_part(nm_units *u, const links *l, int at)
{
    nm_value **map;
    nm_gives gives = {0};
    nm_func *g = nm_part_copy(l->p.f, name_part(l, at), &map);
    const nm_op *repeat = l->p.repeat[at];
    g->part = part_at(&l->p, at);
    skip_other_terms(l, at, map);
    give_carries(l, at, map, &gives);
    give_links(l, at, map, &gives);
    give_accs(l, at, g, map, &gives);
    read_links(l, at, g, map);
    take_carries(l, at, g, map);
    if (!gives.n) {
        nm_func_remove(g);
        return true;
    }
    nm_part_end(g, &gives);
    note_reads(u, l, at, g);
    u->over[nm_unit_of(&l->p, at)] = repeat ? nm_attr_sym(repeat, "over") : NULL;
    return nm_units_check(u, g, u->over[nm_unit_of(&l->p, at)]);
}

// Train and eval run on the same stages.
static bool agree(nm_units *u, const nm_places *p)
{
    if (u->k >= 0 && u->k != p->k)
        return nm_error(u->m->diag, p->f->loc,
                        "@%s has %d repeats over pp's dims, and an entry before it %d: both run on "
                        "the same stages [pp-2]",
                        p->f->name, p->k, u->k);
    u->k = p->k;
    return true;
}

bool nm_units_cut_micro(nm_units *u, nm_func *f)
{
    links l = {.role = nm_units_role(f, ".micro")};
    nm_move_views(f);
    if (!nm_units_place(u, f, &l.p) || !agree(u, &l.p))
        return false;
    find_links(&l);
    for (int at = 0; at <= 4 * l.p.k; at++)
        if (!build_part(u, &l, at))
            return false;
    nm_func_remove(f);
    return true;
}
