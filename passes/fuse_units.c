// Which ops are units and which are pulled, what each unit reads, and what its elements cost.
#include "passes/fuse.h"

#include <string.h>

static int64_t nominal(void *user, nm_sym sym)
{
    (void)user;
    return strcmp(sym, "batch") == 0 ? 8 : 1024;
}

double nm_fuse_elems(const nm_type *t)
{
    double n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (double)nm_extent_eval(t->dim[i].extent, nominal, NULL);
    return n;
}

bool nm_fuse_within(const nm_type *a, const nm_type *b)
{
    for (int i = 0; i < a->rank; i++)
        if (!nm_has_dim(b, a->dim[i].name))
            return false;
    return true;
}

// --- pulled or unit -------------------------------------------------------------------------

// In additions, for one element. A store and a load of a float together cost about 16.
static double op_cost(const nm_op *op)
{
    switch (op->code) {
    case NM_OP_const:
    case NM_OP_size:
    case NM_OP_index: return 0;
    case NM_OP_random: return 40;
    case NM_OP_exp:
    case NM_OP_log:
    case NM_OP_sin:
    case NM_OP_cos:
    case NM_OP_tanh:
    case NM_OP_erf: return 12;
    case NM_OP_pow: return 24;
    case NM_OP_div:
    case NM_OP_sqrt:
    case NM_OP_idiv:
    case NM_OP_mod: return 4;
    default: return nm_is(op, NM_VIEW) ? 0 : 1;
    }
}

// A broadcast without a new dim: a copy, in another order.
static bool is_copy(const nm_op *op)
{
    return op->code == NM_OP_broadcast && op->in[0]->type->rank == op->out[0].type->rank;
}

static bool is_pulled_view(const nm_op *op)
{
    switch (op->code) {
    case NM_OP_rename:
    case NM_OP_split:
    case NM_OP_merge:
    case NM_OP_slice:
    case NM_OP_windows: return true;
    case NM_OP_broadcast: return !is_copy(op);
    default: return false;
    }
}

static bool all_freed(const nm_fuse *g, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (!g->freed[op->in[i]->id])
            return false;
    return true;
}

// A cheap map of free values is free, too: a dropout mask is drawn again where backward reads it,
// a causal mask is compared on the spot. A rope table (cos of a position) is stored.
enum { CHEAP = 4 };
static void classify_op(nm_fuse *g, const nm_op *op)
{
    bool freed = nm_is(op, NM_FREE);
    bool pulled = freed || is_pulled_view(op);
    if (!freed && !is_copy(op) && (nm_is(op, NM_MAP) || nm_is(op, NM_VIEW)) && all_freed(g, op)) {
        freed = op_cost(op) <= CHEAP || op->out[0].type->rank == 0;
        pulled |= freed;
    }
    for (int i = 0; i < op->n_out; i++) {
        g->freed[op->out[i].id] = freed;
        g->pulled[op->out[i].id] = pulled;
    }
}

// --- cheap maps of one value: pulled, if several read them ----------------------------------
//
// x - mean, and that by the deviation: who reads the result may as well read x, so that it need not
// be stored. The others that such a map reads must be small, and no product among the readers.

enum { BESIDE_A_LOAD = 6 }; // additions
static bool is_small(const nm_value *v, const nm_type *beside)
{
    return nm_fuse_elems(v->type) < nm_fuse_elems(beside) / 4;
}

// Large values that op reads, through what is pulled; and the cost of all that.
static int large_sources(const nm_fuse *g, const nm_op *op, const nm_type *beside, double *cost)
{
    int n = 0;
    *cost += op_cost(op);
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *v = op->in[i];
        if (v->def && g->pulled[v->id])
            n += large_sources(g, v->def, beside, cost);
        else
            n += !is_small(v, beside);
    }
    return n;
}

static bool read_by_maps_alone(const nm_fuse *g, const nm_value *v)
{
    if (g->stored[v->id])
        return false;
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        if (op->code == NM_OP_sum || op->code == NM_OP_max)
            continue;
        bool pulled = op->n_out == 1 && g->pulled[op->out[0].id];
        if (pulled ? !read_by_maps_alone(g, &op->out[0]) : !nm_is(op, NM_MAP))
            return false;
    }
    return true;
}

static void pull_cheap(nm_fuse *g)
{
    nm_each_op(op, g->f) {
        const nm_value *v = op->n_out == 1 ? &op->out[0] : NULL;
        if (!v || !nm_is(op, NM_MAP) || g->pulled[v->id] || !v->uses || nm_used_once(v))
            continue;
        double cost = 0;
        if (large_sources(g, op, v->type, &cost) <= 1 && cost <= BESIDE_A_LOAD &&
            read_by_maps_alone(g, v))
            g->pulled[v->id] = true;
    }
}

// --- maps before a product: pulled, if that is cheap ----------------------------------------
//
// A product reads an operand once for every block of the result, when it packs it; what it pulls in
// is computed each time. So only a cast or a scaling by a scalar is pulled, of a value that is
// there anyway (a parameter, a result of a repeat or a template: any other kernel could store the
// map's result instead), and only if products alone read it: then it is never stored.

enum { CONVERSION = 2 }; // additions
static bool is_there(const nm_fuse *g, const nm_value *v)
{
    while (v->def && g->pulled[v->id] && v->def->n_in == 1)
        v = v->def->in[0];
    const nm_op *op = v->def;
    return !op || op->code == NM_OP_repeat || op->code == NM_OP_attention ||
           op->code == NM_OP_attention_grad;
}

// What the conversions up to op cost together; too much where op is none.
static double conversion_cost(const nm_fuse *g, const double *cost, const nm_op *op)
{
    double sum = op_cost(op);
    int sources = 0;
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *v = op->in[i];
        if (g->freed[v->id] || v->type->rank == 0)
            continue;
        bool chained = v->def && nm_is(v->def, NM_MAP);
        sum += chained ? cost[v->id] : is_there(g, v) ? 0 : CONVERSION + 1;
        sources++;
    }
    return sources == 1 ? sum : CONVERSION + 1;
}

static bool read_by_products_alone(const nm_fuse *g, const nm_value *v)
{
    if (!v->uses || g->stored[v->id])
        return false;
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        if (op->code == NM_OP_dot || op->code == NM_OP_scatter_add)
            continue;
        bool passes = op->n_out == 1 && g->pulled[op->out[0].id] && !g->freed[op->out[0].id];
        if (!passes || !read_by_products_alone(g, &op->out[0]))
            return false;
    }
    return true;
}

static void pull_into_products(nm_fuse *g)
{
    double *cost = nm_new_n(g->scratch, double, g->n_values);
    nm_each_op(op, g->f)
        if (op->n_out == 1 && nm_is(op, NM_MAP))
            cost[op->out[0].id] = conversion_cost(g, cost, op);
    for (nm_op *op = g->f->last; op; op = op->prev) {
        bool unit = op->n_out == 1 && nm_is(op, NM_MAP) && !g->pulled[op->out[0].id];
        if (unit && cost[op->out[0].id] <= CONVERSION && read_by_products_alone(g, &op->out[0]))
            g->pulled[op->out[0].id] = true;
    }
}

void nm_fuse_classify(nm_fuse *g)
{
    g->n_values = (int)nm_func_outer(g->f)->n_values;
    g->pulled = nm_new_n(g->scratch, bool, g->n_values);
    g->freed = nm_new_n(g->scratch, bool, g->n_values);
    g->stored = nm_new_n(g->scratch, bool, g->n_values);
    nm_each_op(op, g->f) {
        classify_op(g, op);
        for (int i = 0; i < op->n_in && (op->code == NM_OP_ret || op->code == NM_OP_repeat); i++)
            g->stored[op->in[i]->id] = true;
    }
    pull_cheap(g);
    pull_into_products(g);
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
    g->unit[reader].cost += op_cost(op);
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
    g->unit[id] = (nm_unit){.op = op, .cluster = id, .cost = op_cost(op)};
    for (int i = 0; i < op->n_out; i++)
        g->unit_of[op->out[i].id] = id;
    for (int i = 0; i < op->n_in; i++) {
        bool index = op->code == NM_OP_gather && i == 1; // read at the element's own place
        trace(g, id, op->in[i], i, nm_is(op, NM_VIEW) && !is_copy(op) && !index);
    }
    nm_cluster *c = &g->cluster[id];
    *c = (nm_cluster){kind_of(g, op), id, 1, nm_new(g->scratch, int), 0};
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
