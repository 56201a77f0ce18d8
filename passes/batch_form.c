// The sharding rule over mb, the axis that splits batch in time. From an op's row (ir/form.h):
//
//   split    dims whose extent reads batch, if the op can be computed on a part of them
//   born     a reduction that drops such a dim leaves its sum pending
//            (so does the largest of magnitudes its maximum, for which 0 stands for nothing)
//   keep     one operand of a linear op, or all of a sum's, are read as parts: so is the result;
//            so the larger of two, where one is a part of a maximum
//
// Whatever else reads a part needs it complete, which nothing in a micro-batch can have: there the
// part stands for the whole (an estimate), and what is computed so is averaged. A value that a
// repeat carries starts as low as its operand, and rises until its turns agree:
//
//   zero < whole, sum, max < mean
#include "ir/form.h"
#include "passes/batch.h"

// --- what has the batch --------------------------------------------------------------------------

bool nm_batch_has(const nm_batch *b, const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (nm_extent_reads(t->dim[i].extent, b->dim))
            return true;
    return false;
}

bool nm_batch_op_has(const nm_batch *b, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (nm_batch_has(b, op->in[i]->type))
            return true;
    for (int i = 0; i < op->n_out; i++)
        if (nm_batch_has(b, op->out[i].type))
            return true;
    if (op->body)
        nm_each_op(inner, op->body)
            if (nm_batch_op_has(b, inner))
                return true;
    return false;
}

void nm_batch_open(nm_batch *b, nm_func *f)
{
    nm_arena *arena = f->module->arena;
    *b = (nm_batch){.f = f, .dim = nm_sym_get(f->module, "batch")};
    b->form = nm_new_n(arena, nm_mb, f->n_values + 1);
    for (int i = 0; i < f->n_params; i++)
        b->form[f->param[i]->id] = nm_batch_has(b, f->param[i]->type) ? NM_MB_split : NM_MB_whole;
}

// --- exactness -----------------------------------------------------------------------------------

bool nm_batch_blame(nm_batch *b, nm_op *op)
{
    if (!b->culprit)
        b->culprit = op;
    return b->average;
}

void nm_batch_estimate(nm_batch *b, nm_op *op, int operand)
{
    b->estimate =
        nm_arena_grow(b->f->module->arena, b->estimate, b->n_estimates, sizeof *b->estimate);
    b->estimate[b->n_estimates++] = (nm_slot){op, operand};
}

// Can op be computed on the batch's parts of t's dims? Not if it runs along the batch, looks up in
// it, or pairs it with itself: `in` is the dim of op's space that is split, NULL: none yet.
static bool fits_type(const nm_batch *b, const nm_op *op, const nm_type *t,
                      nm_sym (*space_of)(const nm_op *, nm_sym), nm_sym *in)
{
    for (int i = 0; i < t->rank; i++) {
        nm_sym name = t->dim[i].name, of = space_of(op, name);
        if (!nm_extent_reads(t->dim[i].extent, b->dim))
            continue;
        if (nm_form_needs_whole(op, name) || nm_form_looks_up(op, name) || (*in && of && of != *in))
            return false;
        *in = of ? of : *in;
    }
    return true;
}

static bool fits(const nm_batch *b, const nm_op *op)
{
    nm_sym in = NULL;
    for (int i = 0; i < op->n_in; i++)
        if (!fits_type(b, op, op->in[i]->type, nm_space_of_operand, &in))
            return false;
    for (int i = 0; i < op->n_out; i++)
        if (!fits_type(b, op, op->out[i].type, nm_space_of_result, &in))
            return false;
    return true;
}

// --- one op --------------------------------------------------------------------------------------

// What a maximum's parts may go through: what moves no number, but for neg; and the larger of two.
static bool keeps_max(const nm_batch *b, const nm_op *op)
{
    bool larger = op->code == NM_OP_maximum, any = false;
    for (int i = 0; i < op->n_in; i++) {
        nm_mb form = b->form[op->in[i]->id];
        bool whole = form == NM_MB_zero || form == NM_MB_whole;
        if (form != NM_MB_max && !(larger && whole))
            return false;
        any |= form == NM_MB_max;
    }
    return any && (larger || (nm_is(op, NM_IDLE) && op->code != NM_OP_neg));
}

static bool keeps_sum(const nm_batch *b, const nm_op *op)
{
    int sums = 0, zeros = 0, others = 0;
    for (int i = 0; i < op->n_in; i++) {
        nm_mb form = b->form[op->in[i]->id];
        bool may = nm_form_reads_parts(op, i);
        if (form == NM_MB_split || form == NM_MB_max || form == NM_MB_mean ||
            (form == NM_MB_sum && !may))
            return false;
        sums += form == NM_MB_sum;
        zeros += may && form == NM_MB_zero;
        others += may && form == NM_MB_whole;
    }
    return nm_is(op, NM_SUM) ? sums + zeros > 0 && !others : sums == 1 || (!sums && zeros);
}

bool nm_batch_keeps(const nm_batch *b, const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        if (nm_batch_has(b, op->out[i].type))
            return false;
    return keeps_sum(b, op) || keeps_max(b, op);
}

bool nm_batch_is_part(const nm_batch *b, const nm_value *v)
{
    return b->form[v->id] == NM_MB_sum || b->form[v->id] == NM_MB_max;
}

static bool reads(const nm_batch *b, const nm_op *op, nm_mb form)
{
    for (int i = 0; i < op->n_in; i++)
        if (b->form[op->in[i]->id] == form)
            return true;
    return false;
}

static bool is_magnitude(const nm_value *v)
{
    const nm_op *op = v->def;
    bool same = op && (op->code == NM_OP_cast || nm_form_is_relabel(op));
    return op && (op->code == NM_OP_abs || (same && is_magnitude(op->in[0])));
}

// Of what has parts of the batch, a result that has none of it: the parts of a sum add up.
static nm_mb reduced_form(const nm_op *op)
{
    if (op->code == NM_OP_max && is_magnitude(op->in[0]))
        return NM_MB_max;
    return nm_form_sums(op) ? NM_MB_sum : NM_MB_mean;
}

static nm_mb kept_form(const nm_batch *b, const nm_op *op)
{
    return reads(b, op, NM_MB_max) ? NM_MB_max : reads(b, op, NM_MB_sum) ? NM_MB_sum : NM_MB_zero;
}

static nm_mb result_form(const nm_batch *b, const nm_op *op, int i, bool keep, bool inside)
{
    if (nm_batch_has(b, op->out[i].type))
        return NM_MB_split;
    if (nm_is_zero(&op->out[i]))
        return NM_MB_zero;
    if (keep)
        return kept_form(b, op);
    if (reads(b, op, NM_MB_split))
        return reduced_form(op);
    bool depends = reads(b, op, NM_MB_sum) || reads(b, op, NM_MB_max) || reads(b, op, NM_MB_mean);
    return inside && depends ? NM_MB_mean : NM_MB_whole;
}

static bool infer_plain(nm_batch *b, nm_op *op, bool keep, bool inside)
{
    bool exact = fits(b, op);
    for (int i = 0; i < op->n_in && inside && !keep; i++)
        if (b->form[op->in[i]->id] == NM_MB_sum) {
            nm_batch_estimate(b, op, i);
            exact = false;
        } else if (b->form[op->in[i]->id] == NM_MB_max) { // stands for the whole as it is
            exact = false;
        }
    for (int i = 0; i < op->n_out; i++) {
        nm_mb form = result_form(b, op, i, keep, inside);
        b->form[op->out[i].id] = form;
        exact &= form != NM_MB_mean;
    }
    return exact || nm_batch_blame(b, op);
}

// --- repeats -------------------------------------------------------------------------------------

static nm_mb join(nm_mb a, nm_mb b)
{
    if (a == b || b == NM_MB_zero)
        return a;
    return a == NM_MB_zero ? b : NM_MB_mean;
}

// An operand as the body's parameter. Turns that go along the batch are not those of the whole.
static nm_mb param_form(const nm_batch *b, const nm_op *op, int i, bool inside)
{
    nm_mb form = b->form[op->in[i]->id];
    if (form == NM_MB_split && !nm_batch_has(b, op->body->param[i]->type))
        return NM_MB_mean;
    bool pending = form == NM_MB_sum || form == NM_MB_max || form == NM_MB_mean;
    return pending && !inside ? NM_MB_whole : form;
}

static bool open_body(nm_batch *b, nm_op *op, bool inside)
{
    bool exact = true;
    for (int i = 0; i < op->n_in; i++) {
        uint32_t id = op->body->param[i]->id;
        b->form[id] = param_form(b, op, i, inside);
        exact &= b->form[id] != NM_MB_mean;
    }
    return exact || nm_batch_blame(b, op);
}

// Raises what the turns take to what they give, until that is the same. false: it never is.
static bool settle_carried(nm_batch *b, nm_op *op)
{
    int carried = (int)nm_attr_int(op, "carried", 0), n_estimates = b->n_estimates;
    for (bool again = true; again;) {
        again = false;
        b->n_estimates = n_estimates;
        if (!nm_batch_infer_func(b, op->body))
            return false;
        for (int i = 0; i < carried; i++) {
            nm_mb *enters = &b->form[op->body->param[i]->id];
            nm_mb leaves = b->form[op->body->last->in[i]->id], form = join(*enters, leaves);
            bool no_part = *enters == NM_MB_mean && leaves == NM_MB_sum;
            if (no_part || (form == NM_MB_mean && !nm_batch_blame(b, op)))
                return false;
            again |= form != *enters;
            *enters = form;
        }
    }
    return true;
}

static bool infer_repeat(nm_batch *b, nm_op *op, bool inside)
{
    int carried = (int)nm_attr_int(op, "carried", 0);
    if (!open_body(b, op, inside) || !settle_carried(b, op))
        return false;
    for (int i = 0; i < op->n_out; i++) {
        const nm_value *inner = i < carried ? op->body->param[i] : op->body->last->in[i];
        bool split = nm_batch_has(b, op->out[i].type);
        b->form[op->out[i].id] = split ? NM_MB_split : b->form[inner->id];
    }
    return true;
}

bool nm_batch_infer_op(nm_batch *b, nm_op *op, bool keep, bool inside)
{
    return op->code == NM_OP_repeat ? infer_repeat(b, op, inside)
                                    : infer_plain(b, op, keep, inside);
}

bool nm_batch_infer_func(nm_batch *b, nm_func *f)
{
    for (nm_op *op = f->first; op != f->last; op = op->next)
        if (!nm_batch_infer_op(b, op, nm_batch_keeps(b, op), true))
            return false;
    return true;
}
