// Hyperparameters and schedules. A number that a minimize block is given becomes a scalar of @train
// with that number as default; a schedule's own numbers are read by @schedule functions alone.
#include "frontend/elab_hyper.h"

#include <stdlib.h>
#include <string.h>

// --- hyperparameters -----------------------------------------------------------------------------

static bool same_hyper(const nm_hyper *h, nm_affine a, nm_sym schedule)
{
    return h->value == a.value && h->per_step == a.per_step && h->schedule == schedule;
}

// A name that no other value has: lr, finetune.lr, muon.lr, muon.lr.2.
static nm_sym free_name(nm_elab *e, const char *base, nm_sym owner, nm_affine a, nm_sym schedule)
{
    nm_sym entry = e->entry ? e->entry->name.sym : NULL;
    nm_sym name = nm_sym_get(e->m, base);
    for (int i = 0; i < 100; i++) {
        nm_hyper *h = nm_hyper_lookup(e->m, name);
        if (!h || same_hyper(h, a, schedule))
            return name;
        name = i == 0 && entry ? nm_sym_fmt(e->m, "%s.%s", entry, base)
               : i <= 1        ? nm_sym_fmt(e->m, "%s.%s", owner, base)
                               : nm_sym_fmt(e->m, "%s.%s.%d", owner, base, i);
    }
    return name;
}

nm_sym nm_elab_hyper(nm_elab *e, const char *base, nm_sym owner, nm_affine a, nm_sym schedule,
                     nm_loc loc)
{
    nm_sym name = free_name(e, base, owner, a, schedule);
    if (!nm_hyper_lookup(e->m, name))
        nm_hyper_add(e->m, (nm_hyper){.name = name,
                                      .value = a.value,
                                      .per_step = a.per_step,
                                      .schedule = schedule,
                                      .loc = loc});
    return name;
}

static nm_ev hyper_scalar(nm_elab *e, nm_sym name)
{
    return nm_ev_tensor(e, (nm_tensor){.v = nm_efunc_scalar(e, name, NM_f32), .weak = true});
}

// The expression as a number in `steps`, the length of the run. false: it is no such number.
bool nm_elab_affine(nm_elab *e, nm_frame *f, const nm_ast_expr *x, nm_affine *out)
{
    double at[2];
    e->steps_known = true;
    for (int i = 0; i < 2; i++) {
        e->steps_is = i;
        nm_ev v = nm_ev_number(e, f, nm_elab_expr(e, f, x));
        if (v.kind != NM_EV_num) {
            e->steps_known = false;
            return false;
        }
        at[i] = v.u.num;
    }
    e->steps_known = false;
    *out = (nm_affine){at[0], at[1] - at[0]};
    return true;
}

// A number, or a tuple of numbers, as scalars; anything else as it is.
static nm_ev hyper_value(nm_elab *e, nm_frame *f, nm_ev v, const char *base, nm_sym owner,
                         nm_loc loc)
{
    v = nm_ev_number(e, f, v);
    if (v.kind == NM_EV_num)
        return hyper_scalar(e, nm_elab_hyper(e, base, owner, (nm_affine){v.u.num, 0}, NULL, loc));
    if (v.kind != NM_EV_tuple)
        return v;
    nm_ev out = nm_ev_tuple(e, v.u.tuple.n, v.u.tuple.item);
    for (int i = 0; i < v.u.tuple.n; i++)
        out.u.tuple.item[i] =
            hyper_value(e, f, v.u.tuple.item[i], nm_arena_fmt(e->a, "%s.%d", base, i), owner, loc);
    return out;
}

// --- schedules -----------------------------------------------------------------------------------

bool nm_is_schedule(const nm_ast_def *def)
{
    return def->kind == NM_DEF_fn && def->pars.n && def->pars.par[0].kind == NM_PAR_plain &&
           !strcmp(def->pars.par[0].name.sym, "peak");
}

static const nm_callable *schedule_of(nm_elab *e, nm_frame *f, const nm_ast_expr *x)
{
    if (x->kind != NM_EXPR_call || x->u.call.callee->kind != NM_EXPR_name)
        return NULL;
    nm_ev v = nm_name_callee(e, f, &x->u.call.callee->u.name, x->u.call.callee->loc);
    return v.kind == NM_EV_fn && v.u.fn->def && nm_is_schedule(v.u.fn->def) ? v.u.fn : NULL;
}

const nm_ast_arg *nm_argument_for(const nm_ast_expr *call, const nm_ast_pars *pars, int i)
{
    int positional = 0;
    for (int k = 0; k < call->u.call.n_args; k++) {
        const nm_ast_arg *a = &call->u.call.arg[k];
        if (a->word.sym ? a->word.sym == pars->par[i].name.sym : positional++ == i)
            return a;
    }
    return NULL;
}

static nm_ev schedule_lr(nm_elab *e, nm_frame *f, const nm_ast_expr *call, const nm_callable *fn,
                         nm_sym owner, const char *base)
{
    const nm_ast_pars *pars = &fn->def->pars;
    nm_args args = nm_args_of(e, f, call);
    nm_sym lr = NULL;
    for (int i = 0; i < pars->n; i++) {
        const nm_ast_arg *a = nm_argument_for(call, pars, i);
        const nm_ast_expr *x = a ? a->expr : pars->par[i].otherwise;
        nm_affine v;
        if (!x && !nm_call_missing(e, f, &pars->par[i], fn->def->name.sym, &args))
            return nm_ev_poison();
        if (!nm_elab_affine(e, a ? f : fn->unit->frame, x, &v))
            return nm_elab_error(e, f, x->loc,
                                 "a schedule's numbers are known when the run starts: constants "
                                 "and steps [static-1]");
        nm_sym name = nm_elab_hyper(e, i ? pars->par[i].name.sym : base, owner, v,
                                    i ? NULL : fn->def->name.sym, x->loc);
        lr = i ? lr : name;
    }
    nm_binding b = {.name = fn->def->name.sym, .pars = pars};
    return nm_args_bind(e, f, &args, &b) && lr ? hyper_scalar(e, lr) : nm_ev_poison();
}

nm_ev nm_hyper_argument(nm_elab *e, nm_frame *f, const nm_ast_expr *x, nm_sym name, nm_sym owner)
{
    const nm_callable *schedule = schedule_of(e, f, x);
    nm_affine v;
    if (schedule)
        return schedule_lr(e, f, x, schedule, owner, name);
    if (nm_elab_affine(e, f, x, &v)) {
        nm_sym constant = !strcmp(name, "lr") ? nm_sym_get(e->m, "constant") : NULL;
        return hyper_scalar(e, nm_elab_hyper(e, name, owner, v, constant, x->loc));
    }
    return hyper_value(e, f, nm_elab_expr(e, f, x), name, owner, x->loc);
}

static void one_schedule(nm_elab *e, const nm_ast_def *def, nm_unit *unit)
{
    nm_rest arg[NM_MAX_OPT_PARS];
    int n = 0;
    if (def->pars.n > NM_MAX_OPT_PARS)
        return;
    for (int i = 1; i < def->pars.n; i++) { // all its numbers have values
        nm_affine v;
        const nm_ast_par *par = &def->pars.par[i];
        if (nm_hyper_lookup(e->m, par->name.sym))
            continue;
        if (!par->otherwise || !nm_elab_affine(e, unit->frame, par->otherwise, &v))
            return;
        nm_hyper_add(e->m, (nm_hyper){.name = par->name.sym,
                                      .value = v.value,
                                      .per_step = v.per_step,
                                      .loc = par->loc});
    }
    nm_efunc *fn = nm_efunc_new(e, nm_arena_fmt(e->a, "schedule.%s", def->name.sym), def->loc);
    e->fn = fn;
    e->at = fn->root;
    for (int i = 0; i < def->pars.n; i++)
        arg[n++] =
            nm_rest_of(def->pars.par[i].name.sym, e,
                       hyper_scalar(e, nm_sym_get(e->m, i ? def->pars.par[i].name.sym : "lr")));
    nm_args args = nm_args_made(e, def->loc, n, arg);
    nm_ev v = nm_call_def(e, unit->frame, def, unit, NULL, &args);
    nm_value *lr = nm_elab_coerce(e, NULL, v, nm_type_scalar(e->m, NM_f32), "a learning rate",
                                  "train-3", def->loc);
    nm_bind bind = {.kind = NM_BIND_out, .name = nm_sym_get(e->m, "lr")};
    if (lr)
        nm_efunc_finish(e, fn, def->loc, 1, &lr, &bind);
    else
        nm_func_remove(fn->f);
}

static void schedules_of(nm_elab *e, nm_unit *u, nm_unit *hidden_by)
{
    nm_item **item = NULL;
    int n = 0;
    for (nm_item *i = u->item; i; i = i->next)
        n++;
    item = nm_new_n(e->a, nm_item *, (size_t)n);
    int k = n;
    for (nm_item *i = u->item; i; i = i->next)
        item[--k] = i;
    for (int i = 0; i < n; i++)
        if (item[i]->kind == NM_ITEM_def && nm_is_schedule(item[i]->def) &&
            nm_unit_find(e, hidden_by, item[i]->name) == item[i])
            one_schedule(e, item[i]->def, u);
}

void nm_elab_schedules(nm_elab *e)
{
    schedules_of(e, e->std, e->main);
    schedules_of(e, e->main, e->main);
}
