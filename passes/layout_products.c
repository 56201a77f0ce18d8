// What products of fp8 need of the layout, on a GPU: both operands lie along what is summed
// (ir/product.h). An operand that one product reads is stored so; one that products read along
// other dims, too (a gradient: for dx along the layer's outputs, for dW along the tokens) is stored
// as the first asks, and copied for the others: so much is a product of fp8 worth. A copy serves
// all products behind it that read the value so.
#include "ir/product.h"
#include "passes/layout.h"

typedef struct operand { // of a product
    int index;           // of the group's operands
    const nm_type *wanted;
} operand;

static nm_op *dot_in(const nm_op *group)
{
    nm_op *op = group->code == NM_OP_group ? group->body->first : NULL;
    while (op && op->code != NM_OP_dot)
        op = op->next;
    return op;
}

static nm_value *behind_casts(nm_value *v)
{
    while (v->def && v->def->code == NM_OP_cast)
        v = v->def->in[0];
    return v;
}

static const nm_type *sorted(const nm_op *dot, const nm_rank *rank, const nm_type *t)
{
    return rank ? nm_rank_sort(dot->func->module, rank, t) : t;
}

// The order of what is summed is the first operand's.
static const nm_type *order_of_sums(const nm_op *dot, const nm_rank *rank)
{
    return sorted(dot, rank, behind_casts(dot->in[0])->type);
}

const nm_type *nm_layout_along_sums(const nm_op *dot, const nm_type *t, const nm_rank *rank)
{
    nm_syms over = nm_attr_dims(dot, "over");
    const nm_type *like = order_of_sums(dot, rank);
    for (int i = 0; i < like->rank; i++)
        if (nm_syms_has(over, like->dim[i].name) && nm_has_dim(t, like->dim[i].name))
            t = nm_layout_innermost(dot->func->module, t, like->dim[i].name);
    return t;
}

// What is stored, with the product's summed dims innermost, in the order in which `like` has them.
// NULL: they are made of what is stored otherwise than by names.
static const nm_type *along_sums(nm_value *v, const nm_op *dot, const nm_rank *rank,
                                 const nm_type *like, operand *x)
{
    nm_syms over = nm_attr_dims(dot, "over");
    const nm_type *t = NULL;
    for (int i = 0; i < like->rank; i++) {
        if (!nm_syms_has(over, like->dim[i].name))
            continue;
        nm_made_of made = nm_layout_made_of(v, like->dim[i].name);
        if (!made.stored)
            return NULL;
        x->index = made.stored->index;
        t = t ? t : sorted(dot, rank, made.stored->type);
        t = nm_layout_all_innermost(dot->func->module, t, &made);
    }
    return t;
}

// Operand i of the group's dot, if that is fp8.
static bool find_operand(const nm_op *group, const nm_op *dot, int i, const nm_rank *rank,
                         operand *x)
{
    nm_value *v = behind_casts(dot->in[i]);
    x->wanted = along_sums(v, dot, rank, order_of_sums(dot, rank), x);
    return x->wanted && nm_is_fp8(group->in[x->index]->type->dtype);
}

const nm_type *nm_layout_for_product(const nm_op *group, int i, const nm_rank *rank,
                                     nm_value **stored)
{
    const nm_op *dot = dot_in(group);
    operand x;
    if (!dot || !find_operand(group, dot, i, rank, &x))
        return NULL;
    *stored = group->in[x.index];
    return x.wanted;
}

// --- copies --------------------------------------------------------------------------------------

typedef struct copy {
    const nm_value *of;
    nm_value *as;
} copy;

typedef struct copies { // of one body
    nm_arena *arena;
    int n;
    copy *at;
} copies;

static nm_value *find_copy(const copies *all, const nm_value *of, const nm_type *t)
{
    for (int i = 0; i < all->n; i++)
        if (all->at[i].of == of && all->at[i].as->type == t)
            return all->at[i].as;
    return NULL;
}

static nm_value *make_copy(copies *all, nm_op *before, nm_value *v, const nm_type *t)
{
    nm_value *made = find_copy(all, v, t);
    if (made)
        return made;
    all->at = nm_arena_grow(all->arena, all->at, all->n, sizeof *all->at);
    all->at[all->n] = (copy){v, nm_copy_group(before->func, before, v, t)};
    return all->at[all->n++].as;
}

static void copy_operand(copies *all, nm_op *group, const operand *x)
{
    nm_value *v = group->in[x->index];
    if (v->type == x->wanted)
        return;
    nm_set_operand(group, x->index, make_copy(all, group, v, x->wanted));
    group->body->param[x->index]->type = x->wanted;
}

void nm_layout_copy_for_products(nm_func *f)
{
    copies all = {.arena = f->module->arena};
    operand x;
    nm_each_op(op, f) {
        nm_op *dot = dot_in(op);
        if (op->code == NM_OP_repeat)
            nm_layout_copy_for_products(op->body);
        for (int i = 0; dot && i < 2; i++)
            if (find_operand(op, dot, i, NULL, &x))
                copy_operand(&all, op, &x);
    }
}
