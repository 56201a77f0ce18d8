// What ret, repeats, collectives and extern ops read has to be stored, and once for each result.
// Where such a value is pulled (free, or a view), a parameter that is returned as something else,
// or returned twice, a copy (a broadcast without a new dim) stands for it, at the earliest place:
// the saved input of a layer is copied before the layer overwrites it.
#include "passes/fuse.h"

#include "passes/build.h"

// A parameter returned as itself: the state that a step does not change, a value carried on.
static bool returns_itself(const nm_func *f, const nm_value *v, int result)
{
    if (f->parent)
        return result < nm_attr_int(f->parent, "carried", 0) && v->index == result;
    nm_bind a = f->param_bind[v->index], b = f->result_bind[result];
    return a.kind == b.kind && a.name == b.name && a.kind != NM_BIND_none;
}

static bool returned_before(const nm_op *ret, int result)
{
    for (int i = 0; i < result; i++)
        if (ret->in[i] == ret->in[result])
            return true;
    return false;
}

void nm_fuse_store(nm_fuse *g)
{
    nm_func *f = g->f;
    nm_each_op(op, f) {
        bool ret = op->code == NM_OP_ret;
        for (int i = 0; i < op->n_in; i++) {
            nm_value *v = op->in[i];
            if (!nm_fuse_reads_stored(op, i) || (int)v->id >= g->n_values) // a copy
                continue;
            bool param = ret && !v->def && !returns_itself(f, v, i);
            if (g->pulled[v->id] || param || (ret && returned_before(op, i)))
                nm_set_operand(op, i,
                               nm_at_build1(nm_at_behind(v), NM_OP_broadcast, v, 0, NULL, v->type));
        }
    }
}
