// Experts: dispatch and combine are written out. Every expert computes what it would give for every
// token, and the weights of those that a token did not choose are 0:
//
//   t = dispatch(x, e)              t = x, the same for all experts
//   z = combine(y, e, w)            z = sum over experts of y * weight, where weight[token, expert]
//                                   is the sum of w over the choices of it
//
// So a dim of slots is the tokens' dims, in every type of the module, and what stands between is
// aligned by name: gradients, sums over ranks, stages and a decoder's positions need no rule for
// experts. The weight is multiplied before the last product (`weigh`), which then sums over
// experts, too: what each expert gives is never stored. The price is work: experts / choices times
// that of a dispatch that moves tokens; none is dropped, and no rank waits for another's.
//
// Why here: behind simplify, as combine looks at the product that it reads; above autodiff.
//
// What it does not do: a capacity, which drops tokens. And an expert that gives inf or NaN for a
// token that did not choose it makes that token NaN: 0 * inf.
#include "passes/build.h"
#include "passes/pass.h"
#include "passes/retype.h"
#include "passes/simplify.h"

typedef struct route { // of a dim of slots
    nm_sym slot;
    nm_type tokens; // the dims that it stands for
    nm_loc loc;
} route;

static nm_op *find(nm_func *f, nm_opcode code, nm_sym slot) // slot NULL: any
{
    nm_each_op(op, f) {
        nm_op *found = op->body ? find(op->body, code, slot) : NULL;
        if (found || (op->code == code && (!slot || nm_attr_sym(op, "slot") == slot)))
            return found ? found : op;
    }
    return NULL;
}

static route route_of(const nm_op *dispatch)
{
    route r = {.slot = nm_attr_sym(dispatch, "slot"), .loc = dispatch->loc};
    const nm_type *e = dispatch->in[1]->type;
    for (int i = 0; i < e->rank; i++)
        if (e->dim[i].name != nm_attr_sym(dispatch, "choice"))
            r.tokens.dim[r.tokens.rank++] = e->dim[i];
    return r;
}

// --- what cannot be ------------------------------------------------------------------------------

static bool has_all_slots(const nm_op *dispatch, const route *r)
{
    nm_module *m = dispatch->func->module;
    const nm_type *t = dispatch->out[0].type;
    const nm_extent *tokens = nm_extent_const(m, 1);
    for (int i = 0; i < r->tokens.rank; i++)
        tokens = nm_extent_mul(m, tokens, r->tokens.dim[i].extent);
    return t->dim[nm_type_find(t, r->slot)].extent == tokens;
}

static bool check_type(nm_op *op, const nm_type *t, const route *r)
{
    nm_diag *diag = op->func->module->diag;
    if (!nm_has_dim(t, r->slot))
        return true;
    for (int i = 0; i < r->tokens.rank; i++)
        if (nm_has_dim(t, r->tokens.dim[i].name))
            return nm_error(diag, op->loc, "'%s' and the tokens' '%s' stand in one type", r->slot,
                            r->tokens.dim[i].name);
    return t->rank - 1 + r->tokens.rank <= NM_MAX_RANK ||
           nm_error(diag, op->loc, "with its tokens' dims for '%s' this has more than %d dims",
                    r->slot, NM_MAX_RANK);
}

static bool check_dispatch(nm_op *op, const route *r)
{
    route own = route_of(op);
    nm_diag *diag = op->func->module->diag;
    if (!has_all_slots(op, &own))
        return nm_error(diag, op->loc, "no target lowers the capacity of a dispatch yet");
    bool same = own.tokens.rank == r->tokens.rank;
    for (int i = 0; same && i < own.tokens.rank; i++)
        same = own.tokens.dim[i].name == r->tokens.dim[i].name;
    return same || nm_error(diag, op->loc, "'%s' has other tokens in another dispatch", r->slot);
}

// Combine goes the way back that its dispatch came.
static bool check_combine(nm_op *op, const route *r)
{
    nm_each_op(d, op->func)
        if (d->code == NM_OP_dispatch && nm_attr_sym(d, "slot") == r->slot && d->in[1] == op->in[1])
            return true;
    return nm_error(op->func->module->diag, op->loc,
                    "combine: no dispatch to '%s' beside it has this e [route-1]", r->slot);
}

static bool check_ops(nm_func *f, const route *r)
{
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            if (!check_type(op, op->out[i].type, r))
                return false;
        if (op->body && !check_ops(op->body, r))
            return false;
        if (!nm_op_names(op, r->slot))
            continue;
        bool ok = op->code == NM_OP_dispatch  ? check_dispatch(op, r)
                  : op->code == NM_OP_combine ? check_combine(op, r)
                                              : nm_error(f->module->diag, op->loc,
                                                         "%s: '%s' is ragged; nothing but combine "
                                                         "reads along it [route-2]",
                                                         nm_info(op)->name, r->slot);
        if (!ok)
            return false;
    }
    return true;
}

// --- slots are tokens ----------------------------------------------------------------------------

static const nm_type *give_tokens(nm_module *m, const nm_type *t, void *user)
{
    const route *r = user;
    int at = nm_type_find(t, r->slot);
    if (at < 0)
        return t;
    nm_type wide = *t;
    wide.rank = at;
    for (int i = 0; i < r->tokens.rank; i++)
        wide.dim[wide.rank++] = r->tokens.dim[i];
    for (int i = at + 1; i < t->rank; i++)
        wide.dim[wide.rank++] = t->dim[i];
    return nm_type_get(m, &wide);
}

static nm_value *build2(nm_op *before, nm_opcode code, nm_value *a, nm_value *b)
{
    return nm_at_build(nm_at_op(before), code, 2, (nm_value *[]){a, b}, NULL);
}

static nm_value *sum(nm_op *before, nm_value *v, const nm_attr *over)
{
    return nm_at_build1(nm_at_op(before), NM_OP_sum, v, 1, over, NULL);
}

static nm_value *dot_over(nm_op *before, nm_value *a, nm_value *b, const nm_attr *over)
{
    nm_proto p = {.code = NM_OP_dot, .loc = before->loc, .n_attrs = 1, .attr = over};
    p.n_in = 2, p.in = (nm_value *[]){a, b};
    return nm_build(before->func, before, &p);
}

static void replace(nm_op *op, nm_value *with)
{
    if (with->type != op->out[0].type)
        with = nm_at_build1(nm_at_op(op), NM_OP_broadcast, with, 0, NULL, op->out[0].type);
    nm_replace(&op->out[0], with);
    nm_erase(op);
}

// --- combine -------------------------------------------------------------------------------------

// weight[token, expert]: the sum over the choices of w where e is the expert.
static nm_value *weight_of(nm_op *op)
{
    nm_module *m = op->func->module;
    nm_value *e = op->in[1], *w = op->in[2];
    nm_sym experts = nm_attr_sym(op, "experts"), choice = nm_attr_sym(op, "choice");
    const nm_type *y = op->in[0]->type;
    nm_type t = {.dtype = e->type->dtype, .rank = 1};
    t.dim[0] = y->dim[nm_type_find(y, experts)];
    nm_attr dim = nm_mk_sym(m, "dim", experts);
    nm_value *each = nm_build(op->func, op,
                              &(nm_proto){.code = NM_OP_index,
                                          .loc = op->loc,
                                          .n_attrs = 1,
                                          .attr = &dim,
                                          .type = nm_type_get(m, &t)});
    nm_value *hit = build2(op, NM_OP_eq, e, each);
    nm_value *none = nm_build_const(op->func, op, op->loc, w->type->dtype, 0);
    nm_proto pick = {
        .code = NM_OP_select, .loc = op->loc, .n_in = 3, .in = (nm_value *[]){hit, w, none}};
    nm_attr over = nm_mk_dims(m, "over", (nm_syms){1, &choice});
    return nm_at_cast(nm_at_op(op), sum(op, nm_build(op->func, op, &pick), &over), y->dtype);
}

static nm_attr over_and(nm_module *m, nm_syms over, nm_sym one)
{
    nm_sym sym[NM_MAX_RANK];
    for (int i = 0; i < over.n; i++)
        sym[i] = over.sym[i];
    sym[over.n] = one;
    return nm_mk_dims(m, "over", (nm_syms){over.n + 1, sym});
}

static bool is_product_of_each(const nm_value *v, nm_sym experts)
{
    nm_op *def = v->def;
    return def && def->code == NM_OP_dot && nm_has_dim(def->in[0]->type, experts) &&
           nm_has_dim(def->in[1]->type, experts) && nm_attr_dims(def, "over").n < NM_MAX_RANK;
}

// The sum over experts of v * weight. It goes through sums to the products that they add, and into
// them: sum of (h . w) * weight is (h * weight) . w, over experts, too.
static nm_value *weigh(nm_op *op, nm_value *v, nm_value *weight, nm_sym experts)
{
    nm_module *m = op->func->module;
    nm_attr all = nm_mk_dims(m, "over", (nm_syms){1, &experts});
    if (!nm_has_dim(v->type, experts))
        return build2(op, NM_OP_mul, v, sum(op, weight, &all));
    if (nm_used_once(v) && v->def && v->def->code == NM_OP_add)
        return build2(op, NM_OP_add, weigh(op, v->def->in[0], weight, experts),
                      weigh(op, v->def->in[1], weight, experts));
    if (!nm_used_once(v) || !is_product_of_each(v, experts))
        return dot_over(op, v, weight, &all);
    nm_op *dot = v->def;
    int h = nm_type_is_activation(dot->in[0]->type) ? 0 : 1;
    nm_attr over = over_and(m, nm_attr_dims(dot, "over"), experts);
    return dot_over(op, build2(op, NM_OP_mul, dot->in[h], weight), dot->in[1 - h], &over);
}

static void write_combine(nm_op *op)
{
    nm_value *z = weigh(op, op->in[0], weight_of(op), nm_attr_sym(op, "experts"));
    replace(op, z);
}

// --- the module ----------------------------------------------------------------------------------

static void write_func(nm_func *f, const route *r)
{
    bool changed = false;
    for (nm_op *op; (op = find(f, NM_OP_combine, r->slot)); changed = true)
        write_combine(op);
    for (nm_op *op; (op = find(f, NM_OP_dispatch, r->slot)); changed = true)
        replace(op, op->in[0]);
    if (changed) // what was repeated for experts is read by their products as it is
        nm_simplify_func(f, &changed);
}

static bool write_route(nm_module *m, route *r)
{
    bool ok = true, changed = false;
    nm_each_func(f, m)
        ok &= check_ops(f, r);
    if (!ok)
        return false;
    nm_retype(m, give_tokens, r, &changed);
    nm_each_func(f, m)
        write_func(f, r);
    return true;
}

bool nm_pass_experts(nm_module *m, bool *changed)
{
    for (nm_func *f = m->first_func; f;) {
        nm_op *op = find(f, NM_OP_dispatch, NULL);
        if (!op) {
            f = f->next;
            continue;
        }
        route r = route_of(op);
        if (!write_route(m, &r))
            return false;
        *changed = true;
    }
    nm_each_func(f, m) {
        nm_op *op = find(f, NM_OP_combine, NULL);
        if (op)
            return nm_error(m->diag, op->loc,
                            "combine: '%s' is not the slots of a dispatch [route-1]",
                            nm_attr_sym(op, "slot"));
    }
    return true;
}
