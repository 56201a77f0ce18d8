// What form a parameter or a result of a function has, by what it is bound to (docs/mesh.md). Most
// follow from the claims; of accumulators, counts and links a table of the mode says it, so that
// all functions agree: the first that gives one says how its dims lie, each adds what is pending.
#include "passes/shard.h"

#include <string.h>

bool nm_shard_gives(const nm_func *f, nm_bind_kind kind)
{
    for (int i = 0; i < f->n_results; i++)
        if (f->result_bind[i].kind == kind)
            return true;
    return false;
}

nm_bound_form *nm_shard_row(nm_shard *s, nm_bind bind)
{
    nm_sym role = nm_func_role(s->f);
    nm_table *t = s->table;
    for (int i = 0; i < t->n; i++)
        if (t->row[i].kind == bind.kind && t->row[i].name == bind.name && t->row[i].role == role)
            return &t->row[i];
    return NULL;
}

static void add_row(nm_shard *s, nm_bind bind, const nm_type *form)
{
    nm_table *t = s->table;
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 32;
        nm_bound_form *bigger = nm_new_n(s->m->arena, nm_bound_form, t->cap);
        if (t->n)
            memcpy(bigger, t->row, (size_t)t->n * sizeof *bigger);
        t->row = bigger;
    }
    t->row[t->n++] = (nm_bound_form){bind.kind, nm_func_role(s->f), bind.name, form};
    t->changed = true;
}

const nm_type *nm_shard_like(nm_module *m, const nm_type *t, const nm_type *form)
{
    nm_type like = *t;
    for (int i = 0; i < like.rank; i++) {
        int at = nm_type_find(form, like.dim[i].name);
        like.dim[i].axes = at < 0 ? (nm_axes){0} : form->dim[at].axes;
    }
    like.pending = form->pending;
    like.kind = form->kind;
    return nm_type_get(m, &like);
}

// --- accumulators --------------------------------------------------------------------------------

// A gradient that is not pending lies as its parameter's states do.
static const nm_type *settled_form(nm_shard *s, nm_bind bind)
{
    const nm_param *p = nm_shard_gradient(s->m, bind);
    return p ? nm_claims_canonical(s->m, &s->table->state, p->type) : NULL;
}

const nm_type *nm_shard_acc_form(nm_shard *s, nm_bind bind)
{
    const nm_type *settled = settled_form(s, bind);
    const nm_bound_form *row = settled ? NULL : nm_shard_row(s, bind);
    return row ? row->form : settled;
}

// A complete part of a sum can be made a pending one, by `first`.
static void join_sums(nm_type *t, const nm_type *part)
{
    for (int i = 0; i < part->pending.n; i++)
        if (!nm_shard_is_split_over(t, part->pending.axis[i]))
            nm_axes_add(&t->pending, part->pending.axis[i]);
}

// Maxima stay pending over what all parts are pending over.
static void join_maxima(nm_type *t, const nm_type *part)
{
    for (int i = t->pending.n - 1; i >= 0; i--)
        if (!nm_axes_has(&part->pending, t->pending.axis[i]))
            nm_axes_drop(&t->pending, t->pending.axis[i]);
}

void nm_shard_join_acc(nm_shard *s, nm_bind bind, const nm_type *part, nm_pending_kind kind)
{
    nm_bound_form *row = nm_shard_row(s, bind);
    if (settled_form(s, bind))
        return;
    if (!row) {
        add_row(s, bind, part);
        return;
    }
    nm_type t = *row->form;
    (kind == NM_PENDING_MAX ? join_maxima : join_sums)(&t, part);
    const nm_type *both = nm_type_get(s->m, &t);
    s->table->changed |= both != row->form;
    row->form = both;
}

// --- links ---------------------------------------------------------------------------------------

// In the next chunk of its unit the link is another one: both lie as carried values do.
static bool is_carried(const nm_func *f, nm_sym link)
{
    for (int i = 0; i < f->n_params; i++) {
        nm_bind b = f->param_bind[i];
        if (b.kind == NM_BIND_link && b.next && (b.name == link || b.next == link))
            return true;
    }
    return false;
}

static bool is_carried_somewhere(nm_module *m, nm_sym link)
{
    nm_each_func(f, m)
        if (is_carried(f, link))
            return true;
    return false;
}

void nm_shard_join_links(nm_shard *s)
{
    for (int i = 0; i < s->f->n_results; i++) {
        nm_bind bind = s->f->result_bind[i];
        const nm_value *v = s->f->last->in[i];
        if (bind.kind != NM_BIND_link || nm_shard_row(s, bind))
            continue;
        const nm_type *form = s->form[v->id];
        if (!form || form->pending.n || is_carried_somewhere(s->m, bind.name))
            form = nm_claims_canonical(s->m, s->claims, v->type);
        add_row(s, bind, form);
    }
}

// --- data ----------------------------------------------------------------------------------------

// The axes that both begin with.
static nm_axes common(const nm_axes *a, const nm_axes *b)
{
    nm_axes both = {0};
    while (both.n < a->n && both.n < b->n && a->axis[both.n] == b->axis[both.n])
        nm_axes_add(&both, a->axis[both.n]);
    return both;
}

void nm_shard_join_data(nm_shard *s, int i, const nm_type *form)
{
    nm_bind bind = s->f->param_bind[i];
    nm_bound_form *row = nm_shard_row(s, bind);
    nm_type t = *form;
    t.pending = (nm_axes){0};
    if (bind.kind != NM_BIND_data)
        return;
    if (!row) {
        add_row(s, bind, nm_type_get(s->m, &t));
        return;
    }
    for (int k = 0; k < t.rank; k++) {
        int at = nm_type_find(row->form, t.dim[k].name);
        t.dim[k].axes = common(&t.dim[k].axes, &row->form->dim[at].axes);
    }
    row->form = nm_type_get(s->m, &t);
}

// --- parameters and results ----------------------------------------------------------------------

static const nm_type *form_of(nm_shard *s, nm_bind bind, const nm_type *t)
{
    const nm_bound_form *row = nm_shard_row(s, bind);
    const nm_type *form;
    switch (bind.kind) {
    case NM_BIND_data: return row ? nm_shard_like(s->m, t, row->form) : nm_type_bare(s->m, t);
    case NM_BIND_scalar:
    case NM_BIND_emit: return nm_type_bare(s->m, t);
    case NM_BIND_param: return nm_claims_canonical(s->m, &s->table->param, t);
    case NM_BIND_state: return nm_claims_canonical(s->m, &s->table->state, t);
    case NM_BIND_count:
        if (!nm_shard_gives(s->f, NM_BIND_count))
            return nm_type_bare(s->m, t); // @train.counted completed it
        return nm_shard_like(s->m, t, row ? row->form : nm_type_bare(s->m, t));
    case NM_BIND_acc:
        form = nm_shard_acc_form(s, bind);
        return form ? nm_shard_like(s->m, t, form) : nm_claims_canonical(s->m, s->claims, t);
    case NM_BIND_link:
        if (row)
            return nm_shard_like(s->m, t, row->form);
        return nm_claims_canonical(s->m, s->claims, t);
    default: return nm_claims_canonical(s->m, s->claims, t);
    }
}

const nm_type *nm_shard_param_form(nm_shard *s, int i)
{
    return form_of(s, s->f->param_bind[i], s->f->param[i]->type);
}

const nm_type *nm_shard_result_form(nm_shard *s, int i)
{
    nm_bind bind = s->f->result_bind[i];
    const nm_type *t = s->f->last->in[i]->type;
    bool sum = bind.kind == NM_BIND_acc || bind.kind == NM_BIND_count;
    return sum && s->f->part.phase == NM_PHASE_middle ? nm_type_bare(s->m, t) : form_of(s, bind, t);
}
