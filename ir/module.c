// The module and its tables of dims, parameters and hyperparameters: arrays that double.
#include "ir/tables.h"

#include <stdarg.h>
#include <string.h>

nm_module *nm_module_new(nm_arena *arena, nm_diag *diag)
{
    nm_module *m = nm_new(arena, nm_module);
    m->arena = arena;
    m->diag = diag;
    m->syms = nm_interner_new(arena);
    m->tables = nm_new(arena, struct nm_tables);
    nm_attr_schemas_init(m);
    return m;
}

nm_sym nm_sym_get(nm_module *m, const char *s) { return nm_intern(m->syms, s, strlen(s)); }

nm_sym nm_sym_fmt(nm_module *m, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    size_t n = (size_t)vsnprintf(NULL, 0, fmt, ap) + 1;
    char *s = nm_arena_alloc(m->arena, n);
    vsnprintf(s, n, fmt, again);
    va_end(again);
    va_end(ap);
    return nm_intern(m->syms, s, n - 1);
}

// --- dims ----------------------------------------------------------------------------------------

nm_dim_decl *nm_dim_lookup(nm_module *m, nm_sym name)
{
    for (int i = 0; i < m->n_dims; i++)
        if (m->dim[i].name == name)
            return &m->dim[i];
    return NULL;
}

bool nm_dim_is_runtime(nm_module *m, nm_sym name)
{
    const nm_dim_decl *d = nm_dim_lookup(m, name);
    return d && d->runtime;
}

nm_dim_decl *nm_dim_declare(nm_module *m, nm_dim_decl decl)
{
    nm_dim_decl *d = nm_dim_lookup(m, decl.name);
    if (!d) {
        m->dim = nm_arena_grow(m->arena, m->dim, m->n_dims, sizeof *m->dim);
        d = &m->dim[m->n_dims++];
    }
    *d = decl;
    return d;
}

const nm_extent *nm_dim_default(nm_module *m, nm_sym name)
{
    const nm_dim_decl *d = nm_dim_lookup(m, name);
    size_t n = strlen(name);
    while (!d && n > 1 && name[n - 1] == '\'')
        d = nm_dim_lookup(m, nm_intern(m->syms, name, --n));
    return d ? d->extent : NULL;
}

nm_dim nm_dim_of(nm_module *m, nm_sym name)
{
    const nm_extent *e = nm_dim_default(m, name);
    if (!e)
        nm_bug("dim '%s' is not declared", name);
    return (nm_dim){.name = name, .extent = e};
}

nm_mesh_row *nm_mesh_add(nm_module *m, nm_mesh_row row)
{
    m->mesh = nm_arena_grow(m->arena, m->mesh, m->n_mesh, sizeof *m->mesh);
    nm_mesh_row *r = &m->mesh[m->n_mesh++];
    *r = row;
    return r;
}

// --fix pp=1: the row is about to go (passes/fix.c).
static bool has_no_stages(const nm_module *m)
{
    for (int i = 0; i < m->options.n_fixes; i++)
        if (!strcmp(m->options.fix[i].name, "pp"))
            return true;
    return false;
}

static bool is_in_row_pp(const nm_module *m, nm_sym dim)
{
    for (int i = 0; i < m->n_mesh && !has_no_stages(m); i++)
        if (!strcmp(m->mesh[i].axis, "pp") && nm_syms_has(m->mesh[i].dims, dim))
            return true;
    return false;
}

bool nm_dim_is_staged(nm_module *m, const nm_dim *d)
{
    return is_in_row_pp(m, d->name) && d->extent == nm_dim_default(m, d->name);
}

bool nm_is_staged(const nm_op *op)
{
    nm_module *m = op->func->module;
    nm_sym over = op->code == NM_OP_repeat ? nm_attr_sym(op, "over") : NULL;
    const nm_dim_decl *d = over ? nm_dim_lookup(m, over) : NULL;
    return d && (is_in_row_pp(m, over) || (d->turns_of && is_in_row_pp(m, d->turns_of)));
}

static bool is_all_of(const nm_extent *e, const nm_dim_decl *local)
{
    for (int i = 0; i < local->axes.n; i++)
        if (!nm_extent_reads(e, local->axes.axis[i]))
            return false;
    return true;
}

bool nm_extent_is_stored(nm_module *m, const nm_extent *e)
{
    bool product = e->n_terms == 1 && e->term->n_atoms > 1;
    for (int i = 0; product && i < e->term->n_atoms; i++) {
        const nm_atom *a = &e->term->atom[i];
        const nm_dim_decl *d = a->sym ? nm_dim_lookup(m, a->sym) : NULL;
        if (d && d->of)
            return is_all_of(e, d);
    }
    return false;
}

// --- parameters and hyperparameters --------------------------------------------------------------

nm_param *nm_param_lookup(nm_module *m, nm_sym path)
{
    for (int i = 0; i < m->n_params; i++)
        if (m->param[i].path == path)
            return &m->param[i];
    return NULL;
}

nm_param *nm_param_add(nm_module *m, nm_param param)
{
    m->param = nm_arena_grow(m->arena, m->param, m->n_params, sizeof *m->param);
    nm_param *p = &m->param[m->n_params++];
    *p = param;
    return p;
}

nm_hyper *nm_hyper_lookup(nm_module *m, nm_sym name)
{
    for (int i = 0; i < m->n_hypers; i++)
        if (m->hyper[i].name == name)
            return &m->hyper[i];
    return NULL;
}

nm_hyper *nm_hyper_add(nm_module *m, nm_hyper hyper)
{
    m->hyper = nm_arena_grow(m->arena, m->hyper, m->n_hypers, sizeof *m->hyper);
    nm_hyper *h = &m->hyper[m->n_hypers++];
    *h = hyper;
    return h;
}
