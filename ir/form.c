// What the sharding rule asks of an op, read from the op's row: traits, `.whole`, `.parts`, and the
// attributes that name dims.
#include "ir/form.h"

#include "ir/tables.h"

#include <string.h>

// --- sets of axes --------------------------------------------------------------------------------

bool nm_axes_has(const nm_axes *axes, nm_sym axis)
{
    for (int i = 0; i < axes->n; i++)
        if (axes->axis[i] == axis)
            return true;
    return false;
}

void nm_axes_add(nm_axes *axes, nm_sym axis)
{
    if (nm_axes_has(axes, axis))
        return;
    if (axes->n == NM_MAX_AXES)
        nm_bug("more than %d axes", NM_MAX_AXES);
    axes->axis[axes->n++] = axis;
}

void nm_axes_drop(nm_axes *axes, nm_sym axis)
{
    int n = 0;
    for (int i = 0; i < axes->n; i++)
        if (axes->axis[i] != axis)
            axes->axis[n++] = axes->axis[i];
    axes->n = n;
}

bool nm_axes_begin(const nm_axes *a, const nm_axes *b)
{
    return a->n <= b->n && !memcmp(a->axis, b->axis, (size_t)a->n * sizeof a->axis[0]);
}

bool nm_axes_same(const nm_axes *a, const nm_axes *b)
{
    return a->n == b->n && nm_axes_begin(a, b);
}

// --- names of dims -------------------------------------------------------------------------------

// The names that an attribute lists, be it one or several.
static nm_syms names_of(const nm_op *op, const char *attr)
{
    const nm_attr *a = nm_attr_get(op, attr);
    if (!a)
        return (nm_syms){0};
    return a->kind == NM_ATTR_dims ? a->u.syms : (nm_syms){1, &a->u.sym};
}

bool nm_form_is_relabel(const nm_op *op) { return nm_is(op, NM_VIEW | NM_IDLE); }

static nm_syms names_to(const nm_op *op)
{
    return names_of(op, nm_attr_get(op, "into") ? "into" : "to");
}

bool nm_form_is_rename(const nm_op *op)
{
    return nm_form_is_relabel(op) && names_of(op, "from").n == 1 && names_to(op).n == 1;
}

// Of dims that are split or merged the major one keeps its axes, the minor ones are whole.
static nm_sym relabelled(nm_syms list, nm_sym name, nm_sym as)
{
    for (int i = 0; i < list.n; i++)
        if (list.sym[i] == name)
            return i ? NULL : as;
    return name;
}

nm_sym nm_space_of_operand(const nm_op *op, nm_sym name)
{
    if (!nm_form_is_relabel(op))
        return name;
    return relabelled(names_of(op, "from"), name, name);
}

nm_sym nm_space_of_result(const nm_op *op, nm_sym name)
{
    if (!nm_form_is_relabel(op))
        return name;
    return relabelled(names_to(op), name, names_of(op, "from").sym[0]);
}

// --- the space -----------------------------------------------------------------------------------

nm_dim *nm_space_find(nm_space *s, nm_sym dim)
{
    for (int i = 0; i < s->n; i++)
        if (s->dim[i].name == dim)
            return &s->dim[i];
    return NULL;
}

static void add_dim(nm_space *s, nm_sym name, const nm_dim *d)
{
    s->fixed &= nm_extent_is_const(d->extent, NULL);
    if (!name || nm_space_find(s, name))
        return;
    if (s->n == NM_MAX_SPACE)
        nm_bug("an op over more than %d dims", NM_MAX_SPACE);
    s->dim[s->n++] = (nm_dim){.name = name, .extent = d->extent};
}

static void drop_dim(nm_space *s, nm_sym name)
{
    nm_dim *d = name ? nm_space_find(s, name) : NULL;
    if (d)
        memmove(d, d + 1, (size_t)(&s->dim[s->n--] - d - 1) * sizeof *d);
}

// A dim that has another extent here than it is declared with (a shift, a part) cannot be cut as
// others are.
static bool is_odd(nm_module *m, const nm_dim *d)
{
    return d->extent != nm_dim_default(m, d->name);
}

static bool is_listed(const nm_op *op, const char *attr, nm_sym dim)
{
    nm_syms names = names_of(op, attr);
    for (int i = 0; i < names.n; i++)
        if (names.sym[i] == dim)
            return true;
    return false;
}

bool nm_form_looks_up(const nm_op *op, nm_sym dim)
{
    const nm_attr *over = nm_attr_get(op, "over");
    return over && over->kind == NM_ATTR_sym && over->u.sym == dim && nm_is(op, NM_REDUCE) &&
           op->n_in == 2;
}

// Nobody knows what an extern makes of what lies behind a padded dim's end.
static bool is_padded_extern(const nm_op *op, nm_sym dim)
{
    const nm_dim_decl *d = op->code == NM_OP_extern ? nm_dim_lookup(op->func->module, dim) : NULL;
    return d && d->pad;
}

bool nm_form_needs_whole(const nm_op *op, nm_sym dim)
{
    const char *list = nm_info(op)->whole;
    for (const char *at = list; at && *at; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ", ");
        char attr[32];
        memcpy(attr, at, n);
        attr[n] = 0;
        if (is_listed(op, attr, dim))
            return true;
        at += n;
    }
    return is_padded_extern(op, dim) ||
           (nm_form_looks_up(op, dim) && nm_has_dim(op->in[1]->type, dim));
}

bool nm_form_is_alone(const nm_op *op, nm_sym dim)
{
    bool known =
        nm_is(op, NM_MAP) || nm_is(op, NM_VIEW) || nm_is(op, NM_REDUCE) || nm_is(op, NM_COLLECTIVE);
    return known && !nm_op_names(op, dim);
}

bool nm_form_sums(const nm_op *op)
{
    return nm_is(op, NM_REDUCE) && !nm_is(op, NM_VIEW) && nm_form_kind(op) == NM_PENDING_SUM;
}

static void drop_whole(nm_space *s, const nm_op *op)
{
    for (int i = s->n - 1; i >= 0; i--)
        if (nm_form_needs_whole(op, s->dim[i].name))
            drop_dim(s, s->dim[i].name);
}

static void drop_odd(nm_space *s, const nm_op *op)
{
    nm_module *m = op->func->module;
    for (int i = 0; i < op->n_in; i++)
        for (int k = 0; k < op->in[i]->type->rank; k++)
            if (is_odd(m, &op->in[i]->type->dim[k]))
                drop_dim(s, nm_space_of_operand(op, op->in[i]->type->dim[k].name));
    for (int i = 0; i < op->n_out && !nm_form_is_relabel(op); i++)
        for (int k = 0; k < op->out[i].type->rank; k++)
            if (is_odd(m, &op->out[i].type->dim[k]))
                drop_dim(s, op->out[i].type->dim[k].name);
}

static size_t unprimed(nm_sym name) { return strcspn(name, "'"); }

// Is it a dim of parameters? They are stored in parts of its own declared extent.
static bool is_stored(nm_module *m, const nm_dim *d)
{
    size_t n = unprimed(d->name);
    for (int i = 0; i < m->n_params; i++)
        for (int k = 0; k < m->param[i].type->rank; k++) {
            const nm_dim *p = &m->param[i].type->dim[k];
            if (p->extent == d->extent && unprimed(p->name) == n && !memcmp(p->name, d->name, n))
                return true;
        }
    return false;
}

// What is stored in parts is taken apart, or made, whole: each rank's part would have to be a
// multiple of every part that it is taken apart into, ff = 6 * two = 2 * half.
static void drop_stored(nm_space *s, const nm_op *op)
{
    if ((op->code != NM_OP_split && op->code != NM_OP_merge) ||
        names_of(op, "from").n == names_to(op).n)
        return;
    bool split = op->code == NM_OP_split;
    nm_sym name = split ? names_of(op, "from").sym[0] : names_to(op).sym[0];
    const nm_type *t = split ? op->in[0]->type : op->out[0].type;
    if (is_stored(op->func->module, &t->dim[nm_type_find(t, name)]))
        drop_dim(s, split ? name : nm_space_of_result(op, name));
}

nm_space nm_space_of(const nm_op *op)
{
    nm_space s = {.fixed = true};
    for (int i = 0; i < op->n_in; i++)
        for (int k = 0; k < op->in[i]->type->rank; k++) {
            const nm_dim *d = &op->in[i]->type->dim[k];
            add_dim(&s, nm_space_of_operand(op, d->name), d);
        }
    for (int i = 0; i < op->n_out; i++)
        for (int k = 0; k < op->out[i].type->rank; k++) {
            const nm_dim *d = &op->out[i].type->dim[k];
            add_dim(&s, nm_space_of_result(op, d->name), d);
        }
    drop_whole(&s, op);
    drop_odd(&s, op);
    drop_stored(&s, op);
    return s;
}

nm_space nm_space_of_type(nm_module *m, const nm_type *t)
{
    nm_space s = {.fixed = true};
    for (int i = 0; i < t->rank; i++)
        add_dim(&s, is_odd(m, &t->dim[i]) ? NULL : t->dim[i].name, &t->dim[i]);
    return s;
}

// --- reading -------------------------------------------------------------------------------------

bool nm_form_has_rule(const nm_op *op) { return nm_info(op)->eval || op->code == NM_OP_ret; }

bool nm_form_reads_parts(const nm_op *op, int i)
{
    unsigned parts = nm_info(op)->parts;
    return (nm_is(op, NM_LINEAR) || nm_is(op, NM_SUM)) && (!parts || parts >> i & 1);
}

bool nm_form_drops(const nm_op *op, int result, nm_sym dim)
{
    const nm_type *t = op->out[result].type;
    for (int i = 0; i < t->rank; i++)
        if (nm_space_of_result(op, t->dim[i].name) == dim)
            return false;
    return true;
}

bool nm_form_accumulates(const nm_op *op)
{
    return op->code == NM_OP_add || op->code == NM_OP_maximum;
}

nm_pending_kind nm_form_kind(const nm_op *op)
{
    bool max = op->code == NM_OP_max || op->code == NM_OP_maximum;
    return max ? NM_PENDING_MAX : NM_PENDING_SUM;
}

// --- collectives ---------------------------------------------------------------------------------

// What the ranks of other stages hold is in no type: passes/units.c says what is added over them.
static bool is_stages(nm_sym axis) { return !strcmp(axis, "pp"); }

static bool take_pending(nm_type *t, nm_syms axes)
{
    for (int i = 0; i < axes.n; i++) {
        if (is_stages(axes.sym[i]))
            continue;
        if (!nm_axes_has(&t->pending, axes.sym[i]))
            return false;
        nm_axes_drop(&t->pending, axes.sym[i]);
    }
    return true;
}

// The last axes of t's dim are these: they go.
static bool take_split(nm_type *t, nm_sym dim, nm_syms axes)
{
    int at = nm_type_find(t, dim);
    nm_axes *have = at < 0 ? NULL : &t->dim[at].axes;
    if (!have || have->n < axes.n)
        return false;
    have->n -= axes.n;
    return !memcmp(&have->axis[have->n], axes.sym, (size_t)axes.n * sizeof axes.sym[0]);
}

static bool uses(const nm_type *t, nm_sym axis)
{
    for (int i = 0; i < t->rank; i++)
        if (nm_axes_has(&t->dim[i].axes, axis))
            return true;
    return nm_axes_has(&t->pending, axis);
}

static bool give_split(nm_type *t, nm_sym dim, nm_syms axes)
{
    int at = nm_type_find(t, dim);
    for (int i = 0; i < axes.n; i++) {
        if (at < 0 || uses(t, axes.sym[i]) || t->dim[at].axes.n == NM_MAX_AXES)
            return false;
        nm_axes_add(&t->dim[at].axes, axes.sym[i]);
    }
    return true;
}

static bool give_pending(nm_type *t, nm_syms axes)
{
    bool ok = !t->pending.n || t->kind == NM_PENDING_SUM;
    for (int i = 0; ok && i < axes.n; i++) {
        if (is_stages(axes.sym[i]))
            continue;
        ok = !uses(t, axes.sym[i]) && t->pending.n < NM_MAX_AXES;
        if (ok)
            nm_axes_add(&t->pending, axes.sym[i]);
    }
    t->kind = NM_PENDING_SUM;
    return ok;
}

static bool apply(const nm_op *op, nm_type *t)
{
    nm_syms axes = nm_attr_dims(op, "axes");
    nm_sym over = nm_attr_sym(op, "over");
    bool max = t->pending.n && t->kind == NM_PENDING_MAX;
    switch (op->code) {
    case NM_OP_all_reduce: return max == nm_attr_bool(op, "max") && take_pending(t, axes);
    case NM_OP_reduce_scatter: return !max && take_pending(t, axes) && give_split(t, over, axes);
    case NM_OP_all_gather: return take_split(t, over, axes);
    case NM_OP_shard: return give_split(t, over, axes);
    case NM_OP_first: return give_pending(t, axes);
    default:
        return take_split(t, nm_attr_sym(op, "from"), axes) &&
               give_split(t, nm_attr_sym(op, "to"), axes);
    }
}

const nm_type *nm_form_after(nm_module *m, const nm_op *op)
{
    nm_type t = *op->in[0]->type;
    return apply(op, &t) ? nm_type_get(m, &t) : NULL;
}
