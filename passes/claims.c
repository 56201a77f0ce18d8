#include "passes/claims.h"

#include <string.h>

// --- the mesh table ------------------------------------------------------------------------------

static bool is_listed(const nm_module *m, int n_rows, nm_sym dim)
{
    for (int i = 0; i < n_rows; i++)
        if (nm_syms_has(m->mesh[i].dims, dim))
            return true;
    return false;
}

static nm_axes axis_named(nm_module *m, const char *name)
{
    return (nm_axes){1, {nm_sym_get(m, name)}};
}

static bool is_row(const nm_mesh_row *row, const char *axis) { return !strcmp(row->axis, axis); }

// The axes in types of a row of the table (docs/mesh.md).
static nm_axes axes_of_row(nm_module *m, const nm_mesh_row *row)
{
    nm_axes axes = {0};
    nm_axes_append(m, &axes, row->axis);
    return axes;
}

static void add(nm_claims *c, nm_sym dim, nm_axes axes, nm_claim_kind kind)
{
    c->claim[c->n++] = (nm_claim){dim, axes, kind};
}

// --- heads: queries that share keys are split by both factors of tp, keys by one -----------------

// The dim of the groups that split_heads made of `heads`; NULL: it did not split it.
static nm_sym groups_of(nm_module *m, nm_sym heads)
{
    nm_sym name = nm_sym_fmt(m, "%s.g", heads);
    return nm_dim_lookup(m, name) ? name : NULL;
}

static bool has_groups(nm_module *m, const nm_mesh_row *row, const nm_type *q)
{
    for (int i = 0; i < row->dims.n; i++) {
        nm_sym groups = groups_of(m, row->dims.sym[i]);
        if (groups && nm_has_dim(q, groups))
            return true;
    }
    return false;
}

// Is `dim` that of keys which queries read in groups?
static bool is_kv(nm_module *m, const nm_mesh_row *row, const nm_func *f, nm_sym dim)
{
    nm_each_op(op, f) {
        if (op->body && is_kv(m, row, op->body, dim))
            return true;
        if (op->code == NM_OP_attention && nm_has_dim(op->in[1]->type, dim) &&
            has_groups(m, row, op->in[0]->type))
            return true;
    }
    return false;
}

static bool is_kv_somewhere(nm_module *m, const nm_mesh_row *row, nm_sym dim)
{
    nm_each_func(f, m)
        if (is_kv(m, row, f, dim))
            return true;
    return false;
}

static void claim_tp(nm_module *m, nm_claims *c, const nm_mesh_row *row, nm_sym dim)
{
    nm_sym groups = groups_of(m, dim);
    if (groups)
        add(c, groups, axis_named(m, "tpr"), NM_CLAIM_plain);
    else if (is_kv_somewhere(m, row, dim))
        add(c, dim, axis_named(m, "tpk"), NM_CLAIM_plain);
    else
        add(c, dim, axes_of_row(m, row), NM_CLAIM_plain);
}

// A dim has a second home on an axis if an earlier row claims it, or if the axis is that of weights
// (tp) and the dim is not theirs: a run-time dim. Where no experts are, ep splits as dp does.
static bool is_second(nm_module *m, int i, nm_sym dim)
{
    if (is_row(&m->mesh[i], "ep"))
        return false;
    return is_listed(m, i, dim) || (is_row(&m->mesh[i], "tp") && nm_dim_is_runtime(m, dim));
}

static void claim_row(nm_module *m, nm_claims *c, int i, bool also)
{
    const nm_mesh_row *row = &m->mesh[i];
    for (int k = 0; k < row->dims.n; k++) {
        nm_sym dim = row->dims.sym[k];
        if (is_second(m, i, dim)) {
            if (also)
                add(c, dim, axes_of_row(m, row), NM_CLAIM_also);
        } else if (is_row(row, "tp"))
            claim_tp(m, c, row, dim);
        else
            add(c, dim, axes_of_row(m, row), NM_CLAIM_plain);
    }
}

// --- the dims of parameters ----------------------------------------------------------------------

typedef struct candidate {
    nm_sym dim;
    int place; // of its declaration
    int n;     // parameters that have it
    bool listed;
} candidate;

static int count_params(const nm_module *m, nm_sym dim)
{
    int n = 0;
    for (int i = 0; i < m->n_params; i++)
        n += !m->param[i].state && nm_has_dim(m->param[i].type, dim);
    return n;
}

// Does a repeat run over it, or over runs of its indices?
static bool is_repeated(const nm_func *f, nm_sym dim)
{
    nm_each_op(op, f) {
        nm_sym over = op->code == NM_OP_repeat ? nm_attr_sym(op, "over") : NULL;
        const nm_dim_decl *d = over ? nm_dim_lookup(f->module, over) : NULL;
        if ((over && over == dim) || (d && d->turns_of == dim) ||
            (op->body && is_repeated(op->body, dim)))
            return true;
    }
    return false;
}

// A dim that parameters are stacked in: each turn reads its part of them, and gives its part of
// their gradients, so what is kept is not split there.
static bool is_stacked(const nm_module *m, nm_sym dim)
{
    for (int i = 0; i < m->n_mesh; i++)
        if (is_row(&m->mesh[i], "pp") && nm_syms_has(m->mesh[i].dims, dim))
            return true;
    nm_each_func(f, m)
        if (is_repeated(f, dim))
            return true;
    return false;
}

static bool is_before(const candidate *a, const candidate *b)
{
    if (a->listed != b->listed)
        return !a->listed;
    return a->n != b->n ? a->n > b->n : a->place < b->place;
}

// The dims of parameters in the order in which they are fit to split what is kept.
static int find_candidates(nm_module *m, candidate *out)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++) {
        nm_sym dim = m->dim[i].name;
        candidate c = {dim, i, count_params(m, dim), is_listed(m, m->n_mesh, dim)};
        if (!c.n || is_stacked(m, dim) || !nm_extent_is_const(m->dim[i].extent, NULL))
            continue;
        int at = n++;
        for (; at && is_before(&c, &out[at - 1]); at--)
            out[at] = out[at - 1];
        out[at] = c;
    }
    return n;
}

static bool has_row(const nm_module *m, const char *axis)
{
    for (int i = 0; i < m->n_mesh; i++)
        if (is_row(&m->mesh[i], axis))
            return true;
    return false;
}

static void claim_store(nm_module *m, nm_claims *c, nm_sym dim, nm_store store)
{
    static const char *const rows[] = {"dp", "dp", "cp"}, *const axes[] = {"dpp", "dps", "cps"};
    int n = store == NM_STORE_state ? 3 : store == NM_STORE_param;
    for (int i = 0; i < n; i++)
        if (has_row(m, rows[i]))
            add(c, dim, axis_named(m, axes[i]), NM_CLAIM_store);
}

nm_claims nm_claims_of(nm_module *m, bool also, nm_store store)
{
    int max = 3 * m->n_dims;
    for (int i = 0; i < m->n_mesh; i++)
        max += m->mesh[i].dims.n;
    nm_claims c = {.claim = nm_new_n(m->arena, nm_claim, max + 1)};
    for (int i = 0; i < m->n_mesh; i++)
        if (!is_row(&m->mesh[i], "pp"))
            claim_row(m, &c, i, also);
    candidate *dims = nm_new_n(m->arena, candidate, m->n_dims + 1);
    int n = find_candidates(m, dims);
    if (n) // one dim alone: a parameter without it, a bias, is small, and every dim has to divide
        claim_store(m, &c, dims[0].dim, store);
    c.wide = n && !dims[0].listed ? dims[0].dim : NULL;
    return c;
}

// --- assigning -----------------------------------------------------------------------------------

static bool meets(const nm_axes *a, const nm_axes *b)
{
    for (int i = 0; i < a->n; i++)
        if (nm_axes_has(b, a->axis[i]))
            return true;
    return false;
}

static bool lies_there(const nm_claim *c, int n, const nm_type *const *form)
{
    for (int i = 0; i < n; i++) {
        int at = form[i] ? nm_type_find(form[i], c->dim) : -1;
        if (at >= 0 && nm_axes_has(&form[i]->dim[at].axes, c->axes.axis[0]))
            return true;
    }
    return false;
}

void nm_claims_assign(const nm_claims *c, nm_space *s, const nm_axes *busy, int n,
                      const nm_type *const *form)
{
    nm_axes used = *busy;
    bool is_wide = c->wide && nm_space_find(s, c->wide);
    for (int i = 0; i < s->n; i++)
        s->dim[i].axes = (nm_axes){0};
    for (const nm_claim *at = c->claim; at < c->claim + c->n; at++) {
        nm_dim *d = nm_space_find(s, at->dim);
        if (!d || meets(&at->axes, &used) || (at->kind == NM_CLAIM_store && !s->fixed) ||
            (at->kind == NM_CLAIM_also && !is_wide && !lies_there(at, n, form)))
            continue;
        for (int i = 0; i < at->axes.n; i++) {
            nm_axes_add(&d->axes, at->axes.axis[i]);
            nm_axes_add(&used, at->axes.axis[i]);
        }
    }
}

const nm_type *nm_claims_canonical(nm_module *m, const nm_claims *c, const nm_type *t)
{
    nm_space s = nm_space_of_type(m, t);
    nm_type form = *t;
    nm_claims_assign(c, &s, &(nm_axes){0}, 0, NULL);
    for (int i = 0; i < form.rank; i++) {
        const nm_dim *d = nm_space_find(&s, form.dim[i].name);
        form.dim[i].axes = d ? d->axes : (nm_axes){0};
    }
    form.pending = (nm_axes){0};
    return nm_type_get(m, &form);
}
