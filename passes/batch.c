// When is each value of a step known, if micro-batches split its batch in time? The sharding rule
// (passes/batch_form.c) says what is pending over mb; here is where such a sum is completed. It is
// kept as late as an add, and as early as anything else: a gradient that is complete before the
// optimizer multiplies it is one accumulator, not several. What reads it then is `late`, and runs
// once, in finish; unless micro-batches need it: the sum must be known before the first one, so it
// may depend on data alone: a count. Else the step is not a sum over the batch, and the
// micro-batches' results are averaged.
#include "passes/batch.h"

#include "ir/form.h"

static bool any_out(const nm_op *op, const bool *of)
{
    bool any = false;
    for (int i = 0; i < op->n_out; i++)
        any |= of[op->out[i].id];
    return any;
}

static bool any_in(const nm_op *op, const bool *of)
{
    bool any = false;
    for (int i = 0; i < op->n_in; i++)
        any |= of[op->in[i]->id];
    return any;
}

static bool is_early(const nm_batch *b, const nm_op *op)
{
    return nm_batch_op_has(b, op) || any_out(op, b->early);
}

// --- where sums are completed --------------------------------------------------------------------

static bool has_run_time_size(const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (!nm_extent_is_const(t->dim[i].extent, NULL))
            return true;
    return false;
}

// Does op bring a part to a size that is known now? An accumulator [seq, d] of the rows of learned
// positions is no good where the positions themselves can be accumulated.
static bool settles(const nm_batch *b, const nm_op *op)
{
    bool was_sized = true, sized = true;
    for (int i = 0; i < op->n_in; i++)
        if (nm_batch_is_part(b, op->in[i]))
            was_sized &= !has_run_time_size(op->in[i]->type);
    for (int i = 0; i < op->n_out; i++)
        sized &= !has_run_time_size(op->out[i].type);
    return sized && !was_sized;
}

static bool keeps(const nm_batch *b, const nm_op *op)
{
    bool wanted = nm_is(op, NM_SUM) || op->code == NM_OP_maximum || nm_is(op, NM_IDLE) ||
                  (settles(b, op) && !is_early(b, op));
    return wanted && !any_in(op, b->late) && nm_batch_keeps(b, op);
}

// The sum, or maximum, before the views and casts of it.
static nm_value *sum_behind(const nm_batch *b, nm_value *v)
{
    while (v->def && nm_is(v->def, NM_IDLE) && nm_batch_is_part(b, v->def->in[0]))
        v = v->def->in[0];
    return v;
}

// A micro-batch reads the complete sum. false: it depends on more than data.
static bool complete_before(nm_batch *b, nm_op *op, int operand)
{
    nm_value *v = sum_behind(b, op->in[operand]);
    if (nm_batch_is_part(b, v) && b->data_only[v->id])
        return b->count[v->id] = b->recount = true;
    if (!nm_batch_blame(b, op))
        return false;
    if (b->form[v->id] == NM_MB_sum)
        nm_batch_estimate(b, op, operand);
    return b->acc[v->id] = true;
}

// op reads no parts: those among its operands are complete.
static bool complete_operands(nm_batch *b, nm_op *op, bool *late)
{
    bool early = is_early(b, op);
    for (int i = 0; i < op->n_in; i++) {
        if (!nm_batch_is_part(b, op->in[i]) && b->form[op->in[i]->id] != NM_MB_mean)
            continue;
        if (early && !complete_before(b, op, i))
            return false;
        if (!early)
            *late = b->acc[sum_behind(b, op->in[i])->id] = true;
    }
    return true;
}

static bool infer_op(nm_batch *b, nm_op *op)
{
    bool keep = keeps(b, op), late = any_in(op, b->late), data_only = true;
    if ((!keep && !complete_operands(b, op, &late)) || !nm_batch_infer_op(b, op, keep, false))
        return false;
    for (int i = 0; i < op->n_in; i++)
        data_only &= b->data_only[op->in[i]->id] && !b->count[op->in[i]->id];
    for (int i = 0; i < op->n_out; i++) {
        uint32_t id = op->out[i].id;
        b->late[id] = late;
        b->data_only[id] = data_only;
        if (b->count[id])
            b->form[id] = NM_MB_whole;
    }
    return true;
}

// --- the function --------------------------------------------------------------------------------

static void mark_early(nm_batch *b)
{
    for (nm_op *op = b->f->last->prev; op; op = op->prev)
        for (int i = 0; i < op->n_in && is_early(b, op); i++)
            b->early[op->in[i]->id] = true;
}

static void start(nm_batch *b, nm_func *f, bool average)
{
    nm_arena *arena = f->module->arena;
    nm_batch_open(b, f);
    b->average = average;
    b->early = nm_new_n(arena, bool, f->n_values + 1);
    b->late = nm_new_n(arena, bool, f->n_values + 1);
    b->data_only = nm_new_n(arena, bool, f->n_values + 1);
    b->count = nm_new_n(arena, bool, f->n_values + 1);
    for (int i = 0; i < f->n_params; i++) {
        nm_bind_kind kind = f->param_bind[i].kind;
        b->data_only[f->param[i]->id] = kind == NM_BIND_data || kind == NM_BIND_scalar;
    }
    mark_early(b);
}

// A count is whole, and what reads it is not known from data alone: again with each that is found.
static bool infer(nm_batch *b)
{
    bool ok = true;
    for (b->recount = true; b->recount;) {
        b->recount = false;
        b->n_estimates = 0;
        b->culprit = NULL;
        b->acc = nm_new_n(b->f->module->arena, bool, b->f->n_values + 1);
        ok = true;
        for (nm_op *op = b->f->first; ok && op != b->f->last; op = op->next)
            ok = infer_op(b, op);
    }
    return ok;
}

static nm_loc loss_of(const nm_func *f)
{
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind == NM_BIND_emit && f->last->in[i]->def)
            return f->last->in[i]->def->loc;
    return f->loc;
}

static bool infer_average(nm_batch *b, nm_func *f)
{
    nm_diag *diag = f->module->diag;
    nm_warning(diag, loss_of(f),
               "this loss is not a sum of means over batch; micro-batches average it [train-4]");
    nm_note(diag, b->culprit->loc, "%s needs a sum over the whole batch here",
            nm_info(b->culprit)->name);
    start(b, f, true);
    return infer(b) || nm_error(diag, b->culprit ? b->culprit->loc : f->loc,
                                "%s over batch cannot be cut into micro-batches",
                                b->culprit ? nm_info(b->culprit)->name : "this step");
}

static bool complete_results(nm_batch *b)
{
    nm_func *f = b->f;
    for (int i = 0; i < f->n_results; i++) {
        nm_value *v = f->last->in[i];
        nm_mb form = b->form[v->id];
        if (form == NM_MB_split)
            return nm_error(f->module->diag, v->def ? v->def->loc : f->loc,
                            "'%s' has the dim batch: what a step gives is of the whole batch",
                            f->result_bind[i].name ? f->result_bind[i].name : "result");
        if (nm_batch_is_part(b, v) || form == NM_MB_mean)
            b->acc[sum_behind(b, v)->id] = true;
    }
    return true;
}

bool nm_batch_analyse(nm_func *f, nm_batch *b)
{
    start(b, f, false);
    return (infer(b) || infer_average(b, f)) && complete_results(b);
}
