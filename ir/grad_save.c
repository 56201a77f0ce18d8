// What the backward turns of a repeat read from the forward turns. Maps, views and free ops are
// computed again rather than kept, where all that they read is at hand; the cheapest set of values
// to keep is a minimum vertex cut between what cannot be computed again (products, reductions,
// carried values) and what is needed, each value costing its bytes; of equal cuts we take the one
// nearest to the needs: it recomputes least.
#include "ir/flow.h"
#include "ir/grads.h"

static void number_values(nm_value_list *l, nm_arena *arena)
{
    uint32_t high = 0;
    l->low = UINT32_MAX;
    for (int i = 0; i < l->n; i++) {
        l->low = l->v[i]->id < l->low ? l->v[i]->id : l->low;
        high = l->v[i]->id > high ? l->v[i]->id : high;
    }
    l->number = nm_new_n(arena, int, l->n ? high - l->low + 1 : 1);
    for (int i = 0; i < l->n; i++)
        l->number[l->v[i]->id - l->low] = i;
}

nm_value_list nm_grad_values(nm_func *body, nm_arena *arena)
{
    int n = body->n_params;
    nm_each_op(op, body)
        n += op->n_out;
    nm_value_list l = {.v = nm_new_n(arena, nm_value *, n + 1)};
    for (int i = 0; i < body->n_params; i++)
        l.v[l.n++] = body->param[i];
    nm_each_op(op, body)
        for (int i = 0; i < op->n_out; i++)
            l.v[l.n++] = &op->out[i];
    number_values(&l, arena);
    return l;
}

static int64_t cost_of(const nm_value *v)
{
    const nm_type *t = v->type;
    double bytes = t->dtype == NM_real ? 2 : nm_dtype_table[t->dtype].bytes;
    for (int i = 0; i < t->rank; i++)
        bytes *= (double)nm_extent_nominal(t->dim[i].extent);
    return bytes < 1e15 ? (int64_t)bytes + 1 : (int64_t)1e15;
}

static bool can_recompute(const nm_op *op)
{
    return nm_is(op, NM_MAP) || nm_is(op, NM_VIEW) || nm_is(op, NM_FREE);
}

static nm_flow *build(nm_arena *arena, const nm_value_list *all, int n_carried, const bool *need)
{
    nm_flow *w = nm_flow_new(arena, all->n);
    for (int i = 0; i < all->n; i++) {
        const nm_op *op = all->v[i]->def;
        nm_flow_cost(w, i, cost_of(all->v[i]));
        if (op ? !can_recompute(op) : i < n_carried)
            nm_flow_source(w, i);
        for (int k = 0; op && can_recompute(op) && k < op->n_in; k++)
            nm_flow_edge(w, nm_grad_number(all, op->in[k]), i);
        if (need[i])
            nm_flow_sink(w, i);
    }
    return w;
}

void nm_grad_save(const nm_value_list *all, int n_carried, const bool *need, bool *save)
{
    nm_arena scratch = {0};
    nm_flow *w = build(&scratch, all, n_carried, need);
    nm_flow_run(w);
    for (int i = 0; i < all->n; i++)
        save[i] = nm_flow_is_last_cut(w, i);
    nm_arena_free(&scratch);
}
