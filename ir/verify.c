// The verifier: everything that a pass or codegen may rely on. It trusts nothing but the arena:
// lists are walked with a bound, and a body deeper than NM_MAX_NEST is an error.
#include "ir/form.h"
#include "ir/shape.h"
#include "ir/tables.h"

#include <math.h>
#include <string.h>

typedef struct verifier {
    nm_module *m;
    nm_func *outer;
    bool *seen;   // [outer->n_values] an id that is taken, by a value computed before here
    int64_t uses; // operand slots met, and links met in use lists: must agree
    int64_t links;
} verifier;

static bool fail(verifier *v, nm_loc loc, const char *what)
{
    return nm_error(v->m->diag, loc, "@%s: %s", v->outer->name ? v->outer->name : "", what);
}

// --- types ---------------------------------------------------------------------------------------

static bool check_axes(nm_module *m, nm_loc loc, const nm_type *t, const nm_axes *axes,
                       nm_sym *used, int *n_used)
{
    for (int i = 0; i < axes->n; i++) {
        for (int k = 0; k < *n_used; k++)
            if (used[k] == axes->axis[i])
                return nm_error(m->diag, loc, "axis '%s' stands twice in %s [type-4]", used[k],
                                nm_type_str(m, t));
        used[(*n_used)++] = axes->axis[i];
    }
    return true;
}

static bool check_extent(nm_module *m, nm_loc loc, const nm_extent *e)
{
    for (int i = 0; i < e->n_terms; i++)
        for (int k = 0; k < e->term[i].n_atoms; k++) {
            const nm_atom *a = &e->term[i].atom[k];
            if (!a->sym) {
                if (!check_extent(m, loc, a->num) || !check_extent(m, loc, a->den))
                    return false;
                continue;
            }
            const nm_dim_decl *d = nm_dim_lookup(m, a->sym);
            if (!d || !d->runtime)
                return nm_error(m->diag, loc, "'%s' is not a run-time dim [extent-2]", a->sym);
        }
    return true;
}

static bool check_type(nm_module *m, nm_loc loc, const nm_type *t)
{
    nm_sym used[(NM_MAX_RANK + 1) * NM_MAX_AXES];
    int n = 0;
    int64_t value;
    if (!t)
        return nm_error(m->diag, loc, "a value has no type [type-3]");
    if (t != nm_type_get(m, t))
        return nm_error(m->diag, loc, "a type is not interned [type-5]");
    for (int i = 0; i < t->rank; i++) {
        if (nm_type_find(t, t->dim[i].name) != i)
            return nm_error(m->diag, loc, "'%s' stands twice in %s [type-1]", t->dim[i].name,
                            nm_type_str(m, t));
        if (nm_extent_is_const(t->dim[i].extent, &value) && value < 0)
            return nm_error(m->diag, loc, "%s: '%s' has a negative extent [extent-3]",
                            nm_type_str(m, t), t->dim[i].name);
        if (!check_extent(m, loc, t->dim[i].extent) ||
            !check_axes(m, loc, t, &t->dim[i].axes, used, &n))
            return false;
    }
    return check_axes(m, loc, t, &t->pending, used, &n);
}

// --- values and uses -----------------------------------------------------------------------------

static bool check_uses(verifier *v, nm_loc loc, const nm_value *val)
{
    const nm_use *prev = NULL;
    nm_each_use(u, val) {
        if (u->prev != prev || u->index < 0 || u->index >= u->op->n_in ||
            u->op->in[u->index] != val || &u->op->use[u->index] != u)
            return fail(v, loc, "a list of uses is broken [use-1]");
        v->links++;
        prev = u;
    }
    return true;
}

static bool check_value(verifier *v, nm_loc loc, const nm_value *val, const nm_op *def, int index,
                        const nm_func *f)
{
    if (val->def != def || val->index != index || val->func != f)
        return fail(v, loc, "a value does not know where it comes from [value-1]");
    if (val->id >= v->outer->n_values || v->seen[val->id])
        return fail(v, loc, "two values have one number [value-2]");
    v->seen[val->id] = true;
    return check_type(v->m, loc, val->type) && check_uses(v, loc, val);
}

static bool check_operands(verifier *v, const nm_op *op)
{
    for (int i = 0; i < op->n_in; i++) {
        const nm_value *val = op->in[i];
        if (op->use[i].op != op || op->use[i].index != i)
            return fail(v, op->loc, "an operand's use is another op's [use-2]");
        if (val->func != op->func)
            return fail(v, op->loc, "a body reads a value that is not its own [body-2]");
        if (val->id >= v->outer->n_values || !v->seen[val->id])
            return nm_error(v->m->diag, op->loc,
                            "%s: operand %d is computed later, or not at all [dom-1]",
                            nm_info(op)->name, i);
        v->uses++;
    }
    return true;
}

// --- ops -----------------------------------------------------------------------------------------

static bool check_attrs(nm_module *m, const nm_op *op)
{
    nm_attr attr[NM_MAX_OP_ATTRS];
    int n;
    if (!nm_attrs_normalise(m, op->loc, op->code, op->n_attrs, op->attr, &n, attr))
        return false;
    for (int i = 0; i < n; i++) {
        if (attr[i].name != op->attr[i].name)
            return nm_error(m->diag, op->loc, "%s: attributes are not in the row's order [attr-5]",
                            nm_info(op)->name);
        if (attr[i].kind == NM_ATTR_extent &&
            (!attr[i].u.extent || !check_extent(m, op->loc, attr[i].u.extent)))
            return attr[i].u.extent ||
                   nm_error(m->diag, op->loc, "%s: '%s' has no value [extent-1]", nm_info(op)->name,
                            attr[i].name);
    }
    return true;
}

static bool check_shape(verifier *v, nm_op *op)
{
    const nm_op_info *info = nm_info(op);
    if (info->n_in != NM_VARIADIC && op->n_in != info->n_in)
        return fail(v, op->loc, "an op has the wrong number of operands [op-1]");
    if (info->n_out != NM_VARIADIC && op->n_out != (info->n_out ? info->n_out : 1) &&
        op->code != NM_OP_ret)
        return fail(v, op->loc, "an op has the wrong number of results [op-2]");
    for (int i = 0; i < op->n_out; i++)
        if (!op->out[i].type)
            return fail(v, op->loc, "a result has no type [type-3]");
    return nm_shape_check(v->m, op);
}

static bool check_func(verifier *v, nm_func *f, int depth);

static bool check_body(verifier *v, nm_op *op, int depth)
{
    if (nm_is(op, NM_BODY) != (op->body != NULL))
        return fail(v, op->loc, "a body where none belongs, or none [body-1]");
    if (!op->body)
        return true;
    if (op->body->parent != op || op->body->next || op->body->name)
        return fail(v, op->loc, "a body does not know its op [body-3]");
    return depth < NM_MAX_NEST ? check_func(v, op->body, depth + 1)
                               : fail(v, op->loc, "bodies are nested too deep [body-4]");
}

static bool check_op(verifier *v, nm_op *op, int depth)
{
    if (!check_operands(v, op) || !check_attrs(v->m, op) || !check_body(v, op, depth) ||
        !check_shape(v, op))
        return false;
    for (int i = 0; i < op->n_out; i++)
        if (!check_value(v, op->loc, &op->out[i], op, i, op->func))
            return false;
    return true;
}

// --- functions -----------------------------------------------------------------------------------

static bool check_ret(verifier *v, nm_func *f)
{
    if (!f->last || f->last->code != NM_OP_ret)
        return fail(v, f->loc, "a function ends in ret [func-2]");
    return f->last->n_in == f->n_results || fail(v, f->last->loc,
                                                 "ret gives another number of "
                                                 "results than are bound [func-3]");
}

static bool check_func(verifier *v, nm_func *f, int depth)
{
    const nm_op *prev = NULL;
    for (int i = 0; i < f->n_params; i++)
        if (!check_value(v, f->loc, f->param[i], NULL, i, f))
            return false;
    nm_each_op(op, f) {
        if (op->func != f || op->prev != prev || (!op->next && f->last != op))
            return fail(v, op->loc, "the list of ops is broken [func-1]");
        if (op->code == NM_OP_ret && op != f->last)
            return fail(v, op->loc, "ret stands last [func-2]");
        if (!check_op(v, op, depth))
            return false;
        prev = op;
    }
    return check_ret(v, f);
}

static bool check_names(nm_module *m, nm_func *f)
{
    if (!f->name)
        return nm_error(m->diag, f->loc, "a function of the module has no name [func-4]");
    nm_each_func(g, m) {
        if (g == f)
            break;
        if (g->name == f->name)
            return nm_error(m->diag, f->loc, "two functions are called @%s [func-5]", f->name);
    }
    return true;
}

static bool check_links(nm_module *m, const nm_func *f)
{
    for (int i = 0; i < f->n_params; i++) {
        nm_sym next = f->param_bind[i].next;
        if (next && nm_func_find_result(f, NM_BIND_link, next) < 0)
            return nm_error(m->diag, f->loc, "@%s gives no link '%s' to its next chunk [func-7]",
                            f->name, next);
    }
    return true;
}

static bool check_outer(nm_module *m, nm_func *f)
{
    nm_arena scratch = {0};
    verifier v = {.m = m, .outer = f, .seen = nm_new_n(&scratch, bool, f->n_values)};
    bool ok = check_names(m, f) && check_func(&v, f, 0) && check_links(m, f) &&
              (v.uses == v.links ||
               fail(&v, f->loc, "a value is read by an op that is not in the function [use-3]")) &&
              nm_verify_forms(m, f);
    nm_arena_free(&scratch);
    return ok;
}

// --- tables --------------------------------------------------------------------------------------

// A local extent is of a declared dim, over axes; an axis is its own.
static bool check_local(nm_module *m, const nm_dim_decl *d)
{
    bool ok = d->of       ? d->runtime && d->axes.n && nm_dim_lookup(m, d->of)
              : d->axes.n ? d->runtime && d->axes.n == 1 && d->axes.axis[0] == d->name
                          : true;
    return ok ||
           nm_error(m->diag, d->loc, "dim '%s' is of a dim that is not declared [dim-7]", d->name);
}

// Turns are runs of indices that the dim has.
static bool check_turns(nm_module *m, const nm_dim_decl *d)
{
    const nm_dim_decl *of = d->turns_of ? nm_dim_lookup(m, d->turns_of) : NULL;
    int64_t turns, all;
    bool plain = !d->turns_of && !d->first && !d->each;
    bool fits = of && nm_extent_is_const(d->extent, &turns) &&
                nm_extent_is_const(of->extent, &all) && d->first >= 0 && d->each > 0 &&
                d->first <= all && turns <= (all - d->first) / d->each;
    return plain || fits ||
           nm_error(m->diag, d->loc, "dim '%s' is turns of indices that no dim has [dim-8]",
                    d->name);
}

static bool check_dim(nm_module *m, const nm_dim_decl *d)
{
    int64_t value;
    if (nm_dim_lookup(m, d->name) != d)
        return nm_error(m->diag, d->loc, "dim '%s' is declared twice [dim-3]", d->name);
    if (!d->extent || d->min < 0 || d->max < 0 || d->multiple < 0 || d->pad < 0)
        return nm_error(m->diag, d->loc, "dim '%s' has no extent, or a negative bound [dim-4]",
                        d->name);
    if (d->runtime != (d->extent == nm_extent_sym(m, d->name)))
        return nm_error(m->diag, d->loc,
                        "dim '%s': a run-time dim's extent is its own symbol [dim-5]", d->name);
    if (nm_extent_is_const(d->extent, &value) && value < 0)
        return nm_error(m->diag, d->loc, "dim '%s' has a negative extent [extent-3]", d->name);
    return check_extent(m, d->loc, d->extent) && check_local(m, d) && check_turns(m, d);
}

static bool check_param(nm_module *m, const nm_param *p)
{
    if (nm_param_lookup(m, p->path) != p)
        return nm_error(m->diag, p->loc, "parameter '%s' stands twice [param-1]", p->path);
    if (!check_type(m, p->loc, p->type))
        return false;
    if (p->n_batch < 0 || p->n_ins < 0 || p->n_batch > p->type->rank ||
        p->n_ins > p->type->rank - p->n_batch || (!p->is_arrow && (p->n_batch || p->n_ins)))
        return nm_error(m->diag, p->loc, "parameter '%s': arrow(%d, %d) of %s [param-2]", p->path,
                        p->n_batch, p->n_ins, nm_type_str(m, p->type));
    for (int i = 0; i < p->type->rank; i++)
        if (!nm_extent_is_const(p->type->dim[i].extent, NULL))
            return nm_error(m->diag, p->loc, "parameter '%s': '%s' is not fixed [param-3]", p->path,
                            p->type->dim[i].name);
    return p->state || !p->own ||
           nm_error(m->diag, p->loc, "parameter '%s' is own, and no state [param-4]", p->path);
}

static bool check_hyper(nm_module *m, const nm_hyper *h)
{
    if (nm_hyper_lookup(m, h->name) != h)
        return nm_error(m->diag, h->loc, "'%s' stands twice [hyper-1]", h->name);
    return (isfinite(h->value) && isfinite(h->per_step)) ||
           nm_error(m->diag, h->loc, "'%s' is not a finite number [hyper-2]", h->name);
}

static bool check_mesh(nm_module *m, int i)
{
    for (int k = 0; k < i; k++)
        if (m->mesh[k].axis == m->mesh[i].axis)
            return nm_error(m->diag, m->mesh[i].loc, "axis '%s' has two rows [mesh-1]",
                            m->mesh[i].axis);
    return true;
}

bool nm_verify(nm_module *m)
{
    bool ok = true;
    for (int i = 0; i < m->n_dims; i++)
        ok &= check_dim(m, &m->dim[i]);
    for (int i = 0; i < m->n_mesh; i++)
        ok &= check_mesh(m, i);
    for (int i = 0; i < m->n_params; i++)
        ok &= check_param(m, &m->param[i]);
    for (int i = 0; i < m->n_hypers; i++)
        ok &= check_hyper(m, &m->hyper[i]);
    nm_each_func(f, m)
        ok &= check_outer(m, f);
    return ok;
}
