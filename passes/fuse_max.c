// The largest of everything, which scales what is rounded to fp8, row by row:
//
//   max(a) over all dims  =>  the max over tokens of the max over the other dims
//
// The inner one is a row's, so it rides on the kernel that makes a (a norm, an activation, a
// weight's rounding) instead of reading it again; the outer one reads a number for each token. Of
// what has no token, as a weight, the first dim stands for them, where it lies as it is called: a
// kernel that reads rows that lie as columns would lose more.
#include "passes/build.h"
#include "passes/fuse.h"

// How many of t's dims tell rows apart, where t is in the order of memory: the outermost.
static int count_rows(nm_module *m, const nm_type *t, bool lies_so)
{
    int n = 0;
    while (n < t->rank && nm_dim_is_runtime(m, t->dim[n].name))
        n++;
    return n ? n : lies_so;
}

static void max_by_rows(nm_op *op, const nm_rank *rank)
{
    nm_module *m = op->func->module;
    const nm_type *t = op->in[0]->type, *sorted = nm_rank_sort(m, rank, t);
    nm_sym dim[NM_MAX_RANK];
    int n = count_rows(m, sorted, sorted == t);
    if (op->out[0].type->rank || !n || n == t->rank)
        return;
    for (int i = 0; i < t->rank; i++)
        dim[i] = sorted->dim[i].name;
    nm_value *each = nm_at_max(nm_at_op(op), op->in[0], (nm_syms){t->rank - n, dim + n});
    nm_replace(&op->out[0], nm_at_max(nm_at_op(op), each, (nm_syms){n, dim}));
    nm_erase(op);
}

void nm_fuse_maxes(nm_func *f, const nm_rank *rank)
{
    nm_each_op_safe(op, f)
        if (op->code == NM_OP_max)
            max_by_rows(op, rank);
}
