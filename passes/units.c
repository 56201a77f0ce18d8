// Units: a step in pieces that the stages of a pipeline run (docs/mesh.md, "Units"). The repeats
// over the dims of the mesh's row pp are where stages meet; with K of them in the forward direction
// there are units 0 .. 2K, odd ones the repeats. A micro-batch runs through forward 0, forward 1,
// ..., the turn 2K, ..., backward 1, backward 0; the end of a step is its owners', but for what
// mixes them.
//
// After accumulate: a step's parts are what is cut here, once more, in the same way. Before shard:
// forms of values are found in each function alone. How many turns a stage runs is not known here.
#include "passes/units.h"

#include "passes/parts.h"
#include "passes/pass.h"

#include <string.h>

nm_sym nm_units_role(const nm_func *f, const char *suffix)
{
    size_t n = strlen(f->name), k = strlen(suffix);
    bool step = nm_func_has_role(f, "train") || nm_func_has_role(f, "eval");
    if (!step || n <= k || strcmp(f->name + n - k, suffix))
        return NULL;
    return nm_sym_fmt(f->module, "%.*s", (int)(n - k), f->name);
}

static bool is_repeated(const nm_units *u, nm_sym dim)
{
    nm_each_func(f, u->m)
        for (nm_op *op = nm_units_role(f, ".micro") ? f->first : NULL; op; op = op->next)
            if (op->code == NM_OP_repeat && nm_attr_sym(op, "over") == dim)
                return true;
    return false;
}

// dim, if a step repeats over it, and the dims of its turns, if it was grouped.
static void find_repeated(nm_units *u, nm_sym dim, nm_sym *kept)
{
    nm_module *m = u->m;
    int before = u->dims.n++;
    for (int i = 0; i < m->n_dims; i++)
        if (m->dim[i].turns_of == dim && is_repeated(u, m->dim[i].name))
            kept[u->dims.n++] = m->dim[i].name;
    kept[before] = dim;
    if (u->dims.n == before + 1 && !is_repeated(u, dim))
        u->dims.n = before;
}

// The row pp keeps the dims that a step repeats over: a stage has its part of those, and of no
// other. There may be one turn alone.
static void find_dims(nm_units *u)
{
    nm_module *m = u->m;
    nm_mesh_row *row = NULL;
    for (int i = 0; i < m->n_mesh; i++)
        if (!strcmp(m->mesh[i].axis, "pp"))
            row = &m->mesh[i];
    nm_sym *kept = nm_new_n(m->arena, nm_sym, row ? row->dims.n + m->n_dims : 0);
    for (int i = 0; row && i < row->dims.n; i++)
        find_repeated(u, row->dims.sym[i], kept);
    u->dims.sym = kept;
    if (row && u->dims.n)
        row->dims = u->dims;
    else if (row)
        memmove(row, row + 1, (size_t)(&m->mesh[m->n_mesh--] - row - 1) * sizeof *row);
}

typedef bool cutter(nm_units *u, nm_func *f);

static bool cut_each(nm_units *u, const char *suffix, cutter *cut)
{
    for (nm_func *f = u->m->first_func, *next; f; f = next) {
        next = f->next;
        if (nm_units_role(f, suffix) && !cut(u, f))
            return false;
    }
    return true;
}

static bool cut_inits(nm_units *u)
{
    for (nm_func *f = u->m->first_func, *next; f; f = next) {
        next = f->next;
        if (!strcmp(f->name, "init") && !nm_units_cut_init(u, f))
            return false;
    }
    return true;
}

// Every stage counts its own ranks' data: the counts as they are, for shard to complete.
static bool add_counted(nm_units *u, nm_func *count)
{
    nm_module *m = u->m;
    nm_gives gives = {0};
    nm_func *g =
        nm_func_new(m, nm_sym_fmt(m, "%s.counted", nm_units_role(count, ".count")), count->loc);
    g->part.phase = NM_PHASE_middle;
    for (int i = 0; i < count->n_results; i++) {
        nm_bind bind = count->result_bind[i];
        const nm_type *type = count->last->in[i]->type;
        nm_part_give(&gives, nm_func_param(g, type, nm_sym_fmt(m, "count.%s", bind.name), bind),
                     bind);
    }
    nm_func_ret(g, count->loc, gives.n, gives.value, gives.bind);
    return true;
}

bool nm_pass_units(nm_module *m, bool *changed)
{
    nm_units u = {.m = m, .k = -1};
    *changed = true;
    find_dims(&u);
    nm_units_join_rows(&u);
    if (!cut_each(&u, ".micro", nm_units_cut_micro) || !nm_units_own(&u) ||
        !cut_each(&u, ".finish", nm_units_cut_finish) || !cut_inits(&u) ||
        !cut_each(&u, ".count", add_counted))
        return false;
    m->n_units = u.k < 0 ? 1 : 2 * u.k + 1;
    return true;
}
