// The questions that all who handle extern ops ask: see extern.h. And its typing rule.
#include "ir/extern.h"
#include "ir/form.h"
#include "ir/shape.h"

#include <string.h>
#include <unistd.h>

bool nm_extern_is_number(const nm_op *op, int operand)
{
    return operand < NM_EXTERN_MAX_NUMBERED && nm_attr_int(op, "numbers", 0) >> operand & 1;
}

int nm_extern_n_results(const nm_op *op) { return op->n_out - (int)nm_attr_int(op, "scratch", 0); }

static const nm_extent *extent_in(const nm_type *t, nm_sym dim)
{
    int at = nm_type_find(t, dim);
    return at < 0 ? NULL : t->dim[at].extent;
}

const nm_extent *nm_extern_extent(const nm_op *op, nm_sym dim)
{
    const nm_extent *e = NULL;
    for (int i = 0; i < op->n_in && !e; i++)
        e = extent_in(op->in[i]->type, dim);
    for (int i = 0; i < op->n_out && !e; i++)
        e = extent_in(op->out[i].type, dim);
    return e;
}

const nm_type *nm_extern_order(nm_module *m, const nm_op *op, const nm_type *t)
{
    nm_syms dims = nm_attr_dims(op, "dims");
    nm_type ordered = *t;
    for (int i = 0, n = 0; i < dims.n; i++) {
        int at = nm_type_find(t, dims.sym[i]);
        if (at >= 0)
            ordered.dim[n++] = t->dim[at];
    }
    return nm_type_get(m, &ordered);
}

// --- what is cut ---------------------------------------------------------------------------------

static int count_cut(const nm_op *op, const nm_type *t, int n)
{
    nm_syms dims = nm_attr_dims(op, "dims");
    int has = 0;
    for (int i = 0; i < n; i++)
        has += nm_has_dim(t, dims.sym[i]);
    return has;
}

static bool can_cut(const nm_op *op, int n)
{
    for (int i = 0; i < op->n_in; i++) {
        int has = count_cut(op, op->in[i]->type, n);
        if (has && has < n)
            return false;
    }
    for (int i = 0; i < op->n_out; i++)
        if (count_cut(op, op->out[i].type, n) < n)
            return false;
    return true;
}

int nm_extern_n_cut(const nm_op *op)
{
    nm_syms dims = nm_attr_dims(op, "dims");
    int n = 0;
    while (n < dims.n && !nm_form_needs_whole(op, dims.sym[n]))
        n++;
    while (n && !can_cut(op, n))
        n--;
    return n;
}

bool nm_extern_is_cut(const nm_op *op, const nm_type *t)
{
    return count_cut(op, t, nm_extern_n_cut(op)) > 0;
}

// --- typing --------------------------------------------------------------------------------------

static bool check_type(nm_module *m, const nm_op *op, const nm_type *t, const char *what, int i)
{
    nm_syms dims = nm_attr_dims(op, "dims");
    for (int k = 0; k < t->rank; k++) {
        nm_sym d = t->dim[k].name;
        if (!nm_syms_has(dims, d))
            return nm_error(m->diag, op->loc,
                            "extern: %s %d has '%s', which dims does not list "
                            "[extern-2]",
                            what, i, d);
        if (nm_extern_extent(op, d) != t->dim[k].extent)
            return nm_error(m->diag, op->loc, "extern: '%s' is %s, and %s in %s %d [align-3]", d,
                            nm_extent_str(m, nm_extern_extent(op, d)),
                            nm_extent_str(m, t->dim[k].extent), what, i);
    }
    return true;
}

static bool check_dims(nm_module *m, const nm_op *op)
{
    nm_syms dims = nm_attr_dims(op, "dims"), whole = nm_attr_dims(op, "whole");
    for (int i = 0; i < dims.n; i++)
        if (!nm_extern_extent(op, dims.sym[i]))
            return nm_error(m->diag, op->loc, "extern: no operand or result has '%s' [extern-3]",
                            dims.sym[i]);
    for (int i = 0; i < whole.n; i++)
        if (!nm_syms_has(dims, whole.sym[i]))
            return nm_error(m->diag, op->loc, "extern: dims does not list '%s' [extern-3]",
                            whole.sym[i]);
    return true;
}

bool nm_shape_extern(nm_module *m, nm_op *op)
{
    int64_t scratch = nm_attr_int(op, "scratch", 0);
    if (scratch < 0 || scratch >= op->n_out)
        return nm_error(m->diag, op->loc, "extern: %lld of %d results are scratch [extern-1]",
                        (long long)scratch, op->n_out);
    for (int i = 0; i < op->n_out; i++)
        if (!op->out[i].type)
            return nm_error(m->diag, op->loc, "extern: result %d has no type [type-3]", i);
    for (int i = 0; i < op->n_in; i++) {
        if (!check_type(m, op, op->in[i]->type, "operand", i))
            return false;
        if (nm_extern_is_number(op, i) && op->in[i]->type->rank)
            return nm_error(m->diag, op->loc, "extern: operand %d is no number [extern-4]", i);
    }
    for (int i = 0; i < op->n_out; i++)
        if (!check_type(m, op, op->out[i].type, "result", i))
            return false;
    return check_dims(m, op);
}

// --- C files -------------------------------------------------------------------------------------

static const nm_source *find_carried(const nm_module *m, const char *name)
{
    for (int i = 0; i < m->n_carried; i++)
        if (!strcmp(m->carried[i]->name, name))
            return m->carried[i];
    return NULL;
}

bool nm_extern_has_source(const nm_module *m, const char *name)
{
    return find_carried(m, name) || access(name, R_OK) == 0;
}

const nm_source *nm_extern_source(nm_module *m, nm_sym name)
{
    const nm_source *src = find_carried(m, name);
    return src ? src : nm_source_read(m->arena, m->diag, name);
}

void nm_extern_carry(nm_module *m, const nm_source *src)
{
    if (find_carried(m, src->name))
        return;
    m->carried = nm_arena_grow(m->arena, m->carried, m->n_carried, sizeof *m->carried);
    m->carried[m->n_carried++] = src;
}
