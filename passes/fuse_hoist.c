// What no turn of a repeat changes and costs something is computed once, before it: the tables of
// rotary positions, an optimizer's bias corrections. Cheap values stay: reading them would cost as
// much. Draws stay, too: a mask would be stored for nothing.
#include "ir/loop.h"
#include "passes/fuse.h"

enum { WORTH_A_LOAD = 8 }; // additions

typedef struct hoist {
    nm_loop loop;
    nm_arena *scratch;
    bool *fixed;      // by value id: the same in every turn
    double *cost;     // by value id: of one element, with all that it is computed from
    nm_value **outer; // by value id: the same value before the repeat
} hoist;

static bool is_worth_it(const hoist *h, const nm_value *v)
{
    return v->def && h->fixed[v->id] && h->cost[v->id] >= WORTH_A_LOAD;
}

static void find_fixed(hoist *h)
{
    for (int i = 0; i < h->loop.whole.n; i++) {
        const nm_loop_row *row = &h->loop.whole.row[i];
        h->fixed[row->param->id] = true;
        h->outer[row->param->id] = row->operand;
    }
    nm_each_op(op, h->loop.body) {
        bool fixed = (nm_is(op, NM_MAP) || nm_is(op, NM_VIEW) || nm_is(op, NM_FREE)) &&
                     op->code != NM_OP_random;
        double cost = nm_fuse_cost(op);
        for (int i = 0; i < op->n_in; i++) {
            fixed &= h->fixed[op->in[i]->id];
            cost += h->cost[op->in[i]->id];
        }
        for (int i = 0; i < op->n_out; i++) {
            h->fixed[op->out[i].id] = fixed;
            h->cost[op->out[i].id] = cost;
        }
    }
}

static nm_value *compute_before(hoist *h, const nm_value *v)
{
    if (h->outer[v->id])
        return h->outer[v->id];
    const nm_op *op = v->def;
    nm_value **in = nm_new_n(h->scratch, nm_value *, op->n_in + 1);
    for (int i = 0; i < op->n_in; i++)
        in[i] = compute_before(h, op->in[i]);
    nm_proto proto = nm_proto_of(op);
    proto.in = in;
    return h->outer[v->id] = nm_build(h->loop.op->func, h->loop.op, &proto);
}

// Someone reads v who does not move away with it.
static bool is_read_in_turns(const hoist *h, const nm_value *v)
{
    nm_each_use(u, v)
        if (u->op->n_out != 1 || !is_worth_it(h, &u->op->out[0]))
            return true;
    return false;
}

static nm_op *hoist_from(nm_op *repeat, nm_arena *scratch)
{
    int n = 3 * (int)nm_func_outer(repeat->func)->n_values; // room for copies and their parameters
    hoist h = {nm_loop_open(repeat), scratch, nm_new_n(scratch, bool, n),
               nm_new_n(scratch, double, n), nm_new_n(scratch, nm_value *, n)};
    find_fixed(&h);
    bool any = false;
    nm_each_op(op, h.loop.body) {
        nm_value *v = op->n_out == 1 ? &op->out[0] : NULL;
        if (!v || !is_worth_it(&h, v) || !is_read_in_turns(&h, v))
            continue;
        nm_value *before = compute_before(&h, v);
        nm_value *param = nm_loop_whole(&h.loop, before, NULL)->param;
        h.fixed[param->id] = true;
        h.outer[param->id] = before;
        nm_replace(v, param);
        any = true;
    }
    return any ? nm_loop_close(&h.loop) : repeat;
}

void nm_fuse_hoist(nm_func *f, nm_arena *scratch)
{
    for (nm_op *op = f->first; op; op = op->next)
        if (op->code == NM_OP_repeat) {
            nm_fuse_hoist(op->body, scratch);
            op = hoist_from(op, scratch);
        }
}
