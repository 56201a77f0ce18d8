// Stages of a model without a mesh table: its layers are shared out all the same. A step's repeats
// over a number of turns that is known, with values that go from turn to turn, are what a row pp
// would list, and become one. So a model needs no table for its layers to have variants of what
// they keep for backward (passes/recompute.c), and its binary takes --pp.
//
// A row that the user wrote and that cannot be is an error; this one is tried on the functions, and
// if units cannot be cut so, the module is as it was.
#include "passes/units.h"

#include <string.h>

// The layers that op goes through, all or some; NULL: it is no repeat of layers.
static nm_sym layers_of(const nm_op *op)
{
    nm_module *m = op->func->module;
    nm_sym over = op->code == NM_OP_repeat ? nm_attr_sym(op, "over") : NULL;
    const nm_dim_decl *d = over ? nm_dim_lookup(m, over) : NULL;
    int64_t turns;
    if (!d || !nm_extent_is_const(d->extent, &turns) || !nm_attr_int(op, "carried", 0))
        return NULL;
    return d->turns_of ? d->turns_of : over;
}

static nm_syms find_layers(nm_module *m)
{
    nm_sym *dim = nm_new_n(m->arena, nm_sym, (size_t)m->n_dims + 1);
    nm_syms all = {0, dim};
    nm_each_func(f, m)
        for (const nm_op *op = nm_units_role(f, ".micro") ? f->first : NULL; op; op = op->next) {
            nm_sym layers = layers_of(op);
            if (layers && !nm_syms_has(all, layers))
                dim[all.n++] = layers;
        }
    return all;
}

static bool is_fixed(const nm_module *m, const char *axis)
{
    for (int i = 0; i < m->options.n_fixes; i++)
        if (!strcmp(m->options.fix[i].name, axis))
            return true;
    return false;
}

// Copies of all functions, which stand behind them.
static nm_func *copy_all(nm_module *m, nm_func *last)
{
    for (nm_func *f = m->first_func; f; f = f == last ? NULL : f->next)
        nm_func_clone(f, f->name, NULL);
    return last->next;
}

static bool cut_quietly(nm_module *m, bool (*cut)(nm_module *m))
{
    nm_diag quiet = {0}, *diag = m->diag;
    m->diag = &quiet;
    bool ok = cut(m);
    m->diag = diag;
    return ok;
}

bool nm_units_try_stages(nm_module *m, bool (*cut)(nm_module *m))
{
    nm_syms layers = find_layers(m);
    nm_func *last = m->last_func;
    if (m->n_mesh || !layers.n || is_fixed(m, "pp"))
        return false;
    nm_func *copy = copy_all(m, last), *copy_last = m->last_func;
    last->next = NULL;
    m->last_func = last;
    nm_mesh_add(m,
                (nm_mesh_row){nm_sym_get(m, "pp"), layers, nm_dim_lookup(m, layers.sym[0])->loc});
    if (cut_quietly(m, cut))
        return true;
    m->first_func = copy;
    m->last_func = copy_last;
    m->n_mesh = 0;
    return false;
}
