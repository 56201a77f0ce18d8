// What the backward turns of a repeat read from the forward turns, and what they compute again:
//
//   none        keeps what is read. What is read through a view or a cast is kept as what it is
//               of. A map in f32 of rounded values is what no program stores that rounds: of it and
//               of those that it is made of, kept or not, the fewest bytes are kept.
//   selective   keeps what is dear: products, attention, reductions are never computed again. Of
//               maps and views the cheapest set is a minimum vertex cut between what cannot be
//               computed again (with the carried values) and what is needed: a value that is kept
//               costs its bytes, one that is computed again the work. Of equal cuts we take the one
//               nearest to the needs: it recomputes least.
//   full        keeps what the turn was given of carried values, and computes all else again.
//
// Values on the needs' side of the cut are computed again, as in PyTorch's min-cut partitioner.
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

// Of a byte that is kept, in additions of one element.
enum { BYTE = 64 };
static const double MOST = 1e15;

static double elements_of(const nm_value *v)
{
    double n = 1;
    for (int i = 0; i < v->type->rank; i++)
        n *= (double)nm_extent_nominal(v->type->dim[i].extent);
    return n;
}

// Of one value, so that this may be kept instead: that needs no copy.
static bool is_mere_view(const nm_op *op) { return nm_is(op, NM_VIEW) && op->n_in == 1; }

static int64_t cost_of(const nm_value *v)
{
    const nm_type *t = v->type;
    double bytes = t->dtype == NM_real ? 2 : nm_dtype_table[t->dtype].bytes;
    double cost = BYTE * bytes * elements_of(v);
    cost += v->def && is_mere_view(v->def) ? cost / 8 : 0;
    return cost < MOST ? (int64_t)cost + 1 : (int64_t)MOST;
}

static bool can_recompute(const nm_op *op)
{
    return nm_is(op, NM_MAP) || nm_is(op, NM_VIEW) || nm_is(op, NM_FREE);
}

static int64_t work_of(const nm_value *v)
{
    const nm_op *op = v->def;
    int one = nm_info(op)->cost ? nm_info(op)->cost : nm_is(op, NM_MAP);
    double work = one * elements_of(v);
    return work < MOST ? (int64_t)work : (int64_t)MOST;
}

// What is as good as its operand.
static bool is_mere(const nm_op *op)
{
    return is_mere_view(op) || nm_is(op, NM_FREE) || op->code == NM_OP_cast;
}

// By number: does it depend on what is carried, or on what cannot be computed again?
static bool *find_bound(const nm_value_list *all, int n_carried, nm_arena *arena)
{
    bool *bound = nm_new_n(arena, bool, all->n + 1);
    for (int i = 0; i < all->n; i++) {
        const nm_op *op = all->v[i]->def;
        bound[i] = op ? !can_recompute(op) : i < n_carried;
        for (int k = 0; op && k < op->n_in; k++)
            bound[i] |= bound[nm_grad_number(all, op->in[k])];
    }
    return bound;
}

static bool is_narrow(const nm_value *v)
{
    const nm_dtype_info *t = &nm_dtype_table[v->type->dtype];
    return t->is_float && t->bytes < nm_dtype_table[NM_f32].bytes;
}

// By number: is it f32 between roundings, a map of values that were rounded?
static bool *find_wide(const nm_value_list *all, nm_arena *arena)
{
    bool *wide = nm_new_n(arena, bool, all->n + 1);
    for (int i = 0; i < all->n; i++) {
        const nm_op *op = all->v[i]->def;
        if (!op || !can_recompute(op) || all->v[i]->type->dtype != NM_f32)
            continue;
        for (int k = 0; k < op->n_in; k++)
            wide[i] |= wide[nm_grad_number(all, op->in[k])] ||
                       (op->code == NM_OP_cast && is_narrow(op->in[k]));
    }
    return wide;
}

// What `none` keeps if it is read. What was rounded behind such a map is a value of its own.
static bool is_stored(const nm_value_list *all, int i, const bool *wide)
{
    const nm_op *op = all->v[i]->def;
    bool rounds = op->code == NM_OP_cast && is_narrow(all->v[i]);
    return rounds ? wide[nm_grad_number(all, op->in[0])] : !is_mere(op) && !wide[i];
}

static bool is_kept_if_needed(const nm_value_list *all, int i, nm_recompute how, const bool *wide)
{
    const nm_op *op = all->v[i]->def;
    return !op || (how == NM_RECOMPUTE_none ? is_stored(all, i, wide) : !can_recompute(op));
}

static nm_flow *build(nm_arena *arena, const nm_value_list *all, int n_carried, nm_recompute how,
                      const bool *need)
{
    nm_flow *w = nm_flow_new(arena, all->n);
    const bool *bound = find_bound(all, n_carried, arena), *wide = find_wide(all, arena);
    for (int i = 0; i < all->n; i++) {
        const nm_op *op = all->v[i]->def;
        bool source = bound[i] && is_kept_if_needed(all, i, how, wide);
        nm_flow_cost(w, i, cost_of(all->v[i]));
        if (source)
            nm_flow_source(w, i);
        else if (bound[i] && how == NM_RECOMPUTE_selective)
            nm_flow_stay(w, i, work_of(all->v[i]));
        for (int k = 0; op && !source && k < op->n_in; k++)
            nm_flow_edge(w, nm_grad_number(all, op->in[k]), i);
        if (need[i])
            nm_flow_sink(w, i);
    }
    return w;
}

static void cut(const nm_value_list *all, int n_carried, nm_recompute how, const bool *need,
                bool *save)
{
    nm_arena scratch = {0};
    nm_flow *w = build(&scratch, all, n_carried, how, need);
    nm_flow_run(w);
    for (int i = 0; i < all->n; i++)
        save[i] = nm_flow_is_last_cut(w, i);
    nm_arena_free(&scratch);
}

void nm_grad_save(const nm_value_list *all, int n_carried, nm_recompute how, const bool *need,
                  bool *save)
{
    if (how != NM_RECOMPUTE_full)
        cut(all, n_carried, how, need, save);
    else
        for (int i = 0; i < n_carried; i++)
            save[i] = true;
}

bool nm_grad_is_kept(const nm_op *repeat, int i)
{
    bool kept = i >= nm_attr_int(repeat, "carried", 0) && repeat->out[i].uses;
    nm_each_use(u, &repeat->out[i])
        kept &= u->op->code == NM_OP_repeat &&
                nm_attr_bool(u->op, "reverse") != nm_attr_bool(repeat, "reverse");
    return kept;
}

void nm_grad_see(const nm_value_list *all, const bool *need, const bool *save, bool *seen)
{
    for (int i = all->n - 1; i >= 0; i--) { // operands stand before their readers
        const nm_op *op = all->v[i]->def;
        seen[i] |= need[i];
        for (int k = 0; seen[i] && !save[i] && op && k < op->n_in; k++)
            seen[nm_grad_number(all, op->in[k])] = true;
    }
}
