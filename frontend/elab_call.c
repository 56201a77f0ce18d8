// Calls: the inlining of a definition. Parameters that the call leaves out take their defaults,
// which may read the parameters before them.
#include "frontend/elab_internal.h"

#include <stdlib.h>
#include <string.h>

// --- patterns: x[batch, seq, d] ------------------------------------------------------------------

typedef struct pattern {
    int n;
    nm_edim dim[NM_MAX_RANK];
    nm_sym written[NM_MAX_RANK]; // as the pattern has it
    bool declared[NM_MAX_RANK], open;
} pattern;

static bool read_pattern(nm_elab *e, nm_frame *f, const nm_ast_shape *shape, pattern *p)
{
    *p = (pattern){0};
    for (int i = 0; i < shape->n; i++) {
        const nm_ast_axis *axis = &shape->axis[i];
        if (axis->kind == NM_AXIS_rest) {
            p->open = true;
            continue;
        }
        if (axis->kind != NM_AXIS_dim || p->n == NM_MAX_RANK) {
            nm_elab_error(e, f, axis->loc,
                          "the type of a parameter lists dims, at most %d [call-3]", NM_MAX_RANK);
            return false;
        }
        nm_sym name = axis->dim.name.sym;
        nm_edims d = nm_dims_of_name(e, f, &axis->dim.name, axis->loc);
        nm_item *item = nm_unit_find(e, f->unit, name);
        for (int k = 0; k < d.n && p->n < NM_MAX_RANK; k++) {
            p->declared[p->n] = nm_frame_dim(f, name) || (item && item->kind == NM_ITEM_dim);
            p->written[p->n] = name;
            p->dim[p->n++] = d.dim[k];
        }
    }
    return true;
}

static nm_ev pattern_mismatch(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_ev v, nm_loc loc)
{
    const char *elem = par->type.elem.n ? par->type.elem.sym : "";
    if (v.kind == NM_EV_tensor && !*elem && !nm_dtype_table[v.u.t->v->type->dtype].is_float)
        elem = nm_dtype_table[NM_real].name; // not said
    return nm_elab_error(e, f, loc, "%s takes %s%s%s%s, and %s is %s [call-3]", f->what,
                         par->name.sym, *elem ? ": " : "", elem,
                         nm_elab_source_text(e, par->type.shape.loc), nm_ev_name(e, v, "this"),
                         nm_ev_describe(e, v));
}

// Names match names; one dim that the file does not declare may stand for the one that is left.
static bool match_pattern(nm_elab *e, nm_frame *f, const pattern *p, nm_ev v)
{
    const nm_type *t = v.u.t->v->type;
    int matched = 0, left = -1, n_left = 0;
    for (int i = 0; i < p->n; i++) {
        int at = nm_type_find(t, p->dim[i].name);
        if (at < 0) {
            left = i;
            n_left++;
            continue;
        }
        matched++;
        nm_edim d = {
            .name = p->dim[i].name, .extent = t->dim[at].extent, .written = true, .loc = v.loc};
        if (!p->declared[i])
            nm_frame_set_dim(e, f, p->written[i], (nm_edims){1, nm_ev_dims(e, 1, &d).u.dims.dim});
    }
    if (!n_left)
        return p->open || matched == t->rank;
    if (n_left > 1 || p->declared[left] || p->open || matched + 1 != t->rank)
        return false;
    for (int i = 0; i < t->rank; i++) {
        bool taken = false;
        for (int k = 0; k < p->n; k++)
            taken |= p->dim[k].name == t->dim[i].name;
        nm_edim d = {
            .name = t->dim[i].name, .extent = t->dim[i].extent, .written = true, .loc = v.loc};
        if (!taken)
            nm_frame_set_dim(e, f, p->written[left], nm_ev_dims(e, 1, &d).u.dims);
    }
    return true;
}

// The value in the dtype that the parameter says. false: reported.
static bool match_elem(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_ev *v, nm_loc loc)
{
    nm_dtype want = NM_real, have = v->u.t->v->type->dtype;
    const nm_ast_name *elem = &par->type.elem;
    if (elem->n && !nm_dtype_find(elem->sym, &want)) {
        nm_edim d;
        if (!nm_dim_single(e, f, nm_dims_of_name(e, f, elem, elem->loc), elem->loc, &d))
            return false;
        if (nm_dtype_is_int(have) && (!v->u.t->index_of || v->u.t->index_of == d.name))
            return true;
        nm_elab_error(e, f, loc, "%s takes positions in %s, and %s is %s [type-3]", f->what, d.name,
                      nm_ev_name(e, *v, "this"), nm_tensor_str(e, v->u.t));
        return false;
    }
    bool same = nm_dtype_table[want].is_float == nm_dtype_table[have].is_float &&
                nm_dtype_is_int(want) == nm_dtype_is_int(have);
    if (!same)
        return pattern_mismatch(e, f, par, *v, loc).kind != NM_EV_poison;
    if (elem->n && want != have)
        *v = nm_ev_like(e, *v, nm_elab_cast(e, loc, v->u.t->v, want));
    return true;
}

static bool match_type(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_ev *v, nm_loc loc)
{
    pattern p;
    nm_sym text = v->text;
    nm_loc made = v->made;
    if (!par->type.shape.present || v->kind == NM_EV_none || v->kind == NM_EV_poison)
        return true;
    if (!read_pattern(e, f, &par->type.shape, &p))
        return false;
    if (v->kind != NM_EV_tensor) {
        if (nm_ev_is_number(*v) && (!p.n || p.open))
            return true;
        pattern_mismatch(e, f, par, *v, loc);
        return false;
    }
    if (!match_pattern(e, f, &p, *v)) {
        pattern_mismatch(e, f, par, *v, loc);
        return false;
    }
    bool ok = match_elem(e, f, par, v, loc);
    v->text = text;
    v->made = made;
    v->loc = loc;
    return ok;
}

// --- dims of parameters (dim-7) ------------------------------------------------------------------

static void extents_from(nm_ev v, nm_edim *d, const nm_extent **found)
{
    if (v.kind == NM_EV_tuple)
        for (int i = 0; i < v.u.tuple.n; i++)
            extents_from(v.u.tuple.item[i], d, found);
    int at = v.kind == NM_EV_tensor ? nm_type_find(v.u.t->v->type, d->name) : -1;
    if (at < 0)
        return;
    const nm_extent *x = v.u.t->v->type->dim[at].extent;
    d->ambiguous |= *found && *found != x;
    *found = x;
}

static void resolve_dims(nm_edims dims, const nm_binding *b, bool keep_written)
{
    for (int i = 0; i < dims.n; i++) {
        const nm_extent *found = NULL;
        nm_edim *d = &dims.dim[i];
        if (keep_written && d->written)
            continue;
        for (int k = 0; k < b->pars->n; k++)
            if (b->given[k] &&
                (b->pars->par[k].kind == NM_PAR_plain || b->pars->par[k].kind == NM_PAR_typed))
                extents_from(b->value[k], d, &found);
        if (found && !d->ambiguous)
            d->extent = found;
        d->written = d->extent != NULL;
    }
}

// The left of an arrow is what an argument has, or is of known size.
static bool somebody_has(nm_elab *e, nm_frame *f, nm_edims left, const nm_binding *b)
{
    for (int i = 0; i < left.n; i++) {
        if (left.dim[i].extent || left.dim[i].ambiguous)
            continue;
        for (int k = 0; k < b->pars->n; k++)
            if (b->given[k] && b->value[k].kind == NM_EV_tensor)
                return nm_dim_must_have(e, f, b->value[k], left.dim[i], (nm_loc){0}, NULL);
    }
    return true;
}

static void set_dim_par(nm_elab *e, nm_frame *f, nm_sym name, nm_ev v, const nm_binding *b,
                        bool from_args)
{
    nm_ev copy = nm_ev_dims(e, v.u.dims.n, v.u.dims.dim);
    if (from_args)
        resolve_dims(copy.u.dims, b, false);
    nm_frame_set_dim(e, f, name, copy.u.dims);
}

// --- inlining ------------------------------------------------------------------------------------

static void name_clash(nm_elab *e, nm_frame *f, const nm_ast_word *w, const nm_ast_par *par)
{
    nm_item *item = f->unit == e->std ? NULL : nm_unit_find(e, f->unit, w->sym);
    (void)par;
    if (item && item->kind == NM_ITEM_dim)
        nm_elab_error(e, f, w->loc, "'%s' is a dim (%s); a parameter needs another name [name-1]",
                      w->sym, nm_elab_place(e, item->loc, w->loc));
}

static bool set_par(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_ev v, const nm_binding *b,
                    const nm_args *args)
{
    if (v.kind == NM_EV_poison)
        return false;
    if (par->kind == NM_PAR_arrow) {
        set_dim_par(e, f, par->name.sym, v.u.tuple.item[0], b, true);
        set_dim_par(e, f, par->to.sym, v.u.tuple.item[1], b, false);
        return somebody_has(e, f, nm_frame_dim(f, par->name.sym)->dims, b);
    }
    if (nm_par_is(par, "dim") || nm_par_is(par, "dims")) {
        if (v.kind == NM_EV_tuple)
            v = nm_ev_dims(e, 0, NULL);
        if (v.kind != NM_EV_dims)
            return false;
        set_dim_par(e, f, par->name.sym, v, b, true);
        return true;
    }
    nm_loc loc = v.loc.src ? v.loc : args->loc;
    if (!match_type(e, f, par, &v, loc))
        return false;
    name_clash(e, f, &par->name, par);
    nm_loc made = v.made;
    nm_frame_set(e, f, par->name.sym, v);
    nm_frame_var(f, par->name.sym)->value.made = made.src ? made : v.loc;
    return true;
}

static bool from_before(nm_elab *e, const nm_args *args, nm_sym name, nm_ev *out)
{
    for (int i = 0; i < args->n_before; i++)
        if (args->before[i].name == name) {
            *out = nm_ev_import(e, args->before_region, args->before[i].value);
            return true;
        }
    return false;
}

static bool set_missing(nm_elab *e, nm_frame *caller, nm_frame *f, nm_binding *b, int i,
                        const nm_args *args)
{
    const nm_ast_par *par = &b->pars->par[i];
    nm_ev v;
    if (par->kind == NM_PAR_rest)
        return true;
    if (!from_before(e, args, par->name.sym, &v)) {
        if (!par->otherwise)
            return nm_call_missing(e, caller, par, b->name, args);
        v = nm_elab_expr(e, f, par->otherwise);
        v.loc = f->user_fn ? f->user_loc : args->loc;
        v.text = NULL;
    }
    b->value[i] = v;
    return set_par(e, f, par, v, b, args);
}

static void remember(nm_elab *e, nm_inst *inst, const nm_binding *b)
{
    inst->n_args = 0;
    inst->arg = nm_new_n(e->a, nm_bound, (size_t)b->pars->n);
    inst->arg_region = e->at;
    for (int i = 0; i < b->pars->n; i++)
        if (b->pars->par[i].kind != NM_PAR_rest && b->value[i].kind != NM_EV_poison)
            inst->arg[inst->n_args++] = (nm_bound){b->pars->par[i].name.sym, b->value[i]};
}

bool nm_call_set_pars(nm_elab *e, nm_frame *caller, nm_frame *f, nm_binding *b, const nm_args *args)
{
    bool ok = true;
    for (int i = 0; i < b->pars->n; i++) // dims first: the types of others name them
        if (b->given[i] && b->pars->par[i].kind != NM_PAR_plain &&
            b->pars->par[i].kind != NM_PAR_typed)
            ok &= set_par(e, f, &b->pars->par[i], b->value[i], b, args);
    for (int i = 0; i < b->pars->n; i++)
        if (b->given[i] &&
            (b->pars->par[i].kind == NM_PAR_plain || b->pars->par[i].kind == NM_PAR_typed))
            ok &= set_par(e, f, &b->pars->par[i], b->value[i], b, args);
    for (int i = 0; ok && i < b->pars->n; i++)
        if (!b->given[i])
            ok &= set_missing(e, caller, f, b, i, args);
    return ok;
}

static bool is_active(nm_elab *e, const nm_ast_def *def)
{
    for (nm_active *a = e->active; a; a = a->outer)
        if (a->def == def)
            return true;
    return false;
}

static nm_ev run_body(nm_elab *e, nm_frame *f, const nm_ast_def *def)
{
    if (def->is_short)
        return nm_elab_exprs(e, f, &def->value);
    nm_elab_block(e, f, &def->body);
    return f->returned ? f->result : nm_ev_none();
}

static nm_frame *callee_frame(nm_elab *e, nm_frame *f, const nm_ast_def *def, nm_unit *unit,
                              nm_inst *inst, const nm_args *args)
{
    nm_frame *callee = nm_frame_new(e, f, unit, args->loc);
    callee->def = def;
    callee->what = def->name.sym;
    callee->is_fn = def->kind == NM_DEF_fn;
    callee->is_optimizer = e->opt_def == def;
    if (inst)
        callee->inst = inst;
    if (callee->user_frame && !callee->user_fn) {
        callee->user_fn = def->name.sym;
        callee->user_call = args->call;
    }
    return callee;
}

nm_ev nm_call_def(nm_elab *e, nm_frame *f, const nm_ast_def *def, nm_unit *unit, nm_inst *inst,
                  const nm_args *args)
{
    nm_binding b = {.name = def->name.sym, .pars = &def->pars, .def = inst ? def : NULL};
    if (is_active(e, def))
        return nm_elab_error(e, f, args->loc, "%s calls itself; there is no recursion [def-3]",
                             def->name.sym);
    if (!nm_args_bind(e, f, args, &b) || !nm_elab_enter(e, f, args->loc))
        return nm_ev_poison();
    nm_frame *callee = callee_frame(e, f, def, unit, inst, args);
    callee->n_rest = b.n_rest;
    callee->rest = b.rest;
    callee->n_replaced = b.n_replaced;
    callee->replaced = b.replaced;
    nm_active active = {.def = def, .outer = e->active};
    nm_ev out = nm_ev_poison();
    nm_loc user_loc = e->user_loc;
    e->user_loc = callee->user_fn ? callee->user_loc : (nm_loc){0};
    e->active = &active;
    unsigned before = e->fails;
    if (nm_call_set_pars(e, f, callee, &b, args)) {
        if (inst)
            remember(e, inst, &b);
        out = run_body(e, callee, def);
    }
    if (inst)
        inst->failed |= e->fails != before;
    e->active = active.outer;
    e->user_loc = user_loc;
    nm_elab_leave(e);
    out.text = NULL;
    return out;
}

// --- who is called -------------------------------------------------------------------------------

static nm_ev needs_module(nm_elab *e, nm_frame *f, const nm_ast_def *def, nm_loc loc)
{
    return nm_elab_error(e, f, loc, "only an instance has a name, and %s is an fn [inst-1]",
                         def->name.sym);
}

nm_ev nm_call_fn(nm_elab *e, nm_frame *f, const nm_callable *fn, const nm_args *args,
                 const nm_ast_word *label)
{
    bool labelled = label && label->sym;
    if (fn->inst)
        return fn->wrapped ? nm_call_wrapped(e, f, fn->inst, fn->n_wraps, args)
                           : nm_call_again(e, f, fn->inst, args);
    if (fn->def && fn->def->kind != NM_DEF_fn)
        return nm_call_module(e, f, fn->def, fn->unit, args, label);
    if (labelled && fn->def)
        return needs_module(e, f, fn->def, label->loc);
    if (labelled)
        return nm_elab_error(e, f, label->loc, "only an instance of a module has a name [inst-1]");
    if (fn->def)
        return nm_call_def(e, f, fn->def, fn->unit, NULL, args);
    if (fn->ext)
        return nm_call_extern(e, f, fn->ext, fn->unit, args);
    return fn->is_cast ? nm_call_cast(e, f, fn->cast, args)
                       : nm_call_builtin(e, f, fn->builtin, args);
}

// w(x): an arrow applied.
static nm_ev call_arrow(nm_elab *e, nm_frame *f, nm_ev w, const nm_args *args, nm_loc loc)
{
    if (args->n != 1 || !args->arg[0].arg || args->arg[0].arg->word.sym ||
        args->arg[0].arg->kind != NM_ARG_expr)
        return nm_elab_error(e, f, loc, "an arrow is applied to one value [call-1]");
    nm_ev x = nm_elab_expr(e, f, args->arg[0].arg->expr);
    return x.kind == NM_EV_poison ? x : nm_apply_arrow(e, f, w, x, loc);
}

nm_ev nm_elab_call(nm_elab *e, nm_frame *f, const nm_ast_expr *x)
{
    const nm_ast_expr *callee = x->u.call.callee;
    nm_ev fn = callee->kind == NM_EXPR_name ? nm_name_callee(e, f, &callee->u.name, callee->loc)
                                            : nm_elab_expr(e, f, callee);
    if (fn.kind == NM_EV_poison)
        return fn;
    nm_args args = nm_args_of(e, f, x);
    if (fn.kind == NM_EV_fn)
        return nm_call_fn(e, f, fn.u.fn, &args, &x->u.call.label);
    if (fn.kind == NM_EV_tensor && fn.u.t->is_arrow && !x->u.call.label.sym)
        return call_arrow(e, f, fn, &args, x->op_loc);
    return nm_elab_error(e, f, callee->loc, "%s is %s and cannot be called [call-1]",
                         nm_ev_name(e, fn, "this"), nm_ev_describe(e, fn));
}
