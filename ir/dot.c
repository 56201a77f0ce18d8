// The dims of a group's dot: see dot.h.
#include "ir/dot.h"

static nm_sym innermost(const nm_value *v);

static nm_sym innermost_of_view(const nm_op *op)
{
    nm_sym inner = innermost(op->in[0]);
    if (op->code == NM_OP_rename && inner == nm_attr_sym(op, "from"))
        return nm_attr_sym(op, "to");
    if (op->code == NM_OP_split && inner == nm_attr_sym(op, "from")) {
        nm_syms into = nm_attr_dims(op, "into");
        return into.sym[into.n - 1];
    }
    if (op->code == NM_OP_merge && nm_syms_has(nm_attr_dims(op, "from"), inner))
        return nm_attr_sym(op, "into");
    return inner;
}

// The dim of v that is contiguous in memory where most of it is read from; NULL: a scalar.
static nm_sym innermost(const nm_value *v)
{
    const nm_type *t = v->type;
    if (!v->def)
        return t->rank ? t->dim[t->rank - 1].name : NULL;
    if (nm_is(v->def, NM_VIEW))
        return innermost_of_view(v->def);
    const nm_value *widest = NULL;
    for (int i = 0; i < v->def->n_in; i++)
        if (!widest || v->def->in[i]->type->rank > widest->type->rank)
            widest = v->def->in[i];
    return widest ? innermost(widest) : NULL;
}

int64_t nm_dot_near_elems(int n, const nm_dim *dim)
{
    int64_t extent, all = 1;
    for (int i = 0; i < n && all <= NM_DOT_NEAR; i++) {
        bool small = nm_extent_is_const(dim[i].extent, &extent) && extent <= NM_DOT_NEAR;
        all = small ? all * extent : NM_DOT_NEAR + 1;
    }
    return all <= NM_DOT_NEAR ? all : NM_DOT_NEAR + 1;
}

// --- what the results are made of ----------------------------------------------------------------

typedef struct trace {
    const nm_op *dot;
    char *state; // by value id
    uint32_t moved;
} trace;
enum { NEW, APART, MADE }; // of the product

static void find_moved(trace *x, const nm_op *view)
{
    const nm_type *t = x->dot->out[0].type;
    for (int i = 0; i < t->rank; i++)
        if (nm_op_names(view, t->dim[i].name))
            x->moved |= 1u << i;
}

static bool is_made(trace *x, const nm_value *v)
{
    if (v == &x->dot->out[0] || !v->def)
        return v->def;
    char *state = &x->state[v->id];
    if (*state != NEW)
        return *state == MADE;
    bool made = false;
    for (int i = 0; i < v->def->n_in; i++)
        made |= is_made(x, v->def->in[i]);
    if (made && nm_is(v->def, NM_VIEW))
        find_moved(x, v->def);
    *state = made ? MADE : APART;
    return made;
}

uint32_t nm_dot_moved(const nm_op *dot, int n, nm_value *const *made, nm_arena *scratch)
{
    trace x = {.dot = dot};
    x.state = nm_new_n(scratch, char, nm_func_outer(dot->func)->n_values);
    for (int i = 0; i < n; i++)
        is_made(&x, made[i]);
    return x.moved;
}

static uint32_t moved_in(const nm_op *group, const nm_op *dot)
{
    nm_arena scratch = {0};
    const nm_op *ret = group->body->last;
    uint32_t moved = nm_dot_moved(dot, ret->n_in, ret->in, &scratch);
    nm_arena_free(&scratch);
    return moved;
}

// --- the lists -----------------------------------------------------------------------------------

nm_dot_list nm_dot_list_of(const nm_dot *d, nm_sym dim)
{
    if (nm_syms_has(nm_attr_dims(d->op, "over"), dim))
        return NM_DOT_K;
    bool in_a = nm_has_dim(d->a->type, dim), in_b = nm_has_dim(d->b->type, dim);
    return in_a && in_b ? NM_DOT_BATCH : in_a ? NM_DOT_M : NM_DOT_N;
}

static bool has(const nm_dot *d, nm_dot_list l, nm_sym dim)
{
    for (int i = 0; i < d->n[l]; i++)
        if (d->dim[l][i].name == dim)
            return true;
    return false;
}

static bool is_moved(const nm_dot *d, uint32_t moved, nm_sym dim)
{
    int at = nm_type_find(d->op->out[0].type, dim);
    return at >= 0 && moved >> at & 1;
}

// The dims of t, which the product or an operand has, in the order in which `order` has names of
// them. A result may have another extent by such a name: it is what a view has made of others.
static void list_dims(nm_dot *d, const nm_type *order, const nm_type *t)
{
    for (int i = 0; i < order->rank; i++) {
        nm_sym dim = order->dim[i].name;
        nm_dot_list l = nm_dot_list_of(d, dim);
        int at = nm_type_find(t, dim);
        if (at >= 0 && !has(d, l, dim))
            d->dim[l][d->n[l]++] = t->dim[at];
    }
}

// The moved dims of n go to its end.
static void put_near_last(nm_dot *d, uint32_t moved)
{
    nm_dim *n = d->dim[NM_DOT_N], near[NM_MAX_RANK];
    int first = 0;
    for (int i = 0; i < d->n[NM_DOT_N]; i++)
        if (is_moved(d, moved, n[i].name))
            near[d->n_near++] = n[i];
        else
            n[first++] = n[i];
    for (int i = 0; i < d->n_near; i++)
        n[first + i] = near[i];
}

static void find_lists(nm_dot *d, const nm_type *result, uint32_t moved)
{
    nm_sym along = innermost(d->b);
    bool by_b = along && nm_dot_list_of(d, along) == NM_DOT_K;
    const nm_type *product = d->op->out[0].type;
    const nm_type *first = by_b ? d->b->type : d->a->type, *last = by_b ? d->a->type : d->b->type;
    list_dims(d, result, product);
    list_dims(d, product, product);
    list_dims(d, first, first);
    list_dims(d, last, last);
    put_near_last(d, moved);
}

static bool along_row(const nm_dot *d, const nm_value *v, nm_dot_list row)
{
    nm_sym inner = innermost(v);
    return inner && nm_dot_list_of(d, inner) == row;
}

// a and b change places where the innermost dim that only one operand has, of those that are moved
// or else of the result's, is a's.
static void find_roles(nm_dot *d, const nm_type *result, uint32_t moved)
{
    const nm_type *t = moved ? d->op->out[0].type : result;
    for (int i = t->rank; i-- > 0;) {
        nm_dot_list l = nm_dot_list_of(d, t->dim[i].name);
        if (l == NM_DOT_BATCH || (moved && !is_moved(d, moved, t->dim[i].name)))
            continue;
        if (l == NM_DOT_M) {
            d->a = d->op->in[1];
            d->b = d->op->in[0];
        }
        return;
    }
}

nm_dot nm_dot_of(nm_op *group, nm_op *dot)
{
    nm_dot d = {.op = dot, .a = dot->in[0], .b = dot->in[1]};
    uint32_t moved = moved_in(group, dot);
    find_roles(&d, group->out[0].type, moved);
    find_lists(&d, group->out[0].type, moved);
    d.a_along_row = along_row(&d, d.a, NM_DOT_M);
    d.b_along_row = along_row(&d, d.b, NM_DOT_N);
    return d;
}
