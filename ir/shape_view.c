// Shape rules of the views and of the ops that write: each names the dims it takes and gives.
#include "ir/shape.h"
#include "ir/tables.h"

#include <string.h>

static const char *name_of(const nm_op *op) { return nm_info(op)->name; }

static bool fail(nm_module *m, nm_op *op, const char *what, const char *number)
{
    return nm_error(m->diag, op->loc, "%s: %s [%s-%s]", name_of(op), what, name_of(op), number);
}

static bool give(nm_module *m, nm_op *op, nm_type *t)
{
    return nm_shape_give(m, op, 0, nm_type_get(m, t));
}

// The dim `name` as the given result type has it.
static bool given_dim(nm_module *m, nm_op *op, nm_sym name, nm_dim *out)
{
    const nm_type *t = op->out[0].type;
    int at = nm_type_find(t, name);
    if (at < 0)
        return nm_error(m->diag, op->loc, "%s: the given type %s lacks the dim '%s' [dim-2]",
                        name_of(op), nm_type_str(m, t), name);
    *out = t->dim[at];
    return true;
}

static bool is_known_negative(const nm_extent *e)
{
    int64_t v;
    return e && nm_extent_is_const(e, &v) && v < 0;
}

static const nm_extent *minus(nm_module *m, const nm_extent *a, const nm_extent *b)
{
    return nm_extent_add(m, a, nm_extent_mul(m, b, nm_extent_const(m, -1)));
}

// --- names ---------------------------------------------------------------------------------------

bool nm_shape_rename(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "from");
    if (at < 0)
        return false;
    nm_type t = *op->in[0]->type;
    nm_dim d = t.dim[at];
    d.name = nm_attr_sym(op, "to");
    return nm_shape_replace(m, op, &t, at, 1, &d) && give(m, op, &t);
}

// Their product, or NULL: reported.
static const nm_extent *product(nm_module *m, nm_op *op, int n, const nm_dim *dim)
{
    const nm_extent *p = nm_extent_const(m, 1);
    for (int i = 0; i < n; i++)
        p = nm_extent_mul(m, p, dim[i].extent);
    if (!p)
        nm_error(m->diag, op->loc, "%s: the extent of the merged dim is too large [extent-1]",
                 name_of(op));
    return p;
}

bool nm_shape_split(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "from");
    nm_syms into = nm_attr_dims(op, "into");
    nm_dim part[NM_MAX_RANK];
    if (at < 0)
        return false;
    if (into.n < 1 || into.n > NM_MAX_RANK)
        return fail(m, op, "into lists 1 to 12 dims", "1");
    for (int i = 0; i < into.n; i++)
        if (!given_dim(m, op, into.sym[i], &part[i]))
            return false;
    nm_type t = *op->in[0]->type;
    const nm_dim from = t.dim[at];
    const nm_extent *p = product(m, op, into.n, part);
    if (!p)
        return false;
    if (p != from.extent)
        return nm_error(m->diag, op->loc, "split: %s = %s is not %s [split-2]", from.name,
                        nm_extent_str(m, from.extent), nm_extent_str(m, p));
    return nm_shape_replace(m, op, &t, at, into.n, part) && give(m, op, &t);
}

// The dims `from` leave t for `part`; *at is where the first of them stood.
static bool take_parts(nm_module *m, nm_op *op, nm_syms from, nm_type *t, nm_dim *part, int *at)
{
    for (int i = 0; i < from.n; i++) {
        int k = nm_type_find(t, from.sym[i]);
        if (k < 0)
            return nm_error(m->diag, op->loc, "merge: the operand %s lacks the dim '%s' [dim-1]",
                            nm_type_str(m, op->in[0]->type), from.sym[i]);
        part[i] = t->dim[k];
        if (i == 0) {
            *at = k;
            continue;
        }
        *at -= k < *at;
        if (!nm_shape_replace(m, op, t, k, 0, NULL))
            return false;
    }
    return true;
}

bool nm_shape_merge(nm_module *m, nm_op *op)
{
    nm_syms from = nm_attr_dims(op, "from");
    nm_dim part[NM_MAX_RANK], into = {.name = nm_attr_sym(op, "into")};
    nm_type t = *op->in[0]->type;
    int at = 0;
    if (from.n < 1 || from.n > t.rank)
        return fail(m, op, "from lists dims of the operand, one at least", "1");
    for (int i = 0; i < from.n; i++)
        if (nm_syms_has((nm_syms){i, from.sym}, from.sym[i]))
            return fail(m, op, "a dim stands twice in from", "1");
    if (!take_parts(m, op, from, &t, part, &at) || !(into.extent = product(m, op, from.n, part)))
        return false;
    return nm_shape_replace(m, op, &t, at, 1, &into) && give(m, op, &t);
}

// --- parts of a dim ------------------------------------------------------------------------------

bool nm_shape_slice(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "over");
    if (at < 0)
        return false;
    nm_type t = *op->in[0]->type;
    const nm_extent *start = nm_attr_get(op, "start")->u.extent, *count = nm_extent_const(m, 1);
    nm_dim d = t.dim[at];
    bool kept = nm_has_dim(op->out[0].type, d.name);
    if (kept && !given_dim(m, op, d.name, &d))
        return false;
    if (kept)
        count = d.extent;
    const nm_extent *rest = minus(m, t.dim[at].extent, nm_extent_add(m, start, count));
    if (is_known_negative(start) || is_known_negative(rest))
        return nm_error(m->diag, op->loc, "slice: %s indices from %s of %s = %s [slice-1]",
                        nm_extent_str(m, count), nm_extent_str(m, start), d.name,
                        nm_extent_str(m, t.dim[at].extent));
    return nm_shape_replace(m, op, &t, at, kept, &d) && give(m, op, &t);
}

static bool check_pad(nm_module *m, nm_op *op, const nm_dim *from, const nm_dim *into)
{
    const char *mode = nm_attr_sym(op, "mode");
    const nm_extent *before = nm_attr_get(op, "before")->u.extent;
    const nm_extent *after = minus(m, into->extent, nm_extent_add(m, before, from->extent));
    if (strcmp(mode, "zero") && strcmp(mode, "reflect"))
        return fail(m, op, "mode is zero or reflect", "1");
    if (!after || is_known_negative(before) || is_known_negative(after))
        return nm_error(m->diag, op->loc, "pad: %s before %s = %s are more than %s [pad-2]",
                        nm_extent_str(m, before), from->name, nm_extent_str(m, from->extent),
                        nm_extent_str(m, into->extent));
    const nm_extent *last = nm_extent_add(m, from->extent, nm_extent_const(m, -1));
    if (strcmp(mode, "reflect") == 0 &&
        (is_known_negative(minus(m, last, before)) || is_known_negative(minus(m, last, after))))
        return fail(m, op, "reflect pads by less than the extent", "3");
    return true;
}

bool nm_shape_pad(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "over");
    nm_dim d;
    if (at < 0 || !given_dim(m, op, nm_attr_sym(op, "over"), &d) ||
        !check_pad(m, op, &op->in[0]->type->dim[at], &d))
        return false;
    nm_type t = *op->in[0]->type;
    return nm_shape_replace(m, op, &t, at, 1, &d) && give(m, op, &t);
}

bool nm_shape_concat(nm_module *m, nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    if (op->n_in < 1)
        return fail(m, op, "it joins one operand at least", "1");
    if (!nm_shape_dtypes(m, op) || nm_shape_dim(m, op, 0, "over") < 0)
        return false;
    nm_type t = *op->in[0]->type;
    const nm_type *others = nm_type_without(m, &t, over);
    const nm_extent *total = nm_extent_const(m, 0);
    for (int i = 0; i < op->n_in; i++) {
        int at = nm_shape_dim(m, op, i, "over");
        if (at < 0)
            return false;
        if (!nm_type_same_set(nm_type_without(m, op->in[i]->type, over), others))
            return nm_error(m->diag, op->loc, "concat: beside %s, %s and %s differ [concat-2]",
                            over, nm_type_str(m, op->in[0]->type), nm_type_str(m, op->in[i]->type));
        total = nm_extent_add(m, total, op->in[i]->type->dim[at].extent);
    }
    if (!total)
        return fail(m, op, "the extent of the result is too large", "3");
    t.dim[nm_type_find(&t, over)].extent = total;
    return give(m, op, &t);
}

bool nm_shape_broadcast(nm_module *m, nm_op *op)
{
    nm_type t = *op->in[0]->type;
    const nm_type *given = op->out[0].type;
    for (int i = 0; i < given->rank; i++)
        if (!nm_has_dim(&t, given->dim[i].name) && !nm_shape_join(m, op, &t, &given->dim[i]))
            return false;
    return give(m, op, &t);
}

// --- by index ------------------------------------------------------------------------------------

static bool want_int(nm_module *m, nm_op *op, int i)
{
    return nm_shape_is_int(op->in[i]->type) ||
           nm_error(m->diag, op->loc, "%s: operand %d is %s; an index is an int [%s-1]",
                    name_of(op), i, nm_type_str(m, op->in[i]->type), name_of(op));
}

bool nm_shape_gather(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "over"), n = 0;
    const nm_type *b = op->in[1]->type;
    nm_sym over = nm_attr_sym(op, "over");
    nm_dim own[NM_MAX_RANK];
    if (at < 0 || !want_int(m, op, 1))
        return false;
    nm_type t = *op->in[0]->type;
    for (int i = 0; i < b->rank; i++)
        if (b->dim[i].name == over || !nm_has_dim(&t, b->dim[i].name))
            own[n++] = b->dim[i];
        else if (!nm_shape_join(m, op, &t, &b->dim[i]))
            return false;
    return nm_shape_replace(m, op, &t, at, n, own) && give(m, op, &t);
}

bool nm_shape_scatter_add(nm_module *m, nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *given = op->out[0].type;
    nm_dim d;
    nm_type all = {0}, t = {.dtype = op->in[0]->type->dtype};
    if (!want_int(m, op, 1) || !given_dim(m, op, over, &d))
        return false;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < op->in[i]->type->rank; k++)
            if (!nm_shape_join(m, op, &all, &op->in[i]->type->dim[k]))
                return false;
    for (int i = 0; i < given->rank; i++) {
        int at = nm_type_find(&all, given->dim[i].name);
        if (given->dim[i].name == over)
            t.dim[t.rank++] = d;
        else if (at < 0)
            return nm_error(m->diag, op->loc,
                            "scatter_add: no operand has the result's dim '%s' "
                            "[scatter_add-2]",
                            given->dim[i].name);
        else
            t.dim[t.rank++] = all.dim[at];
    }
    return give(m, op, &t);
}

static bool check_steps(nm_module *m, nm_op *op)
{
    return (nm_attr_int(op, "stride", 0) >= 1 && nm_attr_int(op, "dilate", 0) >= 1) ||
           fail(m, op, "stride and dilate are 1 at least", "1");
}

bool nm_shape_windows(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "over");
    nm_dim d[2];
    if (at < 0 || !check_steps(m, op) || !given_dim(m, op, nm_attr_sym(op, "into"), &d[0]) ||
        !given_dim(m, op, nm_attr_sym(op, "tap"), &d[1]))
        return false;
    nm_type t = *op->in[0]->type;
    return nm_shape_replace(m, op, &t, at, 2, d) && give(m, op, &t);
}

bool nm_shape_overlap_add(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "over"), tap = nm_shape_dim(m, op, 0, "tap");
    nm_dim d;
    if (at < 0 || tap < 0 || !check_steps(m, op) || !given_dim(m, op, nm_attr_sym(op, "into"), &d))
        return false;
    if (at == tap)
        return fail(m, op, "over and tap are two dims", "2");
    nm_type t = *op->in[0]->type;
    return nm_shape_replace(m, op, &t, tap, 0, NULL) &&
           nm_shape_replace(m, op, &t, at - (tap < at), 1, &d) && give(m, op, &t);
}

bool nm_shape_update(nm_module *m, nm_op *op)
{
    int at = nm_shape_dim(m, op, 0, "over"), from = nm_shape_dim(m, op, 1, "over");
    if (at < 0 || from < 0)
        return false;
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *a = op->in[0]->type, *b = op->in[1]->type;
    if (!nm_shape_is_scalar_int(op->in[2]->type))
        return fail(m, op, "the place is a scalar int", "1");
    if (!nm_type_same_set(nm_type_without(m, a, over), nm_type_without(m, b, over)))
        return nm_error(m->diag, op->loc, "update: beside %s, %s and %s differ [update-2]", over,
                        nm_type_str(m, a), nm_type_str(m, b));
    if (is_known_negative(minus(m, a->dim[at].extent, b->dim[from].extent)))
        return fail(m, op, "the new indices are more than the old", "3");
    nm_type t = *a;
    return give(m, op, &t);
}
