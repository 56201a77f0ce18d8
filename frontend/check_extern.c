// Rule ext-2: the C functions behind an extern have the prototypes that its types ask for:
//
//   void NAME(const T *in..., T *out..., T *scratch..., int64_t extent...)
//   void GRAD(const T *in..., const T *out..., const T *dout..., T *din..., T *scratch...,
//             int64_t extent...)
//
// tensors in the order of the declaration, ints and floats among them by value (int64_t, double);
// dout of the results that are floats, din of the operands that are tensors of floats; the extents
// of all dims in the order in which the types name them. libclang reads what the file has. Only
// externs that are called are compared, and a file that is not there yet is not.
#include "base/clang.h"
#include "frontend/check.h"
#include "frontend/extern.h"
#include "ir/extern.h"

#include <string.h>

typedef struct wanted { // a parameter
    const char *type;   // canonical: "const float *"
    const char *text;   // as one would write it: "const float *logp"
    nm_loc loc;         // in the declaration
} wanted;

typedef struct prototype { // that the declaration asks for
    nm_module *m;
    const nm_ast_extern *ext;
    const char *name;
    nm_loc loc; // of the name, in the declaration
    int n;
    wanted want[NM_MAX_C_PARAMS];
    int n_dims;
    const nm_ast_axis *dim[NM_MAX_C_PARAMS];
} prototype;

// --- what the extern asks for --------------------------------------------------------------------

typedef struct c_type {
    const char *dtype, *text, *canonical;
    bool is_float;
} c_type;

static c_type c_type_of(const nm_ast_type *t)
{
    static const c_type types[] = {
        {"real", "float", "float", true},
        {"f32", "float", "float", true},
        {"f64", "double", "double", true},
        {"bf16", "uint16_t", "unsigned short", true},
        {"f16", "uint16_t", "unsigned short", true},
        {"e4m3", "uint8_t", "unsigned char", true},
        {"e5m2", "uint8_t", "unsigned char", true},
        {"i64", "int64_t", "long", false},
        {"i32", "int32_t", "int", false},
        {"i16", "int16_t", "short", false},
        {"i8", "int8_t", "signed char", false},
        {"u8", "uint8_t", "unsigned char", false},
        {"bool", "uint8_t", "unsigned char", false},
    };
    if (!t->elem.n)
        return types[0];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(t->elem.sym, types[i].dtype) == 0)
            return types[i];
    return (c_type){t->elem.sym, "int32_t", "int", false}; // positions in a dim
}

static void want(prototype *p, const char *type, const char *text, nm_loc loc)
{
    if (p->n < NM_MAX_C_PARAMS)
        p->want[p->n] = (wanted){type, text, loc};
    p->n++;
}

static void want_pointer(prototype *p, const nm_ast_type *t, const char *is_const, const char *name,
                         nm_loc loc)
{
    c_type c = c_type_of(t);
    want(p, nm_arena_fmt(p->m->arena, "%s%s *", is_const, c.canonical),
         nm_arena_fmt(p->m->arena, "%s%s *%s", is_const, c.text, name), loc);
}

static void want_operand(prototype *p, const nm_ast_par *par)
{
    bool is_int;
    if (!nm_extern_par_is_number(par, &is_int))
        want_pointer(p, &par->type, "const ", par->name.sym, par->loc);
    else
        want(p, is_int ? "long" : "double",
             nm_arena_fmt(p->m->arena, "%s %s", is_int ? "int64_t" : "double", par->name.sym),
             par->loc);
}

static void want_result(prototype *p, int i, const char *is_const, const char *name)
{
    const nm_ast_extern *e = p->ext;
    if (e->n_types > 1)
        name = nm_arena_fmt(p->m->arena, "%s_%d", name, i);
    want_pointer(p, &e->type[i], is_const, name, e->type[i].loc);
}

static void want_gradients(prototype *p)
{
    const nm_ast_extern *e = p->ext;
    for (int i = 0; i < e->n_types; i++)
        want_result(p, i, "const ", "out");
    for (int i = 0; i < e->n_types; i++)
        if (c_type_of(&e->type[i]).is_float)
            want_result(p, i, "const ", "dout");
    for (int i = 0; i < e->pars.n; i++) {
        const nm_ast_par *par = &e->pars.par[i];
        if (!nm_extern_par_is_number(par, NULL) && c_type_of(&par->type).is_float)
            want_pointer(p, &par->type, "", nm_arena_fmt(p->m->arena, "d%s", par->name.sym),
                         par->loc);
    }
}

static void want_scratch(prototype *p)
{
    for (int i = 0; i < p->ext->rows.n; i++) {
        const nm_ast_row *row = &p->ext->rows.row[i];
        if (row->type.shape.present)
            want_pointer(p, &row->type, "", "scratch", row->loc);
    }
}

static void note_dims(prototype *p, const nm_ast_shape *shape)
{
    for (int i = 0; i < shape->n; i++) {
        const nm_ast_axis *axis = &shape->axis[i];
        bool known = axis->kind != NM_AXIS_dim || p->n_dims == NM_MAX_C_PARAMS;
        for (int k = 0; k < p->n_dims; k++)
            known |= p->dim[k]->dim.name.sym == axis->dim.name.sym;
        if (!known)
            p->dim[p->n_dims++] = axis;
    }
}

static void want_extents(prototype *p)
{
    const nm_ast_extern *e = p->ext;
    for (int i = 0; i < e->pars.n; i++)
        note_dims(p, &e->pars.par[i].type.shape);
    for (int i = 0; i < e->n_types; i++)
        note_dims(p, &e->type[i].shape);
    for (int i = 0; i < e->rows.n; i++)
        note_dims(p, &e->rows.row[i].type.shape);
    for (int i = 0; i < p->n_dims; i++)
        want(p, "long", nm_arena_fmt(p->m->arena, "int64_t %s", p->dim[i]->dim.name.sym),
             p->dim[i]->loc);
}

static prototype prototype_of(nm_module *m, const nm_ast_extern *ext, bool is_grad)
{
    const nm_ast_row *grad = nm_extern_row(ext, "grad");
    prototype p = {.m = m, .ext = ext, .name = ext->name.sym, .loc = ext->name.loc};
    for (int i = 0; i < ext->pars.n; i++)
        want_operand(&p, &ext->pars.par[i]);
    for (int i = 0; i < ext->n_types && !is_grad; i++)
        want_result(&p, i, "", "out");
    if (is_grad) {
        p.name = grad->names.name[0].sym;
        p.loc = grad->loc;
        want_gradients(&p);
    }
    want_scratch(&p);
    want_extents(&p);
    return p;
}

// --- comparing -----------------------------------------------------------------------------------

static const char *place(nm_module *m, nm_loc at)
{
    if (!at.src)
        return "?";
    nm_line_col lc = nm_loc_line_col(at);
    return nm_arena_fmt(m->arena, "%s:%u:%u", at.src->name, lc.line, lc.col);
}

static const char *prototype_text(const prototype *p)
{
    const char *text = nm_arena_fmt(p->m->arena, "void %s(", p->name);
    for (int i = 0; i < p->n && i < NM_MAX_C_PARAMS; i++)
        text = nm_arena_fmt(p->m->arena, "%s%s%s", text, i ? ", " : "", p->want[i].text);
    return nm_arena_fmt(p->m->arena, "%s)", text);
}

static bool differs(const prototype *p, nm_loc declared, nm_loc defined, const char *message)
{
    nm_error(p->m->diag, declared, "%s", message);
    nm_note(p->m->diag, defined, "in %s", p->name);
    nm_help(p->m->diag, (nm_loc){0}, "expected: %s", prototype_text(p));
    return false;
}

static bool compare(const prototype *p, const nm_c_function *f)
{
    nm_arena *a = p->m->arena;
    if (f->n != p->n)
        return differs(p, p->loc, f->loc,
                       nm_arena_fmt(a, "%s takes %d parameters; expected %d [ext-2]",
                                    place(p->m, f->loc), f->n, p->n));
    for (int i = 0; i < p->n && i < NM_MAX_C_PARAMS; i++) {
        const wanted *w = &p->want[i];
        const nm_c_param *got = &f->param[i];
        if (strcmp(got->type, w->type) != 0)
            return differs(p, w->loc, got->loc,
                           nm_arena_fmt(a, "%s has '%s' for it; expected '%s' [ext-2]",
                                        place(p->m, got->loc), got->text, w->text));
    }
    return strcmp(f->result, "void") == 0 ||
           differs(p, p->loc, f->loc,
                   nm_arena_fmt(a, "%s returns %s; expected void [ext-2]", place(p->m, f->loc),
                                f->result));
}

static bool check_function(const prototype *p, const nm_ast_row *row, const nm_clang_job *job)
{
    nm_c_function f;
    if (!nm_clang_prototype(p->m->arena, p->m->diag, job, p->name, &f))
        return false;
    if (!f.loc.src)
        return nm_error(p->m->diag, row->loc, "%s defines no function %s [ext-2]",
                        job->source->name, p->name);
    return compare(p, &f);
}

static bool check_file(nm_module *m, const nm_ast_extern *ext, const char *label,
                       nm_clang_kind kind)
{
    const nm_ast_row *row = nm_extern_row(ext, label);
    if (!row)
        return true;
    nm_sym path = nm_extern_path(m, ext, row);
    if (!nm_extern_has_source(m, path))
        return true;
    nm_clang_job job = {.kind = kind, .source = nm_extern_source(m, path), .loc = row->loc};
    if (!job.source)
        return false;
    prototype p = prototype_of(m, ext, false);
    bool ok = check_function(&p, row, &job);
    if (!ok || !nm_extern_row(ext, "grad"))
        return ok;
    p = prototype_of(m, ext, true);
    return check_function(&p, row, &job);
}

// --- which ---------------------------------------------------------------------------------------

static bool is_called_in(const nm_func *f, const nm_ast_extern *ext)
{
    nm_each_op(op, f)
        if ((op->body && is_called_in(op->body, ext)) ||
            (op->code == NM_OP_extern && nm_attr_sym(op, "name") == ext->name.sym))
            return true;
    return false;
}

static bool is_called(const nm_module *m, const nm_ast_extern *ext)
{
    nm_each_func(f, m)
        if (is_called_in(f, ext))
            return true;
    return false;
}

bool nm_check_externs(nm_module *m, const nm_ast_program *prog)
{
    bool ok = true;
    for (int f = 0; f < prog->n_files; f++)
        for (int i = 0; i < prog->file[f]->n_externs; i++) {
            const nm_ast_extern *ext = &prog->file[f]->extern_[i];
            if (is_called(m, ext))
                ok = check_file(m, ext, "host", NM_CLANG_HOST) &&
                     check_file(m, ext, "cuda", NM_CLANG_EMU) && ok;
        }
    return ok;
}
