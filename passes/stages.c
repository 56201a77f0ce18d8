// Stages of a model without a mesh table: its layers are shared out all the same. A step's repeats
// over a number of turns that is known, with values that go from turn to turn, are what a row pp
// would list, and become one. So a model needs no table for its layers to have variants of what
// they keep for backward (passes/recompute.c), and its binary takes --pp.
//
// Why here: autodiff has to know which repeats are shared out. Whether units can cut them so is
// known only then: who compiles tries that first, and asks for it (nm_options.stages).
#include "passes/pass.h"

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
        for (const nm_op *op = nm_func_has_role(f, "train") ? f->first : NULL; op; op = op->next) {
            nm_sym layers = layers_of(op);
            if (layers && !nm_syms_has(all, layers))
                dim[all.n++] = layers;
        }
    return all;
}

bool nm_pass_stages(nm_module *m, bool *changed)
{
    if (!m->options.stages || m->n_mesh)
        return true;
    nm_syms layers = find_layers(m);
    if (!layers.n)
        return true;
    nm_loc loc = nm_dim_lookup(m, layers.sym[0])->loc;
    nm_mesh_add(m, (nm_mesh_row){nm_sym_get(m, "pp"), layers, loc});
    *changed = true;
    return true;
}
