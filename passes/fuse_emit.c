// The clusters become groups, in an order in which each finds its operands computed. Ties go to
// the cluster that begins first in the program, so that a product and its accumulation run where
// the product stood, and what it read dies early.
#include "passes/fuse.h"

#include <string.h>

typedef struct emit {
    nm_fuse *g;
    nm_op *ret;
    nm_func *body;
    nm_value **inside;        // by old value id: its copy in the body
    const nm_cluster **owner; // by old value id: whose body that is
    const nm_cluster *cluster;
    int n_operands, room;
    nm_value **operand; // of the group; body->param[i] is operand[i]
} emit;

// --- one body -------------------------------------------------------------------------------

static nm_value *operand(emit *e, nm_value *v)
{
    for (int i = 0; i < e->n_operands; i++)
        if (e->operand[i] == v)
            return e->body->param[i];
    if (e->n_operands == e->room) {
        nm_value **old = e->operand;
        e->room = 2 * e->room + 16;
        e->operand = nm_new_n(e->g->scratch, nm_value *, e->room);
        if (old)
            memcpy(e->operand, old, sizeof *old * (size_t)e->n_operands);
    }
    e->operand[e->n_operands++] = v;
    return nm_func_param(e->body, v->type, v->name, (nm_bind){0});
}

static nm_value *inside(emit *e, nm_value *v);

static void copy_op(emit *e, const nm_op *op)
{
    nm_value **in = nm_new_n(e->g->scratch, nm_value *, op->n_in + 1);
    for (int i = 0; i < op->n_in; i++)
        in[i] = inside(e, op->in[i]);
    nm_proto proto = nm_proto_of(op);
    proto.in = in;
    nm_op *copy = nm_build_op(e->body, NULL, &proto);
    if (!copy)
        nm_bug("fuse: %s does not type in its group", nm_info(op)->name);
    for (int i = 0; i < op->n_out; i++) {
        e->inside[op->out[i].id] = &copy->out[i];
        e->owner[op->out[i].id] = e->cluster;
    }
}

// v as the body reads it: pulled in, computed before in the same body, or an operand.
static nm_value *inside(emit *e, nm_value *v)
{
    if ((int)v->id >= e->g->n_values)
        return operand(e, v);
    if (e->owner[v->id] == e->cluster)
        return e->inside[v->id];
    if (!v->def || !e->g->pulled[v->id])
        return operand(e, v);
    copy_op(e, v->def);
    return e->inside[v->id];
}

// --- one group ------------------------------------------------------------------------------

static const char *kind_name(const nm_fuse *g, const nm_cluster *c)
{
    switch (c->kind) {
    case NM_CLUSTER_map: return "map";
    case NM_CLUSTER_row: return "row";
    case NM_CLUSTER_column: return "column";
    case NM_CLUSTER_dot: return "dot";
    case NM_CLUSTER_scatter: return "scatter";
    case NM_CLUSTER_fixed: return nm_info(g->unit[c->anchor].op)->name;
    }
    nm_bug("cluster of kind %d", (int)c->kind);
}

static int collect_results(const emit *e, nm_value **old)
{
    int n = 0;
    for (int i = 0; i < e->cluster->n; i++) {
        nm_op *op = e->g->unit[e->cluster->unit[i]].op;
        bool whole = e->cluster->kind == NM_CLUSTER_fixed; // a template gives all or nothing
        for (int k = 0; k < op->n_out; k++)
            if (whole || nm_fuse_is_result(e->g, &op->out[k], e->cluster))
                old[n++] = &op->out[k];
    }
    return n;
}

static void give_results(emit *e, int n, nm_value **old)
{
    nm_module *m = e->g->f->module;
    nm_loc loc = e->g->unit[e->cluster->anchor].op->loc;
    nm_value **out = nm_new_n(e->g->scratch, nm_value *, n + 1);
    for (int i = 0; i < n; i++)
        out[i] = e->inside[old[i]->id];
    nm_func_ret(e->body, loc, n, out, NULL);
    nm_attr kind = nm_mk_sym(m, "kind", nm_sym_get(m, kind_name(e->g, e->cluster)));
    nm_proto proto = {.code = NM_OP_group,
                      .loc = loc,
                      .n_in = e->n_operands,
                      .in = e->operand,
                      .n_attrs = 1,
                      .attr = &kind,
                      .body = e->body};
    nm_op *group = nm_build_op(e->g->f, e->ret, &proto);
    if (!group)
        nm_bug("fuse: a group does not type");
    for (int i = 0; i < n; i++) {
        group->out[i].name = old[i]->name; // and the copy inside gives it up
        out[i]->name = NULL;
        nm_replace(old[i], &group->out[i]);
    }
}

static void emit_group(emit *e)
{
    const nm_cluster *c = e->cluster;
    int room = 0;
    for (int i = 0; i < c->n; i++)
        room += e->g->unit[c->unit[i]].op->n_out;
    nm_value **old = nm_new_n(e->g->scratch, nm_value *, room);
    e->body = nm_body_new(e->g->f, e->g->unit[c->anchor].op->loc);
    e->n_operands = 0;
    for (int i = 0; i < c->n; i++)
        copy_op(e, e->g->unit[c->unit[i]].op);
    give_results(e, collect_results(e, old), old);
}

static void emit_cluster(emit *e, const nm_cluster *c)
{
    nm_op *op = e->g->unit[c->anchor].op;
    e->cluster = c;
    if (nm_fuse_is_bare(op))
        nm_move_before(op, e->ret);
    else
        emit_group(e);
}

// --- all of them ----------------------------------------------------------------------------

static bool is_ready(const nm_fuse *g, const nm_cluster *c, const bool *done)
{
    int name = g->unit[c->unit[0]].cluster;
    for (int i = 0; i < c->n; i++)
        for (const nm_read *r = g->unit[c->unit[i]].reads; r; r = r->next_of_reader)
            if (r->from >= 0 && g->unit[r->from].cluster != name && !done[g->unit[r->from].cluster])
                return false;
    return true;
}

static const nm_cluster *first_ready(const nm_fuse *g, const bool *done)
{
    for (int u = 0; u < g->n_units; u++) {
        int c = g->unit[u].cluster;
        if (!done[c] && is_ready(g, &g->cluster[c], done))
            return &g->cluster[c];
    }
    nm_bug("fuse: a cycle between groups");
}

static void erase_old(nm_op *end)
{
    for (nm_op *op = end, *prev; op; op = prev) {
        prev = op->prev;
        if (!nm_fuse_is_bare(op) && op->code != NM_OP_group)
            nm_erase(op);
    }
}

void nm_fuse_emit(nm_fuse *g)
{
    emit e = {.g = g, .ret = g->f->last};
    e.inside = nm_new_n(g->scratch, nm_value *, g->n_values);
    e.owner = nm_new_n(g->scratch, const nm_cluster *, g->n_values);
    bool *done = nm_new_n(g->scratch, bool, g->n_units);
    int left = 0;
    for (int i = 0; i < g->n_units; i++)
        left += g->cluster[i].n > 0;
    while (left-- > 0) {
        const nm_cluster *c = first_ready(g, done);
        done[g->unit[c->unit[0]].cluster] = true;
        emit_cluster(&e, c);
    }
    erase_old(e.ret->prev);
}
