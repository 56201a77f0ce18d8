// minimize: the gradient of a loss, clipping by the global norm, and one optimizer body a
// parameter. An optimizer sees one turn's parameter of a repeat: its body stands in a repeat over
// the stacked dims.
#include "frontend/elab_ema.h"
#include "frontend/elab_hyper.h"
#include "frontend/paths.h"

#include <stdlib.h>
#include <string.h>

typedef struct optimizer { // one row of a minimize block
    const nm_ast_min_item *item;
    const nm_ast_def *def;
    nm_unit *unit;
    nm_inst *inst;
    int n_args;
    nm_rest arg[NM_MAX_OPT_PARS]; // but for p and g
    bool *matched;                // [item->on.n]
    int n_params;
} optimizer;

typedef struct minimize {
    nm_frame *f;
    const nm_ast_stmt *s;
    nm_value *loss;
    int n_opts, n_params;
    optimizer *opt;
    nm_pvar **param;
    int *opt_of; // [n_params]
    nm_value **grad;
    nm_sym clip; // the hyperparameter
} minimize;

// --- reading the block ---------------------------------------------------------------------------

static bool is_optimizer(nm_elab *e, minimize *z, const nm_ast_min_item *item, optimizer *o)
{
    const nm_ast_expr *callee = item->optimizer->u.call.callee;
    nm_ev v = callee->kind == NM_EXPR_name ? nm_name_callee(e, z->f, &callee->u.name, callee->loc)
                                           : nm_ev_none();
    *o = (optimizer){.item = item};
    if (v.kind == NM_EV_poison)
        return false;
    const nm_ast_def *def = v.kind == NM_EV_fn ? v.u.fn->def : NULL;
    if (!def || def->kind != NM_DEF_module || def->pars.n < 2 || def->pars.n > NM_MAX_OPT_PARS) {
        nm_elab_error(e, z->f, callee->loc,
                      "an optimizer is a module (p, g, ...) -> p, and this is %s [train-3]",
                      nm_ev_describe(e, v));
        return false;
    }
    o->def = def;
    o->unit = v.u.fn->unit;
    o->inst = nm_inst_child(e, e->root, def->name.sym);
    o->inst->def = def;
    o->matched = nm_new_n(e->a, bool, (size_t)item->on.n);
    return true;
}

static bool check_keywords(nm_elab *e, minimize *z, const optimizer *o)
{
    bool all = true;
    const nm_ast_expr *call = o->item->optimizer;
    for (int k = 0; k < call->u.call.n_args; k++) {
        nm_sym word = call->u.call.arg[k].word.sym, names[NM_MAX_OPT_PARS];
        bool known = !word;
        for (int i = 0; i < o->def->pars.n; i++) {
            names[i] = o->def->pars.par[i].name.sym;
            known |= names[i] == word;
        }
        all &= known;
        nm_sym near = known ? NULL : nm_elab_nearest(e, word, o->def->pars.n, names);
        if (!known)
            nm_elab_error(e, z->f, call->u.call.arg[k].word.loc,
                          "%s has no parameter '%s'%s%s%s [call-2]", o->def->name.sym, word,
                          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return all;
}

static bool read_optimizer(nm_elab *e, minimize *z, optimizer *o)
{
    const nm_ast_expr *call = o->item->optimizer;
    nm_args args = nm_args_of(e, z->f, call);
    if (!check_keywords(e, z, o))
        return false;
    for (int i = 2; i < o->def->pars.n; i++) {
        const nm_ast_par *par = &o->def->pars.par[i];
        nm_ast_pars behind = {.n = o->def->pars.n - 2, .par = o->def->pars.par + 2};
        const nm_ast_arg *a = nm_argument_for(call, &behind, i - 2);
        const nm_ast_expr *x = a ? a->expr : par->otherwise;
        if (!x && !nm_call_missing(e, z->f, par, o->def->name.sym, &args))
            return false;
        nm_ev v =
            nm_hyper_argument(e, a ? z->f : o->unit->frame, x, par->name.sym, o->def->name.sym);
        if (v.kind == NM_EV_poison)
            return false;
        o->arg[o->n_args++] = nm_rest_of(par->name.sym, e, v);
    }
    return true;
}

static const nm_ast_setting *find_setting(const minimize *z, const char *name)
{
    for (int i = 0; i < z->s->u.minimize.n; i++) {
        const nm_ast_min_item *item = &z->s->u.minimize.item[i];
        if (!item->optimizer && !strcmp(item->setting.word.sym, name))
            return &item->setting;
    }
    return NULL;
}

static bool read_settings(nm_elab *e, minimize *z)
{
    static const char *const known[] = {"clip", "every", "ema"};
    bool ok = true;
    for (int i = 0; i < z->s->u.minimize.n; i++) {
        const nm_ast_min_item *item = &z->s->u.minimize.item[i];
        nm_affine v;
        if (item->optimizer)
            continue;
        bool found = false;
        for (int k = 0; k < 3; k++)
            found |= !strcmp(item->setting.word.sym, known[k]);
        if (!found)
            nm_elab_error(e, z->f, item->setting.word.loc,
                          "minimize has the settings clip, every and ema, not '%s' [call-2]",
                          item->setting.word.sym);
        else if (!item->setting.value || !nm_elab_affine(e, z->f, item->setting.value, &v))
            nm_elab_error(e, z->f, item->setting.loc, "%s is a number [call-2]",
                          item->setting.word.sym);
        else if (!strcmp(item->setting.word.sym, "every") && v.value != 1)
            nm_elab_error(e, z->f, item->setting.loc, "every is not built yet [train-3]");
        else if (!strcmp(item->setting.word.sym, "ema") && !(v.value >= 0 && v.value < 1))
            nm_elab_error(e, z->f, item->setting.loc,
                          "ema is what a step keeps of the mean: from 0, for none, to below 1 "
                          "[train-3]");
        else
            continue;
        ok = false;
    }
    return ok;
}

// --- which parameters ----------------------------------------------------------------------------

static bool is_dim_name(void *user, nm_sym name) { return nm_dim_lookup(user, name) != NULL; }

static bool matches(nm_elab *e, const optimizer *o, nm_sym path)
{
    nm_sym full = nm_model_prefixed(e, path);
    bool any = !o->item->on.n;
    for (int i = 0; i < o->item->on.n; i++) {
        const nm_ast_path *p = &o->item->on.path[i];
        if (nm_path_match(p, path) || (full && nm_path_match(p, full)))
            any = o->matched[i] = true;
    }
    return any;
}

// Something of this function reads it: that a shape was asked for is not enough.
static bool is_trainable(nm_elab *e, const nm_pvar *p)
{
    return !p->state && !p->frozen && p->of == e->fn && p->now->uses;
}

static void choose_params(nm_elab *e, minimize *z)
{
    int n = 0;
    for (nm_pvar *p = e->param; p; p = p->next)
        n++;
    z->param = nm_new_n(e->a, nm_pvar *, (size_t)n);
    z->opt_of = nm_new_n(e->a, int, (size_t)n);
    for (nm_pvar *p = e->param; p; p = p->next) {
        bool taken = !is_trainable(e, p);
        for (int i = 0; i < z->n_opts; i++)
            if (matches(e, &z->opt[i], p->path) && !taken) {
                taken = true;
                z->opt_of[z->n_params] = i;
                z->param[z->n_params++] = p;
                z->opt[i].n_params++;
            }
    }
}

static void check_matches(nm_elab *e, minimize *z)
{
    int n = 0;
    for (nm_pvar *p = e->param; p; p = p->next)
        n += !p->state;
    nm_sym *paths = nm_new_n(e->a, nm_sym, (size_t)n);
    n = 0;
    for (nm_pvar *p = e->param; p; p = p->next)
        if (!p->state)
            paths[n++] = p->path;
    for (int i = 0; i < z->n_opts; i++)
        for (int k = 0; k < z->opt[i].item->on.n; k++) {
            const nm_ast_path *p = &z->opt[i].item->on.path[k];
            if (z->opt[i].matched[k])
                continue;
            const char *near = nm_path_near(e->m, p, n, paths, is_dim_name, e->m);
            nm_elab_error(e, z->f, p->loc, "no parameter matches%s%s [train-2]", *near ? "; " : "",
                          near);
        }
}

// --- gradients -----------------------------------------------------------------------------------

static bool differentiate(nm_elab *e, minimize *z)
{
    nm_value **in = nm_new_n(e->a, nm_value *, (size_t)z->n_params + 1);
    in[0] = z->loss;
    for (int i = 0; i < z->n_params; i++)
        in[i + 1] = nm_region_import(e, z->param[i]->where, z->param[i]->now);
    nm_op *op = nm_elab_op_many(
        e, (nm_proto){.code = NM_OP_grad, .loc = z->s->loc, .n_in = z->n_params + 1, .in = in});
    z->grad = nm_new_n(e->a, nm_value *, (size_t)z->n_params);
    for (int i = 0; op && i < z->n_params; i++)
        z->grad[i] = &op->out[i];
    return op != NULL;
}

static nm_value *sum_of_squares(nm_elab *e, nm_loc loc, nm_value *g)
{
    nm_value *x = nm_elab_cast(e, loc, g, NM_f32);
    x = nm_elab_op2(e, loc, NM_OP_mul, x, x);
    if (!x || !x->type->rank)
        return x;
    nm_attr over = nm_mk_dims(e->m, "over", nm_syms_of(e, nm_dims_of_type(e, x->type, loc)));
    return nm_elab_op(e, loc, NM_OP_sum, 1, &x, 1, &over, NULL);
}

static nm_value *global_norm(nm_elab *e, minimize *z)
{
    nm_value *total = NULL;
    for (int i = 0; i < z->n_params; i++) {
        nm_value *s = sum_of_squares(e, z->s->loc, z->grad[i]);
        total = total ? nm_elab_op2(e, z->s->loc, NM_OP_add, total, s) : s;
    }
    return total ? nm_elab_op1(e, z->s->loc, NM_OP_sqrt, total) : NULL;
}

// min(1, clip / (norm + 1e-6)), or 1 if clip is not above 0
static nm_value *clip_scale(nm_elab *e, minimize *z, nm_value *norm)
{
    nm_loc loc = z->s->loc;
    nm_value *clip = nm_efunc_scalar(e, z->clip, NM_f32), *one = nm_elab_const(e, loc, NM_f32, 1);
    nm_value *safe = nm_elab_op2(e, loc, NM_OP_add, norm, nm_elab_const(e, loc, NM_f32, 1e-6));
    nm_value *scale =
        nm_elab_op2(e, loc, NM_OP_minimum, one, nm_elab_op2(e, loc, NM_OP_div, clip, safe));
    nm_value *on = nm_elab_op2(e, loc, NM_OP_lt, nm_elab_const(e, loc, NM_f32, 0), clip);
    nm_value *in[] = {on, scale, one};
    return nm_elab_op(e, loc, NM_OP_select, 3, in, 0, NULL, NULL);
}

static void clip_gradients(nm_elab *e, minimize *z, nm_value *norm)
{
    nm_value *scale = clip_scale(e, z, norm);
    for (int i = 0; i < z->n_params && scale; i++)
        z->grad[i] = nm_elab_op2(e, z->s->loc, NM_OP_mul, z->grad[i],
                                 nm_elab_cast(e, z->s->loc, scale, z->grad[i]->type->dtype));
}

// --- updates -------------------------------------------------------------------------------------

// The loop's body is over: what it made of the parameter and the optimizer's states comes out
// stacked.
static void close_update(nm_elab *e, nm_loc loc)
{
    nm_region *r = e->at;
    int n = 0, all = 0;
    for (nm_pvar *p = e->param; p; p = p->next)
        all++;
    nm_pvar **var = nm_new_n(e->a, nm_pvar *, (size_t)all);
    nm_value **v = nm_new_n(e->a, nm_value *, (size_t)all),
             **result = nm_new_n(e->a, nm_value *, (size_t)all);
    for (nm_pvar *p = e->param; p; p = p->next)
        if (p->of == e->fn && p->where == r) {
            var[n] = p;
            v[n++] = p->now;
        }
    nm_region_close(e, loc, 0, NULL, NULL, NULL, n, v, result);
    for (int i = 0; i < n; i++)
        nm_pvar_assign(e, var[i], result[i]);
}

static nm_value *updated(nm_elab *e, minimize *z, optimizer *o, nm_pvar *p, nm_value *grad)
{
    nm_rest arg[NM_MAX_OPT_PARS + 2];
    nm_ev now = nm_pvar_read(e, p, z->s->loc);
    nm_value *g = nm_region_import(e, e->fn->root, grad);
    if (now.kind != NM_EV_tensor || !g)
        return NULL;
    const nm_type *type = now.u.t->v->type;
    g = nm_elab_order(e, z->s->loc, g, type);
    arg[0] = nm_rest_of(o->def->pars.par[0].name.sym, e, now);
    arg[1] = nm_rest_of(o->def->pars.par[1].name.sym, e, nm_ev_like(e, now, g));
    for (int i = 0; i < o->n_args; i++)
        arg[i + 2] = (nm_rest){
            .bound = {o->arg[i].bound.name, nm_ev_import(e, e->fn->root, o->arg[i].bound.value)}};
    nm_args args = nm_args_made(e, o->item->loc, o->n_args + 2, arg);
    nm_ev out = nm_call_def(e, z->f, o->def, o->unit, o->inst, &args);
    return nm_elab_coerce(e, z->f, out, type,
                          nm_arena_fmt(e->a, "%s keeps the type of p, which", o->def->name.sym),
                          "train-3", o->item->loc);
}

static void update(nm_elab *e, minimize *z, optimizer *o, nm_pvar *p, nm_value *grad)
{
    nm_region *outer = e->at;
    p->optimizer = o->def->name.sym;
    e->opt_param = p;
    e->opt_name = o->def->name.sym;
    e->opt_def = o->def;
    o->inst->region = outer;
    for (int i = 0; i < p->n_loops; i++)
        nm_region_open(e,
                       (nm_edim){.name = p->type->dim[i].name,
                                 .extent = p->type->dim[i].extent,
                                 .written = true},
                       false, z->s->loc);
    nm_value *v = updated(e, z, o, p, grad);
    e->opt_param = NULL;
    e->opt_def = NULL;
    if (!v) {
        e->at = outer;
        return;
    }
    nm_pvar_assign(e, p, v);
    while (e->at != outer)
        close_update(e, z->s->loc);
}

// --- all -----------------------------------------------------------------------------------------

static void publish(nm_elab *e, const char *name, nm_ev v, nm_loc loc)
{
    int same = 0;
    for (nm_metric *m = e->metric; m; m = m->next)
        same += !strcmp(m->base, name);
    nm_metric *m = nm_new(e->a, nm_metric);
    *m = (nm_metric){.base = name, .value = v, .loc = loc};
    m->name = same ? nm_sym_fmt(e->m, "%s.%d", name, same + 1) : nm_sym_get(e->m, name);
    *e->metric_end = m;
    e->metric_end = &m->next;
}

static bool read_loss(nm_elab *e, minimize *z)
{
    const nm_ast_expr *x = z->s->u.minimize.loss;
    nm_ev v = nm_elab_expr(e, z->f, x);
    if (v.kind == NM_EV_poison)
        return false;
    if (v.kind != NM_EV_tensor || !nm_dtype_table[v.u.t->v->type->dtype].is_float) {
        nm_elab_error(e, z->f, x->loc, "a loss is a real scalar, this is %s [train-1]",
                      nm_ev_describe(e, v));
        return false;
    }
    const nm_type *t = v.u.t->v->type;
    if (t->rank) {
        nm_elab_error(e, z->f, x->loc,
                      "a loss is a scalar, this is %s; write mean(..., %s) [train-1]",
                      nm_tensor_str(e, v.u.t), nm_dims_str(e, nm_dims_of_type(e, t, x->loc)));
        return false;
    }
    z->loss = nm_elab_cast(e, x->loc, v.u.t->v, NM_f32);
    publish(e, "loss", nm_ev_value(e, z->loss), x->loc);
    return z->loss != NULL;
}

// NULL: there is no ema, so nothing of it can be asked for when the binary runs.
static nm_sym name_ema(nm_elab *e, minimize *z)
{
    const nm_ast_setting *s = find_setting(z, "ema");
    nm_affine v;
    if (!s || !nm_elab_affine(e, z->f, s->value, &v) || v.value == 0)
        return NULL;
    return nm_elab_hyper(e, "ema", nm_sym_get(e->m, "minimize"), v, NULL, s->loc);
}

// minimize's own clip is called so; an optimizer's number of that name is adafactor.clip.
static void name_clip(nm_elab *e, minimize *z)
{
    const nm_ast_setting *s = find_setting(z, "clip");
    nm_affine v = {0};
    if (s)
        nm_elab_affine(e, z->f, s->value, &v);
    z->clip =
        nm_elab_hyper(e, "clip", nm_sym_get(e->m, "minimize"), v, NULL, s ? s->loc : z->s->loc);
}

static bool read_optimizers(nm_elab *e, minimize *z)
{
    bool ok = read_settings(e, z);
    name_clip(e, z);
    z->opt = nm_new_n(e->a, optimizer, (size_t)z->s->u.minimize.n);
    for (int i = 0; i < z->s->u.minimize.n; i++) {
        const nm_ast_min_item *item = &z->s->u.minimize.item[i];
        if (!item->optimizer)
            continue;
        bool is = is_optimizer(e, z, item, &z->opt[z->n_opts]);
        ok &= is && read_optimizer(e, z, &z->opt[z->n_opts]);
        z->n_opts += is;
    }
    if (ok && !z->n_opts)
        nm_elab_error(e, z->f, z->s->loc,
                      "minimize names an optimizer: adamw(lr = 1e-3) [train-3]");
    return ok && z->n_opts;
}

static void publish_rates(nm_elab *e, minimize *z)
{
    for (int i = 0; i < z->n_opts; i++)
        for (int k = 0; k < z->opt[i].n_args; k++) {
            nm_ev v = z->opt[i].arg[k].bound.value;
            bool told = strcmp(z->opt[i].arg[k].bound.name, "lr") || v.kind != NM_EV_tensor;
            for (nm_metric *m = e->metric; m; m = m->next)
                told |= m->value.kind == NM_EV_tensor && v.kind == NM_EV_tensor &&
                        m->value.u.t->v == v.u.t->v;
            if (!told)
                publish(e, "lr", v, z->s->loc);
        }
}

static void optimize(nm_elab *e, minimize *z)
{
    nm_value *norm = differentiate(e, z) ? global_norm(e, z) : NULL;
    if (!norm)
        return;
    publish(e, "grad_norm", nm_ev_value(e, norm), z->s->loc);
    publish_rates(e, z);
    clip_gradients(e, z, norm);
    unsigned fails = e->fails;
    for (int i = 0; i < z->n_params && e->fails == fails; i++)
        update(e, z, &z->opt[z->opt_of[i]], z->param[i], z->grad[i]);
    nm_sym ema = name_ema(e, z);
    for (int i = 0; i < z->n_params && ema && e->fails == fails; i++)
        nm_elab_ema(e, z->param[i], ema, z->s->loc);
}

void nm_stmt_minimize(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    minimize z = {.f = f, .s = s};
    unsigned fails = e->fails;
    if (!f->is_entry || !e->entry || e->entry->kind != NM_ENTRY_train || f->in_loop) {
        nm_elab_error(e, f, s->loc,
                      "minimize stands in a train entry, outside of repeat and scan [train-1]");
        return;
    }
    bool ok = read_loss(e, &z);
    if (!e->training || !read_optimizers(e, &z) || !ok)
        return;
    if (e->fails != fails || e->fails)
        return; // parameters may be missing: patterns would be blamed for it
    choose_params(e, &z);
    check_matches(e, &z);
    if (e->fails == fails && z.n_params)
        optimize(e, &z);
    else if (e->fails == fails)
        nm_elab_error(e, f, s->loc, "there is no parameter to train [train-2]");
}
