// Shape rules: the general ones. Because dims have names there are few. They see whole tensors:
// axes and pending sums are put aside before (ir/shape_bare.c).
#include "ir/shape.h"

#include "ir/tables.h"

#include <string.h>

// --- parts ---------------------------------------------------------------------------------------

static const char *name_of(const nm_op *op) { return nm_info(op)->name; }

bool nm_shape_is_int(const nm_type *t) { return t->dtype >= NM_i64 && t->dtype <= NM_u4; }

bool nm_shape_is_scalar_int(const nm_type *t) { return nm_shape_is_int(t) && t->rank == 0; }

bool nm_shape_give(nm_module *m, nm_op *op, int i, const nm_type *t)
{
    nm_value *v = &op->out[i];
    if (!v->type)
        v->type = t;
    return nm_type_same_set(v->type, t) ||
           nm_error(m->diag, op->loc, "%s computes %s, not %s [type-2]", name_of(op),
                    nm_type_str(m, t), nm_type_str(m, v->type));
}

bool nm_shape_results(nm_module *m, nm_op *op, int n)
{
    if (op->n_out == n)
        return true;
    if (op->out)
        return nm_error(m->diag, op->loc, "%s has %d results here, not %d [op-2]", name_of(op), n,
                        op->n_out);
    op->n_out = n;
    op->out = nm_new_n(m->arena, nm_value, n);
    return true;
}

bool nm_shape_dtypes(nm_module *m, nm_op *op)
{
    for (int i = 1; i < op->n_in; i++)
        if (op->in[i]->type->dtype != op->in[0]->type->dtype)
            return nm_error(m->diag, op->loc, "%s: operands are %s and %s; cast one [dtype-1]",
                            name_of(op), nm_dtype_table[op->in[0]->type->dtype].name,
                            nm_dtype_table[op->in[i]->type->dtype].name);
    return true;
}

bool nm_shape_join(nm_module *m, nm_op *op, nm_type *t, const nm_dim *d)
{
    int i = nm_type_find(t, d->name);
    if (i < 0)
        return nm_shape_replace(m, op, t, t->rank, 1, d);
    const nm_dim *have = &t->dim[i];
    if (have->extent != d->extent)
        return nm_error(m->diag, op->loc, "%s: one operand has %s = %s, another %s = %s [align-3]",
                        name_of(op), d->name, nm_extent_str(m, have->extent), d->name,
                        nm_extent_str(m, d->extent));
    return true;
}

bool nm_shape_replace(nm_module *m, nm_op *op, nm_type *t, int at, int n, const nm_dim *dim)
{
    int behind = at < t->rank ? t->rank - at - 1 : 0;
    if (at + n + behind > NM_MAX_RANK)
        return nm_error(m->diag, op->loc, "%s: the result has more than %d dims [rank-1]",
                        name_of(op), NM_MAX_RANK);
    memmove(&t->dim[at + n], &t->dim[at + 1], (size_t)behind * sizeof t->dim[0]);
    t->rank = at + n + behind;
    for (int i = 0; i < n; i++)
        t->dim[at + i] = (nm_dim){0};
    for (int i = 0; i < n; i++) {
        if (nm_has_dim(t, dim[i].name))
            return nm_error(m->diag, op->loc, "%s: '%s' would stand twice in the result [type-1]",
                            name_of(op), dim[i].name);
        t->dim[at + i] = dim[i];
    }
    return true;
}

int nm_shape_dim(nm_module *m, nm_op *op, int i, const char *attr)
{
    nm_sym dim = nm_attr_sym(op, attr);
    const nm_type *t = op->in[i]->type;
    int at = nm_type_find(t, dim);
    if (at >= 0)
        return at;
    nm_error(m->diag, op->loc, "%s: operand %d is %s, without a dim '%s' [dim-1]", name_of(op), i,
             nm_type_str(m, t), dim);
    const char *names[NM_MAX_RANK];
    for (int k = 0; k < t->rank; k++)
        names[k] = t->dim[k].name;
    const char *near = nm_nearest(dim, names, (size_t)t->rank);
    if (near)
        nm_help(m->diag, op->loc, "did you mean '%s'?", near);
    return -1;
}

// --- what operands an op takes -------------------------------------------------------------------

static bool want(nm_module *m, nm_op *op, bool (*is)(const nm_type *t), const char *what)
{
    for (int i = 0; i < op->n_in; i++)
        if (!is(op->in[i]->type))
            return nm_error(m->diag, op->loc, "%s is of %s, and operand %d is %s [dtype-2]",
                            name_of(op), what, i, nm_type_str(m, op->in[i]->type));
    return true;
}

static bool is_float(const nm_type *t) { return nm_dtype_table[t->dtype].is_float; }
static bool is_number(const nm_type *t) { return t->dtype != NM_bool; }
static bool is_bool(const nm_type *t) { return t->dtype == NM_bool; }

bool nm_verify_floats(nm_module *m, nm_op *op) { return want(m, op, is_float, "floats"); }
bool nm_verify_bools(nm_module *m, nm_op *op) { return want(m, op, is_bool, "bools"); }
bool nm_verify_numbers(nm_module *m, nm_op *op)
{
    return nm_is(op, NM_INT) ? want(m, op, nm_shape_is_int, "ints")
                             : want(m, op, is_number, "numbers");
}

bool nm_shape_qdq(nm_module *m, nm_op *op)
{
    bool given = op->n_in == 2;
    if ((op->n_in != 1 && !given) || (given && (op->in[1]->type->rank || nm_attr_get(op, "block"))))
        return nm_error(m->diag, op->loc,
                        "qdq takes a value, and maybe a scalar that scales all of it [qdq-3]");
    return nm_shape_align(m, op);
}

// Dims of the operand, each in one list, and a size for their blocks; or nothing of it.
static bool has_fine_blocks(const nm_op *op)
{
    nm_syms list[] = {nm_attr_dims(op, "along"), nm_attr_dims(op, "across")};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < list[k].n; i++) {
            nm_sym dim = list[k].sym[i];
            bool twice =
                nm_syms_has((nm_syms){i, list[k].sym}, dim) || (k && nm_syms_has(list[0], dim));
            if (twice || !nm_has_dim(op->in[0]->type, dim))
                return false;
        }
    if (!nm_attr_get(op, "block"))
        return !list[0].n && !list[1].n;
    return list[0].n && nm_attr_int(op, "block", 0) >= 1;
}

bool nm_verify_qdq(nm_module *m, nm_op *op)
{
    nm_dtype to = nm_attr_get(op, "to")->u.dtype;
    if (to != NM_e4m3 && to != NM_e5m2)
        return nm_error(m->diag, op->loc, "qdq rounds to e4m3 or e5m2, not to %s [qdq-1]",
                        nm_dtype_table[to].name);
    if (!has_fine_blocks(op))
        return nm_error(m->diag, op->loc,
                        "qdq: a block is of 1 index at least, along dims of %s, each named once "
                        "[qdq-2]",
                        nm_type_str(m, op->in[0]->type));
    return nm_verify_floats(m, op);
}

// --- free values ---------------------------------------------------------------------------------

bool nm_shape_given(nm_module *m, nm_op *op)
{
    (void)m;
    return op->out[0].type != NULL;
}

bool nm_shape_size(nm_module *m, nm_op *op)
{
    return (op->out[0].type->rank == 0 && is_number(op->out[0].type)) ||
           nm_error(m->diag, op->loc, "size gives a scalar number, not %s [size-1]",
                    nm_type_str(m, op->out[0].type));
}

// What a collective does to axes and pending sums is checked where forms are: here, that it keeps
// the dims and the dtype.
bool nm_shape_collective(nm_module *m, nm_op *op)
{
    const nm_type *in = op->in[0]->type, *out = op->out[0].type;
    bool same = in->dtype == out->dtype && in->rank == out->rank;
    for (int i = 0; same && i < in->rank; i++)
        same = nm_has_dim(out, in->dim[i].name);
    return same || nm_error(m->diag, op->loc,
                            "%s gives a value with the dims of its operand, not %s [collective-1]",
                            nm_info(op)->name, nm_type_str(m, out));
}

bool nm_shape_wait(nm_module *m, nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (!op->in[i]->def || !nm_is(op->in[i]->def, NM_COLLECTIVE))
            return nm_error(m->diag, op->loc, "wait names results of collectives [wait-1]");
    return op->n_out == 0 || nm_error(m->diag, op->loc, "wait has no result [wait-2]");
}

bool nm_shape_rotate(nm_module *m, nm_op *op) { return nm_shape_give(m, op, 0, op->in[0]->type); }

bool nm_shape_index(nm_module *m, nm_op *op)
{
    const nm_type *t = op->out[0].type;
    nm_sym dim = nm_attr_sym(op, "dim");
    if (t->rank != 1 || t->dim[0].name != dim)
        return nm_error(m->diag, op->loc,
                        "index gives a value with the one dim '%s', not %s [index-1]", dim,
                        nm_type_str(m, t));
    return nm_shape_is_int(t) || nm_error(m->diag, op->loc, "index gives ints, not %s [index-2]",
                                          nm_dtype_table[t->dtype].name);
}

bool nm_shape_random(nm_module *m, nm_op *op)
{
    const char *dist = nm_attr_sym(op, "dist");
    if (op->n_in < 2 || op->n_in > 3 || op->in[0]->type != nm_type_scalar(m, NM_i64) ||
        !nm_shape_is_scalar_int(op->in[1]->type) ||
        (op->n_in == 3 && !nm_shape_is_scalar_int(op->in[2]->type)))
        return nm_error(m->diag, op->loc,
                        "random takes a seed (i64[]), a step and maybe a turn (ints) [random-1]");
    if (strcmp(dist, "uniform") && strcmp(dist, "normal"))
        return nm_error(m->diag, op->loc, "random: dist is uniform or normal, not '%s' [random-2]",
                        dist);
    return is_float(op->out[0].type) ||
           nm_error(m->diag, op->loc, "random gives floats, not %s [random-3]",
                    nm_type_str(m, op->out[0].type));
}

// --- maps ----------------------------------------------------------------------------------------

static bool align(nm_module *m, nm_op *op, nm_type *out)
{
    *out = (nm_type){.dtype = op->in[0]->type->dtype};
    for (int i = 0; i < op->n_in; i++)
        for (int k = 0; k < op->in[i]->type->rank; k++)
            if (!nm_shape_join(m, op, out, &op->in[i]->type->dim[k]))
                return false;
    return true;
}

bool nm_shape_align(nm_module *m, nm_op *op)
{
    nm_type t;
    if (!nm_shape_dtypes(m, op) || !align(m, op, &t))
        return false;
    if (nm_is(op, NM_BOOL))
        t.dtype = NM_bool;
    return nm_shape_give(m, op, 0, nm_type_get(m, &t));
}

bool nm_shape_cast(nm_module *m, nm_op *op)
{
    nm_type t;
    if (!align(m, op, &t))
        return false;
    t.dtype = nm_attr_get(op, "to")->u.dtype;
    return nm_shape_give(m, op, 0, nm_type_get(m, &t));
}

bool nm_shape_select(nm_module *m, nm_op *op)
{
    nm_type t;
    if (!is_bool(op->in[0]->type) || op->in[1]->type->dtype != op->in[2]->type->dtype)
        return nm_error(m->diag, op->loc,
                        "select takes a bool and two of one dtype, not %s, %s, %s "
                        "[select-1]",
                        nm_type_str(m, op->in[0]->type), nm_type_str(m, op->in[1]->type),
                        nm_type_str(m, op->in[2]->type));
    if (!align(m, op, &t))
        return false;
    t.dtype = op->in[1]->type->dtype;
    return nm_shape_give(m, op, 0, nm_type_get(m, &t));
}

// --- reductions ----------------------------------------------------------------------------------

// The dims `over`, each once, each of some operand.
static bool check_over(nm_module *m, nm_op *op, const nm_type *all, nm_syms over)
{
    for (int i = 0; i < over.n; i++) {
        if (!nm_has_dim(all, over.sym[i]))
            return nm_error(m->diag, op->loc, "%s: no operand has a dim '%s' [dim-1]", name_of(op),
                            over.sym[i]);
        if (nm_syms_has((nm_syms){i, over.sym}, over.sym[i]))
            return nm_error(m->diag, op->loc, "%s: '%s' stands twice in over [over-1]", name_of(op),
                            over.sym[i]);
    }
    return true;
}

bool nm_shape_drop(nm_module *m, nm_op *op)
{
    nm_type all;
    nm_syms over = nm_attr_dims(op, "over");
    if (!nm_shape_dtypes(m, op) || !align(m, op, &all) || !check_over(m, op, &all, over))
        return false;
    nm_type t = {.dtype = all.dtype};
    for (int i = 0; i < all.rank; i++)
        if (!nm_syms_has(over, all.dim[i].name))
            t.dim[t.rank++] = all.dim[i];
    return nm_shape_give(m, op, 0, nm_type_get(m, &t));
}

bool nm_shape_cumsum(nm_module *m, nm_op *op)
{
    return nm_shape_dim(m, op, 0, "over") >= 0 && nm_shape_align(m, op);
}

bool nm_shape_top_k(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "over");
    int64_t k = nm_attr_int(op, "k", 0), extent;
    if (at < 0)
        return false;
    nm_type t = *op->in[0]->type;
    if (k < 1 || (nm_extent_is_const(t.dim[at].extent, &extent) && k > extent))
        return nm_error(m->diag, op->loc, "top_k: k = %lld of %s = %s [top_k-1]", (long long)k,
                        t.dim[at].name, nm_extent_str(m, t.dim[at].extent));
    nm_dim choice = {.name = nm_attr_sym(op, "choice"), .extent = nm_extent_const(m, k)};
    if (!nm_shape_replace(m, op, &t, at, 1, &choice))
        return false;
    const nm_type *values = nm_type_get(m, &t);
    return nm_shape_give(m, op, 0, values) &&
           nm_shape_give(m, op, 1, nm_type_with_dtype(m, values, NM_i32));
}
