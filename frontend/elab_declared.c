// What declarations say, before anything is called: the kinds of parameters (call-1), and the rows
// and parameters of externs (ext-2, ext-4).
#include "frontend/elab_internal.h"

#include <string.h>

static nm_ev no_kind(nm_elab *e, const nm_ast_word *kind, int n, const char *const *kinds,
                     const char *what)
{
    const char *near = nm_nearest(kind->sym, kinds, (size_t)n), *list = "";
    for (int i = 0; i < n; i++)
        list = nm_arena_fmt(e->a, "%s%s%s", list,
                            i == 0       ? ""
                            : i == n - 1 ? " or "
                                         : ", ",
                            kinds[i]);
    return near ? nm_elab_error(e, NULL, kind->loc, "%s '%s'; did you mean '%s'? [call-1]", what,
                                kind->sym, near)
                : nm_elab_error(e, NULL, kind->loc, "%s '%s'; it is %s [call-1]", what, kind->sym,
                                list);
}

static bool is_listed(nm_sym word, int n, const char *const *list)
{
    for (int i = 0; i < n; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}

static void check_def(nm_elab *e, const nm_ast_def *def)
{
    static const char *const kinds[] = {"dim",  "dims", "int",  "float",
                                        "bool", "fn",   "word", "module"};
    enum { N = sizeof kinds / sizeof *kinds };
    for (int i = 0; i < def->pars.n; i++) {
        const nm_ast_par *par = &def->pars.par[i];
        if (par->kind == NM_PAR_kind && !is_listed(par->of.sym, N, kinds))
            no_kind(e, &par->of, N, kinds, "no parameter is of the kind");
    }
}

// --- externs -------------------------------------------------------------------------------------

// A tensor, or a number that C gets by value.
static void check_par(nm_elab *e, const nm_ast_par *par)
{
    static const char *const kinds[] = {"int", "float"};
    if (par->kind == NM_PAR_typed || par->type.shape.present)
        return;
    if (par->kind == NM_PAR_plain && par->otherwise) // rate = 0.1
        return;
    if (par->kind != NM_PAR_kind)
        nm_elab_error(e, NULL, par->loc,
                      "an extern takes tensors (x: f32[batch]) and numbers (k: int, rate: float); "
                      "this says neither [ext-2]");
    else if (!is_listed(par->of.sym, 2, kinds))
        no_kind(e, &par->of, 2, kinds, "no number that an extern takes is of the kind");
}

static void check_rows(nm_elab *e, const nm_ast_extern *ext)
{
    static const char *const labels[] = {"host", "cuda", "grad", "whole", "scratch"};
    for (int i = 0; i < ext->rows.n; i++) {
        const nm_ast_row *row = &ext->rows.row[i];
        size_t k = 0;
        while (k < 5 && strcmp(row->label.sym, labels[k]) != 0)
            k++;
        bool fits = k < 2    ? row->string != NULL
                    : k == 2 ? row->names.n == 1
                    : k == 3 ? row->names.n > 0
                             : k == 4 && row->type.shape.present;
        if (!fits)
            nm_elab_error(e, NULL, row->loc,
                          "an extern has host: \"file\", cuda: \"file\", grad: name, whole: dims "
                          "and scratch: type [ext-4]");
    }
}

typedef struct names { // of the dims of an extern's types, some more than once
    int n;
    nm_sym *name;
} names;

static void note_dims(nm_elab *e, names *dims, const nm_ast_shape *shape)
{
    for (int i = 0; i < shape->n; i++) {
        if (shape->axis[i].kind != NM_AXIS_dim)
            continue;
        dims->name = nm_arena_grow(e->a, dims->name, dims->n, sizeof *dims->name);
        dims->name[dims->n++] = shape->axis[i].dim.name.sym;
    }
}

static names dims_of(nm_elab *e, const nm_ast_extern *ext)
{
    names dims = {0};
    for (int i = 0; i < ext->pars.n; i++)
        note_dims(e, &dims, &ext->pars.par[i].type.shape);
    for (int i = 0; i < ext->n_types; i++)
        note_dims(e, &dims, &ext->type[i].shape);
    for (int i = 0; i < ext->rows.n; i++)
        note_dims(e, &dims, &ext->rows.row[i].type.shape);
    return dims;
}

// A misspelt dim would be cut, and results be wrong.
static void check_whole(nm_elab *e, const nm_ast_extern *ext)
{
    names dims = dims_of(e, ext);
    for (int i = 0; i < ext->rows.n; i++) {
        const nm_ast_row *row = &ext->rows.row[i];
        for (int k = 0; k < row->names.n && strcmp(row->label.sym, "whole") == 0; k++) {
            const nm_ast_name *name = &row->names.name[k];
            if (is_listed(name->sym, dims.n, dims.name))
                continue;
            nm_sym near = nm_elab_nearest(e, name->sym, dims.n, dims.name);
            nm_elab_error(e, NULL, name->loc,
                          "no type of this extern has the dim '%s'%s%s%s [ext-4]", name->sym,
                          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
    }
}

bool nm_declarations_check(nm_elab *e)
{
    unsigned before = e->fails;
    for (int f = 0; f < e->prog->n_files; f++) {
        const nm_ast_file *file = e->prog->file[f];
        for (int i = 0; i < file->n_defs; i++)
            check_def(e, &file->def[i]);
        for (int i = 0; i < file->n_externs; i++) {
            const nm_ast_extern *ext = &file->extern_[i];
            for (int k = 0; k < ext->pars.n; k++)
                check_par(e, &ext->pars.par[k]);
            check_rows(e, ext);
            check_whole(e, ext);
        }
    }
    return e->fails == before;
}
