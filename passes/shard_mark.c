// What has no form of its own, before forms are inferred: free values, which are computed in
// whatever form is demanded, and accumulators, which take the form of what is added to them. An
// accumulator is one of the step (bound), or one of a repeat: a value that is carried from zero and
// in each turn does nothing but take a part (the gradient of what every turn reads).
#include "passes/shard.h"

// --- free ----------------------------------------------------------------------------------------

static bool reads_free(const nm_shard *s, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++)
        if (!s->free[op->in[i]->id])
            return false;
    return true;
}

static bool is_free(const nm_shard *s, const nm_op *op)
{
    bool moves_nothing = nm_is(op, NM_MAP) || op->code == NM_OP_broadcast || nm_form_is_rename(op);
    return nm_is(op, NM_FREE) || (moves_nothing && reads_free(s, op));
}

// --- accumulators of a repeat --------------------------------------------------------------------

static bool starts_at_zero(const nm_value *v)
{
    while (v->def && v->def->code == NM_OP_broadcast)
        v = v->def->in[0];
    return nm_is_zero(v);
}

// Is param read by one add after the other, up to the body's result, and by nothing else?
static bool only_adds(const nm_value *param, const nm_value *result)
{
    const nm_value *v = param;
    while (v != result && nm_used_once(v) && v->uses->op->code == NM_OP_add)
        v = &v->uses->op->out[0];
    return v == result && v != param && nm_used_once(v);
}

static const nm_bind *bind_inner(nm_shard *s, const nm_value *param)
{
    nm_bind *bind = nm_new(s->arena, nm_bind);
    *bind =
        (nm_bind){.kind = NM_BIND_acc, .name = nm_sym_fmt(s->m, "%s:%u", s->f->name, param->id)};
    return bind;
}

// --- marking -------------------------------------------------------------------------------------

nm_value *nm_shard_acc_of(const nm_shard *s, const nm_op *op)
{
    if (!nm_form_accumulates(op) || !s->acc[op->in[0]->id] == !s->acc[op->in[1]->id])
        return NULL;
    return op->in[s->acc[op->in[0]->id] ? 0 : 1];
}

static void mark_func(nm_shard *s, nm_func *f);

static void mark_repeat(nm_shard *s, nm_op *op)
{
    int carried = (int)nm_attr_int(op, "carried", 0);
    nm_op *ret = op->body->last;
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *param = op->body->param[i];
        s->acc[param->id] = s->acc[op->in[i]->id];
        s->free[param->id] = i >= carried && !param->type->rank && s->free[op->in[i]->id];
        if (i < carried && starts_at_zero(op->in[i]) && only_adds(param, ret->in[i]))
            s->acc[param->id] = bind_inner(s, param);
    }
    mark_func(s, op->body);
    for (int i = 0; i < op->n_out; i++) {
        bool inner = i < carried && !s->acc[op->in[i]->id];
        s->acc[op->out[i].id] = inner ? NULL : s->acc[ret->in[i]->id];
    }
}

static void mark_func(nm_shard *s, nm_func *f)
{
    nm_each_op(op, f) {
        if (op->code == NM_OP_repeat) {
            mark_repeat(s, op);
            continue;
        }
        nm_value *acc = nm_shard_acc_of(s, op);
        for (int i = 0; i < op->n_out; i++) {
            s->free[op->out[i].id] = is_free(s, op);
            s->acc[op->out[i].id] = acc ? s->acc[acc->id] : NULL;
        }
    }
}

static bool is_acc(nm_bind_kind kind) { return kind == NM_BIND_acc || kind == NM_BIND_count; }

// Does it give the accumulator that it takes? The middle ends those that it takes. In the last
// micro-batch a pending one becomes a complete one.
static bool adds_to(const nm_func *f, nm_bind bind)
{
    nm_sym end = f->part.sums == NM_SUMS_last ? nm_complete_name(f->module, bind) : NULL;
    for (int i = 0; i < f->n_results && f->part.phase != NM_PHASE_middle; i++) {
        nm_bind result = f->result_bind[i];
        if (result.kind == bind.kind && (result.name == bind.name || result.name == end))
            return is_acc(bind.kind);
    }
    return false;
}

static void mark_param(nm_shard *s, int i)
{
    nm_value *v = s->f->param[i];
    nm_bind bind = s->f->param_bind[i];
    bool scalar = bind.kind == NM_BIND_scalar ||
                  (bind.kind == NM_BIND_count && !nm_shard_gives(s->f, NM_BIND_count));
    s->free[v->id] = bind.kind == NM_BIND_data || (scalar && !v->type->rank);
    if (adds_to(s->f, bind))
        s->acc[v->id] = &s->f->param_bind[i];
}

// A sum that is given under another name than it was taken under.
static void mark_end(nm_shard *s, int i)
{
    const nm_value *v = s->f->last->in[i];
    const nm_bind *bind = &s->f->result_bind[i];
    if (bind->kind == NM_BIND_acc && s->acc[v->id] && s->acc[v->id]->name != bind->name)
        s->ends[v->id] = bind;
}

void nm_shard_open(nm_shard *s)
{
    uint32_t n = s->f->n_values + 1;
    s->form = nm_new_n(s->arena, const nm_type *, n);
    s->free = nm_new_n(s->arena, bool, n);
    s->acc = nm_new_n(s->arena, const nm_bind *, n);
    s->ends = nm_new_n(s->arena, const nm_bind *, n);
    s->keep = nm_new_n(s->arena, uint32_t, n);
    s->demand = nm_new_n(s->arena, nm_demand *, n);
    s->made = nm_new_n(s->arena, nm_made *, n);
    for (int i = 0; i < s->f->n_params; i++)
        mark_param(s, i);
    mark_func(s, s->f);
    for (int i = 0; i < s->f->n_results; i++)
        mark_end(s, i);
}
