// layout: the order of the dims of every stored value.
//
// Why here: only now it is known what is stored. A value that is handed through a repeat (carried,
// stacked, whole) lies in one place, so its names form a class with one order: that of the function
// parameter in it, or of the parameter in whose place the function's result goes; else the rank of
// dims (layout_rank.c), with the repeated dims in front. A collective's operand and result are of
// one class, too. Links are ordered by the module alone (layout_links.c), so that the function that
// gives one and those that take it agree. Inside a group a value follows its largest operand, a
// product the group's result. Where a class cannot have the order that a repeat (repeated dim
// first), a template (head dim last), a collective or a link needs, a copy is inserted. Classes:
// layout_classes.c.
#include "passes/layout_classes.h"

#include "ir/names.h"
#include "passes/fuse.h"
#include "passes/pass.h"

// --- links: given by one function, taken by others ------------------------------------------

static void order_links(const nm_layout *l, nm_func *f)
{
    for (int i = 0; i < f->n_params; i++)
        if (f->param_bind[i].kind == NM_BIND_link)
            f->param[i]->type = nm_layout_link(l->m, l->rank, f->param[i]->type);
}

// --- what is given --------------------------------------------------------------------------

// t in the order of `like`, whose extents may be of the whole; NULL: it has other dims.
static const nm_type *ordered_like(nm_module *m, const nm_type *t, const nm_type *like)
{
    nm_type ordered = *t;
    if (t->rank != like->rank)
        return NULL;
    for (int i = 0; i < t->rank; i++) {
        int k = nm_type_find(t, like->dim[i].name);
        if (k < 0)
            return NULL;
        ordered.dim[i] = t->dim[k];
    }
    return nm_type_get(m, &ordered);
}

// Are they one thing outside, or a sum and what it is when it is complete?
static bool is_same_outside(nm_module *m, nm_bind param, nm_bind result)
{
    return param.kind == result.kind &&
           (param.name == result.name || nm_complete_name(m, param) == result.name);
}

// What is kept lies as those who take it have it.
static const nm_type *kept_type(const nm_func *giver, nm_sym name)
{
    nm_each_func(f, giver->module) {
        int i = f->part.mode == giver->part.mode ? nm_func_find_param(f, NM_BIND_kept, name) : -1;
        if (i >= 0)
            return f->param[i]->type;
    }
    return NULL;
}

// The type that the place of f's result i has outside; NULL: any order will do.
static const nm_type *outer_type(const nm_layout *l, const nm_func *f, int i)
{
    nm_bind b = f->result_bind[i];
    const nm_type *t = f->last->in[i]->type;
    if (b.kind == NM_BIND_link)
        return nm_layout_link(l->m, l->rank, t);
    for (int k = 0; k < f->n_params && b.kind != NM_BIND_none; k++)
        if (is_same_outside(l->m, f->param_bind[k], b) && ordered_like(l->m, t, f->param[k]->type))
            return ordered_like(l->m, t, f->param[k]->type);
    if (b.kind == NM_BIND_kept)
        return kept_type(f, b.name);
    if (b.kind != NM_BIND_param && b.kind != NM_BIND_state)
        return NULL;
    const nm_param *row = nm_param_lookup(f->module, b.name);
    return row ? ordered_like(f->module, t, row->type) : NULL;
}

static void fix_bound(nm_layout *l, const nm_func *f)
{
    for (int i = 0; i < f->n_params; i++)
        nm_layout_fix(l, f->param[i], f->param[i]->type);
    for (int i = 0; i < f->n_results; i++)
        if (outer_type(l, f, i) && f->result_bind[i].kind != NM_BIND_link)
            nm_layout_fix(l, f->last->in[i], outer_type(l, f, i));
}

// After what templates need: where they disagree, the link is a copy.
static void fix_links(nm_layout *l, const nm_func *f)
{
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind == NM_BIND_link)
            nm_layout_fix(l, f->last->in[i], outer_type(l, f, i));
}

// What a group makes of a value whose order is fixed, or a value of which it makes such a one, has
// that order, too: element by element they can be one place. A weight rounded lies as the weight.
static void fix_like(nm_layout *l, const nm_value *v, const nm_value *like, bool rounded)
{
    const nm_type *t = nm_layout_fixed(l, like);
    if (t && nm_fuse_same_dims(v->type, like->type) &&
        (rounded || v->type->dtype == like->type->dtype))
        nm_layout_fix(l, v, t);
}

static void fix_neighbours(nm_layout *l, const nm_func *f, bool forwards)
{
    for (nm_op *op = forwards ? f->first : f->last; op; op = forwards ? op->next : op->prev) {
        if (op->code == NM_OP_repeat)
            fix_neighbours(l, op->body, forwards);
        for (int i = 0; i < op->n_in && op->code == NM_OP_group; i++)
            for (int k = 0; k < op->n_out; k++)
                if (forwards)
                    fix_like(l, &op->out[k], op->in[i], true);
                else
                    fix_like(l, op->in[i], &op->out[k], false);
    }
}

static void order_value(nm_layout *l, nm_value *v) { v->type = nm_layout_ordered(l, v); }

// --- orders of what groups compute ----------------------------------------------------------

// The dims of op's result, in the order of its largest operand: what a view calls a dim stands
// where the dim stood.
static nm_type like_operand(const nm_op *op)
{
    const nm_type *from = op->n_in ? op->in[0]->type : op->out[0].type;
    for (int i = 1; i < op->n_in; i++)
        if (nm_fuse_elems(op->in[i]->type) > nm_fuse_elems(from))
            from = op->in[i]->type;
    nm_type t = *from;
    bool merge = op->code == NM_OP_merge;
    nm_syms merged = merge ? nm_attr_dims(op, "from") : (nm_syms){0};
    for (int i = 0; i < t.rank; i++)
        if (merge && t.dim[i].name == merged.sym[0])
            t.dim[i].name = nm_attr_sym(op, "into");
        else if (op->code == NM_OP_rename && t.dim[i].name == nm_attr_sym(op, "from"))
            t.dim[i].name = nm_attr_sym(op, "to");
    return t;
}

static nm_type split_operand(const nm_op *op)
{
    nm_type t = {0};
    nm_syms into = nm_attr_dims(op, "into");
    const nm_type *from = op->in[0]->type;
    for (int i = 0; i < from->rank; i++)
        if (from->dim[i].name != nm_attr_sym(op, "from"))
            t.dim[t.rank++] = from->dim[i];
        else
            for (int k = 0; k < into.n; k++)
                t.dim[t.rank++].name = into.sym[k];
    return t;
}

// The numbers of a draw go by the order of its dims, wherever it is read.
static void order_inner(const nm_layout *l, const nm_op *group, nm_op *op)
{
    if (op->code == NM_OP_random)
        return;
    nm_type like = op->code == NM_OP_split ? split_operand(op) : like_operand(op);
    const nm_type *lead = op->code == NM_OP_dot ? group->out[0].type : &like;
    nm_rank by = nm_layout_order(l, (nm_syms){0}, lead);
    for (int i = 0; i < op->n_out; i++)
        op->out[i].type = nm_rank_sort(l->m, &by, op->out[i].type);
}

static void order_group(nm_layout *l, nm_op *group)
{
    nm_func *body = group->body;
    for (int i = 0; i < group->n_in; i++)
        body->param[i]->type = group->in[i]->type;
    nm_each_op(op, body)
        order_inner(l, group, op);
    for (int i = 0; i < group->n_out; i++)
        body->last->in[i]->type = group->out[i].type;
}

static void order_body(nm_layout *l, nm_func *f)
{
    for (int i = 0; i < f->n_params && f->parent; i++)
        order_value(l, f->param[i]);
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            order_value(l, &op->out[i]);
        if (op->code == NM_OP_repeat)
            order_body(l, op->body);
        else if (op->code == NM_OP_group)
            order_group(l, op);
    }
}

// --- what templates need --------------------------------------------------------------------

// What an attention writes, where nothing else says its order.
static void fix_for_templates(nm_layout *l, const nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_repeat)
            fix_for_templates(l, op->body);
        const nm_op *a = op->code == NM_OP_group ? op->body->first : NULL;
        while (a && !nm_attr_get(a, "hd"))
            a = a->next;
        for (int i = 0; a && i < op->n_out; i++)
            if (nm_has_dim(op->out[i].type, nm_attr_sym(a, "hd"))) {
                const nm_type *sorted = nm_rank_sort(l->m, l->rank, op->out[i].type);
                nm_layout_fix(l, &op->out[i],
                              nm_layout_innermost(l->m, sorted, nm_attr_sym(a, "hd")));
            }
    }
}

// --- what products of fp8 need ------------------------------------------------------------------

static bool is_gpu(const nm_layout *l) { return l->m->options.flavour == NM_FLAVOUR_gpu; }

// May what a group makes lie so? A map of one result transposes tiles as it stores
// (ir/transpose.h). Others store what they compute side by side, along the dim that is innermost by
// rank: a copy of the 8 bits transposes then.
static bool is_stored_well(const nm_layout *l, const nm_value *v, const nm_type *wanted)
{
    const nm_op *group = v->def;
    nm_sym kind = nm_attr_sym(group, "kind");
    bool alone = kind == nm_sym_get(l->m, "map") && group->n_out == 1;
    const nm_type *sorted = nm_rank_sort(l->m, l->rank, v->type);
    int last = wanted->rank - 1;
    return alone || last < 0 || wanted->dim[last].name == sorted->dim[last].name;
}

// What a group makes for one lies as that asks for; of several the first has its way.
static void fix_for_products(nm_layout *l, const nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_repeat)
            fix_for_products(l, op->body);
        for (int i = 0; op->code == NM_OP_group && i < 2; i++) {
            nm_value *stored;
            const nm_type *wanted = nm_layout_for_product(op, i, l->rank, &stored);
            if (wanted && stored->def && stored->def->code == NM_OP_group &&
                is_stored_well(l, stored, wanted))
                nm_layout_fix(l, stored, wanted);
        }
    }
}

// --- what collectives need ------------------------------------------------------------------

static bool same_order(const nm_type *a, const nm_type *b)
{
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i].name != b->dim[i].name)
            return false;
    return true;
}

// The operand's dims in the order of the result's.
static const nm_type *in_order_of(nm_module *m, const nm_type *operand, const nm_type *result)
{
    nm_type t = *operand;
    for (int i = 0; i < t.rank; i++)
        t.dim[i] = operand->dim[nm_type_find(operand, result->dim[i].name)];
    return nm_type_get(m, &t);
}

static void copy_for_collectives(nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_repeat)
            copy_for_collectives(op->body);
        if (!nm_is(op, NM_COLLECTIVE) || same_order(op->in[0]->type, op->out[0].type))
            continue;
        const nm_type *wanted = in_order_of(f->module, op->in[0]->type, op->out[0].type);
        nm_set_operand(op, 0, nm_copy_group(f, op, op->in[0], wanted));
    }
}

// --- what the outside needs -----------------------------------------------------------------

// A result whose place outside has another order than the class that it is in.
static void copy_results(const nm_layout *l, nm_func *f)
{
    for (int i = 0; i < f->n_results; i++) {
        const nm_type *t = outer_type(l, f, i);
        nm_value *v = f->last->in[i];
        if (t && v->type != t)
            nm_set_operand(f->last, i, nm_copy_group(f, f->last, v, t));
    }
}

// --- the pass -------------------------------------------------------------------------------

static void find_classes(nm_layout *l, const nm_func *f)
{
    nm_layout_start(l, f);
    fix_bound(l, f);
    nm_layout_join(l, f);
}

static void layout_func(nm_func *f, const nm_rank *rank, nm_arena *scratch)
{
    nm_arena_mark mark = nm_arena_mark_get(scratch);
    nm_layout l = {.m = f->module, .scratch = scratch, .rank = rank};
    order_links(&l, f);
    do
        find_classes(&l, f);
    while (nm_layout_cut(&l, f));
    fix_for_templates(&l, f);
    if (is_gpu(&l))
        fix_for_products(&l, f);
    fix_links(&l, f);
    fix_neighbours(&l, f, true);
    fix_neighbours(&l, f, false);
    order_body(&l, f);
    copy_for_collectives(f);
    copy_results(&l, f);
    nm_layout_copy_for_templates(f);
    if (is_gpu(&l))
        nm_layout_copy_for_products(f);
    nm_arena_reset(scratch, mark);
}

bool nm_pass_layout(nm_module *m, bool *changed)
{
    nm_arena scratch = {0};
    nm_rank *rank = nm_rank_new(m, &scratch);
    nm_each_func(f, m)
        layout_func(f, rank, &scratch);
    *changed = true;
    nm_arena_free(&scratch);
    return true;
}
