// Rule mesh-4: `pp` cuts repeats into stages, so its row lists dims that a repeat runs over. What a
// repeat runs over is read from the text: a module may take the dim as a parameter, and then any
// dim may be meant.
#include "frontend/check.h"
#include "frontend/walk.h"

#include <string.h>

typedef struct repeats {
    nm_arena *arena;
    const nm_ast_def *def; // being walked; NULL: an entry
    int n, cap;
    nm_sym *dim;
    bool any; // one runs over a parameter
} repeats;

static bool is_parameter(const nm_ast_def *d, nm_sym name)
{
    for (int i = 0; d && i < d->pars.n; i++)
        if (d->pars.par[i].name.sym == name)
            return true;
    return false;
}

static void add_repeat(void *user, const nm_ast_stmt *s)
{
    repeats *r = user;
    if (s->kind != NM_STMT_repeat)
        return;
    const nm_ast_name *dim = &s->u.loop.dim;
    r->any |= is_parameter(r->def, dim->sym);
    if (r->n == r->cap) {
        nm_sym *more = nm_new_n(r->arena, nm_sym, (size_t)(2 * r->cap + 8));
        if (r->n)
            memcpy(more, r->dim, (size_t)r->n * sizeof *more);
        r->dim = more;
        r->cap = 2 * r->cap + 8;
    }
    r->dim[r->n++] = dim->part[dim->n - 1].sym;
}

static void collect(repeats *r, const nm_ast_program *prog)
{
    nm_ast_visitor v = {.stmt = add_repeat, .user = r};
    for (int f = 0; f < prog->n_files; f++) {
        const nm_ast_file *file = prog->file[f];
        for (int i = 0; i < file->n_defs; i++) {
            r->def = &file->def[i];
            nm_ast_walk_def(&v, r->def);
        }
        r->def = NULL;
        for (int i = 0; i < file->n_entries; i++)
            nm_ast_walk_block(&v, &file->entry[i].body);
    }
}

static bool check_row(nm_module *m, const nm_ast_row *row, const repeats *r)
{
    bool ok = true;
    for (int i = 0; i < row->names.n; i++) {
        const nm_ast_name *name = &row->names.name[i];
        bool found = r->any;
        for (int k = 0; k < r->n; k++)
            found |= r->dim[k] == name->part[name->n - 1].sym;
        if (!found)
            ok = nm_error(m->diag, name->loc,
                          "pp takes the dims of repeats, and no repeat runs over '%s' [mesh-4]",
                          name->sym);
    }
    return ok;
}

bool nm_check_mesh(nm_module *m, const nm_ast_program *prog)
{
    repeats r = {.arena = m->arena};
    collect(&r, prog);
    bool ok = true;
    for (int f = 0; f < prog->n_files; f++)
        for (int k = 0; k < prog->file[f]->n_meshes; k++)
            for (int i = 0; i < prog->file[f]->mesh[k].n; i++)
                if (strcmp(prog->file[f]->mesh[k].row[i].label.sym, "pp") == 0)
                    ok &= check_row(m, &prog->file[f]->mesh[k].row[i], &r);
    return ok;
}
