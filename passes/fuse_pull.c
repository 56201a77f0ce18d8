// Which ops are pulled: computed in every group that reads them, so that they are never stored.
// Free values and views always are, and so is a widening: what was rounded is stored narrow, and
// each reader makes it wide. A map is where computing it again costs less than storing it.
#include "ir/attn.h"
#include "ir/extern.h"
#include "passes/fuse.h"

// --- pulled or unit -------------------------------------------------------------------------

double nm_fuse_cost(const nm_op *op)
{
    int otherwise = nm_is(op, NM_VIEW) || nm_is(op, NM_FREE) ? 0 : 1;
    return nm_info(op)->cost ? nm_info(op)->cost : otherwise;
}

bool nm_fuse_is_copy(const nm_op *op)
{
    return op->code == NM_OP_broadcast && op->in[0]->type->rank == op->out[0].type->rank;
}

bool nm_fuse_is_bare(const nm_op *op)
{
    return op->code == NM_OP_repeat || nm_is(op, NM_COLLECTIVE);
}

bool nm_fuse_reads_stored(const nm_op *op, int operand)
{
    if (op->code == NM_OP_extern)
        return !nm_extern_is_number(op, operand);
    return op->code == NM_OP_ret || nm_fuse_is_bare(op);
}

static bool is_pulled_view(const nm_op *op)
{
    switch (op->code) {
    case NM_OP_rename:
    case NM_OP_split:
    case NM_OP_merge:
    case NM_OP_slice:
    case NM_OP_windows: return true;
    case NM_OP_broadcast: return !nm_fuse_is_copy(op);
    default: return false;
    }
}

// bf16 to f32: nothing is lost, and half is loaded.
static bool is_widening(const nm_op *op)
{
    if (op->code != NM_OP_cast)
        return false;
    const nm_dtype_info *from = &nm_dtype_table[op->in[0]->type->dtype];
    const nm_dtype_info *to = &nm_dtype_table[op->out[0].type->dtype];
    return from->is_float && to->is_float && from->bytes < to->bytes;
}

static bool is_widened(const nm_value *v)
{
    while (v->def && is_pulled_view(v->def))
        v = v->def->in[0];
    return v->def && is_widening(v->def);
}

// Does a product read v beside what is not widened? A library's takes operands of one dtype.
static bool is_read_mixed(const nm_value *v)
{
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        if (op->code == NM_OP_dot ? !is_widened(op->in[1 - u->index])
                                  : is_pulled_view(op) && is_read_mixed(&op->out[0]))
            return true;
    }
    return false;
}

static bool is_pulled_cast(const nm_op *op)
{
    bool gpu = op->func->module->options.flavour == NM_FLAVOUR_gpu;
    return is_widening(op) && !(gpu && is_read_mixed(&op->out[0]));
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
    bool pulled = freed || is_pulled_view(op) || is_pulled_cast(op);
    if (!freed && !nm_fuse_is_copy(op) && (nm_is(op, NM_MAP) || nm_is(op, NM_VIEW)) &&
        all_freed(g, op)) {
        freed = nm_fuse_cost(op) <= CHEAP || op->out[0].type->rank == 0;
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
    *cost += is_small(&op->out[0], beside) ? 0 : nm_fuse_cost(op);
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
        if (op->code == NM_OP_gelu_tanh) // a product's epilogue
            return false;
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
    bool gpu = g->f->module->options.flavour == NM_FLAVOUR_gpu;
    nm_each_op(op, g->f) {
        const nm_value *v = op->n_out == 1 ? &op->out[0] : NULL;
        if (!v || (gpu && nm_fuse_scales_product(g, v)))
            continue;
        if (!nm_is(op, NM_MAP) || g->pulled[v->id] || !v->uses || nm_used_once(v))
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
// map's result instead), and only if products alone read it: then it is never stored. On a GPU
// nothing is: a product is a call of a library.

enum { CONVERSION = 2 }; // additions
static bool is_there(const nm_fuse *g, const nm_value *v)
{
    while (v->def && g->pulled[v->id] && v->def->n_in == 1)
        v = v->def->in[0];
    const nm_op *op = v->def;
    return !op || nm_fuse_is_bare(op) || nm_is_attention(op) || op->code == NM_OP_extern;
}

// What the conversions up to op cost together; too much where op is none.
static double conversion_cost(const nm_fuse *g, const double *cost, const nm_op *op)
{
    double sum = nm_fuse_cost(op);
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

static void find_summed(nm_fuse *g, const nm_op *op)
{
    bool summed = op->code == NM_OP_sum || op->code == NM_OP_max;
    for (int i = 0; i < op->n_in && nm_is(op, NM_MAP); i++)
        summed |= g->summed[op->in[i]->id];
    for (int i = 0; i < op->n_out; i++)
        g->summed[op->out[i].id] = summed && op->out[i].type->rank == 0;
}

void nm_fuse_classify(nm_fuse *g)
{
    g->n_values = (int)nm_func_outer(g->f)->n_values;
    g->pulled = nm_new_n(g->scratch, bool, g->n_values);
    g->freed = nm_new_n(g->scratch, bool, g->n_values);
    g->stored = nm_new_n(g->scratch, bool, g->n_values);
    g->summed = nm_new_n(g->scratch, bool, g->n_values);
    nm_each_op(op, g->f) {
        classify_op(g, op);
        find_summed(g, op);
        for (int i = 0; i < op->n_in; i++)
            g->stored[op->in[i]->id] |= nm_fuse_reads_stored(op, i);
    }
    pull_cheap(g);
    if (g->f->module->options.flavour != NM_FLAVOUR_gpu)
        pull_into_products(g);
}
