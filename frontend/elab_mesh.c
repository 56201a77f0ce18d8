// The rows of `mesh` blocks: which dims an axis may split. A file's rows name dims of its own unit,
// and add to the axis' row of the module.
#include "frontend/elab_internal.h"

static nm_mesh_row *mesh_row(nm_elab *e, const nm_ast_row *row)
{
    nm_module *m = e->m;
    for (int i = 0; i < m->n_mesh; i++)
        if (m->mesh[i].axis == row->label.sym)
            return &m->mesh[i];
    m->mesh = nm_arena_grow(e->a, m->mesh, m->n_mesh, sizeof *m->mesh);
    m->mesh[m->n_mesh] = (nm_mesh_row){.axis = row->label.sym, .loc = row->loc};
    return &m->mesh[m->n_mesh++];
}

static void add_dim(nm_elab *e, nm_mesh_row *row, nm_sym dim)
{
    if (nm_syms_has(row->dims, dim))
        return;
    nm_sym *s = nm_new_n(e->a, nm_sym, (size_t)row->dims.n + 1);
    for (int i = 0; i < row->dims.n; i++)
        s[i] = row->dims.sym[i];
    s[row->dims.n] = dim;
    row->dims = (nm_syms){row->dims.n + 1, s};
}

static void unknown_dim(nm_elab *e, nm_unit *u, const nm_ast_name *name)
{
    nm_sym dims[256];
    int n = 0;
    for (nm_item *i = u->item; i && n < 256; i = i->next)
        if (i->kind == NM_ITEM_dim)
            dims[n++] = i->name;
    nm_sym near = nm_elab_nearest(e, name->sym, n, dims);
    nm_elab_error(e, NULL, name->loc, "no dim is called '%s'%s%s%s [mesh-1]", name->sym,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void add_row(nm_elab *e, nm_unit *u, const nm_ast_row *row)
{
    nm_mesh_row *to = mesh_row(e, row);
    for (int i = 0; i < row->names.n; i++) {
        nm_item *item = nm_unit_own(u, row->names.name[i].sym);
        if (!item || item->kind != NM_ITEM_dim)
            unknown_dim(e, u, &row->names.name[i]);
        else
            add_dim(e, to, nm_unit_dim_name(e, u, item->name));
    }
}

static void add_file(nm_elab *e, nm_unit *u, const nm_ast_file *file, int depth)
{
    for (int k = 0; k < file->n_meshes; k++)
        for (int i = 0; i < file->mesh[k].n; i++)
            add_row(e, u, &file->mesh[k].row[i]);
    for (int i = 0; i < file->n_uses && depth < 32; i++) {
        const nm_ast_use *use = &file->use[i];
        nm_item *as = use->as.sym ? nm_unit_own(u, use->as.sym) : NULL;
        if (use->file && (!use->as.sym || (as && as->unit)))
            add_file(e, as ? as->unit : u, use->file, depth + 1);
    }
}

void nm_mesh_read(nm_elab *e) { add_file(e, e->main, e->main->file, 0); }
