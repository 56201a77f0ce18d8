// Parameters, states and draws. A parameter is declared where its module's body says so, with the
// dims of the repeats around it in front; its start is computed in @init, by name as everything is,
// so the same expression serves the stacked parameter. In other functions it becomes a parameter of
// the function when it is first read.
#include "frontend/elab_internal.h"

#include <stdlib.h>
#include <string.h>

// --- the table -----------------------------------------------------------------------------------

nm_pvar *nm_pvar_find(nm_elab *e, nm_sym path)
{
    for (nm_pvar *p = e->param; p; p = p->next)
        if (p->path == path)
            return p;
    return NULL;
}

static nm_ev pvar_tensor(nm_elab *e, nm_pvar *p, nm_value *v)
{
    return nm_ev_tensor(
        e,
        (nm_tensor){.v = v, .is_arrow = p->is_arrow, .ins = p->ins, .outs = p->outs, .param = p});
}

static nm_value *function_param(nm_elab *e, nm_pvar *p)
{
    nm_func *f = e->fn->f;
    nm_bind bind = {.kind = p->state ? NM_BIND_state : NM_BIND_param, .name = p->path};
    int i = nm_func_find_param(f, bind.kind, bind.name);
    return i >= 0 ? f->param[i] : nm_func_param(f, p->type, p->path, bind);
}

nm_ev nm_pvar_read(nm_elab *e, nm_pvar *p, nm_loc loc)
{
    if (e->fn == e->init)
        return p->start
                   ? pvar_tensor(e, p, p->start)
                   : nm_elab_error(e, NULL, loc, "%s has no starting value yet [param-1]", p->path);
    if (p->of != e->fn) {
        p->now = function_param(e, p);
        p->where = e->fn->root;
        p->of = e->fn;
    }
    return pvar_tensor(e, p, nm_region_import(e, p->where, p->now));
}

void nm_pvar_assign(nm_elab *e, nm_pvar *p, nm_value *v)
{
    p->now = v;
    p->where = e->at;
    p->of = e->fn;
}

// --- values of a wanted type ---------------------------------------------------------------------

static nm_value *not_that_type(nm_elab *e, nm_frame *f, nm_ev v, const nm_type *type,
                               const char *what, const char *rule, nm_loc loc)
{
    nm_elab_error(e, f, loc, "%s is %s, and this is %s [%s]", what, nm_type_str(e->m, type),
                  nm_ev_describe(e, v), rule);
    return NULL;
}

nm_value *nm_elab_coerce(nm_elab *e, nm_frame *f, nm_ev v, const nm_type *type, const char *what,
                         const char *rule, nm_loc loc)
{
    v = nm_ev_number(e, f, v);
    if (v.kind == NM_EV_poison)
        return NULL;
    nm_value *x = v.kind == NM_EV_none ? NULL : nm_ev_materialise(e, v, type->dtype, loc);
    if (!x)
        return v.kind == NM_EV_tensor ? NULL : not_that_type(e, f, v, type, what, rule, loc);
    for (int i = 0; x && i < x->type->rank; i++) {
        int at = nm_type_find(type, x->type->dim[i].name);
        if (at < 0 ||
            !nm_extents_agree(e, type->dim[at].name, type->dim[at].extent, x->type->dim[i].extent))
            return not_that_type(e, f, v, type, what, rule, loc);
        x = nm_elab_conform(e, loc, x, type->dim[at].name, type->dim[at].extent);
    }
    return x ? nm_elab_order(e, loc, x, type) : NULL;
}

// --- draws ---------------------------------------------------------------------------------------

typedef struct nm_draws { // keys of the function so far, newest first
    nm_sym base;
    int count;
    struct nm_draws *next;
} draws;

int nm_draws_mark(nm_elab *e) { return e->fn->draws ? e->fn->draws->count : 0; }

void nm_draws_reset(nm_elab *e, int mark)
{
    while (e->fn->draws && e->fn->draws->count > mark)
        e->fn->draws = e->fn->draws->next;
}

nm_sym nm_draw_key(nm_elab *e, nm_inst *inst, nm_sym name)
{
    nm_sym base = nm_path_join(e, inst ? inst->path : "", name);
    int same = 0;
    for (draws *d = e->fn->draws; d; d = d->next)
        same += d->base == base;
    draws *d = nm_new(e->a, draws);
    *d = (draws){.base = base, .count = nm_draws_mark(e) + 1, .next = e->fn->draws};
    e->fn->draws = d;
    return same ? nm_sym_fmt(e->m, "%s.%d", base, same) : base;
}

static nm_value *raw_draw(nm_elab *e, nm_dist_kind kind, const nm_type *type, nm_sym key,
                          nm_loc loc)
{
    nm_value *in[3] = {nm_efunc_scalar(e, "seed", NM_i64)};
    in[1] =
        e->fn == e->init ? nm_elab_const(e, loc, NM_i32, 0) : nm_efunc_scalar(e, "step", NM_i32);
    in[2] = nm_region_turn(e, loc);
    nm_attr attr[] = {
        nm_mk_sym(e->m, "dist", nm_sym_get(e->m, kind == NM_DIST_normal ? "normal" : "uniform")),
        nm_mk_string(e->m, "key", key)};
    return nm_elab_op(e, loc, NM_OP_random, in[2] ? 3 : 2, in, 2, attr, type);
}

static nm_ev scaled(nm_elab *e, nm_frame *f, nm_ev r, nm_ev low, nm_ev width, nm_loc loc)
{
    if (width.kind != NM_EV_num || width.u.num != 1)
        r = nm_elab_binary(e, f, NM_BIN_mul, r, width, loc, NULL);
    if (low.kind != NM_EV_num || low.u.num != 0)
        r = nm_elab_binary(e, f, NM_BIN_add, r, low, loc, NULL);
    return r;
}

nm_value *nm_elab_draw(nm_elab *e, nm_frame *f, nm_ev dist, const nm_type *type, nm_sym key,
                       nm_loc loc)
{
    bool is_float = nm_dtype_table[type->dtype].is_float;
    const nm_type *drawn = is_float ? type : nm_type_with_dtype(e->m, type, NM_f32);
    nm_ev r = nm_ev_value(e, raw_draw(e, dist.u.dist.kind, drawn, key, loc));
    nm_ev a = dist.u.dist.arg[0], b = dist.u.dist.arg[1];
    switch (dist.u.dist.kind) {
    case NM_DIST_normal: r = scaled(e, f, r, a, b, loc); break;
    case NM_DIST_uniform:
        r = scaled(e, f, r, a, nm_elab_binary(e, f, NM_BIN_sub, b, a, loc, NULL), loc);
        break;
    case NM_DIST_bernoulli: r = nm_elab_binary(e, f, NM_BIN_lt, r, a, loc, NULL); break;
    }
    return nm_elab_coerce(e, f, r, type, "the draw", "type-1", loc);
}

// --- declarations --------------------------------------------------------------------------------

static bool is_placeable(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, const char *what)
{
    nm_sym name = s->u.decl.name.sym;
    nm_item *item = f->unit == e->std ? NULL : nm_unit_find(e, f->unit, name);
    if (item && item->kind == NM_ITEM_dim)
        nm_elab_error(e, f, s->u.decl.name.loc,
                      "'%s' is a dim (%s); a %s needs another name [name-1]", name,
                      nm_elab_place(e, item->loc, s->u.decl.name.loc), what);
    if (f->is_fn) {
        nm_elab_error(
            e, f, s->loc,
            "an fn owns no parameters, and this one declares '%s'; make %s a module [def-2]", name,
            f->what);
        return false;
    }
    return f->inst != NULL;
}

static nm_dtype declared_dtype(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    nm_dtype d = NM_real;
    if (s->u.decl.dtype.sym && !nm_dtype_find(s->u.decl.dtype.sym, &d))
        nm_elab_error(e, f, s->u.decl.dtype.loc, "'%s' is not a dtype [type-1]",
                      s->u.decl.dtype.sym);
    return d;
}

// Where '?' was written, for param-1.
static void needs_size(nm_elab *e, nm_frame *f, const nm_edim *d, const nm_ast_stmt *s, int axis)
{
    nm_dim_decl *decl = nm_dim_lookup(e->m, d->name);
    nm_loc loc = axis < s->u.decl.shape.n ? s->u.decl.shape.axis[axis].loc : s->u.decl.shape.loc;
    if (decl && decl->runtime)
        nm_elab_error(e, f, loc,
                      "a parameter needs sizes when nemocc runs, and %s is '?' (%s) [param-1]",
                      d->name, nm_elab_place(e, decl->loc, f->user_fn ? f->user_loc : loc));
    else
        nm_elab_error(e, f, loc, "a parameter needs sizes when nemocc runs, and %s is %s [param-1]",
                      d->name, nm_extent_str(e->m, d->extent));
}

// The dims of the repeats that stack what this instance declares, outermost first.
static int loop_dims(nm_elab *e, nm_frame *f, nm_dim *out)
{
    nm_dim inner[NM_MAX_RANK];
    int n = 0;
    for (nm_region *r = e->at; r->outer && r != f->inst->region; r = r->outer)
        if (r->dim.name && !r->scan && n < NM_MAX_RANK)
            inner[n++] = (nm_dim){.name = r->dim.name, .extent = r->dim.extent};
    for (int i = 0; i < n; i++)
        out[i] = inner[n - 1 - i];
    return n;
}

static bool declared_type(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, nm_pvar *p,
                          nm_eshape *shape)
{
    nm_type t = {.dtype = declared_dtype(e, f, s)};
    if (!nm_shape_read(e, f, &s->u.decl.shape, shape))
        return false;
    p->n_loops = t.rank = loop_dims(e, f, t.dim);
    for (int i = 0; i < shape->rank; i++) {
        if (!nm_extent_is_const(shape->dim[i].extent, NULL)) {
            needs_size(e, f, &shape->dim[i], s, i);
            return false;
        }
        for (int k = 0; k < p->n_loops; k++)
            if (t.dim[k].name == shape->dim[i].name) {
                nm_elab_error(e, f, s->loc,
                              "'%s' stands twice in one type: the repeat over it stacks this "
                              "parameter [type-2]",
                              shape->dim[i].name);
                return false;
            }
        if (t.rank == NM_MAX_RANK) {
            nm_elab_error(e, f, s->loc, "a type has at most %d dims [type-2]", NM_MAX_RANK);
            return false;
        }
        t.dim[t.rank++] = (nm_dim){.name = shape->dim[i].name, .extent = shape->dim[i].extent};
    }
    p->type = nm_type_get(e->m, &t);
    return true;
}

static void set_arrow(nm_elab *e, nm_pvar *p, const nm_eshape *s)
{
    nm_sym names[NM_MAX_RANK];
    for (int i = 0; i < s->rank; i++)
        names[i] = s->dim[i].name;
    p->is_arrow = s->is_arrow;
    p->n_batch = p->n_loops + s->n_batch;
    p->ins = nm_syms_copy(e, s->n_ins, names + s->n_batch);
    p->outs = nm_syms_copy(e, s->rank - s->n_batch - s->n_ins, names + s->n_batch + s->n_ins);
}

static void set_flags(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, nm_pvar *p)
{
    for (int i = 0; i < s->u.decl.flags.n; i++) {
        const nm_ast_word *w = &s->u.decl.flags.word[i];
        if (!strcmp(w->sym, "no_decay"))
            p->no_decay = true;
        else if (!strcmp(w->sym, "frozen"))
            p->frozen = true;
        else
            nm_elab_error(e, f, w->loc, "a parameter is no_decay or frozen, not '%s' [param-2]",
                          w->sym);
    }
}

// The start is computed in @init, in this frame: numbers as they are, parameters by their own
// starts.
static void make_start(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, nm_pvar *p)
{
    nm_efunc *fn = e->fn;
    nm_region *at = e->at;
    bool turn_read = e->turn_read;
    uint64_t trace = e->trace;
    e->fn = e->init;
    e->at = e->init->root;
    e->turn_read = false;
    nm_ev v = s->u.decl.init ? nm_elab_expr(e, f, s->u.decl.init) : nm_ev_num(0);
    nm_loc loc = s->u.decl.init ? s->u.decl.init->loc : s->loc;
    if (v.kind == NM_EV_dist)
        p->start = nm_elab_draw(e, f, v, p->type, p->path, loc);
    else
        p->start = nm_elab_coerce(e, f, v, p->type, p->name, "param-1", loc);
    if (e->turn_read)
        nm_elab_error(
            e, f, loc,
            "a starting value is computed for all turns at once and may not use the turn [loop-4]");
    e->fn = fn;
    e->at = at;
    e->turn_read = turn_read;
    e->trace = trace;
}

// Declared again, by another call of the instance: the same type, whatever repeats stand around it.
static bool same_again(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, const nm_pvar *old,
                       const nm_pvar *p)
{
    const nm_type *a = old->type, *b = p->type;
    bool same = a->dtype == b->dtype && a->rank - old->n_loops == b->rank - p->n_loops;
    for (int i = old->n_loops, k = p->n_loops; same && i < a->rank; i++, k++)
        same = a->dim[i].name == b->dim[k].name && a->dim[i].extent == b->dim[k].extent;
    if (!same)
        nm_elab_error(e, f, s->u.decl.name.loc,
                      "%s is %s here and %s before; calls of one instance share it [inst-4]",
                      old->path, nm_type_str(e->m, b), nm_type_str(e->m, a));
    return same;
}

static nm_pvar *declare(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, bool state)
{
    nm_eshape shape;
    nm_sym name = nm_sym_fmt(e->m, "%s%s", s->u.decl.name.sym, f->turns);
    nm_pvar p = {.name = s->u.decl.name.sym,
                 .state = state,
                 .loc = nm_elab_users_loc(e, s->u.decl.name.loc)};
    p.path = nm_path_join(e, f->inst->path, name);
    if (f->is_optimizer)
        p.path = nm_sym_fmt(e->m, "%s.%s.%s", e->opt_name, name, e->opt_param->path);
    if (!declared_type(e, f, s, &p, &shape))
        return NULL;
    set_arrow(e, &p, &shape);
    nm_pvar *old = nm_pvar_find(e, p.path);
    if (old)
        return same_again(e, f, s, old, &p) ? old : NULL;
    set_flags(e, f, s, &p);
    if (state && f->is_optimizer)
        p.optimizer = e->opt_name;
    nm_pvar *kept = nm_new(e->a, nm_pvar);
    *kept = p;
    *e->param_end = kept;
    e->param_end = &kept->next;
    make_start(e, f, s, kept);
    return kept;
}

static const nm_bound *replacement(nm_frame *f, nm_sym name)
{
    for (int i = 0; i < f->n_replaced; i++)
        if (f->replaced[i].name == name)
            return &f->replaced[i];
    return NULL;
}

// inst-5: the value that the call gives instead, with the parameter's dtype and arrow. The
// parameter itself is not read, so that it need not be kept (param-3).
static nm_ev replaced_value(nm_elab *e, nm_frame *f, nm_pvar *p, nm_ev v, nm_loc loc)
{
    nm_type t = *p->type;
    t.rank -= p->n_loops;
    for (int i = 0; i < t.rank; i++)
        t.dim[i] = p->type->dim[i + p->n_loops];
    nm_value *x = nm_elab_coerce(e, f, v, nm_type_get(e->m, &t), p->name, "inst-5", loc);
    return nm_ev_tensor(
        e, (nm_tensor){.v = x, .is_arrow = p->is_arrow, .ins = p->ins, .outs = p->outs});
}

static bool is_second(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    nm_var *v = nm_frame_var(f, s->u.decl.name.sym);
    nm_sym path =
        nm_path_join(e, f->inst->path, nm_sym_fmt(e->m, "%s%s", s->u.decl.name.sym, f->turns));
    if (!v || v->value.kind != NM_EV_tensor || !v->value.u.t->param ||
        v->value.u.t->param->path != path)
        return false;
    nm_elab_error(e, f, s->u.decl.name.loc, "'%s' is declared twice in %s [param-2]",
                  s->u.decl.name.sym, f->what);
    return true;
}

static void declare_and_set(nm_elab *e, nm_frame *f, const nm_ast_stmt *s, bool state)
{
    nm_ev v = nm_ev_poison();
    if (is_placeable(e, f, s, state ? "state" : "parameter") && !is_second(e, f, s)) {
        nm_pvar *p = declare(e, f, s, state);
        const nm_bound *r = replacement(f, s->u.decl.name.sym);
        if (p)
            p->visits++;
        if (p)
            v = r ? replaced_value(e, f, p, r->value, s->loc) : nm_pvar_read(e, p, s->loc);
    }
    v.text = s->u.decl.name.sym;
    nm_frame_set(e, f, s->u.decl.name.sym, v);
}

void nm_stmt_param(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    declare_and_set(e, f, s, false);
}

void nm_stmt_state(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    declare_and_set(e, f, s, true);
}

void nm_stmt_draw(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    nm_eshape shape;
    nm_type t = {.dtype = declared_dtype(e, f, s)};
    nm_value *x = NULL;
    if (nm_shape_read(e, f, &s->u.decl.shape, &shape) && s->u.decl.init) {
        for (t.rank = 0; t.rank < shape.rank; t.rank++)
            t.dim[t.rank] =
                (nm_dim){.name = shape.dim[t.rank].name, .extent = shape.dim[t.rank].extent};
        const nm_type *type = nm_type_get(e->m, &t);
        nm_ev v = nm_elab_expr(e, f, s->u.decl.init);
        if (v.kind == NM_EV_dist)
            x = nm_elab_draw(e, f, v, type, nm_draw_key(e, f->inst, s->u.decl.name.sym), s->loc);
        else
            x = nm_elab_coerce(e, f, v, type, s->u.decl.name.sym, "type-1", s->u.decl.init->loc);
    }
    nm_frame_set(e, f, s->u.decl.name.sym, nm_ev_value(e, x));
}

// --- := ------------------------------------------------------------------------------------------

static bool may_assign(nm_elab *e, nm_frame *f, const nm_pvar *p, const nm_ast_word *name)
{
    if (p->assigned_in == e->fn) {
        nm_elab_error(e, f, name->loc,
                      "'%s' has its next value already; one ':=' per step and state [state-1]",
                      name->sym);
        return false;
    }
    for (nm_region *r = e->at; r->outer; r = r->outer)
        if (r->scan) {
            nm_elab_error(e, f, name->loc, "a state is not changed inside of a scan [state-1]");
            return false;
        }
    return true;
}

void nm_stmt_next(nm_elab *e, nm_frame *f, const nm_ast_stmt *s)
{
    const nm_ast_word *name = &s->u.next.name;
    nm_var *var = nm_frame_var(f, name->sym);
    nm_ev v = nm_elab_expr(e, f, s->u.next.value);
    bool poison = !var || var->value.kind == NM_EV_poison || v.kind == NM_EV_poison;
    nm_pvar *p = !poison && var->value.kind == NM_EV_tensor ? var->value.u.t->param : NULL;
    if (!var || (!poison && (!p || !p->state)))
        nm_elab_error(
            e, f, name->loc,
            "'%s' is not a state of this module; ':=' gives a state its next value [state-1]",
            name->sym);
    if (!p || !p->state || !may_assign(e, f, p, name))
        return;
    nm_ev now = nm_pvar_read(e, p, s->loc);
    nm_value *x = now.kind == NM_EV_tensor ? nm_elab_coerce(e, f, v, now.u.t->v->type, name->sym,
                                                            "state-1", s->u.next.value->loc)
                                           : NULL;
    if (!x)
        return;
    nm_pvar_assign(e, p, x);
    p->assigned_in = e->fn;
    nm_frame_set(e, f, name->sym, pvar_tensor(e, p, x));
}
