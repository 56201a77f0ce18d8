// From one form of a value to another: the steps, small things first, so that what is sent is as
// small as it can be.
//
//   1 reduce_scatter  a pending axis that the new form has next on a dim; runs of axes join
//   2 shard           an axis that the new form has and the old lacks: local
//   3 all_reduce      all other axes that are to be completed, jointly
//   4 all_gather      the last axes of a dim that the new form has not; then 2 again
//   5 first           a sum that the new form has pending: local
//
// What goes from one dim to another (the gradient of a pick along ff/tp: ff, seq/tp to ff/tp, seq)
// is gathered and then cut: an all_to_all would send less, and no target has one.
//
// A step that an earlier reader made is shared (the reader stands before, so it is computed here).
// What is gathered is what a rounded value was made of, if that is smaller, or if what it becomes
// depends on the part of it that a rank has: a widening, a qdq, is done again behind the gathering.
// So a product reads a tensor that is scaled as one, and what is gathered for it is gathered once
// for all who read it narrow or wide.
//
// But ZeRO-3's parameters do not lie whole in memory from a reader to one far below, as from
// forward to backward where layers are unrolled: once two buckets of others were gathered, a
// parameter is gathered again. Where dpp is 1 that sends nothing.
#include "ir/launch.h"
#include "passes/rewrite.h"
#include "passes/shard.h"

#include <string.h>

typedef struct step {
    nm_opcode code;
    nm_sym over;
    nm_axes axes;
    const nm_type *form; // after it
} step;

enum { MAX_STEPS = 4 * NM_MAX_RANK };
typedef struct plan {
    nm_module *m;
    nm_type at; // the form so far
    const nm_type *to;
    nm_axes done; // pending axes that are to be completed
    int n;
    step step[MAX_STEPS];
} plan;

bool nm_shard_is_split_over(const nm_type *t, nm_sym axis)
{
    for (int i = 0; i < t->rank; i++)
        if (nm_axes_has(&t->dim[i].axes, axis))
            return true;
    return false;
}

static void add_step(plan *p, nm_opcode code, nm_sym over, nm_axes axes)
{
    if (p->n == MAX_STEPS)
        nm_bug("a conversion of more than %d steps", MAX_STEPS);
    p->step[p->n++] = (step){code, over, axes, nm_type_get(p->m, &p->at)};
}

static bool is_due(const plan *p, nm_sym axis)
{
    return nm_axes_has(&p->done, axis) && nm_axes_has(&p->at.pending, axis);
}

// The axes that dim i gets next, all of them pending (to scatter), or none.
static nm_axes next_run(const plan *p, int i, bool scatter)
{
    const nm_axes *have = &p->at.dim[i].axes, *want = &p->to->dim[i].axes;
    nm_axes run = {0};
    for (int k = have->n; nm_axes_begin(have, want) && k < want->n; k++) {
        nm_sym axis = want->axis[k];
        if (nm_shard_is_split_over(&p->at, axis) || is_due(p, axis) != scatter ||
            (!scatter && nm_axes_has(&p->at.pending, axis)))
            break;
        nm_axes_add(&run, axis);
    }
    return run;
}

static void grow(plan *p, bool scatter)
{
    for (int i = 0; i < p->at.rank; i++) {
        nm_axes run = next_run(p, i, scatter);
        if (!run.n)
            continue;
        for (int k = 0; k < run.n; k++) {
            nm_axes_add(&p->at.dim[i].axes, run.axis[k]);
            nm_axes_drop(&p->at.pending, run.axis[k]);
        }
        add_step(p, scatter ? NM_OP_reduce_scatter : NM_OP_shard, p->at.dim[i].name, run);
    }
}

// Scatter and cut by turns, until no dim gets more.
static void grow_all(plan *p, bool scatter)
{
    int before;
    do {
        before = p->n;
        if (scatter)
            grow(p, true);
        grow(p, false);
    } while (p->n > before);
}

// The last axes of dim i that the new form does not have there.
static nm_axes surplus(const plan *p, int i)
{
    const nm_axes *have = &p->at.dim[i].axes, *want = &p->to->dim[i].axes;
    nm_axes rest = {0};
    int n = 0;
    while (n < have->n && n < want->n && have->axis[n] == want->axis[n])
        n++;
    for (; n < have->n; n++)
        nm_axes_add(&rest, have->axis[n]);
    return rest;
}

static void reduce(plan *p)
{
    nm_axes rest = {0};
    for (int i = 0; i < p->at.pending.n; i++)
        if (is_due(p, p->at.pending.axis[i]))
            nm_axes_add(&rest, p->at.pending.axis[i]);
    for (int i = 0; i < rest.n; i++)
        nm_axes_drop(&p->at.pending, rest.axis[i]);
    if (rest.n)
        add_step(p, NM_OP_all_reduce, NULL, rest);
}

static void join(plan *p)
{
    for (int i = 0; i < p->at.rank; i++) {
        nm_axes rest = surplus(p, i);
        p->at.dim[i].axes.n -= rest.n;
        if (rest.n)
            add_step(p, NM_OP_all_gather, p->at.dim[i].name, rest);
    }
}

static void mask(plan *p)
{
    nm_axes rest = {0};
    for (int i = 0; i < p->to->pending.n; i++)
        if (!nm_axes_has(&p->at.pending, p->to->pending.axis[i]))
            nm_axes_add(&rest, p->to->pending.axis[i]);
    for (int i = 0; i < rest.n; i++)
        nm_axes_add(&p->at.pending, rest.axis[i]);
    if (rest.n)
        add_step(p, NM_OP_first, NULL, rest);
}

static plan make_plan(nm_module *m, const nm_type *from, const nm_type *to)
{
    plan p = {.m = m, .at = *from, .to = to};
    bool max = from->pending.n && from->kind == NM_PENDING_MAX;
    for (int i = 0; i < from->pending.n; i++)
        if (from->kind != to->kind || !nm_axes_has(&to->pending, from->pending.axis[i]))
            nm_axes_add(&p.done, from->pending.axis[i]);
    if (max) {
        reduce(&p);
        p.at.kind = to->kind;
    }
    grow_all(&p, true);
    reduce(&p);
    join(&p);
    grow_all(&p, false);
    mask(&p);
    if (nm_type_get(m, &p.at) != to)
        nm_bug("%s cannot become %s", nm_type_str(m, from), nm_type_str(m, to));
    return p;
}

bool nm_shard_is_local(nm_module *m, const nm_type *from, const nm_type *to)
{
    plan p = make_plan(m, from, to);
    for (int i = 0; i < p.n; i++)
        if (p.step[i].code != NM_OP_shard && p.step[i].code != NM_OP_first)
            return false;
    return true;
}

// --- building ------------------------------------------------------------------------------------

static bool is_over(const nm_op *op, const nm_axes *axes)
{
    return nm_syms_same(nm_attr_dims(op, "axes"), (nm_syms){axes->n, axes->axis});
}

// Is what was gathered of a parameter still there for a reader? Vectors are: all of them are
// little.
static bool is_kept(const nm_op *gather, const nm_op *reader)
{
    double since = 0;
    if (gather->out[0].type->rank < 2)
        return true;
    for (const nm_op *op = reader->prev; op != gather; op = op->prev)
        since += nm_gathers_param(op) ? nm_sent_elements(op) : 0;
    return since <= 2 * NM_BUCKET;
}

static nm_value *find_step(nm_value *v, const step *s, const nm_op *before)
{
    nm_each_use(u, v) {
        const nm_op *op = u->op;
        if (op->code == s->code && op->out[0].type == s->form && is_over(op, &s->axes) &&
            (!nm_gathers_param(op) || is_kept(op, before)))
            return &u->op->out[0];
    }
    return NULL;
}

// The line that asked for it: the reader's; where that is the function's end, the value's own.
static nm_loc cause(const nm_op *before, const nm_value *v)
{
    return before->code == NM_OP_ret && v->def ? v->def->loc : before->loc;
}

static nm_value *build_step(nm_value *v, const step *s, bool max, nm_op *before)
{
    nm_module *m = before->func->module;
    nm_attr attr[3];
    int n = 0;
    if (s->over)
        attr[n++] = nm_mk_sym(m, "over", s->over);
    attr[n++] = nm_mk_dims(m, "axes", (nm_syms){s->axes.n, s->axes.axis});
    if (max && s->code == NM_OP_all_reduce)
        attr[n++] = nm_mk_bool(m, "max", true);
    return nm_build(before->func, before,
                    &(nm_proto){.code = s->code,
                                .loc = cause(before, v),
                                .n_in = 1,
                                .in = &v,
                                .n_attrs = n,
                                .attr = attr,
                                .type = s->form});
}

// --- behind a gathering --------------------------------------------------------------------------

static bool gathers(const plan *p, const nm_type *from)
{
    bool any = false;
    for (int i = 0; i < p->n; i++) {
        any |= p->step[i].code == NM_OP_all_gather;
        if (p->step[i].code != NM_OP_all_gather && p->step[i].code != NM_OP_shard)
            return false;
    }
    return any && !from->pending.n && !p->to->pending.n;
}

static bool is_done_behind(const nm_op *op)
{
    if (!op || op->code != NM_OP_cast)
        return op && op->code == NM_OP_qdq;
    const nm_dtype_info *from = &nm_dtype_table[op->in[0]->type->dtype];
    const nm_dtype_info *to = &nm_dtype_table[op->out[0].type->dtype];
    return from->is_float && to->is_float && from->bytes < to->bytes;
}

static nm_value *find_again(nm_value *v, const nm_op *op, const nm_type *form, const nm_op *before)
{
    nm_each_use(u, v)
        if (u->op != op && u->op->code == op->code && u->op->out[0].type == form &&
            nm_same_attrs(u->op, op) && u->op->in[op->n_in - 1] == (op->n_in > 1 ? op->in[1] : v) &&
            nm_stands_before(u->op, before))
            return &u->op->out[0];
    return NULL;
}

// v's op again, of its operand in the form that makes v's `form`.
static nm_value *do_behind(nm_value *v, const nm_type *form, nm_op *before)
{
    nm_op *op = v->def;
    nm_module *m = before->func->module;
    nm_value *in[] = {nm_shard_convert(op->in[0], nm_shard_like(m, op->in[0]->type, form), before),
                      op->n_in > 1 ? op->in[1] : NULL}; // a scalar: what scales a qdq
    nm_value *there = find_again(in[0], op, form, before);
    if (there)
        return there;
    nm_proto again = nm_proto_of(op);
    again.in = in;
    again.type = form;
    again.name = NULL;
    return nm_build(before->func, before, &again);
}

nm_value *nm_shard_convert(nm_value *v, const nm_type *form, nm_op *before)
{
    if (v->type == form)
        return v;
    bool max = v->type->kind == NM_PENDING_MAX;
    plan p = make_plan(before->func->module, v->type, form);
    if (is_done_behind(v->def) && gathers(&p, v->type))
        return do_behind(v, form, before);
    for (int i = 0; i < p.n; i++) {
        nm_value *there = find_step(v, &p.step[i], before);
        v = there ? there : build_step(v, &p.step[i], max, before);
    }
    return v;
}
