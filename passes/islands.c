// Islands: of a program in fp8, the functions of a repeat's turns once more with their products in
// bf16, so that a run can keep its first and last layers in it (docs/precision.md):
//
//   forward.1  backward.1   =>   forward.1  backward.1   forward.1.bf16  backward.1.bf16
//
// The copy is what precision would have written in bf16: of every qdq, its operand. What two
// chunks hand on has the same name and type in both, so each chunk of turns may run either.
//
// Of recipe `delayed` a copy leaves the maxima of its layers alone: accumulators of which the
// step's end makes states of this program only, the histories of scales that a copy does not use.
//
// Before recompute, which names a pair's own links apart.
#include "passes/parts.h"
#include "passes/pass.h"

// --- which functions -----------------------------------------------------------------------------

static bool rounds(const nm_func *f)
{
    nm_each_op(op, f)
        if (op->code == NM_OP_qdq || (op->body && rounds(op->body)))
            return true;
    return false;
}

static bool is_of_turns(const nm_func *f)
{
    return (f->part.phase == NM_PHASE_forward || f->part.phase == NM_PHASE_backward) &&
           f->part.units & NM_ODD_UNITS;
}

static bool is_of_same(const nm_func *f, const nm_func *g)
{
    return is_of_turns(g) && f->part.units == g->part.units && nm_func_role(f) == nm_func_role(g);
}

// Both halves of a turn have two texts, or none: their links go together.
static bool has_islands(const nm_func *f)
{
    bool any = false;
    nm_each_func(g, f->module)
        any |= is_of_same(f, g) && rounds(g);
    return is_of_turns(f) && any;
}

// --- maxima --------------------------------------------------------------------------------------

typedef struct reached { // from results of the step's end, by value id
    bool *own, *other;
} reached;

static bool is_own(nm_module *m, nm_bind bind)
{
    const nm_param *p = bind.kind == NM_BIND_state ? nm_param_lookup(m, bind.name) : NULL;
    return p && p->own;
}

static void mark(bool *seen, const nm_value *v)
{
    if (seen[v->id])
        return;
    seen[v->id] = true;
    for (int i = 0; v->def && i < v->def->n_in; i++)
        mark(seen, v->def->in[i]);
}

static bool reads_acc(const nm_func *f, const bool *seen, nm_sym acc)
{
    int i = nm_func_find_param(f, NM_BIND_acc, acc);
    return i >= 0 && seen[f->param[i]->id];
}

// What a function of the step's end makes of acc: states of this program alone, other things.
static void find_readers(nm_func *f, nm_sym acc, bool *own, bool *other)
{
    reached r = {nm_new_n(f->module->arena, bool, f->n_values),
                 nm_new_n(f->module->arena, bool, f->n_values)};
    for (int i = 0; i < f->n_results; i++)
        mark(is_own(f->module, f->result_bind[i]) ? r.own : r.other, f->last->in[i]);
    *own |= reads_acc(f, r.own, acc);
    *other |= reads_acc(f, r.other, acc);
}

// What f gives as `bind`.
static bool is_maximum_of_scale(const nm_func *f, nm_bind bind)
{
    bool own = false, other = false;
    nm_each_func(end, f->module)
        if (bind.kind == NM_BIND_acc && end->part.phase >= NM_PHASE_before &&
            nm_func_role(f) == nm_func_role(end))
            find_readers(end, bind.name, &own, &other);
    return own && !other;
}

// --- the copy ------------------------------------------------------------------------------------

static void drop_roundings(nm_func *f)
{
    nm_each_op_safe(op, f) {
        if (op->body)
            drop_roundings(op->body);
        if (op->code != NM_OP_qdq)
            continue;
        nm_replace(&op->out[0], op->in[0]);
        nm_erase(op);
    }
}

static void add_copy(nm_func *f)
{
    nm_gives gives = {0};
    nm_func *copy = nm_func_clone(f, nm_sym_fmt(f->module, "%s.bf16", f->name), NULL);
    nm_func_move_before(copy, f);
    copy->part.products = NM_PRODUCTS_bf16;
    drop_roundings(copy);
    for (int i = 0; i < copy->n_results; i++)
        if (!is_maximum_of_scale(f, copy->result_bind[i]))
            nm_part_give(&gives, copy->last->in[i], copy->result_bind[i]);
    nm_part_end(copy, &gives);
}

bool nm_pass_islands(nm_module *m, bool *changed)
{
    nm_each_func(f, m) {
        if (f->part.products != NM_PRODUCTS_any || !has_islands(f))
            continue;
        f->part.products = NM_PRODUCTS_fp8;
        add_copy(f);
        *changed = true;
    }
    return true;
}
