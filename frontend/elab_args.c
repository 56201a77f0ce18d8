// Arguments to parameters. A parameter's kind says how its argument is read: as a value, a dim, a
// list of dims, an arrow; so nothing is evaluated before it is known whom it is for.
#include "frontend/elab_internal.h"

#include <stdlib.h>
#include <string.h>

bool nm_par_is(const nm_ast_par *par, const char *kind)
{
    return par->kind == NM_PAR_kind && !strcmp(par->of.sym, kind);
}

// --- the arguments of a call ---------------------------------------------------------------------

nm_rest nm_rest_of(const char *name, nm_elab *e, nm_ev value)
{
    return (nm_rest){.bound = {nm_sym_get(e->m, name), value}};
}

nm_args nm_args_made(nm_elab *e, nm_loc loc, int n, const nm_rest *arg)
{
    nm_args a = {.n = n, .arg = nm_new_n(e->a, nm_rest, (size_t)n), .loc = loc, .close = loc};
    for (int i = 0; i < n; i++)
        a.arg[i] = arg[i];
    return a;
}

nm_args nm_args_of(nm_elab *e, nm_frame *f, const nm_ast_expr *call)
{
    int n = call->u.call.n_args;
    for (int i = 0; i < call->u.call.n_args; i++)
        n += call->u.call.arg[i].kind == NM_ARG_rest ? f->n_rest : 0;
    nm_args a = {.call = call, .loc = call->op_loc, .close = call->u.call.close};
    a.arg = nm_new_n(e->a, nm_rest, (size_t)n);
    for (int i = 0; i < call->u.call.n_args; i++) {
        const nm_ast_arg *arg = &call->u.call.arg[i];
        if (arg->kind != NM_ARG_rest)
            a.arg[a.n++] = (nm_rest){.arg = arg, .frame = f};
        else
            for (int k = 0; k < f->n_rest; k++)
                a.arg[a.n++] = f->rest[k];
    }
    return a;
}

// --- reading one argument ------------------------------------------------------------------------

static nm_ev dims_value(nm_elab *e, nm_frame *f, nm_edims d)
{
    for (int i = 0; i < d.n; i++) // what the caller's scope knows
        if (!d.dim[i].extent || !d.dim[i].written)
            d.dim[i].extent = nm_dim_known(e, f, d.dim[i]);
    return nm_ev_dims(e, d.n, d.dim);
}

static nm_ev dims_argument(nm_elab *e, const nm_rest *r)
{
    const nm_ast_arg *arg = r->arg;
    unsigned before = e->fails;
    nm_edims d;
    if (arg->kind == NM_ARG_dims) {
        d = nm_dims_of_names(e, r->frame, &arg->dims);
    } else if (arg->kind == NM_ARG_expr && arg->expr->kind == NM_EXPR_name) {
        d = nm_dims_of_name(e, r->frame, &arg->expr->u.name, arg->expr->loc);
    } else if (arg->kind == NM_ARG_expr) {
        nm_ev v = nm_elab_expr(e, r->frame, arg->expr);
        if (v.kind == NM_EV_tuple && !v.u.tuple.n)
            v = nm_ev_dims(e, 0, NULL);
        if (v.kind == NM_EV_dims || v.kind == NM_EV_poison)
            return v;
        return nm_elab_error(e, r->frame, arg->value_loc,
                             "a list of dims is expected, and this is %s [call-1]",
                             nm_ev_describe(e, v));
    } else {
        return nm_elab_error(e, r->frame, arg->value_loc, "a list of dims is expected [call-1]");
    }
    if (e->fails != before)
        return nm_ev_poison();
    nm_ev v = dims_value(e, r->frame, d);
    v.loc = r->frame->user_fn ? r->frame->user_loc : arg->value_loc;
    return v;
}

static nm_ev arrow_argument(nm_elab *e, const nm_rest *r)
{
    unsigned before = e->fails;
    nm_edims left = nm_dims_of_names(e, r->frame, &r->arg->arrow.from);
    nm_edims right = nm_dims_right(e, r->frame, &r->arg->arrow.to);
    nm_ev side[] = {dims_value(e, r->frame, left), nm_ev_dims(e, right.n, right.dim)};
    return e->fails == before ? nm_ev_tuple(e, 2, side) : nm_ev_poison();
}

static nm_ev value_argument(nm_elab *e, const nm_rest *r)
{
    const nm_ast_arg *arg = r->arg;
    if (arg->kind == NM_ARG_expr)
        return nm_elab_expr(e, r->frame, arg->expr);
    if (arg->kind == NM_ARG_dims && arg->dims.n > 1)
        return nm_elab_error(e, r->frame, arg->dims.name[1].loc,
                             "expected ',' or ')' after '%s', found '%s'; two names in a row are a "
                             "list of dims, and "
                             "'%s' is a value [syntax-1]",
                             arg->dims.name[0].sym, arg->dims.name[1].sym, arg->dims.name[0].sym);
    return nm_elab_error(e, r->frame, arg->value_loc, "a value is expected here, not %s [call-1]",
                         arg->kind == NM_ARG_span ? "a span" : "an arrow of dims");
}

static nm_ev read_argument(nm_elab *e, const nm_rest *r, const nm_ast_par *par)
{
    if (!r->arg)
        return r->bound.value;
    if (par && par->kind == NM_PAR_arrow)
        return r->arg->kind == NM_ARG_arrow
                   ? arrow_argument(e, r)
                   : nm_elab_error(e, r->frame, r->arg->value_loc,
                                   "an arrow of dims is expected: %s -> %s [call-1]", par->name.sym,
                                   par->to.sym);
    if (par && nm_par_is(par, "word") && r->arg->kind == NM_ARG_expr &&
        r->arg->expr->kind == NM_EXPR_name)
        return nm_ev_word(NM_EV_word, r->arg->expr->u.name.sym);
    if (par && (nm_par_is(par, "dim") || nm_par_is(par, "dims")))
        return dims_argument(e, r);
    return value_argument(e, r);
}

bool nm_arg_fits(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_ev *v, nm_loc loc)
{
    int64_t n;
    if (v->kind == NM_EV_poison || par->kind != NM_PAR_kind)
        return v->kind != NM_EV_poison;
    const char *kind = par->of.sym;
    if (!strcmp(kind, "dims"))
        return true;
    if (!strcmp(kind, "dim")) {
        if (v->kind == NM_EV_dims && v->u.dims.n == 1)
            return true;
        nm_elab_error(e, f, loc, "'%s' is one dim, and this is %s [call-1]", par->name.sym,
                      nm_ev_describe(e, *v));
        return false;
    }
    if (!strcmp(kind, "int") || !strcmp(kind, "float"))
        *v = nm_ev_number(e, f, *v);
    if (v->kind == NM_EV_poison)
        return false;
    bool ok = !strcmp(kind, "int")      ? nm_ev_is_whole(*v, &n) || v->kind == NM_EV_extent
              : !strcmp(kind, "float")  ? nm_ev_is_number(*v)
              : !strcmp(kind, "bool")   ? v->kind == NM_EV_bool
              : !strcmp(kind, "fn")     ? v->kind == NM_EV_fn
              : !strcmp(kind, "word")   ? v->kind == NM_EV_word
              : !strcmp(kind, "module") ? v->kind == NM_EV_fn
                                        : false;
    if (!ok)
        nm_elab_error(e, f, loc, "'%s: %s' cannot be %s [call-1]", par->name.sym, kind,
                      nm_ev_describe(e, *v));
    return ok;
}

// --- binding -------------------------------------------------------------------------------------

static int find_par(const nm_ast_pars *pars, nm_sym name)
{
    for (int i = 0; i < pars->n; i++)
        if (pars->par[i].kind != NM_PAR_rest && pars->par[i].name.sym == name)
            return i;
    return -1;
}

static bool has_rest(const nm_ast_pars *pars)
{
    for (int i = 0; i < pars->n; i++)
        if (pars->par[i].kind == NM_PAR_rest)
            return true;
    return false;
}

static bool unknown_keyword(nm_elab *e, nm_frame *f, const nm_binding *b, nm_sym word, nm_loc loc)
{
    nm_sym names[64];
    int n = 0;
    for (int i = 0; i < b->pars->n && n < 64; i++)
        if (b->pars->par[i].kind != NM_PAR_rest)
            names[n++] = b->pars->par[i].name.sym;
    nm_sym near = nm_elab_nearest(e, word, n, names);
    if (near)
        nm_elab_error(e, f, loc, "%s has no parameter '%s'; did you mean '%s'? [call-2]", b->name,
                      word, near);
    else
        nm_elab_error(e, f, loc, "%s has no parameter '%s' [call-2]", b->name, word);
    return false;
}

static bool bind_to(nm_elab *e, nm_frame *f, nm_binding *b, int i, const nm_rest *r, nm_loc loc)
{
    const nm_ast_par *par = &b->pars->par[i];
    if (b->given[i]) {
        nm_elab_error(e, f, loc, "%s is given '%s' twice [call-2]", b->name, par->name.sym);
        return false;
    }
    b->given[i] = true;
    b->value[i] = read_argument(e, r, par);
    return nm_arg_fits(e, r->frame ? r->frame : f, par, &b->value[i], loc);
}

static bool bind_keyword(nm_elab *e, nm_frame *f, nm_binding *b, const nm_rest *r, nm_sym word,
                         nm_loc loc)
{
    int i = find_par(b->pars, word);
    if (i >= 0)
        return bind_to(e, f, b, i, r, loc);
    if (b->def && nm_def_declares(b->def, word, false)) {
        b->replaced[b->n_replaced] = (nm_bound){word, read_argument(e, r, NULL)};
        return b->replaced[b->n_replaced++].value.kind != NM_EV_poison;
    }
    if (!has_rest(b->pars))
        return unknown_keyword(e, f, b, word, r->arg ? r->arg->word.loc : loc);
    b->rest[b->n_rest++] = *r;
    return true;
}

static nm_sym bare_name(const nm_rest *r)
{
    const nm_ast_arg *arg = r->arg;
    bool bare = arg && arg->kind == NM_ARG_expr && arg->expr->kind == NM_EXPR_name &&
                arg->expr->u.name.n == 1;
    return bare ? arg->expr->u.name.sym : NULL;
}

static bool is_flag(const nm_ast_par *par)
{
    const nm_ast_expr *d = par->otherwise;
    return nm_par_is(par, "bool") ||
           (d && d->kind == NM_EXPR_name && d->u.name.n == 1 &&
            (!strcmp(d->u.name.sym, "true") || !strcmp(d->u.name.sym, "false")));
}

// `causal`: a bool parameter that nothing else in scope is called.
static int find_flag(nm_elab *e, const nm_binding *b, const nm_rest *r)
{
    nm_sym name = bare_name(r);
    int i = name ? find_par(b->pars, name) : -1;
    return i >= 0 && is_flag(&b->pars->par[i]) && !nm_names_know(e, r->frame, name) ? i : -1;
}

// `casual`: nothing is called so, but a bool parameter nearly.
static bool misspells_flag(nm_elab *e, const nm_binding *b, const nm_rest *r)
{
    nm_sym name = bare_name(r), flags[64];
    int n = 0;
    if (!name || nm_names_know(e, r->frame, name))
        return false;
    for (int i = 0; i < b->pars->n && n < 64; i++)
        if (is_flag(&b->pars->par[i]))
            flags[n++] = b->pars->par[i].name.sym;
    nm_sym near = nm_elab_nearest(e, name, n, flags);
    if (near)
        nm_elab_error(e, r->frame, r->arg->loc,
                      "nothing is called '%s'; did you mean '%s'? [name-2]", name, near);
    return near != NULL;
}

static int next_positional(const nm_binding *b, bool arrow)
{
    for (int i = 0; i < b->pars->n; i++) {
        nm_ast_par_kind kind = b->pars->par[i].kind;
        if (kind == NM_PAR_rest && !arrow)
            return -1;
        if (!b->given[i] && kind != NM_PAR_rest && (kind == NM_PAR_arrow) == arrow)
            return i;
    }
    return -1;
}

static bool bind_positional(nm_elab *e, nm_frame *f, nm_binding *b, const nm_rest *r)
{
    int flag = find_flag(e, b, r);
    if (flag >= 0 && !b->given[flag]) {
        b->given[flag] = true;
        b->value[flag] = nm_ev_bool(true);
        b->value[flag].loc = r->arg->value_loc;
        return true;
    }
    int i = next_positional(b, r->arg->kind == NM_ARG_arrow);
    bool takes_dims =
        i >= 0 && (nm_par_is(&b->pars->par[i], "dim") || nm_par_is(&b->pars->par[i], "dims"));
    if (!takes_dims && misspells_flag(e, b, r))
        return false;
    if (i >= 0)
        return bind_to(e, f, b, i, r, r->arg->loc);
    if (!has_rest(b->pars)) {
        nm_elab_error(e, f, r->arg->loc, "%s takes %s [call-2]", b->name,
                      r->arg->kind == NM_ARG_arrow ? "no other arrow of dims" : "fewer arguments");
        return false;
    }
    b->rest[b->n_rest++] = *r;
    return true;
}

bool nm_args_bind(nm_elab *e, nm_frame *f, const nm_args *args, nm_binding *b)
{
    bool ok = true;
    b->given = nm_new_n(e->a, bool, (size_t)b->pars->n);
    b->value = nm_new_n(e->a, nm_ev, (size_t)b->pars->n);
    b->rest = nm_new_n(e->a, nm_rest, (size_t)args->n);
    b->replaced = nm_new_n(e->a, nm_bound, (size_t)args->n);
    for (int i = 0; i < args->n; i++) {
        const nm_rest *r = &args->arg[i];
        nm_sym word = r->arg ? r->arg->word.sym : r->bound.name;
        ok &= word ? bind_keyword(e, f, b, r, word, r->arg ? r->arg->loc : args->loc)
                   : bind_positional(e, f, b, r);
    }
    return ok;
}

static const char *par_str(nm_elab *e, const nm_ast_par *par)
{
    if (par->kind == NM_PAR_arrow)
        return nm_arena_fmt(e->a, "%s -> %s", par->name.sym, par->to.sym);
    if (par->kind == NM_PAR_kind)
        return nm_arena_fmt(e->a, "%s: %s", par->name.sym, par->of.sym);
    return par->name.sym;
}

bool nm_call_missing(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_sym name,
                     const nm_args *args)
{
    if (par->loc.src)
        nm_elab_error(e, f, args->close, "%s needs '%s' (%s) [call-1]", name, par_str(e, par),
                      nm_elab_place(e, par->loc, args->close));
    else
        nm_elab_error(e, f, args->close, "%s needs '%s' [call-1]", name, par_str(e, par));
    return false;
}
