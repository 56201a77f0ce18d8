// The proof that a cut step is the step: in a part of it, an accumulator's parameter is pending
// over mb, since earlier micro-batches gave it their parts, and what is bound to it in the end has
// to be that with more parts added, or, of a maximum, the larger of it and more parts. `onto`
// follows it there: through these ops, and around the turns of repeats. Everything else would act
// upon what earlier micro-batches gave. What is bound otherwise has to be the same in every
// micro-batch.
#include "ir/form.h"
#include "passes/batch.h"

typedef struct proof {
    nm_batch b;
    const nm_value **onto; // the accumulator's parameter that is in it; by id, or NULL
} proof;

static const nm_value *onto_of(const proof *p, const nm_value *v) { return p->onto[v->id]; }

static bool refuse(const proof *p, const nm_op *op, const nm_value *acc)
{
    return nm_error(p->b.f->module->diag, op->loc,
                    "%s changes what earlier micro-batches added to '%s' [form-6]",
                    nm_info(op)->name, acc->name);
}

// The first op that gives it a part says what it is; the others have to agree.
static bool takes(proof *p, const nm_value *acc, const nm_op *op)
{
    nm_mb *form = &p->b.form[acc->id], part = op->code == NM_OP_maximum ? NM_MB_max : NM_MB_sum;
    bool agrees = *form == NM_MB_whole || *form == part;
    *form = part;
    return agrees;
}

static bool follow_plain(proof *p, nm_op *op)
{
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *acc = onto_of(p, op->in[i]);
        if (acc && (!nm_form_accumulates(op) || onto_of(p, op->in[1 - i]) || !takes(p, acc, op)))
            return refuse(p, op, acc);
        if (acc)
            p->onto[op->out[0].id] = acc;
    }
    return true;
}

static bool follow_func(proof *p, nm_func *f);

// Carried by every turn, or a turn's part of what is stacked; a value that all turns see is added
// to in each of them.
static bool follow_repeat(proof *p, nm_op *op)
{
    int carried = (int)nm_attr_int(op, "carried", 0);
    int turned = carried + (int)nm_attr_int(op, "stacked", 0);
    nm_func *body = op->body;
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *acc = p->onto[body->param[i]->id] = onto_of(p, op->in[i]);
        if (acc && i >= turned)
            return refuse(p, op, acc);
    }
    if (!follow_func(p, body))
        return false;
    for (int i = 0; i < op->n_out; i++) {
        const nm_value *leaves = onto_of(p, body->last->in[i]);
        const nm_value *enters = i < carried ? onto_of(p, op->in[i]) : leaves;
        if (leaves != enters)
            return refuse(p, op, enters ? enters : leaves);
        p->onto[op->out[i].id] = leaves;
    }
    return true;
}

static bool follow_func(proof *p, nm_func *f)
{
    for (nm_op *op = f->first; op != f->last; op = op->next)
        if (!(op->code == NM_OP_repeat ? follow_repeat : follow_plain)(p, op))
            return false;
    return true;
}

static bool is_sum(nm_bind bind) { return bind.kind == NM_BIND_acc || bind.kind == NM_BIND_count; }

// The parameter that result i adds to; NULL: it is no accumulator.
static nm_value *acc_of(const nm_func *f, int i)
{
    nm_bind bind = f->result_bind[i];
    int k = is_sum(bind) ? nm_func_find_param(f, bind.kind, bind.name) : -1;
    return k < 0 ? NULL : f->param[k];
}

static bool check_result(const proof *p, int i)
{
    nm_func *f = p->b.f;
    nm_bind bind = f->result_bind[i];
    const nm_value *v = f->last->in[i], *acc = acc_of(f, i);
    nm_mb form = p->b.form[v->id];
    bool whole = form == NM_MB_whole || form == NM_MB_zero;
    bool pending = nm_batch_is_part(&p->b, v) || (form == NM_MB_mean && p->b.average);
    bool ok = is_sum(bind) ? acc && onto_of(p, v) == acc && pending : whole && !onto_of(p, v);
    return ok || nm_error(f->module->diag, v->def ? v->def->loc : f->loc,
                          is_sum(bind) ? "'%s' is not what it was and a part of a sum over batch "
                                         "[form-6]"
                                       : "'%s' differs between micro-batches [form-6]",
                          bind.name ? bind.name : "result");
}

bool nm_batch_check(nm_func *f, bool average)
{
    proof p = {0};
    nm_batch_open(&p.b, f);
    p.b.average = average;
    p.onto = nm_new_n(f->module->arena, const nm_value *, f->n_values + 1);
    for (int i = 0; i < f->n_results; i++) {
        nm_value *acc = acc_of(f, i);
        if (!acc)
            continue;
        p.onto[acc->id] = acc;
        p.b.form[acc->id] = NM_MB_whole; // until it is known what it takes
    }
    if (!follow_func(&p, f))
        return false;
    if (!nm_batch_infer_func(&p.b, f))
        return nm_error(f->module->diag, p.b.culprit ? p.b.culprit->loc : f->loc,
                        "%s needs a sum over the whole batch, and has a part of it [form-6]",
                        p.b.culprit ? nm_info(p.b.culprit)->name : "this part of a step");
    for (int i = 0; i < f->n_results; i++)
        if (!check_result(&p, i))
            return false;
    return true;
}
