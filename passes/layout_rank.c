// The order of dims in memory. Where dims are contracted or reduced, a tensor is fast if each list
// of dims that an op treats alike (rows, columns, what is summed) lies together and if what is
// summed or vectorised over lies innermost. One order for all activations does that: batch and seq
// first, then dims as the parameters have them, so that [batch, seq, d] . [d, heads, hd] = [batch,
// seq, heads, hd] needs no transpose on any side.
#include "passes/layout.h"

#include <string.h>

static int find(const nm_rank *r, nm_sym dim)
{
    for (int i = 0; i < r->n; i++)
        if (r->dim[i] == dim)
            return i;
    return -1;
}

static void insert(nm_rank *r, int at, nm_sym dim)
{
    if (find(r, dim) >= 0)
        return;
    memmove(&r->dim[at + 1], &r->dim[at], (size_t)(r->n - at) * sizeof *r->dim);
    r->dim[at] = dim;
    r->n++;
}

static void append_type(nm_rank *r, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        insert(r, r->n, t->dim[i].name);
}

// rank has room for every dim of every value: count generously.
static int count_dims(const nm_func *f)
{
    int n = f->n_params * NM_MAX_RANK;
    nm_each_op(op, f) {
        n += op->n_out * NM_MAX_RANK;
        n += op->body ? count_dims(op->body) : 0;
    }
    return n;
}

// What a view calls a dim lies where the dim lay.
static void place_view(nm_rank *r, const nm_op *op)
{
    nm_sym from = nm_attr_sym(op, "from"), into = NULL;
    nm_syms several = {0};
    if (op->code == NM_OP_rename)
        into = nm_attr_sym(op, "to");
    else if (op->code == NM_OP_split)
        several = nm_attr_dims(op, "into");
    else if (op->code == NM_OP_windows)
        from = nm_attr_sym(op, "over"), into = nm_attr_sym(op, "tap");
    else
        return;
    int at = find(r, from) + 1;
    for (int i = several.n - 1; i >= 0; i--)
        insert(r, at, several.sym[i]);
    if (into)
        insert(r, at, into);
}

// Tokens: batch and seq as one dim, which a split may cut again.
static void place_merge(nm_rank *r, const nm_op *op)
{
    nm_syms from = nm_attr_dims(op, "from");
    for (int i = 0; i < from.n; i++)
        if (!nm_dim_is_runtime(op->func->module, from.sym[i]))
            return;
    insert(r, find(r, from.sym[from.n - 1]) + 1, nm_attr_sym(op, "into"));
}

// First of all: the index of dst', which a bias is made of, may stand before what makes dst' of
// dst.
static void place_runtime_views(nm_rank *r, const nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_merge)
            place_merge(r, op);
        else if (op->code == NM_OP_split && find(r, nm_attr_sym(op, "from")) >= 0)
            place_view(r, op);
        else if (op->code == NM_OP_rename && nm_dim_is_runtime(f->module, nm_attr_sym(op, "from")))
            place_view(r, op);
        if (op->body)
            place_runtime_views(r, op->body);
    }
}

static void place_ops(nm_rank *r, const nm_func *f)
{
    nm_each_op(op, f) {
        place_view(r, op);
        if (op->body)
            place_ops(r, op->body);
        for (int i = 0; i < op->n_out; i++)
            append_type(r, op->out[i].type);
    }
}

static void find_repeated(nm_syms *list, nm_sym *room, const nm_func *f)
{
    nm_each_op(op, f) {
        nm_sym over = op->code == NM_OP_repeat ? nm_attr_sym(op, "over") : NULL;
        if (over && !nm_syms_has(*list, over))
            room[list->n++] = over;
        if (op->body)
            find_repeated(list, room, op->body);
    }
}

typedef enum { DATA, STORED, LINKED } what;

static what what_is(nm_bind_kind kind)
{
    return kind == NM_BIND_data ? DATA : kind == NM_BIND_link ? LINKED : STORED;
}

static void place_params(nm_rank *r, const nm_func *f, what kind)
{
    for (int i = 0; i < f->n_params; i++)
        if (what_is(f->param_bind[i].kind) == kind)
            append_type(r, f->param[i]->type);
}

nm_rank *nm_rank_new(nm_module *m, nm_arena *arena)
{
    int room = m->n_dims;
    nm_each_func(f, m)
        room += count_dims(f);
    nm_rank *r = nm_new(arena, nm_rank);
    r->dim = nm_new_n(arena, nm_sym, room);
    nm_sym *repeated = nm_new_n(arena, nm_sym, m->n_dims);
    r->repeated.sym = repeated;
    nm_each_func(f, m)
        find_repeated(&r->repeated, repeated, f);
    nm_each_func(f, m)
        place_params(r, f, DATA);
    for (int i = 0; i < m->n_dims; i++)
        if (m->dim[i].runtime)
            insert(r, r->n, m->dim[i].name);
    nm_each_func(f, m)
        place_runtime_views(r, f);
    nm_each_func(f, m)
        place_params(r, f, STORED);
    nm_each_func(f, m)
        place_ops(r, f);
    nm_each_func(f, m) // behind ops: seq' of a link is what a rename says of seq
        place_params(r, f, LINKED);
    return r;
}

const nm_type *nm_rank_sort(nm_module *m, const nm_rank *rank, const nm_type *t)
{
    nm_type sorted = *t;
    for (int i = 1; i < t->rank; i++) { // insertion: stable, and types are short
        nm_dim dim = sorted.dim[i];
        int k = i;
        for (; k > 0 && find(rank, sorted.dim[k - 1].name) > find(rank, dim.name); k--)
            sorted.dim[k] = sorted.dim[k - 1];
        sorted.dim[k] = dim;
    }
    return nm_type_get(m, &sorted);
}
