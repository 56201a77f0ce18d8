// The pending rule of sharding over time. A sum over batch is born as a part; adds of parts and ops
// that move no number keep it one (as late as an add, as early as anything else: completing a
// gradient before the optimizer multiplies it makes one accumulator of it, not several). Any other
// reader needs the sum complete: outside of the micro-batches that is `finish`; inside of them it
// must be known before the first one, so it may depend on data alone: a count. Else the step is not
// a sum over the batch, and the micro-batches' results are averaged.
#include "passes/batch.h"

#include "ir/form.h"

#include <string.h>

bool nm_batch_has(const nm_batch *b, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (nm_extent_reads(t->dim[i].extent, b->dim))
            return true;
    return false;
}

static bool body_has(const nm_batch *b, const nm_func *f);

// Does op read or compute anything with a part of the batch?
static bool op_has(const nm_batch *b, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_batch_has(b, op->in[i]->type))
            return true;
    for (int i = 0; i < op->n_out; i++)
        if (nm_batch_has(b, op->out[i].type))
            return true;
    return op->body && body_has(b, op->body);
}

static bool body_has(const nm_batch *b, const nm_func *f)
{
    nm_each_op(op, f)
        if (op_has(b, op))
            return true;
    return false;
}

bool nm_batch_is_zero(const nm_value *v)
{
    return v->def && v->def->code == NM_OP_const && nm_attr_float(v->def, "value", 1) == 0;
}

// Zero, or carried by a repeat that starts it at zero: as long as it is thought FREE it is both.
static bool starts_at_zero(const nm_value *v)
{
    const nm_op *repeat = v->def ? NULL : v->func->parent;
    bool carried =
        repeat && repeat->code == NM_OP_repeat && v->index < nm_attr_int(repeat, "carried", 0);
    return carried ? nm_batch_is_zero(repeat->in[v->index]) : nm_batch_is_zero(v);
}

// A sum over dims that the result lacks: its parts add up. What a gather picks is no sum in time.
static bool sums(const nm_op *op)
{
    return nm_is(op, NM_REDUCE) && !nm_is(op, NM_VIEW) && op->code != NM_OP_max;
}

static void estimate(nm_batch *b, nm_op *op, int operand)
{
    if (b->n_estimates == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        nm_slot *bigger = nm_new_n(b->f->module->arena, nm_slot, b->cap);
        if (b->n_estimates)
            memcpy(bigger, b->estimate, (size_t)b->n_estimates * sizeof *bigger);
        b->estimate = bigger;
    }
    b->estimate[b->n_estimates++] = (nm_slot){op, operand};
}

// --- inside of a repeat nothing can be completed -----------------------------------------------

typedef enum { // of a body's value that lacks the dim batch
    FREE,      // does not depend on the batch
    PART,      // of a sum over the batch
    LOCAL,     // depends on the micro-batch, and is no part of a sum
} share;

typedef struct inner {
    nm_batch *b;
    share *of; // by id
} inner;

static bool shares_of_repeat(inner *in, nm_op *op);

static int count_shares(const inner *in, const nm_op *op, share s)
{
    int n = 0;
    for (int i = 0; i < op->n_in; i++)
        n += in->of[op->in[i]->id] == s;
    return n;
}

static bool reads_batch(const nm_batch *b, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_batch_has(b, op->in[i]->type))
            return true;
    return false;
}

static bool keeps_parts(const inner *in, const nm_op *op)
{
    int n = count_shares(in, op, PART);
    if (reads_batch(in->b, op))
        return false;
    if (nm_is(op, NM_SUM)) {
        for (int i = 0; i < op->n_in; i++)
            n += in->of[op->in[i]->id] == FREE && starts_at_zero(op->in[i]);
        return n == op->n_in;
    }
    if (op->code == NM_OP_div)
        return in->of[op->in[0]->id] == PART && n == 1;
    return nm_is(op, NM_LINEAR) && n == 1;
}

// false: a whole sum is needed, and cannot be had inside of the repeat.
static bool shares_of_op(inner *in, nm_op *op)
{
    if (op->code == NM_OP_repeat)
        return shares_of_repeat(in, op);
    bool parts = count_shares(in, op, PART) > 0, keeps = parts && keeps_parts(in, op);
    for (int i = 0; parts && !keeps && i < op->n_in; i++)
        if (in->of[op->in[i]->id] == PART)
            estimate(in->b, op, i);
    share s = FREE;
    if (keeps || (!parts && reads_batch(in->b, op) && sums(op)))
        s = PART;
    else if (parts || reads_batch(in->b, op) || count_shares(in, op, LOCAL))
        s = LOCAL;
    bool exact = !parts || keeps;
    for (int i = 0; i < op->n_out; i++) {
        bool whole = !nm_batch_has(in->b, op->out[i].type);
        exact &= !whole || s != LOCAL;
        in->of[op->out[i].id] = whole ? s : FREE;
    }
    return exact || in->b->average;
}

static bool shares_of_body(inner *in, nm_func *body)
{
    for (nm_op *op = body->first; op != body->last; op = op->next)
        if (!shares_of_op(in, op))
            return false;
    return true;
}

// What a carried value is at the start of a turn, given what it was thought to be and what it is at
// the end: a sum that starts at zero is a part.
static share carry(const nm_op *op, int i, share enters, share leaves)
{
    if (enters == leaves)
        return enters;
    return enters == FREE && leaves == PART && nm_batch_is_zero(op->in[i]) ? PART : LOCAL;
}

static bool shares_of_repeat(inner *in, nm_op *op)
{
    nm_func *body = op->body;
    int carried = (int)nm_attr_int(op, "carried", 0), n_estimates = in->b->n_estimates;
    for (int i = 0; i < op->n_in; i++) {
        share s = in->of[op->in[i]->id];
        if (s == PART && i >= carried)
            return false;
        in->of[body->param[i]->id] = s;
    }
    for (bool again = true; again;) {
        again = false;
        in->b->n_estimates = n_estimates;
        if (!shares_of_body(in, body))
            return false;
        for (int i = 0; i < carried; i++) {
            share *enters = &in->of[body->param[i]->id], leaves = in->of[body->last->in[i]->id];
            share s = carry(op, i, *enters, leaves);
            if ((*enters == LOCAL && leaves == PART) || (s == LOCAL && !in->b->average))
                return false;
            again |= s != *enters;
            *enters = s;
        }
    }
    for (int i = 0; i < op->n_out; i++)
        in->of[op->out[i].id] =
            i < carried ? in->of[body->param[i]->id] : in->of[body->last->in[i]->id];
    return true;
}

// --- the function ------------------------------------------------------------------------------

// A part is complete from here on: the sum before the views and casts of it.
static void complete(nm_batch *b, nm_value *v)
{
    while (v->def && nm_is(v->def, NM_IDLE) && b->stage[v->def->in[0]->id] == NM_STAGE_part)
        v = v->def->in[0];
    b->acc[v->id] = true;
}

// A micro-batch reads the complete sum. false: it depends on more than data.
static bool complete_before(nm_batch *b, nm_op *op, int operand)
{
    nm_value *v = op->in[operand];
    if (b->data_only[v->id] && !b->mean[v->id])
        return b->count[v->id] = true;
    if (!b->average)
        return false;
    if (!b->mean[v->id])
        estimate(b, op, operand);
    complete(b, v);
    return true;
}

static bool operands_before(nm_batch *b, nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (b->stage[op->in[i]->id] == NM_STAGE_part && !complete_before(b, op, i))
            return false;
    return true;
}

static bool reads(const nm_batch *b, const nm_op *op, nm_stage stage)
{
    for (int i = 0; i < op->n_in; i++)
        if (b->stage[op->in[i]->id] == stage)
            return true;
    return false;
}

static void set_results(nm_batch *b, nm_op *op, nm_stage stage)
{
    for (int i = 0; i < op->n_out; i++)
        b->stage[op->out[i].id] = nm_batch_has(b, op->out[i].type) ? NM_STAGE_micro : stage;
}

static bool stage_repeat(nm_batch *b, nm_op *op)
{
    nm_arena scratch = {0};
    inner in = {b, nm_new_n(&scratch, share, b->f->n_values + 1)};
    bool ok = shares_of_repeat(&in, op);
    set_results(b, op, NM_STAGE_any);
    for (int i = 0; i < op->n_out; i++) {
        uint32_t id = op->out[i].id;
        if (nm_batch_has(b, op->out[i].type) || in.of[id] == FREE)
            continue;
        b->stage[id] = NM_STAGE_part;
        b->mean[id] = in.of[id] == LOCAL;
    }
    nm_arena_free(&scratch);
    return ok;
}

static bool stage_batch_op(nm_batch *b, nm_op *op)
{
    if (!operands_before(b, op))
        return false;
    if (op->code == NM_OP_repeat)
        return stage_repeat(b, op);
    bool from_batch = reads_batch(b, op), exact = true;
    set_results(b, op, from_batch ? NM_STAGE_part : NM_STAGE_any);
    for (int i = 0; from_batch && i < op->n_out; i++)
        if (!nm_batch_has(b, op->out[i].type) && !sums(op)) {
            b->mean[op->out[i].id] = true;
            exact = false;
        }
    return exact || b->average;
}

static bool all_parts(const nm_batch *b, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++) {
        uint32_t id = op->in[i]->id;
        if ((b->stage[id] != NM_STAGE_part && !nm_batch_is_zero(op->in[i])) || b->mean[id])
            return false;
    }
    return true;
}

static bool has_run_time_size(const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (!nm_extent_is_const(t->dim[i].extent, NULL))
            return true;
    return false;
}

// A linear op that brings a part to a size that is known now: an accumulator [seq, d] of the rows
// of learned positions is no good where the positions themselves can be accumulated.
static bool settles(const nm_batch *b, const nm_op *op)
{
    int n = 0;
    bool sized = true, was_sized = true;
    for (int i = 0; i < op->n_in; i++) {
        bool part = b->stage[op->in[i]->id] == NM_STAGE_part;
        n += part;
        was_sized &= !part || !has_run_time_size(op->in[i]->type);
        if (part && (b->mean[op->in[i]->id] || !nm_form_reads_parts(op, i)))
            return false;
    }
    for (int i = 0; i < op->n_out; i++)
        sized &= !has_run_time_size(op->out[i].type);
    return nm_is(op, NM_LINEAR) && n == 1 && sized && !was_sized && !reads(b, op, NM_STAGE_finish);
}

static bool stage_op(nm_batch *b, nm_op *op)
{
    bool feeds = false;
    for (int i = 0; i < op->n_out; i++)
        feeds |= b->feeds[op->out[i].id];
    if (op_has(b, op))
        return stage_batch_op(b, op);
    bool part = reads(b, op, NM_STAGE_part);
    if (feeds) {
        set_results(b, op, NM_STAGE_any);
        return operands_before(b, op);
    }
    bool keeps = part && (nm_is(op, NM_SUM) || nm_is(op, NM_IDLE)) && all_parts(b, op);
    keeps |= part && settles(b, op);
    if (keeps || (!part && !reads(b, op, NM_STAGE_finish))) {
        set_results(b, op, keeps ? NM_STAGE_part : NM_STAGE_any);
        return true;
    }
    for (int i = 0; i < op->n_in; i++)
        if (b->stage[op->in[i]->id] == NM_STAGE_part)
            complete(b, op->in[i]);
    set_results(b, op, NM_STAGE_finish);
    return true;
}

static void mark_feeding(nm_batch *b)
{
    for (nm_op *op = b->f->last->prev; op; op = op->prev) {
        bool feeds = op_has(b, op);
        for (int i = 0; i < op->n_out; i++)
            feeds |= b->feeds[op->out[i].id];
        for (int i = 0; feeds && i < op->n_in; i++)
            b->feeds[op->in[i]->id] = true;
    }
}

static void mark_data_only(nm_batch *b)
{
    for (int i = 0; i < b->f->n_params; i++) {
        nm_bind_kind kind = b->f->param_bind[i].kind;
        b->data_only[b->f->param[i]->id] = kind == NM_BIND_data || kind == NM_BIND_scalar;
    }
    nm_each_op(op, b->f) {
        bool only = true;
        for (int i = 0; i < op->n_in; i++)
            only &= b->data_only[op->in[i]->id];
        for (int i = 0; i < op->n_out; i++)
            b->data_only[op->out[i].id] = only;
    }
}

static void start(nm_batch *b, nm_func *f, bool average)
{
    nm_module *m = f->module;
    *b = (nm_batch){.f = f, .dim = nm_sym_get(m, "batch"), .average = average};
    b->stage = nm_new_n(m->arena, nm_stage, f->n_values + 1);
    b->feeds = nm_new_n(m->arena, bool, f->n_values + 1);
    b->data_only = nm_new_n(m->arena, bool, f->n_values + 1);
    b->acc = nm_new_n(m->arena, bool, f->n_values + 1);
    b->count = nm_new_n(m->arena, bool, f->n_values + 1);
    b->mean = nm_new_n(m->arena, bool, f->n_values + 1);
    for (int i = 0; i < f->n_params; i++)
        if (nm_batch_has(b, f->param[i]->type))
            b->stage[f->param[i]->id] = NM_STAGE_micro;
    mark_feeding(b);
    mark_data_only(b);
}

// The op at which the cut fails; NULL: none.
static nm_op *stage_all(nm_batch *b)
{
    for (nm_op *op = b->f->first; op != b->f->last; op = op->next)
        if (!stage_op(b, op))
            return op;
    return NULL;
}

static nm_loc loss_of(const nm_func *f)
{
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind == NM_BIND_emit && f->last->in[i]->def)
            return f->last->in[i]->def->loc;
    return f->loc;
}

bool nm_batch_analyse(nm_func *f, nm_batch *b)
{
    nm_diag *diag = f->module->diag;
    start(b, f, false);
    nm_op *culprit = stage_all(b);
    if (culprit) {
        nm_warning(
            diag, loss_of(f),
            "this loss is not a sum of means over batch; micro-batches average it [train-4]");
        nm_note(diag, culprit->loc, "%s needs a sum over the whole batch here",
                nm_info(culprit)->name);
        start(b, f, true);
        culprit = stage_all(b);
        if (culprit)
            return nm_error(diag, culprit->loc, "%s over batch cannot be cut into micro-batches",
                            nm_info(culprit)->name);
    }
    for (int i = 0; i < f->n_results; i++) {
        nm_value *v = f->last->in[i];
        if (b->stage[v->id] == NM_STAGE_micro)
            return nm_error(diag, v->def ? v->def->loc : f->loc,
                            "'%s' has the dim batch: what a step gives is of the whole batch",
                            f->result_bind[i].name ? f->result_bind[i].name : "result");
        if (b->stage[v->id] == NM_STAGE_part)
            complete(b, v);
    }
    return true;
}
