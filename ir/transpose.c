// Which maps transpose their operand: see transpose.h.
#include "ir/transpose.h"

#include <string.h>

enum { LEAST = 16 }; // indices of rows and of columns: below, a tile is mostly empty

static bool is_small(int n, const nm_dim *dim)
{
    int64_t all = 1, here;
    for (int i = 0; i < n; i++) {
        if (!nm_extent_is_const(dim[i].extent, &here))
            return false;
        all *= here;
    }
    return all < LEAST;
}

static bool has(int n, const nm_dim *dim, nm_sym name)
{
    for (int i = 0; i < n; i++)
        if (dim[i].name == name)
            return true;
    return false;
}

static bool same_dims(const nm_type *a, const nm_type *b)
{
    for (int i = 0; i < a->rank; i++) {
        int k = nm_type_find(b, a->dim[i].name);
        if (k < 0 || b->dim[k].extent != a->dim[i].extent)
            return false;
    }
    return a->rank == b->rank;
}

static bool is_copy(const nm_op *op)
{
    return op->code == NM_OP_broadcast && op->in[0]->type->rank == op->out[0].type->rank;
}

// Is each of its elements read where the result's is made?
static bool is_read_in_place(const nm_value *v)
{
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        if (op->code != NM_OP_ret && !nm_is(op, NM_MAP) && !is_copy(op))
            return false;
    }
    return true;
}

// The operand whose innermost dim is not the result's; NULL: none.
static const nm_type *transposed_operand(const nm_op *group, const nm_type *result)
{
    for (int i = 0; i < group->body->n_params; i++) {
        const nm_type *t = group->body->param[i]->type;
        if (same_dims(t, result) && t->dim[t->rank - 1].name != result->dim[t->rank - 1].name &&
            is_read_in_place(group->body->param[i]))
            return t;
    }
    return NULL;
}

// As many of t's innermost dims as are not in the list, nor the one called `stop`.
static int suffix(const nm_type *t, int n, const nm_dim *list, nm_sym stop, nm_dim *out)
{
    int first = t->rank;
    while (first > 0 && !has(n, list, t->dim[first - 1].name) && t->dim[first - 1].name != stop)
        first--;
    memcpy(out, t->dim + first, sizeof *out * (size_t)(t->rank - first));
    return t->rank - first;
}

static bool is_narrow_float(nm_dtype t)
{
    return nm_dtype_table[t].is_float && nm_dtype_table[t].bytes <= 4;
}

bool nm_transpose_of(const nm_op *group, nm_transpose *t)
{
    const nm_type *result = group->out[0].type;
    if (group->n_out != 1 || result->rank < 2 || !is_narrow_float(result->dtype))
        return false;
    const nm_type *from = transposed_operand(group, result);
    if (!from)
        return false;
    *t = (nm_transpose){0};
    t->n_rows = suffix(result, 0, NULL, from->dim[from->rank - 1].name, t->rows);
    t->n_cols = suffix(from, t->n_rows, t->rows, NULL, t->cols);
    for (int i = 0; i < result->rank; i++)
        if (!has(t->n_rows, t->rows, result->dim[i].name) &&
            !has(t->n_cols, t->cols, result->dim[i].name))
            t->rest[t->n_rest++] = result->dim[i];
    return !is_small(t->n_rows, t->rows) && !is_small(t->n_cols, t->cols);
}
