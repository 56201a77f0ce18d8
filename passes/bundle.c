// bundle: light kernels that stand side by side become one launch, in the flavour gpu.
//
// Why here: the order of launches is final, and schedule, which plans the life of what a launch
// reads and writes as of one position, comes next. An optimizer's updates, the squared sums of a
// gradient's norm, first values and casts of weights are a kernel for each parameter: most of them
// are over before the GPU has been told of the next one.
//
// A kernel joins those in front of it if it reads nothing that one of them writes, and if none of
// them reads what it could otherwise be written over: a launch saved is not worth a buffer. In the
// text all of a bundle but the last say {more = true} (ir/launch.h); codegen/bundle.c makes the
// kernel. Nothing is moved: fuse puts what is alike side by side already.
#include "ir/launch.h"
#include "ir/transpose.h"
#include "passes/pass.h"
#include "passes/schedule.h"

#include <string.h>

enum { MAX_BUNDLE = 64 };

// A few instructions an element, and no more of a block than its threads: none that transposes
// tiles.
static bool is_light(const nm_op *op)
{
    if (op->code != NM_OP_group)
        return false;
    nm_sym kind = nm_attr_sym(op, "kind");
    bool sums = strcmp(kind, "row") == 0;
    nm_transpose t;
    for (int i = 0; i < op->n_out; i++)
        sums = sums && op->out[i].type->rank == 0;
    return sums || (strcmp(kind, "map") == 0 && !nm_transpose_of(op, &t));
}

static bool reads(const nm_op *op, const nm_value *v)
{
    for (int i = 0; i < op->n_in; i++)
        if (op->in[i] == v)
            return true;
    return false;
}

// Does ret give v's place the result, or may it, a turn's part for another?
static bool is_home(const nm_func *f, const nm_value *v, const nm_value *result)
{
    if (v->def)
        return false;
    nm_each_use(u, result) {
        if (u->op->code != NM_OP_ret)
            continue;
        int carried = f->parent ? nm_n_carried(f->parent) : 0;
        bool stacks = f->parent && u->index >= carried;
        if (f->parent ? stacks || v->index == u->index : nm_result_home(f, u->index) == v)
            return true;
    }
    return false;
}

// May op's result be written over v, if op stays a launch of its own?
static bool would_replace(const nm_op *op, const nm_value *result, const nm_value *v)
{
    bool may_share = (v->def && reads(op, v)) || is_home(op->func, v, result);
    return may_share && v->type == result->type && nm_gives_way(v, result);
}

static bool fits(const nm_op *before, const nm_op *op)
{
    if (nm_launch_is_read(before, before, op))
        return false;
    for (int i = 0; i < before->n_in; i++)
        for (int r = 0; r < op->n_out; r++)
            if (would_replace(op, &op->out[r], before->in[i]))
                return false;
    return true;
}

static nm_op *end_of_bundle(nm_op *first)
{
    nm_op *last = first;
    for (int n = 1; n < MAX_BUNDLE && last->next && is_light(last->next); n++) {
        for (const nm_op *op = first; op != last->next; op = op->next)
            if (!fits(op, last->next))
                return last;
        last = last->next;
    }
    return last;
}

static bool bundle_list(nm_func *f)
{
    bool changed = false;
    for (nm_op *op = f->first; op; op = op->next) {
        if (op->code == NM_OP_repeat)
            changed |= bundle_list(op->body);
        nm_op *last = is_light(op) ? end_of_bundle(op) : op;
        for (; op != last; op = op->next) {
            nm_add_attr(op, nm_mk_bool(f->module, "more", true));
            changed = true;
        }
    }
    return changed;
}

bool nm_pass_bundle(nm_module *m, bool *changed)
{
    if (m->options.flavour != NM_FLAVOUR_gpu)
        return true;
    nm_each_func(f, m)
        *changed |= bundle_list(f);
    return true;
}
