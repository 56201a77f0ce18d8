// Attributes. An op's row says "over: dims, causal?: bool"; the text is read once a module, and an
// op holds its attributes in that order.
#include "ir/tables.h"

#include <ctype.h>
#include <string.h>

static const char *const kind_name[] = {
    [NM_ATTR_int] = "int",     [NM_ATTR_float] = "float",   [NM_ATTR_bool] = "bool",
    [NM_ATTR_sym] = "sym",     [NM_ATTR_dims] = "dims",     [NM_ATTR_string] = "string",
    [NM_ATTR_dtype] = "dtype", [NM_ATTR_extent] = "extent",
};
enum { N_KINDS = sizeof kind_name / sizeof *kind_name };

// --- schemas -------------------------------------------------------------------------------------

static const char *skip(const char *p, const char *set) { return p + strspn(p, set); }

static nm_attr_kind find_kind(const char *op, const char *word, size_t n)
{
    for (int k = 0; k < N_KINDS; k++)
        if (strlen(kind_name[k]) == n && !memcmp(kind_name[k], word, n))
            return (nm_attr_kind)k;
    nm_bug("ops.def: %s: no attribute kind '%.*s'", op, (int)n, word);
}

static void read_schema(nm_module *m, const nm_op_info *info, nm_attr_schema *s)
{
    const char *p = info->attrs;
    while (p && *(p = skip(p, " ,"))) {
        size_t n = strcspn(p, "?:");
        if (s->n == NM_MAX_OP_ATTRS || !n)
            nm_bug("ops.def: %s: attributes '%s'", info->name, info->attrs);
        nm_attr_spec *spec = &s->spec[s->n++];
        spec->name = nm_intern(m->syms, p, n);
        spec->optional = p[n] == '?';
        p = skip(p + n, "?: ");
        n = strcspn(p, " ,");
        spec->kind = find_kind(info->name, p, n);
        p += n;
    }
}

void nm_attr_schemas_init(nm_module *m)
{
    for (int i = 0; i < NM_N_OPS; i++)
        read_schema(m, &nm_op_table[i], &m->tables->schema[i]);
}

static const nm_attr *find(int n, const nm_attr *attr, nm_sym name)
{
    for (int i = 0; i < n; i++)
        if (attr[i].name == name)
            return &attr[i];
    return NULL;
}

static bool is_known(const nm_attr_schema *s, nm_sym name)
{
    for (int i = 0; i < s->n; i++)
        if (s->spec[i].name == name)
            return true;
    return false;
}

bool nm_attrs_normalise(nm_module *m, nm_loc loc, nm_opcode code, int n, const nm_attr *attr,
                        int *n_out, nm_attr out[NM_MAX_OP_ATTRS])
{
    const nm_attr_schema *s = &m->tables->schema[code];
    const char *op = nm_op_table[code].name;
    for (int i = 0; i < n; i++) {
        if (!is_known(s, attr[i].name))
            return nm_error(m->diag, loc, "%s has no attribute '%s' [attr-1]", op, attr[i].name);
        if (find(i, attr, attr[i].name))
            return nm_error(m->diag, loc, "%s: '%s' is given twice [attr-4]", op, attr[i].name);
    }
    *n_out = 0;
    for (int i = 0; i < s->n; i++) {
        const nm_attr *a = find(n, attr, s->spec[i].name);
        if (!a && !s->spec[i].optional)
            return nm_error(m->diag, loc, "%s wants an attribute '%s' (%s) [attr-2]", op,
                            s->spec[i].name, kind_name[s->spec[i].kind]);
        if (a && a->kind != s->spec[i].kind)
            return nm_error(m->diag, loc, "%s: '%s' is a %s, not a %s [attr-3]", op, a->name,
                            kind_name[s->spec[i].kind], kind_name[a->kind]);
        if (a)
            out[(*n_out)++] = *a;
    }
    return true;
}

bool nm_syms_same(nm_syms a, nm_syms b)
{
    return a.n == b.n && (!a.n || !memcmp(a.sym, b.sym, (size_t)a.n * sizeof *a.sym));
}

// --- reading -------------------------------------------------------------------------------------

const nm_attr *nm_attr_get(const nm_op *op, const char *name)
{
    for (int i = 0; i < op->n_attrs; i++)
        if (!strcmp(op->attr[i].name, name))
            return &op->attr[i];
    return NULL;
}

int64_t nm_attr_int(const nm_op *op, const char *name, int64_t otherwise)
{
    const nm_attr *a = nm_attr_get(op, name);
    return a ? a->u.i : otherwise;
}

double nm_attr_float(const nm_op *op, const char *name, double otherwise)
{
    const nm_attr *a = nm_attr_get(op, name);
    return a ? a->u.f : otherwise;
}

bool nm_attr_bool(const nm_op *op, const char *name)
{
    const nm_attr *a = nm_attr_get(op, name);
    return a && a->u.b;
}

nm_sym nm_attr_sym(const nm_op *op, const char *name)
{
    const nm_attr *a = nm_attr_get(op, name);
    return a ? a->u.sym : NULL;
}

nm_syms nm_attr_dims(const nm_op *op, const char *name)
{
    const nm_attr *a = nm_attr_get(op, name);
    return a ? a->u.syms : (nm_syms){0};
}

bool nm_syms_has(nm_syms list, nm_sym s)
{
    for (int i = 0; i < list.n; i++)
        if (list.sym[i] == s)
            return true;
    return false;
}

bool nm_op_names(const nm_op *op, nm_sym dim)
{
    for (int i = 0; i < op->n_attrs; i++) {
        const nm_attr *a = &op->attr[i];
        if ((a->kind == NM_ATTR_sym && a->u.sym == dim) ||
            (a->kind == NM_ATTR_dims && nm_syms_has(a->u.syms, dim)))
            return true;
    }
    return false;
}

// --- making --------------------------------------------------------------------------------------

static nm_attr make(nm_module *m, const char *name, nm_attr_kind kind)
{
    return (nm_attr){.name = nm_sym_get(m, name), .kind = kind};
}

nm_attr nm_mk_int(nm_module *m, const char *name, int64_t i)
{
    nm_attr a = make(m, name, NM_ATTR_int);
    a.u.i = i;
    return a;
}

nm_attr nm_mk_float(nm_module *m, const char *name, double f)
{
    nm_attr a = make(m, name, NM_ATTR_float);
    a.u.f = f;
    return a;
}

nm_attr nm_mk_bool(nm_module *m, const char *name, bool b)
{
    nm_attr a = make(m, name, NM_ATTR_bool);
    a.u.b = b;
    return a;
}

nm_attr nm_mk_sym(nm_module *m, const char *name, nm_sym s)
{
    nm_attr a = make(m, name, NM_ATTR_sym);
    a.u.sym = s;
    return a;
}

nm_attr nm_mk_string(nm_module *m, const char *name, nm_sym s)
{
    nm_attr a = make(m, name, NM_ATTR_string);
    a.u.sym = s;
    return a;
}

nm_attr nm_mk_dims(nm_module *m, const char *name, nm_syms dims)
{
    nm_attr a = make(m, name, NM_ATTR_dims);
    nm_sym *copy = nm_new_n(m->arena, nm_sym, dims.n);
    for (int i = 0; i < dims.n; i++)
        copy[i] = dims.sym[i];
    a.u.syms = (nm_syms){dims.n, copy};
    return a;
}

nm_attr nm_mk_dtype(nm_module *m, const char *name, nm_dtype t)
{
    nm_attr a = make(m, name, NM_ATTR_dtype);
    a.u.dtype = t;
    return a;
}

nm_attr nm_mk_extent(nm_module *m, const char *name, const nm_extent *e)
{
    nm_attr a = make(m, name, NM_ATTR_extent);
    a.u.extent = e;
    return a;
}
