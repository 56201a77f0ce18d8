// Where in the chain of a micro-batch is each value computed? A repeat over a dim of pp has its
// position by its number; what reads a repeat comes behind it; what depends on no repeat is
// computed as late as possible, or wherever it is read if it depends on no parameter either. What
// is stacked over a repeat's dim stays with the repeat: each stage has its own turns of it.
//
// An accumulator has no position: its terms are added wherever they are, in any order.
#include "ir/form.h"
#include "passes/units.h"

enum { LATE = -2 }; // depends on parameters, and on no repeat: not decided yet

bool nm_units_is_dim(const nm_units *u, nm_sym dim) { return nm_syms_has(u->dims, dim); }

nm_sym nm_units_dim_in(const nm_units *u, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (nm_dim_is_staged(u->m, &t->dim[i]))
            return t->dim[i].name;
    return NULL;
}

static bool cannot(nm_module *m, nm_loc at, const char *why, const char *name)
{
    return nm_error(m->diag, at,
                    "%s%s%s%s: the mesh's row pp cannot cut this model into stages "
                    "[pp-1]",
                    name ? "'" : "", name ? name : "", name ? "' " : "", why);
}

// --- repeats -----------------------------------------------------------------------------------

static bool is_stage(const nm_units *u, const nm_op *op)
{
    return op->code == NM_OP_repeat && nm_units_is_dim(u, nm_attr_sym(op, "over"));
}

// The forward repeat of whose turns a backward one reads what was saved; else the last one over the
// same dim that has no backward yet.
static int forward_of(const nm_places *p, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        for (int at = 1; at < 2 * p->k; at += 2)
            if (op->in[i]->def == p->repeat[at] &&
                op->in[i]->index >= nm_attr_int(op->in[i]->def, "carried", 0))
                return at;
    for (int at = 2 * p->k - 1; at > 0; at -= 2)
        if (!p->repeat[4 * p->k - at] &&
            nm_attr_sym(p->repeat[at], "over") == nm_attr_sym(op, "over"))
            return at;
    return -1;
}

static bool find_repeats(const nm_units *u, nm_places *p)
{
    nm_module *m = u->m;
    int n = 0;
    nm_each_op(op, p->f)
        p->k += is_stage(u, op) && !nm_attr_bool(op, "reverse");
    if (2 * p->k + 1 > NM_MAX_UNITS)
        return cannot(m, p->f->loc, "it has too many repeats", p->f->name);
    p->repeat = nm_new_n(m->arena, nm_op *, 4 * p->k + 1);
    nm_each_op(op, p->f) {
        if (!is_stage(u, op))
            continue;
        int at = nm_attr_bool(op, "reverse") ? forward_of(p, op) : 2 * n++ + 1;
        if (at < 0)
            return cannot(m, op->loc, "this repeat runs in reverse, and is no gradient of another",
                          NULL);
        at = nm_attr_bool(op, "reverse") ? 4 * p->k - at : at;
        if (p->repeat[at])
            return cannot(m, op->loc, "this is a second gradient of one repeat", NULL);
        p->repeat[at] = op;
        for (int i = 0; i < op->n_out; i++)
            p->at[op->out[i].id] = at;
    }
    return true;
}

// --- accumulators ------------------------------------------------------------------------------

// The result that is what is read there, with terms added; NULL: it is something else.
static nm_value *added(const nm_use *use)
{
    nm_op *op = use->op;
    int carried = (int)nm_attr_int(op, "carried", 0), stacked = (int)nm_attr_int(op, "stacked", 0);
    if (nm_form_accumulates(op))
        return &op->out[0];
    if (op->code != NM_OP_repeat || use->index >= carried + stacked)
        return NULL;
    if (use->index < carried)
        return &op->out[use->index];
    for (nm_value *v = op->body->param[use->index]; v && nm_used_once(v); v = added(v->uses))
        if (v->uses->op == op->body->last)
            return &op->out[v->uses->index];
    return NULL;
}

static bool follow_acc(nm_places *p, nm_value *acc)
{
    p->is_acc[acc->id] = true;
    for (nm_value *v = acc, *next; v->uses; v = next) {
        if (nm_used_once(v) && v->uses->op->code == NM_OP_ret)
            return true;
        next = nm_used_once(v) ? added(v->uses) : NULL;
        if (!next)
            return cannot(p->f->module, v->uses->op->loc, "is accumulated, and read otherwise, too",
                          acc->name);
        p->base[next->id] = v;
        p->is_acc[next->id] = true;
    }
    return true;
}

static bool find_accs(nm_places *p)
{
    for (int i = 0; i < p->f->n_params; i++)
        if (p->f->param_bind[i].kind == NM_BIND_acc && !follow_acc(p, p->f->param[i]))
            return false;
    return true;
}

// --- the others --------------------------------------------------------------------------------

// Is v one value a turn of the repeat at its position?
static bool is_stacked(const nm_places *p, const nm_value *v)
{
    int at = p->at[v->id];
    return at & 1 && p->repeat[at] && nm_has_dim(v->type, nm_attr_sym(p->repeat[at], "over"));
}

// The earliest position at which v can be read.
static int ready(const nm_places *p, const nm_value *v)
{
    int at = p->at[v->id];
    return at >= 0 && at & 1 && !is_stacked(p, v) ? at + 1 : at;
}

static bool adds_to_acc(const nm_places *p, const nm_op *op)
{
    bool any = false;
    for (int i = 0; i < op->n_out; i++)
        any |= p->base[op->out[i].id] != NULL;
    return any;
}

static void place_op(const nm_units *u, nm_places *p, nm_op *op)
{
    int at = NM_ANYWHERE;
    for (int i = 0; i < op->n_in; i++) {
        int r = p->is_acc[op->in[i]->id] ? NM_ANYWHERE : ready(p, op->in[i]);
        if (r > at || (r == LATE && at == NM_ANYWHERE))
            at = r;
    }
    if (at < 0 && adds_to_acc(p, op))
        at = 2 * p->k;
    for (int i = 0; i < op->n_out; i++) {
        bool turns = at == LATE && nm_units_dim_in(u, op->out[i].type);
        p->at[op->out[i].id] = turns ? NM_ANYWHERE : at;
    }
}

// A repeat has its position: all it reads must be there before.
static bool check_repeat(const nm_places *p, const nm_op *op)
{
    int at = p->at[op->out[0].id];
    for (int i = 0; i < op->n_in; i++)
        if (!p->is_acc[op->in[i]->id] && ready(p, op->in[i]) > at) {
            const nm_op *def = op->in[i]->def;
            cannot(p->f->module, op->loc, "this repeat needs what comes after it in the pipeline",
                   NULL);
            nm_note(p->f->module->diag, def->loc, "which is computed here");
            return false;
        }
    return true;
}

// Of an op that depends on parameters alone: the position of its earliest reader, or before it.
static int latest(const nm_units *u, const nm_places *p, const nm_op *op)
{
    int at = 4 * p->k;
    for (int i = 0; i < op->n_out; i++)
        nm_each_use(use, &op->out[i]) {
            const nm_op *reader = use->op;
            if (reader->code == NM_OP_ret)
                continue;
            int r = p->at[reader->out[0].id] - is_stage(u, reader);
            if (r < at)
                at = r;
        }
    return at;
}

static bool place_all(const nm_units *u, nm_places *p)
{
    nm_func *f = p->f;
    for (nm_op *op = f->first; op != f->last; op = op->next)
        if (!is_stage(u, op))
            place_op(u, p, op);
        else if (op->n_out && !check_repeat(p, op))
            return false;
    for (nm_op *op = f->last->prev; op; op = op->prev) {
        bool late = false;
        for (int i = 0; i < op->n_out; i++)
            late |= p->at[op->out[i].id] == LATE;
        int at = late ? latest(u, p, op) : 0;
        for (int i = 0; late && i < op->n_out; i++)
            p->at[op->out[i].id] = at;
    }
    return true;
}

bool nm_units_place(nm_units *u, nm_func *f, nm_places *p)
{
    nm_arena *arena = u->m->arena;
    *p = (nm_places){.f = f};
    p->at = nm_new_n(arena, int, f->n_values + 1);
    p->base = nm_new_n(arena, nm_value *, f->n_values + 1);
    p->is_acc = nm_new_n(arena, bool, f->n_values + 1);
    for (uint32_t i = 0; i < f->n_values; i++)
        p->at[i] = NM_ANYWHERE;
    for (int i = 0; i < f->n_params; i++)
        if (nm_units_is_kept(f->param_bind[i]) && !nm_units_dim_in(u, f->param[i]->type))
            p->at[f->param[i]->id] = LATE;
    return find_repeats(u, p) && find_accs(p) && place_all(u, p);
}
