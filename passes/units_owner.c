// Who owns what: a parameter is owned by the units whose functions of a micro-batch read it, its
// gradient and its states by the same. Owners keep the values and run their part of a step's end.
#include "ir/names.h"
#include "passes/parts.h"
#include "passes/units.h"

#include <string.h>

// --- the table ---------------------------------------------------------------------------------

static nm_owned *find(const nm_units *u, nm_bind_kind kind, nm_sym role, nm_sym name)
{
    for (int i = 0; i < u->n_owned; i++) {
        nm_owned *o = &u->owned[i];
        if (o->kind == kind && o->role == role && o->name == name)
            return o;
    }
    return NULL;
}

static void append(nm_units *u, nm_owned row)
{
    u->owned = nm_arena_grow(u->m->arena, u->owned, u->n_owned, sizeof *u->owned);
    u->owned[u->n_owned++] = row;
}

void nm_units_note(nm_units *u, nm_owned row)
{
    nm_owned *o = find(u, row.kind, row.role, row.name);
    if (o)
        o->units |= row.units;
    else
        append(u, row);
}

// --- owners ------------------------------------------------------------------------------------

static bool is_single(uint64_t units) { return !(units & (units - 1)); }

bool nm_owner_is_shared(const nm_owner *o)
{
    return !o->stacked && (!is_single(o->units) || (o->units & NM_ODD_UNITS));
}

static nm_sym label(nm_units *u, const nm_owner *o)
{
    const char *text = "";
    for (int i = 0; i < NM_MAX_UNITS; i++)
        if (o->units >> i & 1)
            text = nm_arena_fmt(u->m->arena, "%s%s%d", text, *text ? "_" : "", i);
    bool whole = is_single(o->units) && nm_owner_is_shared(o);
    bool rows = !is_single(o->units) && o->stacked;
    return nm_sym_fmt(u->m, "%s%s", text, whole ? ".whole" : rows ? ".rows" : "");
}

static int add_owner(nm_units *u, nm_owner o)
{
    o.label = label(u, &o);
    if (!(u->n_owners & (u->n_owners - 1))) {
        nm_owner *bigger = nm_new_n(u->m->arena, nm_owner, 2 * u->n_owners + 1);
        if (u->n_owners)
            memcpy(bigger, u->owner, (size_t)u->n_owners * sizeof *bigger);
        u->owner = bigger;
    }
    u->owner[u->n_owners] = o;
    return u->n_owners++;
}

// The owner of what these units read, of this type.
static int owner_of(nm_units *u, uint64_t units, const nm_type *type)
{
    nm_owner o = {.units = units};
    o.stacked = units && !(units & ~NM_ODD_UNITS) && nm_units_dim_in(u, type);
    for (int i = 0; i < u->n_owners; i++)
        if (u->owner[i].units == units && u->owner[i].stacked == o.stacked)
            return i;
    return add_owner(u, o);
}

// The parameter whose gradient an accumulator is; NULL: of none.
static nm_owned *param_of(const nm_units *u, nm_sym acc)
{
    nm_sym path = nm_gradient_path(u->m, acc);
    return path ? find(u, NM_BIND_param, NULL, path) : NULL;
}

// Does one of these units share out a row of `rows`, too?
static bool has_row(const nm_units *u, uint64_t units, nm_row_run rows)
{
    for (int i = 1; i < NM_MAX_UNITS; i += 2)
        if (units >> i & 1 && nm_rows_meet(rows, nm_rows_of(u, u->over[i])))
            return true;
    return false;
}

// Of what no unit reads: the units whose stages share out its turns, else the first. Of several
// repeats over the same turns the first has them.
static uint64_t home_of(const nm_units *u, const nm_type *type)
{
    nm_sym dim = nm_units_dim_in(u, type);
    uint64_t units = 0;
    for (int i = 1; dim && i < NM_MAX_UNITS; i += 2) {
        nm_row_run rows = nm_rows_of(u, u->over[i]);
        if (rows.dim == dim && !has_row(u, units, rows))
            units |= (uint64_t)1 << i;
    }
    return units ? units : 1;
}

int nm_units_owner(nm_units *u, nm_sym role, nm_bind bind, const nm_type *type)
{
    const nm_owned *o = find(u, bind.kind, bind.kind == NM_BIND_acc ? role : NULL, bind.name);
    if (bind.kind != NM_BIND_acc)
        return owner_of(u, o ? o->units : home_of(u, type), type);
    const nm_owned *param = param_of(u, bind.name);
    if (param)
        return owner_of(u, param->units, type);
    return o && type->rank ? owner_of(u, o->units, type) : NM_NOBODY;
}

// --- gradients and states ----------------------------------------------------------------------

// Has each of these units rows of its own?
static bool are_apart(const nm_units *u, uint64_t units)
{
    for (int i = 1; i < NM_MAX_UNITS; i += 2) {
        uint64_t unit = (uint64_t)1 << i;
        if (units & unit && has_row(u, units & (unit - 1), nm_rows_of(u, u->over[i])))
            return false;
    }
    return !(units & ~NM_ODD_UNITS);
}

static bool join_grads(nm_units *u)
{
    for (int i = 0; i < u->n_owned; i++) {
        nm_owned *param = u->owned[i].kind == NM_BIND_acc ? param_of(u, u->owned[i].name) : NULL;
        if (param)
            param->units |= u->owned[i].units;
    }
    for (int i = 0; i < u->n_owned; i++) {
        const nm_owned *o = &u->owned[i];
        if (o->kind == NM_BIND_param && !is_single(o->units) && nm_units_dim_in(u, o->type) &&
            !are_apart(u, o->units))
            return nm_error(u->m->diag, o->loc,
                            "'%s' is read by two repeats: the mesh's row pp cannot cut this model "
                            "into stages [pp-4]",
                            o->name);
    }
    return true;
}

// Which values depend on v?
static void mark_readers(const nm_func *f, const nm_value *v, bool *reads)
{
    memset(reads, 0, f->n_values * sizeof *reads);
    reads[v->id] = true;
    nm_each_op(op, f) {
        bool any = false;
        for (int i = 0; i < op->n_in; i++)
            any |= reads[op->in[i]->id];
        for (int i = 0; i < op->n_out; i++)
            reads[op->out[i].id] |= any;
    }
}

// The owners of the parameters whose update reads v.
static uint64_t units_updating(nm_units *u, const nm_func *f, const nm_value *v, bool *reads)
{
    uint64_t units = 0;
    mark_readers(f, v, reads);
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind == NM_BIND_param && reads[f->last->in[i]->id]) {
            int owner = nm_units_owner(u, NULL, f->result_bind[i], f->last->in[i]->type);
            units |= u->owner[owner].units;
        }
    return units;
}

// The units of the values of a kind that this result depends on.
static uint64_t units_behind(nm_units *u, const nm_func *f, nm_sym role, int result,
                             nm_bind_kind kind, bool *reads)
{
    uint64_t units = 0;
    for (int i = 0; i < f->n_params; i++) {
        if (f->param_bind[i].kind != kind)
            continue;
        mark_readers(f, f->param[i], reads);
        const nm_owned *o = find(u, kind, kind == NM_BIND_acc ? role : NULL, f->param_bind[i].name);
        if (o && reads[f->last->in[result]->id])
            units |= o->units;
    }
    return units;
}

static uint64_t units_of_state(nm_units *u, const nm_func *f, nm_sym role, int result, bool *reads)
{
    int param = nm_func_find_param(f, NM_BIND_state, f->result_bind[result].name);
    uint64_t units = param < 0 ? 0 : units_updating(u, f, f->param[param], reads);
    if (!units)
        units = units_behind(u, f, role, result, NM_BIND_param, reads);
    if (!units)
        units = units_behind(u, f, role, result, NM_BIND_acc, reads);
    return units ? units : home_of(u, f->last->in[result]->type);
}

static void note_states(nm_units *u, nm_func *f)
{
    nm_sym role = nm_units_role(f, ".finish");
    bool *reads = nm_new_n(u->m->arena, bool, f->n_values + 1);
    for (int i = 0; i < f->n_results; i++) {
        nm_bind bind = f->result_bind[i];
        if (bind.kind == NM_BIND_state)
            nm_units_note(u, (nm_owned){.kind = NM_BIND_state,
                                        .name = bind.name,
                                        .type = f->last->in[i]->type,
                                        .units = units_of_state(u, f, role, i, reads),
                                        .loc = f->loc});
    }
}

bool nm_units_own(nm_units *u)
{
    if (!join_grads(u))
        return false;
    nm_each_func(f, u->m)
        if (nm_units_role(f, ".finish"))
            note_states(u, f);
    return true;
}

// --- init --------------------------------------------------------------------------------------

static void build_init(nm_units *u, nm_func *f, int owner, const int *of)
{
    nm_value **map;
    nm_gives gives = {0};
    nm_func *g = nm_part_copy(f, nm_sym_fmt(u->m, "%s.%s", f->name, u->owner[owner].label), &map);
    g->part.units = u->owner[owner].units;
    for (int i = 0; i < f->n_results; i++)
        if (of[i] == owner)
            nm_part_give(&gives, g->last->in[i], f->result_bind[i]);
    if (gives.n)
        nm_part_end(g, &gives);
    else
        nm_func_remove(g);
}

bool nm_units_cut_init(nm_units *u, nm_func *f)
{
    int *of = nm_new_n(u->m->arena, int, f->n_results + 1);
    for (int i = 0; i < f->n_results; i++)
        of[i] = nm_units_owner(u, NULL, f->result_bind[i], f->last->in[i]->type);
    for (int i = 0; i < u->n_owners; i++)
        build_init(u, f, i, of);
    nm_func_remove(f);
    return true;
}
