// Of a step's end, what is an owner's, and what mixes owners? Every value is somebody's: what is
// computed of one owner's values is the owner's. A sum of several owners' values is pending, as a
// sum over a sharded dim is: owners have parts of it, and so has each stage of a sum over a
// repeat's dim. Anything else that reads several owners' values, or a pending sum, needs them
// complete, on every rank: it stands in the middle, or behind it if one owner alone needs it.
#include "passes/units.h"

enum { MANY = -2 }; // owners, or a result that is logged

static bool cannot(const nm_ends *e, nm_loc at, const char *why)
{
    return nm_error(e->f->module->diag, at,
                    "%s: the mesh's row pp cannot cut this model into stages [pp-5]", why);
}

static int meet(int a, int b) { return a == NM_NOBODY || a == b ? b : b == NM_NOBODY ? a : MANY; }

// --- where values lead -------------------------------------------------------------------------

static void find_leads(nm_units *u, nm_ends *e)
{
    nm_func *f = e->f;
    for (int i = 0; i < f->n_results; i++) {
        nm_bind b = f->result_bind[i];
        nm_value *v = f->last->in[i];
        int to = nm_units_is_kept(b) ? nm_units_owner(u, e->role, b, v->type) : MANY;
        e->leads[v->id] = meet(e->leads[v->id], to);
    }
    for (nm_op *op = f->last->prev; op; op = op->prev) {
        int to = NM_NOBODY;
        for (int i = 0; i < op->n_out; i++)
            to = meet(to, e->leads[op->out[i].id]);
        for (int i = 0; i < op->n_in; i++)
            e->leads[op->in[i]->id] = meet(e->leads[op->in[i]->id], to);
    }
}

// --- one op ------------------------------------------------------------------------------------

typedef struct reads { // what an op's operands are
    bool mixed;        // middle, or pending
    bool after;
    int owner; // of the owned and after ones
} reads;

static reads look(const nm_ends *e, const nm_op *op)
{
    reads r = {.owner = NM_NOBODY};
    for (int i = 0; i < op->n_in; i++) {
        uint32_t id = op->in[i]->id;
        r.mixed |= e->kind[id] == NM_END_middle || e->kind[id] == NM_END_pending;
        r.after |= e->kind[id] == NM_END_after;
        if (e->kind[id] == NM_END_owned || e->kind[id] == NM_END_after)
            r.owner = meet(r.owner, e->owner[id]);
    }
    return r;
}

static bool set(nm_ends *e, const nm_op *op, nm_end kind, int owner)
{
    for (int i = 0; i < op->n_out; i++) {
        e->kind[op->out[i].id] = kind;
        e->owner[op->out[i].id] = owner;
    }
    return true;
}

// The dim of which a stage has only its part, among what op reads; NULL: none.
static nm_sym parted_dim(const nm_units *u, const nm_ends *e, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++) {
        uint32_t id = op->in[i]->id;
        bool owned = e->kind[id] == NM_END_owned || e->kind[id] == NM_END_after;
        nm_sym dim = nm_units_dim_in(u, op->in[i]->type);
        if (owned && dim && u->owner[e->owner[id]].stacked)
            return dim;
    }
    return NULL;
}

static bool stay_with(nm_units *u, nm_ends *e, const nm_op *op, nm_end kind, int owner)
{
    nm_sym dim = parted_dim(u, e, op);
    if (!dim || nm_units_keeps(op, dim))
        return set(e, op, kind, owner);
    if (kind == NM_END_owned && nm_units_sums_over(op, dim))
        return set(e, op, NM_END_pending, owner);
    return cannot(e, op->loc, "this mixes the turns of a repeat, which stages share out");
}

static bool complete(const nm_units *u, nm_ends *e, const nm_value *v, nm_loc at)
{
    if (e->kind[v->id] == NM_END_after)
        return cannot(e, at, "this reads what several stages compute last of a step");
    int owner = e->owner[v->id];
    if (owner >= 0 && u->owner[owner].stacked && nm_units_dim_in(u, v->type))
        return cannot(e, at, "this reads all turns of a repeat, which stages share out");
    e->whole[v->id] = true;
    return true;
}

// Whoever reads v for this owner (NM_NOBODY: in the middle) needs it whole, unless it is its own.
static bool take(const nm_units *u, nm_ends *e, const nm_value *v, int owner, nm_loc at)
{
    nm_end kind = e->kind[v->id];
    bool own = (kind == NM_END_owned || kind == NM_END_after) && e->owner[v->id] == owner;
    return kind == NM_END_free || kind == NM_END_middle || own || complete(u, e, v, at);
}

static bool is_part(const nm_units *u, const nm_ends *e, const nm_value *v)
{
    nm_end kind = e->kind[v->id];
    return (kind == NM_END_pending || kind == NM_END_owned) && !nm_units_dim_in(u, v->type);
}

static bool sums_parts(const nm_units *u, const nm_ends *e, const nm_op *op)
{
    if (op->code != NM_OP_add)
        return false;
    for (int i = 0; i < 2; i++)
        if (!is_part(u, e, op->in[i]) || op->in[i]->type != op->out[0].type)
            return false;
    return true;
}

static bool reads_of(const nm_ends *e, const nm_op *op, int owner)
{
    for (int i = 0; i < op->n_in; i++)
        if (e->kind[op->in[i]->id] != NM_END_free && e->owner[op->in[i]->id] == owner)
            return true;
    return false;
}

// Owners' values are mixed: in the middle, or for one of them.
static bool mix(nm_units *u, nm_ends *e, const nm_op *op)
{
    int owner = e->leads[op->out[0].id];
    for (int i = 1; i < op->n_out; i++)
        owner = meet(owner, e->leads[op->out[i].id]);
    if (owner < 0 || !reads_of(e, op, owner))
        owner = NM_NOBODY;
    for (int i = 0; i < op->n_in; i++)
        if (!take(u, e, op->in[i], owner, op->loc))
            return false;
    return owner < 0 ? set(e, op, NM_END_middle, owner) : stay_with(u, e, op, NM_END_after, owner);
}

static bool class_op(nm_units *u, nm_ends *e, const nm_op *op)
{
    reads r = look(e, op);
    if (!r.mixed && r.owner == NM_NOBODY)
        return set(e, op, NM_END_free, NM_NOBODY);
    if (!r.mixed && r.owner >= 0)
        return stay_with(u, e, op, r.after ? NM_END_after : NM_END_owned, r.owner);
    return sums_parts(u, e, op) ? set(e, op, NM_END_pending, MANY) : mix(u, e, op);
}

static bool class_results(nm_units *u, nm_ends *e)
{
    nm_func *f = e->f;
    for (int i = 0; i < f->n_results; i++) {
        nm_bind b = f->result_bind[i];
        nm_value *v = f->last->in[i];
        int owner = nm_units_is_kept(b) ? nm_units_owner(u, e->role, b, v->type) : NM_NOBODY;
        if (!take(u, e, v, owner, v->def ? v->def->loc : f->loc))
            return false;
    }
    return true;
}

static void class_params(nm_units *u, nm_ends *e)
{
    nm_func *f = e->f;
    for (int i = 0; i < f->n_params; i++) {
        nm_bind b = f->param_bind[i];
        uint32_t id = f->param[i]->id;
        if (!nm_units_is_kept(b) && b.kind != NM_BIND_acc)
            continue;
        e->owner[id] = nm_units_owner(u, e->role, b, f->param[i]->type);
        e->kind[id] = e->owner[id] == NM_NOBODY ? NM_END_middle : NM_END_owned;
    }
}

bool nm_units_class(nm_units *u, nm_func *f, nm_ends *e)
{
    nm_arena *arena = u->m->arena;
    *e = (nm_ends){.f = f, .role = nm_units_role(f, ".finish")};
    e->kind = nm_new_n(arena, nm_end, f->n_values + 1);
    e->owner = nm_new_n(arena, int, f->n_values + 1);
    e->leads = nm_new_n(arena, int, f->n_values + 1);
    e->whole = nm_new_n(arena, bool, f->n_values + 1);
    for (uint32_t i = 0; i < f->n_values; i++)
        e->owner[i] = e->leads[i] = NM_NOBODY;
    find_leads(u, e);
    class_params(u, e);
    for (nm_op *op = f->first; op != f->last; op = op->next)
        if (!class_op(u, e, op))
            return false;
    return class_results(u, e);
}
