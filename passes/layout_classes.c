// Classes of values that lie in one place, and their orders. A value is of one class with those
// that a repeat hands it on as, and with what a collective makes of it.
#include "passes/layout_classes.h"

#include <string.h>

// --- classes --------------------------------------------------------------------------------

void nm_layout_start(nm_layout *l, const nm_func *f)
{
    int n = (int)f->n_values;
    l->up = nm_new_n(l->scratch, int, n);
    l->fixed = nm_new_n(l->scratch, const nm_type *, n);
    l->front = nm_new_n(l->scratch, nm_syms, n);
    for (int i = 0; i < n; i++)
        l->up[i] = i;
}

static int class_of(nm_layout *l, const nm_value *v)
{
    int i = (int)v->id;
    while (l->up[i] != i)
        i = l->up[i] = l->up[l->up[i]];
    return i;
}

static void add_front(nm_layout *l, int c, nm_sym dim)
{
    nm_syms *f = &l->front[c];
    if (nm_syms_has(*f, dim))
        return;
    nm_sym *sym = nm_new_n(l->scratch, nm_sym, f->n + 1);
    if (f->n)
        memcpy(sym, f->sym, sizeof *sym * (size_t)f->n);
    sym[f->n] = dim;
    *f = (nm_syms){f->n + 1, sym};
}

static void join(nm_layout *l, const nm_value *a, const nm_value *b)
{
    int x = class_of(l, a), y = class_of(l, b);
    if (x == y)
        return;
    l->up[y] = x;
    if (!l->fixed[x])
        l->fixed[x] = l->fixed[y];
    for (int i = 0; i < l->front[y].n; i++)
        add_front(l, x, l->front[y].sym[i]);
}

void nm_layout_fix(nm_layout *l, const nm_value *v, const nm_type *t)
{
    int c = class_of(l, v);
    if (!l->fixed[c])
        l->fixed[c] = t;
}

const nm_type *nm_layout_fixed(nm_layout *l, const nm_value *v) { return l->fixed[class_of(l, v)]; }

static void join_repeat(nm_layout *l, const nm_op *op)
{
    int carried = (int)nm_attr_int(op, "carried", 0);
    int whole = carried + (int)nm_attr_int(op, "stacked", 0);
    nm_sym over = nm_attr_sym(op, "over");
    const nm_op *ret = op->body->last;
    for (int i = 0; i < op->n_in; i++) {
        if (i >= carried && i < whole)
            add_front(l, class_of(l, op->in[i]), over);
        join(l, op->in[i], op->body->param[i]);
    }
    for (int i = 0; i < op->n_out; i++) {
        if (i >= carried)
            add_front(l, class_of(l, &op->out[i]), over);
        else
            join(l, op->in[i], &op->out[i]);
        join(l, &op->out[i], ret->in[i]);
    }
}

void nm_layout_join(nm_layout *l, const nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat) {
            join_repeat(l, op);
            nm_layout_join(l, op->body);
        } else if (nm_is(op, NM_COLLECTIVE)) {
            join(l, op->in[0], &op->out[0]);
        }
}

// --- orders ---------------------------------------------------------------------------------

static void append(nm_rank *r, nm_sym dim)
{
    for (int i = 0; i < r->n; i++)
        if (r->dim[i] == dim)
            return;
    r->dim[r->n++] = dim;
}

nm_rank nm_layout_order(const nm_layout *l, nm_syms front, const nm_type *like)
{
    nm_rank r = {.dim = nm_new_n(l->scratch, nm_sym, front.n + NM_MAX_RANK + l->rank->n)};
    for (int i = 0; i < front.n; i++)
        append(&r, front.sym[i]);
    for (int i = 0; like && i < like->rank; i++)
        append(&r, like->dim[i].name);
    for (int i = 0; i < l->rank->n; i++)
        append(&r, l->rank->dim[i]);
    return r;
}

// What comes from outside has its own order, and the numbers of a draw go by theirs.
const nm_type *nm_layout_ordered(nm_layout *l, const nm_value *v)
{
    bool given = !v->def && !v->func->parent;
    if (given || (v->def && v->def->code == NM_OP_random))
        return v->type;
    int c = class_of(l, v);
    nm_rank r = nm_layout_order(l, l->front[c], l->fixed[c]);
    return nm_rank_sort(l->m, &r, v->type);
}

// --- copies where one class cannot serve ----------------------------------------------------
//
// What comes from outside may lie otherwise than its class, and a class that repeats over several
// dims take apart has one of these dims outermost. There a copy cuts the class in two. It is of a
// class that begins with this repeat, which has the repeated dim outermost then: joins keep the
// order of the operand's class, so no place is cut twice.

// Is the turn's part in one piece, in the order in which the turn has it?
static bool is_part(nm_layout *l, const nm_value *whole, const nm_value *part, nm_sym over)
{
    const nm_type *t = nm_layout_ordered(l, whole);
    return t->dim[0].name == over && nm_type_without(l->m, t, over) == nm_layout_ordered(l, part);
}

static nm_value *copy(nm_func *f, nm_op *before, nm_value *v)
{
    return nm_copy_group(f, before, v, v->type);
}

// All readers of v, which is computed before `before`, read a copy.
static void copy_for_readers(nm_func *f, nm_op *before, nm_value *v)
{
    nm_value *c = copy(f, before, v);
    nm_replace(v, c);
    nm_set_operand(c->def, 0, v);
}

// Cuts a class at an operand or a result of the repeat, if it has to be cut there.
static bool cut_repeat(nm_layout *l, nm_func *f, nm_op *op)
{
    int carried = (int)nm_attr_int(op, "carried", 0);
    int whole = carried + (int)nm_attr_int(op, "stacked", 0);
    nm_sym over = nm_attr_sym(op, "over");
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *in = op->in[i], *param = op->body->param[i];
        bool fits = i >= carried && i < whole
                        ? is_part(l, in, param, over)
                        : nm_layout_ordered(l, in) == nm_layout_ordered(l, param);
        if (fits)
            continue;
        nm_set_operand(op, i, copy(f, op, op->in[i]));
        return true;
    }
    for (int i = carried; i < op->n_out; i++)
        if (!is_part(l, &op->out[i], op->body->last->in[i], over)) {
            copy_for_readers(f, op->next, &op->out[i]);
            return true;
        }
    return false;
}

bool nm_layout_cut(nm_layout *l, nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_repeat && (nm_layout_cut(l, op->body) || cut_repeat(l, f, op)))
            return true;
    return false;
}
