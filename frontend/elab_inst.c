// Instances: a called module is an instance, its label a step of the path of its parameters (inst-1
// to inst-6). An instance is called through its adapters (adapt): the last one is called with
// `base`, which calls the one before, and the first one's base is the body itself.
#include "frontend/elab_internal.h"
#include "frontend/paths.h"
#include "frontend/walk.h"

#include <stdlib.h>
#include <string.h>

nm_sym nm_path_join(nm_elab *e, nm_sym a, nm_sym b)
{
    return !*a ? b : !*b ? a : nm_sym_fmt(e->m, "%s.%s", a, b);
}

nm_inst *nm_inst_child(nm_elab *e, nm_inst *up, nm_sym label)
{
    nm_inst **at = &up->child;
    for (; *at; at = &(*at)->next)
        if ((*at)->label == label)
            return *at;
    *at = nm_new(e->a, nm_inst);
    **at = (nm_inst){.label = label, .path = nm_path_join(e, up->path, label), .up = up};
    return *at;
}

// --- what a definition declares, by its text -----------------------------------------------------

typedef struct declared {
    nm_sym name; // NULL: the first
    bool state, found;
    nm_sym first;
} declared;

static void see_param(void *user, const nm_ast_stmt *s)
{
    declared *d = user;
    if (s->kind != NM_STMT_param && !(d->state && s->kind == NM_STMT_state))
        return;
    if (!d->first)
        d->first = s->u.decl.name.sym;
    d->found |= s->u.decl.name.sym == d->name;
}

bool nm_def_declares(const nm_ast_def *def, nm_sym param, bool state)
{
    declared d = {.name = param, .state = state};
    nm_ast_walk_def(&(nm_ast_visitor){.stmt = see_param, .user = &d}, def);
    return d.found;
}

static nm_sym first_param(const nm_ast_def *def)
{
    declared d = {0};
    nm_ast_walk_def(&(nm_ast_visitor){.stmt = see_param, .user = &d}, def);
    return d.first;
}

// --- adapters ------------------------------------------------------------------------------------

typedef struct uses { // the members of `base` that an adapter reads
    nm_sym base;
    const nm_ast_def *of;
    bool fits;
} uses;

static void see_member(void *user, const nm_ast_expr *x)
{
    uses *u = user;
    if (x->kind == NM_EXPR_name && x->u.name.n == 2 && x->u.name.part[0].sym == u->base)
        u->fits &= nm_def_declares(u->of, x->u.name.part[1].sym, true);
}

static bool has_par(const nm_ast_def *def, const nm_ast_par *par)
{
    for (int i = 0; i < def->pars.n; i++) {
        const nm_ast_par *p = &def->pars.par[i];
        if (p->kind == NM_PAR_arrow ? par->kind == NM_PAR_arrow : p->name.sym == par->name.sym)
            return true;
    }
    return false;
}

static bool adapter_fits(const nm_ast_def *adapter, const nm_ast_def *def)
{
    uses u = {.of = def, .fits = true};
    if (adapter->pars.n)
        u.base = adapter->pars.par[0].name.sym;
    for (int i = 1; i < adapter->pars.n; i++) {
        const nm_ast_par *p = &adapter->pars.par[i];
        if (p->kind != NM_PAR_rest && !p->otherwise && !has_par(def, p))
            return false;
    }
    nm_ast_walk_def(&(nm_ast_visitor){.expr = see_member, .user = &u}, adapter);
    return u.fits;
}

static bool is_wild(const nm_ast_path *p)
{
    for (int i = 0; i < p->n; i++)
        if (p->step[i].kind == NM_STEP_any || p->step[i].kind == NM_STEP_many)
            return true;
    return false;
}

// "(x, ins -> outs)": what has to be given
static const char *needed_pars(nm_elab *e, const nm_ast_def *def, int from, bool all)
{
    const char *s = "";
    for (int i = from; i < def->pars.n; i++) {
        const nm_ast_par *p = &def->pars.par[i];
        if (p->kind == NM_PAR_rest || (p->otherwise && !all))
            continue;
        s = nm_arena_fmt(e->a, "%s%s%s%s%s", s, *s ? ", " : "", p->name.sym,
                         p->kind == NM_PAR_arrow ? " -> " : "",
                         p->kind == NM_PAR_arrow ? p->to.sym : "");
    }
    return s;
}

// With the model's name in front where paths leave it out.
nm_sym nm_model_prefixed(nm_elab *e, nm_sym path)
{
    return e->model_name ? nm_path_join(e, e->model_name, path) : NULL;
}

static const nm_ast_path *matching(nm_elab *e, const nm_ast_paths *on, nm_sym path)
{
    nm_sym full = nm_model_prefixed(e, path);
    const nm_ast_path *wild = NULL;
    for (int i = 0; i < on->n; i++)
        if (nm_path_match(&on->path[i], path) || (full && nm_path_match(&on->path[i], full))) {
            if (!is_wild(&on->path[i]))
                return &on->path[i];
            wild = &on->path[i];
        }
    return wild;
}

static const nm_ast_def *adapter_def(nm_elab *e, const nm_adapt *a)
{
    const nm_ast_expr *callee = a->adapt->call->u.call.callee;
    nm_ev v = nm_name_callee(e, a->unit->frame, &callee->u.name, callee->loc);
    if (v.kind == NM_EV_fn && v.u.fn->def && v.u.fn->def->kind == NM_DEF_module)
        return v.u.fn->def;
    if (v.kind != NM_EV_poison)
        nm_elab_error(e, NULL, callee->loc, "an adapter is a module, not %s [adapt-2]",
                      nm_ev_describe(e, v));
    return NULL;
}

static bool wraps_here(nm_elab *e, nm_adapt *a, const nm_inst *inst, const nm_ast_def *adapter)
{
    const nm_ast_path *p = matching(e, &a->adapt->on, inst->path);
    if (!p || !adapter)
        return false;
    if (adapter_fits(adapter, inst->def)) {
        a->matched = true;
        return true;
    }
    if (!is_wild(p)) {
        a->matched = true;
        nm_elab_error(e, NULL, p->loc,
                      "%s wraps modules with (%s), and this instance is %s(%s) [adapt-2]",
                      adapter->name.sym, needed_pars(e, adapter, 1, false), inst->def->name.sym,
                      needed_pars(e, inst->def, 0, false));
    }
    return false;
}

static void find_wraps(nm_elab *e, nm_inst *inst)
{
    inst->wraps_known = true;
    for (nm_inst *up = inst; up; up = up->up)
        if (up->is_adapter)
            return;
    if (!*inst->label || !inst->up) // the body of a transparent one: its own label was asked
        return;
    inst->wrap = nm_new_n(e->a, nm_wrap, (size_t)e->n_adapts);
    for (int i = 0; i < e->n_adapts; i++) {
        const nm_ast_def *adapter = adapter_def(e, &e->adapt[i]);
        if (wraps_here(e, &e->adapt[i], inst, adapter))
            inst->wrap[inst->n_wraps++] = (nm_wrap){e->adapt[i].adapt, e->adapt[i].unit, adapter};
    }
}

void nm_adapts_check(nm_elab *e)
{
    for (int i = 0; i < e->n_adapts; i++)
        if (!e->adapt[i].matched)
            nm_elab_error(e, NULL, e->adapt[i].adapt->on.loc,
                          "no instance matches, or the adapter fits none [adapt-1]");
}

// --- calling through adapters --------------------------------------------------------------------

// The base's parameters must be there before an adapter reads them: one call that is thrown away.
static void declare_params(nm_elab *e, nm_frame *f, nm_inst *inst, const nm_args *args)
{
    if (inst->was_declared)
        return;
    inst->was_declared = true;
    nm_region *at = e->at;
    nm_trial *t = nm_trial_begin(e, args->loc);
    nm_args seen = nm_args_made(e, args->loc, args->n, args->arg);
    for (int i = 0; i < seen.n; i++)
        seen.arg[i].bound.value = nm_ev_import(e, at, seen.arg[i].bound.value);
    nm_call_def(e, f, inst->def, inst->unit, inst, &seen);
    nm_trial_end(e, t);
}

static int adapter_par(const nm_ast_def *adapter, const nm_ast_par *of)
{
    for (int i = 1; i < adapter->pars.n; i++) {
        const nm_ast_par *p = &adapter->pars.par[i];
        if (p->kind == NM_PAR_rest)
            continue;
        if (of->kind == NM_PAR_arrow ? p->kind == NM_PAR_arrow : p->name.sym == of->name.sym)
            return i;
    }
    return -1;
}

// The arguments of a wrapped call by name, each evaluated once.
static bool bound_args(nm_elab *e, nm_frame *f, const nm_inst *inst, const nm_args *args,
                       nm_args *out)
{
    nm_binding b = {.name = inst->def->name.sym, .pars = &inst->def->pars, .def = inst->def};
    if (!nm_args_bind(e, f, args, &b))
        return false;
    *out = *args;
    out->n = 0;
    out->arg = nm_new_n(e->a, nm_rest, (size_t)(b.pars->n + b.n_rest + b.n_replaced));
    for (int i = 0; i < b.pars->n; i++)
        if (b.given[i])
            out->arg[out->n++] = (nm_rest){.bound = {b.pars->par[i].name.sym, b.value[i]}};
    for (int i = 0; i < b.n_rest; i++)
        out->arg[out->n++] = b.rest[i];
    for (int i = 0; i < b.n_replaced; i++)
        out->arg[out->n++] = (nm_rest){.bound = b.replaced[i]};
    return true;
}

// The adapter's own name for the base's parameter, or the base's.
static nm_sym adapters_name(const nm_ast_def *adapter, const nm_inst *inst, nm_sym name)
{
    for (int i = 0; i < inst->def->pars.n; i++)
        if (inst->def->pars.par[i].name.sym == name) {
            int at = adapter_par(adapter, &inst->def->pars.par[i]);
            return at >= 0 ? adapter->pars.par[at].name.sym : name;
        }
    return name;
}

// The adapter's arguments: base, the instance's own by name, what the adapt line says.
static nm_args adapter_args(nm_elab *e, const nm_inst *inst, int k, const nm_args *args)
{
    const nm_wrap *w = &inst->wrap[k];
    nm_args said = nm_args_of(e, w->unit->frame, w->adapt->call), out = *args;
    nm_callable base = {.inst = (nm_inst *)inst, .unit = inst->unit, .wrapped = true, .n_wraps = k};
    out.n = 0;
    out.arg = nm_new_n(e->a, nm_rest, (size_t)(1 + args->n + said.n));
    out.arg[out.n++] = (nm_rest){.bound = {w->def->pars.par[0].name.sym, nm_ev_fn(e, base)}};
    for (int i = 0; i < args->n; i++) {
        out.arg[out.n] = args->arg[i];
        if (args->arg[i].bound.name)
            out.arg[out.n].bound.name = adapters_name(w->def, inst, args->arg[i].bound.name);
        out.n++;
    }
    for (int i = 0; i < said.n; i++)
        out.arg[out.n++] = said.arg[i];
    return out;
}

nm_ev nm_call_wrapped(nm_elab *e, nm_frame *f, nm_inst *inst, int n_wraps, const nm_args *args)
{
    nm_args named, own;
    if (!n_wraps)
        return nm_call_def(e, f, inst->def, inst->unit, inst, args);
    const nm_wrap *w = &inst->wrap[n_wraps - 1];
    if (!w->def->pars.n)
        return nm_elab_error(e, NULL, w->adapt->loc,
                             "an adapter's first parameter is 'base: module' [adapt-2]");
    if (!bound_args(e, f, inst, args, &named))
        return nm_ev_poison();
    declare_params(e, f, inst, &named);
    own = adapter_args(e, inst, n_wraps - 1, &named);
    nm_inst *adapter = nm_inst_child(e, inst, w->def->name.sym);
    adapter->is_adapter = true;
    adapter->def = w->def;
    adapter->unit = w->def->file == e->prog->std ? e->std : w->unit;
    adapter->region = inst->region;
    return nm_call_def(e, f, w->def, adapter->unit, adapter, &own);
}

nm_ev nm_call_again(nm_elab *e, nm_frame *f, nm_inst *inst, const nm_args *args)
{
    nm_args again = *args;
    again.n_before = inst->n_args;
    again.before = inst->arg;
    again.before_region = inst->arg_region;
    inst->region = e->at; // its parameters are there already
    return nm_call_wrapped(e, f, inst, inst->n_wraps, &again);
}

// --- the call of a module ------------------------------------------------------------------------

// Is x what the short body of def gives, through `if`s? (inst-3)
static bool is_body(const nm_ast_expr *body, const nm_ast_expr *x)
{
    if (body == x)
        return true;
    return body->kind == NM_EXPR_if &&
           (is_body(body->u.if_.then, x) || is_body(body->u.if_.other, x));
}

static bool is_transparent(const nm_frame *f, const nm_args *args)
{
    const nm_ast_def *d = f->def;
    return d && d->is_short && d->kind != NM_DEF_fn && args->call && d->value.n == 1 &&
           is_body(d->value.expr[0], args->call);
}

nm_inst *nm_inst_of_model(nm_elab *e, const nm_ast_def *def)
{
    for (nm_inst *i = e->root->child; i; i = i->next)
        if (i->def == def)
            return i;
    return NULL;
}

static bool is_only_model(const nm_unit *unit, const nm_ast_def *def)
{
    for (const nm_item *i = unit->item; i; i = i->next)
        if (i->kind == NM_ITEM_def && i->def->kind == NM_DEF_model && i->name != def->name.sym)
            return false;
    return true;
}

// A model's path is its name, with `lm.` in front if the file is used as lm; where a file has one
// model, the name is left out.
static nm_inst *model_instance(nm_elab *e, const nm_ast_def *def, nm_unit *unit)
{
    nm_inst *inst = nm_inst_of_model(e, def);
    if (inst)
        return inst;
    inst = nm_inst_child(e, e->root, nm_sym_fmt(e->m, "%s%s", unit->prefix, def->name.sym));
    if (is_only_model(unit, def))
        inst->path = unit->as
                         ? nm_sym_fmt(e->m, "%.*s", (int)strlen(unit->prefix) - 1, unit->prefix)
                         : nm_sym_get(e->m, "");
    inst->wraps_known = true;
    return inst;
}

static nm_ev no_instances_here(nm_elab *e, nm_frame *f, const nm_ast_def *def, nm_loc loc)
{
    nm_sym w = first_param(def);
    if (w)
        return nm_elab_error(
            e, f, loc, "an fn owns no parameters, and module %s has '%s'; make %s a module [def-2]",
            def->name.sym, w, f->what);
    return nm_elab_error(e, f, loc,
                         "an fn makes no instances, and %s is a module; make %s a module [def-2]",
                         def->name.sym, f->what);
}

static nm_inst *new_instance(nm_elab *e, nm_frame *f, const nm_ast_def *def, const nm_args *args,
                             const nm_ast_word *label)
{
    bool named = label && label->sym;
    nm_loc loc = named ? label->loc : args->loc;
    nm_sym name = nm_sym_fmt(e->m, "%s%s", named ? label->sym : def->name.sym, f->turns);
    if (is_transparent(f, args) && !named)
        name = nm_sym_get(e->m, "");
    nm_label *old = nm_frame_label(f, name);
    if (old) {
        nm_elab_error(e, f, loc,
                      "a second instance called '%s' in %s (the first: %s); give it a name: up: "
                      "%s(...) [inst-2]",
                      name, f->what, nm_elab_place(e, old->loc, loc), def->name.sym);
        return NULL;
    }
    nm_inst *inst = nm_inst_child(e, f->inst, name);
    inst->region = f->inst->region;
    nm_frame_add_label(e, f,
                       (nm_label){.name = name, .loc = loc, .inst = inst, .explicit_ = named});
    return inst;
}

nm_ev nm_call_module(nm_elab *e, nm_frame *f, const nm_ast_def *def, nm_unit *unit,
                     const nm_args *args, const nm_ast_word *label)
{
    if (f->is_fn)
        return no_instances_here(e, f, def, args->loc);
    if (!f->inst)
        return nm_elab_error(e, f, args->loc,
                             "a module is called in a body, not at the top of a file [def-2]");
    nm_inst *inst = def->kind == NM_DEF_model ? model_instance(e, def, unit)
                                              : new_instance(e, f, def, args, label);
    if (!inst)
        return nm_ev_poison();
    inst->def = def;
    inst->unit = unit;
    if (def->kind == NM_DEF_model)
        inst->region = e->at;
    if (!inst->wraps_known)
        find_wraps(e, inst);
    return nm_call_wrapped(e, f, inst, inst->n_wraps, args);
}

// --- members -------------------------------------------------------------------------------------

static nm_inst *find_child(nm_inst *inst, nm_sym label)
{
    nm_inst *inner = NULL;
    for (nm_inst *c = inst->child; c; c = c->next) {
        if (c->label == label)
            return c;
        if (!*c->label)
            inner = c;
    }
    return inner ? find_child(inner, label) : NULL;
}

static int member_names(nm_elab *e, const nm_inst *inst, nm_sym *out, int max)
{
    size_t k = strlen(inst->path);
    int n = 0;
    for (nm_inst *c = inst->child; c && n < max; c = c->next)
        if (*c->label)
            out[n++] = c->label;
    for (nm_pvar *p = e->param; p && n < max; p = p->next)
        if (!strncmp(p->path, inst->path, k) && p->path[k] == '.' && !strchr(p->path + k + 1, '.'))
            out[n++] = nm_sym_get(e->m, p->path + k + 1);
    return n;
}

nm_ev nm_inst_member(nm_elab *e, nm_frame *f, nm_inst *inst, nm_sym name, nm_loc loc)
{
    nm_sym path = nm_path_join(e, inst->path, name), names[128];
    nm_pvar *p = nm_pvar_find(e, path);
    if (p)
        return nm_pvar_read(e, p, loc);
    for (nm_emit *m = e->fn ? e->fn->emit : NULL; m; m = m->next)
        if (m->path == path)
            return nm_ev_import(e, m->region, m->value);
    nm_inst *child = find_child(inst, name);
    if (child)
        return (nm_ev){.kind = NM_EV_inst, .u.inst = child};
    if (inst->failed)
        return nm_ev_poison();
    nm_sym near = nm_elab_nearest(e, name, member_names(e, inst, names, 128), names);
    return nm_elab_error(e, f, loc, "the instance %s has no member '%s'%s%s%s [inst-4]",
                         inst->label, name, near ? "; did you mean '" : "", near ? near : "",
                         near ? "'?" : "");
}
