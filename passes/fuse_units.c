// The units of a body: what each reads, through what is pulled, and what its elements cost.
#include "passes/fuse.h"

double nm_fuse_elems(const nm_type *t)
{
    double n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (double)nm_extent_nominal(t->dim[i].extent);
    return n;
}

double nm_fuse_traffic(const nm_type *t)
{
    const nm_dtype_info *dtype = &nm_dtype_table[t->dtype];
    return nm_fuse_elems(t) * (dtype->is_float ? dtype->bytes / 4.0 : 1);
}

bool nm_fuse_within(const nm_type *a, const nm_type *b)
{
    for (int i = 0; i < a->rank; i++) {
        int at = nm_type_find(b, a->dim[i].name);
        if (at < 0 || a->dim[i].extent != b->dim[at].extent)
            return false;
    }
    return true;
}

bool nm_fuse_same_dims(const nm_type *a, const nm_type *b)
{
    return a->rank == b->rank && nm_fuse_within(a, b);
}

// --- units and reads ------------------------------------------------------------------------

static void add_read(nm_fuse *g, int reader, nm_value *v, int slot, bool viewed)
{
    nm_unit *u = &g->unit[reader];
    for (nm_read *r = u->reads; r; r = r->next_of_reader)
        if (r->value == v && r->slot == slot && r->viewed == viewed)
            return;
    nm_read *r = nm_new(g->scratch, nm_read);
    *r = (nm_read){v, g->unit_of[v->id], reader, slot, viewed, u->reads, g->readers[v->id]};
    u->reads = r;
    g->readers[v->id] = r;
}

static void trace(nm_fuse *g, int reader, nm_value *v, int slot, bool viewed)
{
    nm_op *op = v->def;
    if (!op || !g->pulled[v->id]) {
        add_read(g, reader, v, slot, viewed);
        return;
    }
    nm_unit *u = &g->unit[reader];
    double share = nm_fuse_elems(v->type) / nm_fuse_elems(u->op->out[0].type);
    u->cost += nm_fuse_cost(op) * (share < 1 ? share : 1); // a row's number is computed once a row
    bool moves = nm_is(op, NM_VIEW) && op->code != NM_OP_broadcast;
    for (int i = 0; i < op->n_in; i++)
        trace(g, reader, op->in[i], slot, viewed || moves);
}

static nm_cluster_kind kind_of(const nm_fuse *g, const nm_op *op)
{
    if (nm_is(op, NM_MAP) || nm_is(op, NM_VIEW))
        return NM_CLUSTER_map;
    if (op->code == NM_OP_dot)
        return NM_CLUSTER_dot;
    if (op->code == NM_OP_scatter_add)
        return NM_CLUSTER_scatter;
    if (op->code != NM_OP_sum && op->code != NM_OP_max)
        return NM_CLUSTER_fixed;
    nm_module *m = g->f->module;
    const nm_value *in = op->in[0];
    const nm_type *t = in->def ? nm_rank_sort(m, g->rank, in->type) : in->type;
    bool inner = t->rank == 0 || nm_syms_has(nm_attr_dims(op, "over"), t->dim[t->rank - 1].name);
    return inner || op->out[0].type->rank == 0 ? NM_CLUSTER_row : NM_CLUSTER_column;
}

static void add_unit(nm_fuse *g, nm_op *op)
{
    int id = g->n_units++;
    g->unit[id] = (nm_unit){.op = op, .cluster = id, .cost = nm_fuse_cost(op)};
    for (int i = 0; i < op->n_out; i++)
        g->unit_of[op->out[i].id] = id;
    for (int i = 0; i < op->n_in; i++) {
        bool index = op->code == NM_OP_gather && i == 1; // read at the element's own place
        trace(g, id, op->in[i], i, nm_is(op, NM_VIEW) && !nm_fuse_is_copy(op) && !index);
    }
    nm_cluster *c = &g->cluster[id];
    *c = (nm_cluster){kind_of(g, op), id, 1, nm_new(g->scratch, int)};
    c->unit[0] = id;
}

static int count_ops(const nm_func *f)
{
    int n = 0;
    nm_each_op(op, f)
        n++;
    return n;
}

void nm_fuse_units(nm_fuse *g)
{
    int n_ops = count_ops(g->f);
    g->unit = nm_new_n(g->scratch, nm_unit, n_ops);
    g->cluster = nm_new_n(g->scratch, nm_cluster, n_ops);
    g->readers = nm_new_n(g->scratch, nm_read *, g->n_values);
    g->unit_of = nm_new_n(g->scratch, int, g->n_values);
    for (int i = 0; i < g->n_values; i++)
        g->unit_of[i] = -1;
    nm_each_op(op, g->f)
        if (op->code != NM_OP_ret && !(op->n_out && g->pulled[op->out[0].id]))
            add_unit(g, op);
}

bool nm_fuse_is_anchor(const nm_unit *u) { return !nm_is(u->op, NM_MAP) && !nm_is(u->op, NM_VIEW); }

bool nm_fuse_is_result(const nm_fuse *g, const nm_value *v, const nm_cluster *c)
{
    int name = g->unit[c->unit[0]].cluster;
    if (g->stored[v->id])
        return true;
    for (const nm_read *r = g->readers[v->id]; r; r = r->next_of_value)
        if (g->unit[r->reader].cluster != name)
            return true;
    return false;
}
