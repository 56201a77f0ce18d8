// Stages of a model without a mesh table: its layers are shared out all the same. A step's repeats
// over a number of turns that is known, with values that go from turn to turn, are what a row pp
// would list, and become one. So a model needs no table for its layers to have variants of what
// they keep for backward (passes/recompute.c), and its binary takes --pp.
//
// Why here: autodiff has to know which repeats are shared out. Whether units can cut them so is
// known only then, so it is tried: on a copy of the module with such a row, the passes from
// autodiff to units. What one of them refuses is why there are no stages, which -Rfuse tells.
#include "passes/pass.h"
#include "passes/remarks.h"

#include <stdlib.h>
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

// The module as text, read again, in its arena: what is tried on it leaves this one as it is.
static nm_module *copy(nm_module *m, nm_diag *diag)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        nm_bug("stages: no memory for a copy");
    nm_print(out, m, (nm_print_opts){0});
    fclose(out);
    const nm_source *src = nm_source_text(m->arena, diag, "a copy for stages", text, n);
    free(text);
    nm_module *other = nm_module_new(m->arena, diag);
    other->options = m->options;
    other->n_carried = m->n_carried;
    other->carried = m->carried;
    return src && nm_parse(other, src) && nm_verify(other) ? other : NULL;
}

static void keep_first(void *user, nm_severity severity, nm_loc at, const char *message)
{
    char **first = user;
    (void)at; // of the copy: nobody can look there
    if (severity == NM_ERROR && !*first)
        *first = strdup(message);
}

static void add_row(nm_module *m, nm_syms layers)
{
    nm_sym *dim = nm_new_n(m->arena, nm_sym, layers.n);
    for (int i = 0; i < layers.n; i++)
        dim[i] = nm_sym_get(m, layers.sym[i]);
    nm_loc loc = nm_dim_lookup(m, dim[0])->loc;
    nm_mesh_add(m, (nm_mesh_row){nm_sym_get(m, "pp"), {layers.n, dim}, loc});
}

// Do the passes down to units take m with such a row?
static bool can_cut(nm_module *m, nm_syms layers)
{
    char *refusal = NULL;
    nm_diag quiet = {.sink = keep_first, .user = &refusal};
    nm_module *trial = copy(m, &quiet);
    nm_pipeline_opts down = {.start_from = "autodiff", .stop_after = "units"};
    if (trial)
        add_row(trial, layers);
    bool ok = trial && nm_pipeline_run(trial, &down);
    nm_remark_done(m->remarks, nm_dim_lookup(m, layers.sym[0])->loc, "stages: %s are %s%s",
                   layers.sym[0], ok ? "dealt out" : "not dealt out: ", ok ? "" : refusal);
    free(refusal);
    return ok;
}

bool nm_pass_stages(nm_module *m, bool *changed)
{
    if (m->n_mesh)
        return true;
    nm_syms layers = find_layers(m);
    if (!layers.n || !can_cut(m, layers))
        return true;
    add_row(m, layers);
    *changed = true;
    return true;
}
