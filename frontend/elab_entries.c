// What functions a program gives: @train, @eval, @infer, @model, @schedule, and @init of all the
// parameters that one of them reads.
#include "frontend/elab_internal.h"

#include <stdlib.h>
#include <string.h>

// --- data fields ---------------------------------------------------------------------------------

// A dim of the data that no file declares is bound by the data.
static bool data_dim(nm_elab *e, nm_frame *f, const nm_ast_axis *axis, nm_dim *out)
{
    nm_edim d;
    if (axis->kind != NM_AXIS_dim || axis->dim.size) {
        nm_elab_error(e, f, axis->loc, "a field of the data lists its dims by name [call-3]");
        return false;
    }
    if (!nm_dim_single(e, f, nm_dims_of_name(e, f, &axis->dim.name, axis->loc), axis->loc, &d))
        return false;
    if (!d.extent) {
        d.extent = nm_extent_sym(e->m, d.name);
        d.written = true;
        if (!nm_dim_lookup(e->m, d.name))
            nm_dim_declare(e->m, (nm_dim_decl){.name = d.name,
                                               .loc = axis->loc,
                                               .extent = d.extent,
                                               .runtime = true,
                                               .min = 1,
                                               .multiple = 1});
        nm_frame_set_dim(e, f, axis->dim.name.sym, nm_ev_dims(e, 1, &d).u.dims);
    }
    *out = (nm_dim){.name = d.name, .extent = d.extent};
    return true;
}

static const nm_type *data_type(nm_elab *e, nm_frame *f, const nm_ast_par *par, nm_sym *index_of)
{
    nm_type t = {.dtype = NM_real};
    const nm_ast_name *elem = &par->type.elem;
    *index_of = NULL;
    if (elem->n && !nm_dtype_find(elem->sym, &t.dtype)) {
        nm_edim d;
        if (!nm_dim_single(e, f, nm_dims_of_name(e, f, elem, elem->loc), elem->loc, &d))
            return NULL;
        *index_of = d.name;
        t.dtype = NM_i32;
    }
    for (int i = 0; i < par->type.shape.n; i++) {
        nm_dim d;
        if (!data_dim(e, f, &par->type.shape.axis[i], &d))
            return NULL;
        if (t.rank == NM_MAX_RANK || nm_has_dim(&t, d.name)) {
            nm_elab_error(e, f, par->type.shape.axis[i].loc,
                          "'%s' stands twice in one type; write %s' for the second [type-2]",
                          d.name, d.name);
            return NULL;
        }
        t.dim[t.rank++] = d;
    }
    return nm_type_get(e->m, &t);
}

static bool is_field(const nm_ast_par *par)
{
    return (par->kind == NM_PAR_plain || par->kind == NM_PAR_typed) && par->type.shape.present;
}

static nm_ev data_field(nm_elab *e, nm_frame *f, const nm_ast_par *par)
{
    nm_sym index_of;
    if (!is_field(par))
        return nm_elab_error(
            e, f, par->loc,
            "'%s' is a field of the data and needs its dims: %s[batch, ...] [call-3]",
            par->name.sym, par->name.sym);
    const nm_type *t = data_type(e, f, par, &index_of);
    if (!t)
        return nm_ev_poison();
    nm_bind bind = {.kind = NM_BIND_data, .name = par->name.sym, .index_of = index_of};
    nm_value *v = nm_func_param(e->fn->f, t, par->name.sym, bind);
    nm_ev out = nm_ev_tensor(e, (nm_tensor){.v = v, .index_of = index_of});
    out.loc = out.made = par->name.loc;
    return out;
}

// --- functions -----------------------------------------------------------------------------------

typedef struct results {
    int n;
    nm_value **value;
    nm_bind *bind;
} results;

static void add_result(nm_elab *e, results *r, nm_value *v, nm_bind_kind kind, nm_sym name)
{
    r->value = nm_arena_grow(e->a, r->value, r->n, sizeof *r->value);
    r->bind = nm_arena_grow(e->a, r->bind, r->n, sizeof *r->bind);
    r->value[r->n] = v;
    r->bind[r->n++] = (nm_bind){.kind = kind, .name = name};
}

static void begin(nm_elab *e, const char *name, nm_loc loc, bool training)
{
    e->fn = nm_efunc_new(e, name, loc);
    e->at = e->fn->root;
    e->root->region = e->at;
    e->training = training;
    e->metric = NULL;
    e->metric_end = &e->metric;
}

static void finish(nm_elab *e, results *r, nm_loc loc)
{
    if (e->fails)
        nm_func_remove(e->fn->f);
    else
        nm_efunc_finish(e, e->fn, loc, r->n, r->value, r->bind);
}

static nm_frame *entry_frame(nm_elab *e, const nm_ast_entry *entry)
{
    static const char *const kind[] = {"train", "eval", "infer"};
    nm_frame *f = nm_frame_new(e, NULL, e->main, entry->loc);
    f->what = nm_sym_get(e->m, kind[entry->kind]);
    f->inst = e->root;
    f->is_entry = true;
    f->body = &entry->body;
    e->entry = entry;
    for (int i = 0; i < entry->pars.n; i++) {
        const nm_ast_par *par = &entry->pars.par[i];
        nm_ev v = data_field(e, f, par);
        nm_item *item = nm_unit_find(e, e->main, par->name.sym);
        if (item && item->kind == NM_ITEM_dim)
            nm_elab_error(e, f, par->name.loc,
                          "'%s' is a dim (%s); a field needs another name [name-1]", par->name.sym,
                          nm_elab_place(e, item->loc, par->name.loc));
        nm_frame_set(e, f, par->name.sym, v);
    }
    return f;
}

static void add_metrics(nm_elab *e, results *r, const char *base, bool equal)
{
    for (nm_metric *m = e->metric; m; m = m->next)
        if (m->value.kind == NM_EV_tensor && !strcmp(m->base, base) == equal)
            add_result(e, r, m->value.u.t->v, NM_BIND_emit, m->name);
}

// emits of the entry, in the order of the text
static void add_emits(nm_elab *e, results *r)
{
    int n = 0;
    for (nm_emit *m = e->fn->emit; m; m = m->next)
        n += m->of_entry;
    nm_emit **emit = nm_new_n(e->a, nm_emit *, (size_t)n);
    for (nm_emit *m = e->fn->emit; m; m = m->next)
        if (m->of_entry)
            emit[--n] = m;
    for (nm_emit *m = e->fn->emit; m; m = m->next) {
        if (!m->of_entry)
            continue;
        nm_ev v = emit[n]->value;
        nm_value *x = v.kind == NM_EV_tensor
                          ? v.u.t->v
                          : nm_ev_materialise(e, nm_ev_number(e, NULL, v), NM_f32, emit[n]->loc);
        if (x && !x->type->rank)
            add_result(e, r,
                       nm_dtype_table[x->type->dtype].is_float
                           ? nm_elab_cast(e, emit[n]->loc, x, NM_f32)
                           : x,
                       NM_BIND_emit, emit[n]->path);
        else if (v.kind != NM_EV_poison)
            nm_elab_error(e, NULL, emit[n]->loc,
                          "an emit of an entry is a scalar, this is %s [train-1]",
                          nm_ev_describe(e, v));
        n++;
    }
}

static nm_value *bound_param(nm_elab *e, const nm_pvar *p)
{
    nm_func *f = e->fn->f;
    for (int i = 0; i < f->n_params; i++)
        if (f->param_bind[i].name == p->path &&
            f->param_bind[i].kind == (p->state ? NM_BIND_state : NM_BIND_param))
            return f->param[i];
    return NULL;
}

static void add_updates(nm_elab *e, results *r, bool states)
{
    for (nm_pvar *p = e->param; p; p = p->next)
        if (p->of == e->fn && p->state == states && p->now && p->now != bound_param(e, p))
            add_result(e, r, p->now, states ? NM_BIND_state : NM_BIND_param, p->path);
}

static const char *role(nm_elab *e, const char *kind, nm_sym name)
{
    return name ? nm_arena_fmt(e->a, "%s.%s", kind, name) : kind;
}

static bool is_fixed(const nm_type *t)
{
    for (int i = 0; i < t->rank; i++)
        if (!nm_extent_is_const(t->dim[i].extent, NULL))
            return false;
    return true;
}

// What is of run-time size is cut into samples, by the one dim whose name the language fixes.
static void check_batch(nm_elab *e, nm_frame *f, const nm_ast_entry *entry)
{
    const nm_func *fn = e->fn->f;
    bool fixed = true;
    for (int i = 0; i < fn->n_params; i++) {
        if (fn->param_bind[i].kind != NM_BIND_data)
            continue;
        fixed = fixed && is_fixed(fn->param[i]->type);
        if (nm_has_dim(fn->param[i]->type, nm_sym_get(e->m, "batch")))
            return;
    }
    if (!fixed && !e->fails)
        nm_elab_error(e, f, entry->pars.par[0].loc,
                      "no field has the dim 'batch'; the dim that counts samples must be called so "
                      "[train-4]");
}

static void train_entry(nm_elab *e, const nm_ast_entry *entry)
{
    results r = {0};
    begin(e, role(e, "train", entry->name.sym), entry->loc, true);
    nm_frame *f = entry_frame(e, entry);
    check_batch(e, f, entry);
    nm_elab_block(e, f, &entry->body);
    if (!e->metric && !e->fails)
        nm_elab_error(e, f, entry->loc, "a train entry minimizes a loss [train-1]");
    add_metrics(e, &r, "loss", true);
    add_emits(e, &r);
    add_metrics(e, &r, "loss", false);
    add_updates(e, &r, false);
    add_updates(e, &r, true);
    finish(e, &r, entry->loc);
}

// An eval entry, or what a train entry loses, without training.
static void eval_entry(nm_elab *e, const nm_ast_entry *entry)
{
    results r = {0};
    begin(e, role(e, "eval", entry->name.sym), entry->loc, false);
    nm_frame *f = entry_frame(e, entry);
    check_batch(e, f, entry);
    nm_elab_block(e, f, &entry->body);
    add_metrics(e, &r, "loss", true);
    add_emits(e, &r);
    finish(e, &r, entry->loc);
}

static void add_outs(nm_elab *e, results *r, nm_ev v, nm_loc loc, int depth)
{
    if (v.kind == NM_EV_tuple && depth < 16) {
        for (int i = 0; i < v.u.tuple.n; i++)
            add_outs(e, r, v.u.tuple.item[i], loc, depth + 1);
        return;
    }
    nm_value *x = v.kind == NM_EV_tensor
                      ? v.u.t->v
                      : nm_ev_materialise(e, nm_ev_number(e, NULL, v), NM_f32, loc);
    if (x)
        add_result(e, r, x, NM_BIND_out,
                   r->n ? nm_sym_fmt(e->m, "out.%d", r->n) : nm_sym_get(e->m, "out"));
    else if (v.kind != NM_EV_poison)
        nm_elab_error(e, NULL, loc, "what is returned here is a tensor, not %s [def-1]",
                      nm_ev_describe(e, v));
}

static void infer_entry(nm_elab *e, const nm_ast_entry *entry)
{
    results r = {0};
    begin(e, role(e, "infer", entry->name.sym), entry->loc, false);
    nm_frame *f = entry_frame(e, entry);
    nm_elab_block(e, f, &entry->body);
    if (!f->returned && !e->fails)
        nm_elab_error(e, f, entry->loc, "an infer entry returns something [def-1]");
    if (f->returned)
        add_outs(e, &r, f->result, entry->loc, 0);
    finish(e, &r, entry->loc);
}

// --- models --------------------------------------------------------------------------------------

static bool takes_only_data(const nm_ast_def *def)
{
    for (int i = 0; i < def->pars.n; i++)
        if (!is_field(&def->pars.par[i]) && !def->pars.par[i].otherwise)
            return false;
    return true;
}

static bool has_eval_entry(const nm_entries *all)
{
    for (int i = 0; i < all->n; i++)
        if (all->entry[i]->kind == NM_ENTRY_eval)
            return true;
    return false;
}

// Does an evaluation read a field of this name?
static bool has_field(const nm_entries *all, nm_sym name)
{
    nm_ast_entry_kind kind = has_eval_entry(all) ? NM_ENTRY_eval : NM_ENTRY_train;
    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < all->entry[i]->pars.n && all->entry[i]->kind == kind; k++)
            if (all->entry[i]->pars.par[k].name.sym == name)
                return true;
    return false;
}

// A parameter that need not be given, and that an evaluation has a field for.
static bool is_told(const nm_entries *all, const nm_ast_par *par)
{
    return par->otherwise && is_field(par) && has_field(all, par->name.sym);
}

static bool is_told_any(const nm_entries *all, const nm_ast_def *def)
{
    for (int i = 0; i < def->pars.n; i++)
        if (is_told(all, &def->pars.par[i]))
            return true;
    return false;
}

// `told`: with what an evaluation tells it; NULL: without.
static void model_function(nm_elab *e, const nm_ast_def *def, const nm_entries *told)
{
    results r = {0};
    e->entry = NULL;
    begin(e, nm_arena_fmt(e->a, "model.%s%s", def->name.sym, told ? ".told" : ""), def->loc, false);
    nm_frame *f = nm_frame_new(e, NULL, e->main, def->loc);
    f->what = def->name.sym;
    f->inst = e->root;
    nm_rest *arg = nm_new_n(e->a, nm_rest, (size_t)def->pars.n);
    int n = 0;
    for (int i = 0; i < def->pars.n; i++)
        if (!def->pars.par[i].otherwise || (told && is_told(told, &def->pars.par[i]))) {
            nm_ev v = data_field(e, f, &def->pars.par[i]);
            v.text = def->pars.par[i].name.sym;
            arg[n++] = nm_rest_of(def->pars.par[i].name.sym, e, v);
        }
    nm_args args = nm_args_made(e, def->loc, n, arg);
    nm_ev out = nm_call_module(e, f, def, e->main, &args, NULL);
    add_outs(e, &r, out, def->loc, 0);
    finish(e, &r, def->loc);
}

static void model_functions(nm_elab *e, const nm_ast_def *def, const nm_entries *all)
{
    if (!takes_only_data(def))
        return;
    model_function(e, def, NULL);
    if (is_told_any(all, def))
        model_function(e, def, all);
}

// --- the tables ----------------------------------------------------------------------------------

static bool is_kept(nm_elab *e, const nm_pvar *p)
{
    nm_each_func(f, e->m)
        for (int i = 0; i < f->n_params; i++)
            if (f != e->init->f && f->param_bind[i].name == p->path &&
                (f->param_bind[i].kind == NM_BIND_param || f->param_bind[i].kind == NM_BIND_state))
                return true;
    return false;
}

// @init returns what is kept (param-3), in the order of declaration; so is the table.
static void finish_init(nm_elab *e)
{
    results r = {0};
    for (nm_pvar *p = e->param; p; p = p->next) {
        if (!is_kept(e, p) || !p->start)
            continue;
        add_result(e, &r, p->start, p->state ? NM_BIND_state : NM_BIND_param, p->path);
        nm_param_add(e->m, (nm_param){.path = p->path,
                                      .type = p->type,
                                      .n_batch = p->is_arrow ? p->n_batch : 0,
                                      .n_ins = p->ins.n,
                                      .is_arrow = p->is_arrow,
                                      .frozen = p->frozen,
                                      .no_decay = p->no_decay,
                                      .state = p->state,
                                      .optimizer = p->optimizer,
                                      .loc = p->loc});
    }
    e->fn = e->init;
    e->at = e->init->root;
    finish(e, &r, (nm_loc){e->main->file->src, 0, 0});
}

// --- the program ---------------------------------------------------------------------------------

static void gather_adapts(nm_elab *e, const nm_ast_file *file, int depth)
{
    for (int i = 0; i < file->n_uses && depth < 32; i++)
        if (file->use[i].file && !file->use[i].as.sym)
            gather_adapts(e, file->use[i].file, depth + 1);
    nm_adapt *more = nm_new_n(e->a, nm_adapt, (size_t)(e->n_adapts + file->n_adapts));
    for (int i = 0; i < e->n_adapts; i++)
        more[i] = e->adapt[i];
    for (int i = 0; i < file->n_adapts; i++)
        more[e->n_adapts + i] = (nm_adapt){.adapt = &file->adapt[i], .unit = e->main};
    e->adapt = more;
    e->n_adapts += file->n_adapts;
}

static int gather_models(nm_elab *e, nm_item **out, int max)
{
    int n = 0;
    for (nm_item *i = e->main->item; i && n < max; i = i->next)
        if (i->kind == NM_ITEM_def && i->def->kind == NM_DEF_model &&
            nm_unit_find(e, e->main, i->name) == i)
            out[n++] = i;
    for (int i = 0; i < n / 2; i++) { // in the order of the text
        nm_item *t = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = t;
    }
    return n;
}

static void each_entry(nm_elab *e, const nm_entries *all)
{
    bool has_eval = has_eval_entry(all);
    for (int i = 0; i < all->n; i++)
        if (all->entry[i]->kind == NM_ENTRY_train)
            train_entry(e, all->entry[i]);
    for (int i = 0; i < all->n; i++)
        if (all->entry[i]->kind == (has_eval ? NM_ENTRY_eval : NM_ENTRY_train))
            eval_entry(e, all->entry[i]);
    for (int i = 0; i < all->n; i++)
        if (all->entry[i]->kind == NM_ENTRY_infer)
            infer_entry(e, all->entry[i]);
}

enum { MAX_MODELS = 64 };

void nm_elab_entries(nm_elab *e)
{
    nm_item *model[MAX_MODELS];
    int n_models = gather_models(e, model, MAX_MODELS);
    nm_entries all = nm_elab_list_entries(e);
    gather_adapts(e, e->main->file, 0);
    e->model_name = n_models == 1 ? model[0]->name : NULL;
    e->root = nm_new(e->a, nm_inst);
    e->root->path = e->root->label = nm_sym_get(e->m, "");
    e->init = nm_efunc_new(e, "init", (nm_loc){e->main->file->src, 0, 0});
    each_entry(e, &all);
    for (int i = 0; i < n_models; i++)
        model_functions(e, model[i]->def, &all);
    if (!e->fails)
        nm_adapts_check(e);
    e->entry = NULL;
    if (!e->fails && all.n)
        nm_elab_schedules(e);
    if (!e->fails)
        finish_init(e);
}
