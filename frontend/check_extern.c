// Rule ext-2: the C function behind an extern has the prototype that the extern's types ask for:
//
//   int NAME(const T *in..., T *out..., int64_t extent...)
//
// tensors in the order of the declaration, ints and floats by value (int64_t, double), one pointer
// a result, then the extents of the run-time dims in the order in which the types name them; the
// result is a status, 0 for fine. The file is looked for beside the model. What is compared is the
// text of the parameters: no preprocessor runs. A file that is not there yet is not checked.
#include "frontend/check.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PARS = 40 };

typedef struct c_par { // one parameter of a prototype
    nm_loc at;         // in the C file
    const char *text;  // "const float *letters"
    const char *type;  // "const float*"
} c_par;

typedef struct prototype {
    nm_module *m;
    const nm_ast_program *prog;
    const nm_ast_extern *ext;
    const nm_source *c;
    int n_want;
    const char *want[MAX_PARS];      // by parameter: its type
    const nm_ast_par *par[MAX_PARS]; // that asks for it; NULL: a result or an extent
    int n_dims;
    nm_sym dim[MAX_PARS];
    int n_got;
    c_par got[MAX_PARS];
} prototype;

// --- what the extern asks for --------------------------------------------------------------------

static const char *c_type(const nm_ast_type *t)
{
    static const struct {
        const char *dtype, *c;
    } types[] = {
        {"real", "float"},   {"f32", "float"},    {"f64", "double"},   {"bf16", "uint16_t"},
        {"f16", "uint16_t"}, {"e4m3", "uint8_t"}, {"e5m2", "uint8_t"}, {"i64", "int64_t"},
        {"i32", "int32_t"},  {"i16", "int16_t"},  {"i8", "int8_t"},    {"u8", "uint8_t"},
        {"bool", "uint8_t"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types && t->elem.n; i++)
        if (strcmp(t->elem.sym, types[i].dtype) == 0)
            return types[i].c;
    return t->elem.n ? "int32_t" : "float"; // positions in a dim
}

static void want(prototype *p, const char *type, const nm_ast_par *par)
{
    if (p->n_want == MAX_PARS)
        return;
    p->par[p->n_want] = par;
    p->want[p->n_want++] = type;
}

static bool is_sized(const prototype *p, nm_sym dim)
{
    for (int f = 0; f < p->prog->n_files; f++)
        for (int i = 0; i < p->prog->file[f]->n_dims; i++)
            if (p->prog->file[f]->dim[i].word.sym == dim)
                return !p->prog->file[f]->dim[i].runtime;
    return false;
}

static void note_dims(prototype *p, const nm_ast_shape *shape)
{
    for (int i = 0; i < shape->n; i++) {
        nm_sym dim = shape->axis[i].dim.name.sym;
        bool known = shape->axis[i].kind != NM_AXIS_dim || is_sized(p, dim) || strchr(dim, '\'');
        for (int k = 0; k < p->n_dims; k++)
            known |= p->dim[k] == dim;
        if (!known && p->n_dims < MAX_PARS)
            p->dim[p->n_dims++] = dim;
    }
}

static void read_extern(prototype *p)
{
    const nm_ast_extern *e = p->ext;
    for (int i = 0; i < e->pars.n; i++) {
        const nm_ast_par *par = &e->pars.par[i];
        bool tensor = par->kind == NM_PAR_typed || par->type.shape.present;
        bool is_int = par->of.sym && strcmp(par->of.sym, "int") == 0;
        if (tensor)
            want(p, nm_arena_fmt(p->m->arena, "const %s*", c_type(&par->type)), par);
        else
            want(p, is_int ? "int64_t" : "double", par);
        note_dims(p, &par->type.shape);
    }
    for (int i = 0; i < e->n_types; i++) {
        want(p, nm_arena_fmt(p->m->arena, "%s*", c_type(&e->type[i])), NULL);
        note_dims(p, &e->type[i].shape);
    }
    for (int i = 0; i < p->n_dims; i++)
        want(p, "int64_t", NULL);
}

// --- what the C file has -------------------------------------------------------------------------

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

// The '(' of the first `name (` in the text, or NULL.
static const char *find_function(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += n) {
        const char *open = at + n + strspn(at + n, " \t\n");
        if (*open == '(' && (at == text || !is_name_char(at[-1])))
            return open;
    }
    return NULL;
}

static bool is_word(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && strncmp(text, word, n) == 0;
}

// "const float *restrict letters" -> "const float*": without the name, blanks around '*', restrict.
static const char *type_of(nm_module *m, const char *text, size_t len)
{
    while (len && is_name_char(text[len - 1]))
        len--;
    const char *type = "";
    for (size_t i = 0, n; i < len; i += n) {
        n = 1;
        while (is_name_char(text[i]) && i + n < len && is_name_char(text[i + n]))
            n++;
        if (text[i] == '*')
            type = nm_arena_fmt(m->arena, "%s*", type);
        else if (is_name_char(text[i]) && !is_word(text + i, n, "restrict"))
            type = nm_arena_fmt(m->arena, "%s%s%.*s", type, *type ? " " : "", (int)n, text + i);
    }
    return type;
}

static void read_parameters(prototype *p, const char *open)
{
    const char *at = open + 1;
    while (p->n_got < MAX_PARS) {
        at += strspn(at, " \t\n");
        size_t n = strcspn(at, ",)"), len = n;
        while (len && isspace((unsigned char)at[len - 1]))
            len--;
        c_par *got = &p->got[p->n_got++];
        got->at = (nm_loc){.src = p->c, .off = (uint32_t)(at - p->c->text), .len = (uint32_t)len};
        got->text = nm_arena_fmt(p->m->arena, "%.*s", (int)len, at);
        got->type = type_of(p->m, at, len);
        if (at[n] != ',')
            return;
        at += n + 1;
    }
}

// --- comparing -----------------------------------------------------------------------------------

static const char *place(nm_module *m, nm_loc at)
{
    nm_line_col lc = nm_loc_line_col(at);
    return nm_arena_fmt(m->arena, "%s:%u:%u", at.src->name, lc.line, lc.col);
}

static const char *prototype_text(const prototype *p)
{
    const char *text = nm_arena_fmt(p->m->arena, "int %s(", p->ext->name.sym);
    for (int i = 0; i < p->n_want; i++)
        text = nm_arena_fmt(p->m->arena, "%s%s%s", text, i ? ", " : "", p->want[i]);
    return nm_arena_fmt(p->m->arena, "%s)", text);
}

// "const float*" as one would write it: "const float *".
static const char *spaced(nm_module *m, const char *type)
{
    size_t n = strcspn(type, "*");
    return nm_arena_fmt(m->arena, "%.*s%s%s", (int)n, type, type[n] ? " " : "", type + n);
}

static bool compare(const prototype *p, nm_loc function)
{
    nm_diag *d = p->m->diag;
    if (p->n_got != p->n_want)
        return nm_error(d, p->ext->name.loc, "%s takes %d parameters; expected %s [ext-2]",
                        place(p->m, function), p->n_got, prototype_text(p));
    for (int i = 0; i < p->n_want; i++)
        if (strcmp(p->got[i].type, p->want[i]) != 0)
            return nm_error(d, p->par[i] ? p->par[i]->loc : p->ext->name.loc,
                            "%s has '%s' for it; expected '%s' [ext-2]", place(p->m, p->got[i].at),
                            p->got[i].text, spaced(p->m, p->want[i]));
    return true;
}

static bool check_row(prototype *p, const nm_ast_row *row)
{
    const char *user = p->ext->file->src->name, *slash = strrchr(user, '/');
    const char *path =
        nm_arena_fmt(p->m->arena, "%.*s%s", slash ? (int)(slash - user) + 1 : 0, user, row->string);
    if (access(path, R_OK) != 0)
        return true;
    p->c = nm_source_read(p->m->arena, p->m->diag, path);
    if (!p->c)
        return false;
    const char *open = find_function(p->c->text, p->ext->name.sym);
    if (!open)
        return nm_error(p->m->diag, row->loc, "%s has no function %s [ext-2]", path,
                        p->ext->name.sym);
    read_extern(p);
    read_parameters(p, open);
    return compare(p, (nm_loc){.src = p->c, .off = (uint32_t)(open - p->c->text), .len = 1});
}

static bool check_extern(nm_module *m, const nm_ast_program *prog, const nm_ast_extern *ext)
{
    bool ok = true;
    for (int i = 0; i < ext->rows.n; i++) {
        const nm_ast_row *row = &ext->rows.row[i];
        if (strcmp(row->label.sym, "host") == 0 && row->string)
            ok &= check_row(&(prototype){.m = m, .prog = prog, .ext = ext}, row);
    }
    return ok;
}

bool nm_check_externs(nm_module *m, const nm_ast_program *prog)
{
    bool ok = true;
    for (int f = 0; f < prog->n_files; f++)
        for (int i = 0; i < prog->file[f]->n_externs; i++)
            ok &= check_extern(m, prog, &prog->file[f]->extern_[i]);
    return ok;
}
