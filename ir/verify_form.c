// The sharding rule read backward from the types: of a function whose types have axes or pending
// sums, every op computes from the forms of its operands just the forms that its results are said
// to have. A missing or wrong collective is a type error here. Functions of bare types (whole
// tensors, or local ones after localize) have nothing to check.
#include "ir/form.h"
#include "ir/tables.h"

// --- an op's space, with the axes that its values have -------------------------------------------

static bool check_dim(nm_module *m, const nm_op *op, nm_space *s, nm_sym name, const nm_dim *d,
                      bool *known)
{
    nm_dim *have = name ? nm_space_find(s, name) : NULL;
    if (!have)
        return !d->axes.n ||
               nm_error(m->diag, op->loc, "%s needs '%s' whole, and it is split over %s [form-1]",
                        nm_info(op)->name, d->name, nm_axes_str(m, &d->axes));
    bool *seen = &known[have - s->dim];
    if (*seen && !nm_axes_same(&have->axes, &d->axes))
        return nm_error(m->diag, op->loc,
                        "%s: operands have %s split over different axes [align-4]",
                        nm_info(op)->name, d->name);
    *seen = true;
    have->axes = d->axes;
    return true;
}

static bool fill_space(nm_module *m, const nm_op *op, nm_space *s)
{
    bool known[NM_MAX_SPACE] = {false};
    for (int i = 0; i < op->n_in; i++)
        for (int k = 0; k < op->in[i]->type->rank; k++) {
            const nm_dim *d = &op->in[i]->type->dim[k];
            if (!check_dim(m, op, s, nm_space_of_operand(op, d->name), d, known))
                return false;
        }
    for (int i = 0; i < op->n_out; i++)
        for (int k = 0; k < op->out[i].type->rank; k++) {
            const nm_dim *d = &op->out[i].type->dim[k];
            if (!check_dim(m, op, s, nm_space_of_result(op, d->name), d, known))
                return false;
        }
    return true;
}

static bool check_once(nm_module *m, const nm_op *op, const nm_space *s)
{
    nm_axes used = {0};
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->dim[i].axes.n; k++) {
            nm_sym axis = s->dim[i].axes.axis[k];
            if (nm_axes_has(&used, axis))
                return nm_error(m->diag, op->loc, "%s: two of its dims are split over %s [form-2]",
                                nm_info(op)->name, axis);
            nm_axes_add(&used, axis);
        }
    return true;
}

// --- pending sums --------------------------------------------------------------------------------

static bool refuse(nm_module *m, const nm_op *op, int i)
{
    const nm_type *t = op->in[i]->type;
    return nm_error(m->diag, op->loc, "%s: operand %d is still a partial %s over %s [pending-1]",
                    nm_info(op)->name, i, t->kind == NM_PENDING_SUM ? "sum" : "maximum",
                    t->pending.axis[0]);
}

// f(a + a', b + b') = f(a, b) + f(a', b'), and so of maxima: all of the operands, or none.
static bool check_all(nm_module *m, const nm_op *op, nm_axes *kept)
{
    bool first = true;
    for (int i = 0; i < op->n_in; i++) {
        const nm_axes *p = &op->in[i]->type->pending;
        if (op->code != NM_OP_maximum && !nm_form_reads_parts(op, i))
            continue;
        if (!first && !nm_axes_same(p, kept))
            return refuse(m, op, p->n ? i : i - 1);
        *kept = *p;
        first = false;
    }
    return true;
}

// May op read it as the part that it is? A maximum's parts only the larger of two may.
static bool reads_part(const nm_op *op, int i)
{
    bool max = op->in[i]->type->kind == NM_PENDING_MAX;
    return op->code == NM_OP_maximum ? max : !max && nm_form_reads_parts(op, i);
}

static bool check_pending(nm_module *m, const nm_op *op, nm_axes *kept)
{
    bool all = nm_is(op, NM_SUM) || op->code == NM_OP_maximum;
    for (int i = 0; i < op->n_in; i++) {
        const nm_type *t = op->in[i]->type;
        if (t->pending.n && !reads_part(op, i))
            return refuse(m, op, i);
        for (int k = 0; k < t->pending.n && !all; k++) {
            if (nm_axes_has(kept, t->pending.axis[k]))
                return refuse(m, op, i);
            nm_axes_add(kept, t->pending.axis[k]);
        }
    }
    return !all || check_all(m, op, kept);
}

// What result r has to be pending over: what was kept, and what its dropped dims were split over.
static bool pending_of(nm_module *m, const nm_op *op, const nm_space *s, int r, nm_axes *pending)
{
    for (int i = 0; i < s->n; i++) {
        const nm_axes *axes = &s->dim[i].axes;
        if (!axes->n || !nm_form_drops(op, r, s->dim[i].name))
            continue;
        if (!nm_is(op, NM_REDUCE))
            return nm_error(m->diag, op->loc, "%s drops a dim that is split over %s [pending-3]",
                            nm_info(op)->name, axes->axis[0]);
        for (int k = 0; k < axes->n; k++)
            nm_axes_add(pending, axes->axis[k]);
    }
    return true;
}

static bool check_result(nm_module *m, const nm_op *op, const nm_space *s, int r, nm_axes kept)
{
    nm_type want = *op->out[r].type;
    if (!pending_of(m, op, s, r, &kept))
        return false;
    want.pending = kept;
    want.kind = nm_form_kind(op);
    return nm_type_get(m, &want) == op->out[r].type ||
           nm_error(m->diag, op->loc, "%s computes %s, not %s [type-2]", nm_info(op)->name,
                    nm_type_str(m, nm_type_get(m, &want)), nm_type_str(m, op->out[r].type));
}

static bool check_plain(nm_module *m, const nm_op *op)
{
    nm_space s = nm_space_of(op);
    nm_axes kept = {0};
    if (!check_pending(m, op, &kept) || !fill_space(m, op, &s) || !check_once(m, op, &s))
        return false;
    for (int i = 0; i < kept.n; i++)
        for (int k = 0; k < s.n; k++)
            if (nm_axes_has(&s.dim[k].axes, kept.axis[i]))
                return nm_error(m->diag, op->loc,
                                "%s: a sum over %s is pending, and '%s' is split over it [form-3]",
                                nm_info(op)->name, kept.axis[i], s.dim[k].name);
    for (int r = 0; r < op->n_out; r++)
        if (!check_result(m, op, &s, r, kept))
            return false;
    return true;
}

// --- the others ----------------------------------------------------------------------------------

static bool check_collective(nm_module *m, const nm_op *op)
{
    const nm_type *t = nm_form_after(m, op);
    return (t && nm_type_same_set(t, op->out[0].type)) ||
           nm_error(m->diag, op->loc, "%s of %s does not give %s [form-4]", nm_info(op)->name,
                    nm_type_str(m, op->in[0]->type), nm_type_str(m, op->out[0].type));
}

static bool check_free(nm_module *m, const nm_op *op)
{
    return !op->out[0].type->pending.n ||
           nm_error(m->diag, op->loc, "%s: the type of a free value is complete [pending-2]",
                    nm_info(op)->name);
}

static bool same(nm_module *m, const nm_op *op, const nm_type *a, const nm_type *b)
{
    return nm_type_same_set(a, b) ||
           nm_error(m->diag, op->loc, "%s: %s outside of the body is %s inside [form-5]",
                    nm_info(op)->name, nm_type_str(m, a), nm_type_str(m, b));
}

static bool check_func(nm_module *m, const nm_func *f);

// A turn sees stacked values without the repeated dim, which nothing splits.
static bool check_repeat(nm_module *m, const nm_op *op)
{
    nm_sym over = nm_attr_sym(op, "over");
    int carried = (int)nm_attr_int(op, "carried", 0), stacked = (int)nm_attr_int(op, "stacked", 0);
    const nm_op *ret = op->body->last;
    for (int i = 0; i < op->n_in; i++) {
        const nm_type *t = op->in[i]->type;
        bool is_stacked = i >= carried && i < carried + stacked;
        if (is_stacked && t->dim[nm_type_find(t, over)].axes.n)
            return nm_error(m->diag, op->loc, "repeat needs '%s' whole, and %s is split [form-1]",
                            over, nm_type_str(m, t));
        if (is_stacked)
            t = nm_type_without(m, t, over);
        if (!same(m, op, t, op->body->param[i]->type))
            return false;
    }
    for (int i = 0; i < op->n_out; i++) {
        const nm_type *t = op->out[i].type;
        if (!same(m, op, i < carried ? t : nm_type_without(m, t, over), ret->in[i]->type) ||
            (i < carried && !same(m, op, op->in[i]->type, t)))
            return false;
    }
    return check_func(m, op->body);
}

static bool check_op(nm_module *m, const nm_op *op)
{
    if (op->code == NM_OP_ret)
        return true;
    if (op->code == NM_OP_repeat)
        return check_repeat(m, op);
    if (nm_is(op, NM_COLLECTIVE))
        return check_collective(m, op);
    if (nm_is(op, NM_FREE))
        return check_free(m, op);
    return check_plain(m, op);
}

static bool check_func(nm_module *m, const nm_func *f)
{
    bool ok = true;
    nm_each_op(op, f)
        ok &= check_op(m, op);
    return ok;
}

static bool is_bare(const nm_func *f)
{
    for (int i = 0; i < f->n_params; i++)
        if (!nm_type_is_bare(f->param[i]->type))
            return false;
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            if (!nm_type_is_bare(op->out[i].type))
                return false;
        if (op->body && !is_bare(op->body))
            return false;
    }
    return true;
}

bool nm_verify_forms(nm_module *m, const nm_func *f) { return is_bare(f) || check_func(m, f); }
