// Frames, and what a name means in one: a variable, a dim of the body, a predeclared name, an item
// of the file, an instance's label, a built-in. Labels are a space of their own, so a label is
// meant only where it is called again or followed by a dot.
#include "frontend/elab_internal.h"

#include <stdlib.h>
#include <string.h>

// --- frames --------------------------------------------------------------------------------------

nm_frame *nm_frame_new(nm_elab *e, nm_frame *caller, nm_unit *unit, nm_loc call_loc)
{
    nm_frame *f = nm_new(e->a, nm_frame);
    *f = (nm_frame){
        .caller = caller, .unit = unit, .turns = "", .inst = caller ? caller->inst : NULL};
    if (unit != e->std || !caller)
        return f;
    if (caller->user_fn) { // the library calls itself: still the user's one call
        f->user_fn = caller->user_fn;
        f->user_loc = caller->user_loc;
        f->user_call = caller->user_call;
        f->user_frame = caller->user_frame;
    } else {
        f->user_loc = call_loc;
        f->user_frame = caller;
    }
    return f;
}

nm_var *nm_frame_var(nm_frame *f, nm_sym name)
{
    for (int i = f->n_vars - 1; i >= 0; i--)
        if (f->var[i].name == name)
            return &f->var[i];
    return NULL;
}

void nm_frame_set(nm_elab *e, nm_frame *f, nm_sym name, nm_ev value)
{
    nm_var *v = nm_frame_var(f, name);
    if (!v) {
        f->var = nm_arena_grow(e->a, f->var, f->n_vars, sizeof *f->var);
        v = &f->var[f->n_vars++];
    }
    *v = (nm_var){.name = name, .value = value, .region = e->at};
}

nm_local_dim *nm_frame_dim(nm_frame *f, nm_sym name)
{
    for (int i = 0; i < f->n_dims; i++)
        if (f->dim[i].name == name)
            return &f->dim[i];
    return NULL;
}

void nm_frame_set_dim(nm_elab *e, nm_frame *f, nm_sym name, nm_edims dims)
{
    nm_local_dim *d = nm_frame_dim(f, name);
    if (!d) {
        f->dim = nm_arena_grow(e->a, f->dim, f->n_dims, sizeof *f->dim);
        d = &f->dim[f->n_dims++];
    }
    *d = (nm_local_dim){name, dims};
}

nm_label *nm_frame_label(nm_frame *f, nm_sym name)
{
    for (int i = 0; i < f->n_labels; i++)
        if (f->label[i].name == name)
            return &f->label[i];
    return NULL;
}

nm_label *nm_frame_label_here(nm_elab *e, nm_frame *f, nm_sym name)
{
    nm_label *l = *f->turns ? nm_frame_label(f, nm_sym_fmt(e->m, "%s%s", name, f->turns)) : NULL;
    return l ? l : nm_frame_label(f, name);
}

void nm_frame_add_label(nm_elab *e, nm_frame *f, nm_label label)
{
    f->label = nm_arena_grow(e->a, f->label, f->n_labels, sizeof *f->label);
    f->label[f->n_labels++] = label;
}

// --- predeclared names ---------------------------------------------------------------------------

static nm_ev run_scalar(nm_elab *e, nm_frame *f, const char *name, nm_dtype dtype, bool weak,
                        nm_loc loc)
{
    if (!e->fn || e->fn == e->init)
        return nm_elab_error(e, f, loc, "%s is known later than this is read [static-1]", name);
    return nm_ev_tensor(e, (nm_tensor){.v = nm_efunc_scalar(e, name, dtype), .weak = weak});
}

static bool predeclared(nm_elab *e, nm_frame *f, nm_sym name, nm_loc loc, nm_ev *out)
{
    if (!strcmp(name, "true") || !strcmp(name, "false"))
        *out = nm_ev_bool(name[0] == 't');
    else if (!strcmp(name, "none"))
        *out = nm_ev_none();
    else if (!strcmp(name, "training"))
        *out = nm_ev_bool(e->training);
    else if (!strcmp(name, "step"))
        *out = run_scalar(e, f, "step", NM_i32, false, loc);
    else if (!strcmp(name, "steps") && e->steps_known)
        *out = nm_ev_num(e->steps_is);
    else if (!strcmp(name, "steps"))
        *out = run_scalar(e, f, "steps", NM_i32, true, loc);
    else if (!strcmp(name, "epoch"))
        *out = run_scalar(e, f, "epoch", NM_f32, true, loc);
    else
        return false;
    return true;
}

bool nm_name_is_predeclared(nm_sym name)
{
    static const char *const names[] = {"true", "false", "none", "training",
                                        "step", "steps", "epoch"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

// --- what a plain name means ---------------------------------------------------------------------

static nm_ev read_var(nm_elab *e, nm_frame *f, nm_var *v)
{
    if (v->is_turn)
        e->turn_read = true;
    nm_ev value = nm_ev_import(e, v->region, v->value);
    if (!value.text)
        value.text = v->name;
    if (!f->user_fn)
        value.text = v->name;
    return value;
}

static bool find_plain(nm_elab *e, nm_frame *f, nm_sym name, nm_loc loc, nm_ev *out)
{
    nm_var *var = nm_frame_var(f, name);
    nm_local_dim *dim = nm_frame_dim(f, name);
    nm_dtype dtype;
    if (var)
        *out = read_var(e, f, var);
    else if (dim)
        *out = nm_ev_dims(e, dim->dims.n, dim->dims.dim);
    else if (!predeclared(e, f, name, loc, out)) {
        nm_item *item = nm_unit_find(e, f->unit, name);
        const nm_builtin *b = nm_builtin_find(name);
        if (item)
            *out = nm_item_value(e, item, f, loc);
        else if (nm_dtype_find(name, &dtype))
            *out = nm_ev_fn(e, (nm_callable){.is_cast = true, .cast = dtype});
        else if (b)
            *out = nm_ev_fn(e, (nm_callable){.builtin = b});
        else
            return false;
    }
    return true;
}

bool nm_names_know(nm_elab *e, nm_frame *f, nm_sym name)
{
    nm_dtype dtype;
    return nm_frame_var(f, name) || nm_frame_dim(f, name) || nm_name_is_predeclared(name) ||
           nm_unit_find(e, f->unit, name) || nm_dtype_find(name, &dtype) || nm_builtin_find(name);
}

// d' where d is known, or a dim that some value in scope has.
static bool is_dim_in_scope(nm_elab *e, nm_frame *f, nm_sym name)
{
    int primes;
    nm_sym base = nm_dim_unprimed(e, name, &primes);
    nm_item *item = nm_unit_find(e, f->unit, base);
    if (primes && (nm_frame_dim(f, base) || (item && item->kind == NM_ITEM_dim)))
        return true;
    for (int i = 0; i < f->n_vars; i++) {
        nm_ev v = f->var[i].value;
        if (v.kind == NM_EV_tensor &&
            (nm_has_dim(v.u.t->v->type, name) || nm_has_dim(v.u.t->v->type, base)))
            return true;
    }
    return false;
}

enum { MAX_NAMES = 512 };

static int collect_names(nm_elab *e, nm_frame *f, nm_sym *out)
{
    int n = 0;
    for (int i = 0; i < f->n_vars && n < MAX_NAMES; i++)
        out[n++] = f->var[i].name;
    for (int i = 0; i < f->n_dims && n < MAX_NAMES; i++)
        out[n++] = f->dim[i].name;
    nm_unit *const units[] = {f->unit, e->std};
    for (int k = 0; k < 2; k++)
        for (nm_item *i = units[k]->item; i && n < MAX_NAMES; i = i->next)
            out[n++] = i->name;
    for (int i = 0; i < f->n_labels && n < MAX_NAMES; i++)
        out[n++] = f->label[i].name;
    return n + nm_builtin_names(out + n, MAX_NAMES - n);
}

nm_sym nm_name_suggest(nm_elab *e, nm_frame *f, nm_sym word)
{
    nm_sym names[MAX_NAMES];
    int n = collect_names(e, f, names);
    return nm_elab_nearest(e, word, n, names);
}

nm_ev nm_name_unknown(nm_elab *e, nm_frame *f, nm_sym name, nm_loc loc)
{
    nm_sym near = nm_name_suggest(e, f, name);
    if (near)
        return nm_elab_error(e, f, loc, "nothing is called '%s'; did you mean '%s'? [name-2]", name,
                             near);
    return nm_elab_error(e, f, loc, "nothing is called '%s' [name-2]", name);
}

// --- dotted names --------------------------------------------------------------------------------

// The instance that the first part of a dotted name means, or NULL.
static nm_inst *head_instance(nm_elab *e, nm_frame *f, nm_sym name)
{
    nm_label *label = nm_frame_label_here(e, f, name);
    if (label)
        return label->inst;
    nm_var *v = nm_frame_var(f, name);
    if (v && v->value.kind == NM_EV_fn && v->value.u.fn->inst)
        return v->value.u.fn->inst;
    nm_item *item = nm_unit_find(e, f->unit, name);
    if (item && item->kind == NM_ITEM_def && item->def->kind == NM_DEF_model)
        return nm_inst_of_model(e, item->def);
    return NULL;
}

static nm_ev member(nm_elab *e, nm_frame *f, nm_ev of, const nm_ast_name *name, int part)
{
    nm_ev out = nm_ev_poison();
    const nm_ast_word *w = &name->part[part];
    if (of.kind == NM_EV_poison)
        return of;
    if (of.kind == NM_EV_inst)
        return nm_inst_member(e, f, of.u.inst, w->sym, w->loc);
    if (of.kind != NM_EV_unit)
        return nm_elab_error(e, f, w->loc, "%s has no member '%s' [inst-4]", nm_ev_describe(e, of),
                             w->sym);
    nm_item *item = nm_unit_find(e, of.u.unit, w->sym);
    out = item ? nm_item_value(e, item, f, w->loc)
               : nm_elab_error(e, f, w->loc, "the file used as %s declares no '%s' [name-2]",
                               of.u.unit->as, w->sym);
    return out;
}

static nm_ev dotted(nm_elab *e, nm_frame *f, const nm_ast_name *name)
{
    nm_sym head = name->part[0].sym;
    nm_inst *inst = head_instance(e, f, head);
    nm_ev v = {.kind = NM_EV_inst, .u.inst = inst};
    if (!inst) {
        nm_item *item = nm_unit_find(e, f->unit, head);
        if (item && item->kind == NM_ITEM_def)
            return nm_elab_error(e, f, name->part[0].loc,
                                 "no instance of '%s' was made before this line [inst-4]", head);
        if (!find_plain(e, f, head, name->part[0].loc, &v))
            return nm_name_unknown(e, f, head, name->part[0].loc);
    }
    for (int i = 1; i < name->n; i++)
        v = member(e, f, v, name, i);
    return v;
}

nm_ev nm_name_value(nm_elab *e, nm_frame *f, const nm_ast_name *name, nm_loc loc)
{
    nm_ev v;
    if (name->n > 1) {
        v = dotted(e, f, name);
    } else if (!find_plain(e, f, name->sym, loc, &v)) {
        nm_label *label = nm_frame_label_here(e, f, name->sym);
        if (label)
            return nm_ev_fn(e, (nm_callable){.inst = label->inst});
        if (!is_dim_in_scope(e, f, name->sym))
            return nm_name_unknown(e, f, name->sym, loc);
        nm_edims d = nm_dims_of_name(e, f, name, loc);
        v = nm_ev_dims(e, d.n, d.dim);
    }
    return v;
}

nm_ev nm_name_callee(nm_elab *e, nm_frame *f, const nm_ast_name *name, nm_loc loc)
{
    if (name->n == 1) {
        nm_var *v = nm_frame_var(f, name->sym);
        bool callable = v && (v->value.kind == NM_EV_fn || v->value.kind == NM_EV_poison ||
                              (v->value.kind == NM_EV_tensor && v->value.u.t->is_arrow));
        nm_label *label = nm_frame_label_here(e, f, name->sym);
        if (!callable && label && label->explicit_)
            return nm_ev_fn(e, (nm_callable){.inst = label->inst, .unit = label->inst->unit});
    }
    nm_ev v = nm_name_value(e, f, name, loc);
    if (v.kind == NM_EV_inst)
        return nm_ev_fn(e, (nm_callable){.inst = v.u.inst, .unit = v.u.inst->unit});
    return v;
}
