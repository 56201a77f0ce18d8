// The region of a head: from its product to the loss of each token, the gradient of its input and
// the sum that is the gradient of its weights.
//
// A value is wide if it has the tokens' dims and one of the head's (vocab). The region is the hull
// of the ops that read or give such a value: these, and all between two of them (a maximum over
// vocab that the exponentials read). In front of it stand masks and labels, behind it the logarithm
// of a sum: what is one number a token, and read by the region alone or computed of it alone, goes
// with it, so that few values pass its edge. Casts that widen are done again inside, so that what
// passes the edge is narrow.
//
// It can be computed by chunks of tokens if every op in it either treats each token by itself, or
// sums over all of them, and nobody in the region reads such a sum: ir/form.h says which ops do,
// from their rows.
#include "passes/head_region.h"

#include "ir/form.h"

// --- dims ------------------------------------------------------------------------------------

static bool has_runtime_dim(nm_module *m, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (nm_dim_is_runtime(m, t->dim[i].name))
            return true;
    return false;
}

// Of all ranks together: the part of one is a number that is not known.
static double whole_extent(nm_module *m, const nm_dim *d)
{
    const nm_dim_decl *decl = nm_dim_lookup(m, d->name);
    return (double)nm_extent_nominal(decl ? decl->extent : d->extent);
}

bool nm_head_is_product(nm_op *op)
{
    if (op->code != NM_OP_dot)
        return false;
    nm_module *m = op->func->module;
    bool first = has_runtime_dim(m, op->in[0]->type);
    const nm_type *x = op->in[!first]->type, *w = op->in[first]->type, *y = op->out[0].type;
    if (!has_runtime_dim(m, x) || has_runtime_dim(m, w))
        return false;
    double summed = 1, wide = 1;
    for (int i = 0; i < w->rank; i++)
        *(nm_has_dim(y, w->dim[i].name) ? &wide : &summed) *= whole_extent(m, &w->dim[i]);
    for (int i = 0; i < x->rank; i++) // batched: no head
        if (nm_has_dim(y, x->dim[i].name) != nm_dim_is_runtime(m, x->dim[i].name))
            return false;
    return wide > NM_HEAD_WIDER * summed;
}

static void take_dims(nm_head *h)
{
    nm_module *m = h->f->module;
    const nm_type *y = h->dot->out[0].type;
    for (int i = 0; i < y->rank; i++)
        if (!nm_dim_is_runtime(m, y->dim[i].name))
            h->wide[h->n_wide++] = y->dim[i].name;
        else if (h->n_tokens < NM_HEAD_MAX_TOKENS)
            h->token[h->n_tokens++] = y->dim[i];
        else
            h->why = "it has too many run-time dims";
}

static bool is_token(const nm_head *h, nm_sym dim)
{
    for (int i = 0; i < h->n_tokens; i++)
        if (h->token[i].name == dim)
            return true;
    return false;
}

static int count_tokens(const nm_head *h, const nm_type *t)
{
    int n = 0;
    for (int i = 0; i < t->rank; i++)
        n += is_token(h, t->dim[i].name);
    return n;
}

bool nm_head_has_tokens(const nm_head *h, const nm_type *t)
{
    return count_tokens(h, t) == h->n_tokens;
}

bool nm_head_has_any(const nm_head *h, const nm_type *t) { return count_tokens(h, t) > 0; }

static bool is_one_a_token(const nm_head *h, const nm_type *t)
{
    return nm_head_has_tokens(h, t) && t->rank == h->n_tokens;
}

static bool is_wide(const nm_head *h, const nm_type *t)
{
    for (int i = 0; i < h->n_wide; i++)
        if (nm_has_dim(t, h->wide[i]))
            return nm_head_has_tokens(h, t);
    return false;
}

static bool touches_wide(const nm_head *h, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (is_wide(h, op->in[i]->type))
            return true;
    for (int i = 0; i < op->n_out; i++)
        if (is_wide(h, op->out[i].type))
            return true;
    return false;
}

// --- which ops -------------------------------------------------------------------------------

nm_head_role nm_head_role_of(const nm_head *h, const nm_op *op)
{
    bool known = op && op->n_out && op->out[0].id < h->n_values;
    return known ? h->role[op->out[0].id] : NM_HEAD_outside;
}

static bool is_inside(const nm_head *h, const nm_op *op)
{
    return nm_head_role_of(h, op) == NM_HEAD_inside;
}

static void set_role(nm_head *h, const nm_op *op, nm_head_role role)
{
    h->role[op->out[0].id] = role;
}

static void set_after(nm_head *h, const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        h->after[op->out[i].id] = true;
}

static bool reads_after(const nm_head *h, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (h->after[op->in[i]->id])
            return true;
    return false;
}

static bool is_read_inside(const nm_head *h, const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        nm_each_use(u, &op->out[i])
            if (is_inside(h, u->op))
                return true;
    return false;
}

static void find_hull(nm_head *h)
{
    nm_each_op(op, h->f)
        if (touches_wide(h, op) || reads_after(h, op))
            set_after(h, op);
    for (nm_op *op = h->f->last; op; op = op->prev)
        if (op->n_out && h->after[op->out[0].id] && (touches_wide(h, op) || is_read_inside(h, op)))
            set_role(h, op, NM_HEAD_inside);
}

static bool is_read_inside_alone(const nm_head *h, const nm_value *v)
{
    nm_each_use(u, v)
        if (nm_head_role_of(h, u->op) == NM_HEAD_outside)
            return false;
    return v->uses != NULL;
}

static bool is_map(const nm_op *op) { return nm_is(op, NM_MAP) && op->n_out == 1; }

static bool is_widening(const nm_op *op)
{
    return op->code == NM_OP_cast && nm_dtype_table[op->in[0]->type->dtype].bytes <
                                         nm_dtype_table[op->out[0].type->dtype].bytes;
}

// Maps of labels, masks; and widenings.
static void take_in_front(nm_head *h)
{
    for (nm_op *op = h->f->last; op; op = op->prev) {
        if (nm_head_role_of(h, op) != NM_HEAD_outside || !is_map(op) || !is_read_inside(h, op))
            continue;
        const nm_value *v = &op->out[0];
        if (is_one_a_token(h, v->type) && is_read_inside_alone(h, v))
            set_role(h, op, NM_HEAD_inside);
        else if (is_widening(op) && nm_head_has_tokens(h, v->type))
            set_role(h, op, NM_HEAD_copied);
    }
}

static bool is_at_hand(const nm_head *h, const nm_value *v)
{
    if (nm_head_has_any(h, v->type))
        return nm_head_role_of(h, v->def) != NM_HEAD_outside;
    return !h->after[v->id];
}

static bool all_at_hand(const nm_head *h, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (!is_at_hand(h, op->in[i]))
            return false;
    return true;
}

static void take_behind(nm_head *h)
{
    nm_each_op(op, h->f)
        if (is_map(op) && nm_head_role_of(h, op) == NM_HEAD_outside && h->after[op->out[0].id] &&
            is_one_a_token(h, op->out[0].type) && all_at_hand(h, op))
            set_role(h, op, NM_HEAD_inside);
}

// --- may it be cut? --------------------------------------------------------------------------

static bool treats_tokens_alone(const nm_head *h, const nm_op *op)
{
    bool alone = op->n_out == 1 && nm_head_has_tokens(h, op->out[0].type);
    for (int i = 0; i < h->n_tokens; i++)
        alone = alone && nm_form_is_alone(op, h->token[i].name);
    return alone;
}

static bool reads_token(const nm_op *op, nm_sym token)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_has_dim(op->in[i]->type, token))
            return true;
    return false;
}

bool nm_head_is_sum(const nm_head *h, const nm_op *op)
{
    bool all = nm_form_sums(op) && !nm_head_has_any(h, op->out[0].type);
    for (int i = 0; i < h->n_tokens; i++)
        all = all && reads_token(op, h->token[i].name);
    return all;
}

nm_op *nm_head_accumulation(const nm_op *sum)
{
    const nm_value *part = &sum->out[0];
    nm_op *add = nm_used_once(part) ? part->uses->op : NULL;
    if (!add || add->code != NM_OP_add)
        return NULL;
    const nm_value *acc = add->in[1 - part->uses->index];
    return !acc->def && acc->type == add->out[0].type && nm_type_same_set(acc->type, part->type)
               ? add
               : NULL;
}

static const char *why_not(const nm_head *h, const nm_op *op)
{
    if (treats_tokens_alone(h, op))
        return NULL;
    if (!nm_head_is_sum(h, op))
        return "it mixes tokens";
    if (op->out[0].type->dtype != NM_f32)
        return "parts of its sum would be rounded";
    return is_read_inside(h, op) ? "its sum over all tokens is read before the head is done" : NULL;
}

// A softmax or the like: else nothing as wide as this is only passed on.
static bool reduces_wide(const nm_head *h)
{
    nm_each_op(op, h->f)
        if (is_inside(h, op) && nm_is(op, NM_REDUCE) && !nm_is(op, NM_VIEW) &&
            is_wide(h, op->in[0]->type) && is_one_a_token(h, op->out[0].type))
            return true;
    return false;
}

static void check(nm_head *h)
{
    nm_each_op(op, h->f) {
        const char *why = NULL;
        if (is_inside(h, op))
            why = why_not(h, op);
        else if (touches_wide(h, op))
            why = "it wants all logits at once";
        if (why && !h->why) {
            h->why = why;
            h->miss = op;
        }
    }
    if (!h->why && !reduces_wide(h))
        h->why = "no loss reads it here";
}

static void find_ends(nm_head *h)
{
    nm_each_op(op, h->f)
        if (is_inside(h, op)) {
            h->first = h->first ? h->first : op;
            h->last = op;
        }
}

nm_head nm_head_find(nm_op *dot, nm_arena *arena)
{
    nm_head h = {.f = dot->func, .dot = dot, .miss = dot};
    h.n_values = h.f->n_values;
    h.role = nm_new_n(arena, nm_head_role, h.n_values);
    h.after = nm_new_n(arena, bool, h.n_values);
    take_dims(&h);
    if (h.why)
        return h;
    find_hull(&h);
    take_in_front(&h);
    take_behind(&h);
    find_ends(&h);
    check(&h);
    return h;
}
