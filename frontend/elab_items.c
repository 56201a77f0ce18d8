// What the names of a file's top level mean: the sizes of its dims, the values of its consts. They
// are read when they are first needed; -D wins over a config.json, that over the preset, the preset
// over the settings of a `use`, those over the default (dim-2).
#include "frontend/elab_internal.h"

#include <string.h>

static nm_setting *find_setting(nm_unit *u, nm_sym name)
{
    bool apart = u->as != NULL; // what `use ... as` says is about its own preset
    nm_setting *const lists[] = {u->defines, u->config_settings,
                                 apart ? u->use_settings : u->preset_settings,
                                 apart ? u->preset_settings : u->use_settings};
    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++)
        for (nm_setting *s = lists[k]; s; s = s->next)
            if (s->name == name)
                return s;
    return NULL;
}

// --- dims ----------------------------------------------------------------------------------------

// `use nest (batch, d = width)`: the dim of ours that a dim of theirs is bound to.
static bool bound_dim(nm_elab *e, nm_unit *u, const nm_item *item, const nm_setting *s,
                      nm_edim *out)
{
    if (!s || s->unit == u || s->value.kind)
        return false;
    nm_sym ours = !s->expr                                                  ? item->name
                  : s->expr->kind == NM_EXPR_name && s->expr->u.name.n == 1 ? s->expr->u.name.sym
                                                                            : NULL;
    nm_item *i = ours ? nm_unit_own(s->unit, ours) : NULL;
    if (!i || i->kind != NM_ITEM_dim) {
        if (!s->expr)
            nm_elab_error(
                e, NULL, s->loc,
                "'%s' is to be bound to a dim of this file, which has none of that name [dim-2]",
                item->name);
        return false;
    }
    nm_ev v = nm_item_value(e, i, s->unit->frame, s->loc);
    if (v.kind != NM_EV_dims)
        return false;
    *out = v.u.dims.dim[0];
    return true;
}

static const nm_extent *missing_size(nm_elab *e, nm_unit *u, const nm_item *item)
{
    const char *presets = nm_unit_presets(e, u->file);
    if (u->as)
        nm_elab_error(e, NULL, item->loc,
                      "'%s' has no size: the 'use ... as %s' does not bind it [dim-2]", item->name,
                      u->as);
    else if (u->preset)
        nm_elab_error(e, NULL, item->loc,
                      "'%s' has no size: preset %s has none and there is no -D %s= [dim-2]",
                      item->name, u->preset, item->name);
    else if (e->opts->config)
        nm_elab_error(
            e, NULL, item->loc,
            "'%s' has no size: no row of the config says it and there is no -D %s= [dim-2]",
            item->name, item->name);
    else if (*presets)
        nm_elab_error(e, NULL, item->loc,
                      "'%s' has no size: no preset is chosen (%s) and there is no -D %s= [dim-2]",
                      item->name, presets, item->name);
    else
        nm_elab_error(e, NULL, item->loc, "'%s' has no size: there is no -D %s= [dim-2]",
                      item->name, item->name);
    return NULL;
}

static const nm_extent *size_of(nm_elab *e, const nm_item *item, nm_ev v, nm_loc loc)
{
    int64_t n;
    if (v.kind == NM_EV_poison)
        return NULL;
    if (v.kind == NM_EV_extent)
        return v.u.extent;
    if (nm_ev_is_whole(v, &n) && n >= 1)
        return nm_extent_const(e->m, n);
    nm_elab_error(e, NULL, loc, "the size of '%s' is a whole number of at least 1, not %s [dim-2]",
                  item->name, nm_ev_describe(e, v));
    return NULL;
}

static nm_ev setting_value(nm_elab *e, nm_setting *s)
{
    if (!s->expr)
        return s->value;
    return nm_ev_number(e, s->unit->frame, nm_elab_expr(e, s->unit->frame, s->expr));
}

static const nm_extent *dim_size(nm_elab *e, nm_unit *u, nm_item *item, nm_sym name, bool *runtime)
{
    nm_setting *s = find_setting(u, item->name);
    *runtime = false;
    if (s && (s->expr || s->value.kind))
        return size_of(e, item, setting_value(e, s), s->loc);
    if (item->dim->size)
        return size_of(e, item,
                       nm_ev_number(e, u->frame, nm_elab_expr(e, u->frame, item->dim->size)),
                       item->dim->size->loc);
    *runtime = item->dim->runtime;
    return *runtime ? nm_extent_sym(e->m, name) : missing_size(e, u, item);
}

static void read_dim_settings(nm_elab *e, nm_unit *u, const nm_item *item, nm_dim_decl *decl)
{
    for (int i = 0; i < item->dim->settings.n; i++) {
        const nm_ast_setting *s = &item->dim->settings.item[i];
        nm_ev v = s->value ? nm_ev_number(e, u->frame, nm_elab_expr(e, u->frame, s->value))
                           : nm_ev_none();
        int64_t n = 0;
        int64_t *to = !strcmp(s->word.sym, "pad")        ? &decl->pad
                      : !strcmp(s->word.sym, "min")      ? &decl->min
                      : !strcmp(s->word.sym, "max")      ? &decl->max
                      : !strcmp(s->word.sym, "multiple") ? &decl->multiple
                                                         : NULL;
        if (!to)
            nm_elab_error(e, NULL, s->word.loc,
                          "a dim has the settings pad, min, max and multiple, not '%s' [dim-3]",
                          s->word.sym);
        else if (v.kind != NM_EV_poison && (!nm_ev_is_whole(v, &n) || n < 1))
            nm_elab_error(e, NULL, s->loc, "%s is a whole number of at least 1, not %s [dim-3]",
                          s->word.sym, nm_ev_describe(e, v));
        else
            *to = n;
    }
}

static void read_dim(nm_elab *e, nm_unit *u, nm_item *item)
{
    nm_edim d = {.name = nm_sym_fmt(e->m, "%s%s", u->prefix, item->name), .loc = item->loc};
    nm_setting *s = find_setting(u, item->name);
    if (bound_dim(e, u, item, s, &d)) {
        item->value = nm_ev_dims(e, 1, &d);
        return;
    }
    nm_dim_decl decl = {.name = d.name, .loc = item->loc};
    decl.extent = d.extent = dim_size(e, u, item, d.name, &decl.runtime);
    decl.min = decl.multiple = decl.runtime;
    read_dim_settings(e, u, item, &decl);
    if (!d.extent)
        return; // the value stays poison
    nm_dim_declare(e->m, decl);
    item->value = nm_ev_dims(e, 1, &d);
}

// --- consts, and all items -----------------------------------------------------------------------

static void read_const(nm_elab *e, nm_unit *u, nm_item *item)
{
    nm_setting *s = find_setting(u, item->name);
    if (s && (s->expr || s->value.kind))
        item->value = s->expr ? nm_elab_expr(e, s->unit->frame, s->expr) : s->value;
    else if (s && s->unit != u)
        item->value =
            nm_elab_expr(e, s->unit->frame,
                         &(nm_ast_expr){.kind = NM_EXPR_name,
                                        .loc = s->loc,
                                        .op_loc = s->loc,
                                        .u.name = {s->loc, 1, (nm_ast_word[]){{s->loc, item->name}},
                                                   item->name}});
    else
        item->value = nm_elab_expr(e, u->frame, item->constant->value);
    if (item->value.kind == NM_EV_tensor)
        item->value = nm_elab_error(e, NULL, item->loc,
                                    "a const is known when nemocc runs, and '%s' is not [static-1]",
                                    item->name);
}

static nm_unit *unit_of(nm_elab *e, const nm_item *item)
{
    for (nm_unit *u = e->unit; u; u = u->next)
        for (nm_item *i = u->item; i; i = i->next)
            if (i == item)
                return u;
    nm_bug("an item of no unit: %s", item->name);
}

nm_ev nm_item_value(nm_elab *e, nm_item *item, nm_frame *f, nm_loc loc)
{
    nm_unit *u;
    switch (item->kind) {
    case NM_ITEM_def: return nm_ev_fn(e, (nm_callable){.def = item->def, .unit = unit_of(e, item)});
    case NM_ITEM_extern:
        return nm_ev_fn(e, (nm_callable){.ext = item->ext, .unit = unit_of(e, item)});
    case NM_ITEM_unit: return (nm_ev){.kind = NM_EV_unit, .u.unit = item->unit};
    case NM_ITEM_dim:
    case NM_ITEM_const: break;
    }
    if (item->state == 1)
        return nm_elab_error(e, f, loc, "the value of '%s' depends on itself [name-2]", item->name);
    if (item->state == 2)
        return item->value;
    item->state = 1;
    item->value = nm_ev_poison();
    u = unit_of(e, item);
    nm_loc none = {0};
    if (nm_elab_enter(e, f, loc.src ? loc : none)) {
        item->kind == NM_ITEM_dim ? read_dim(e, u, item) : read_const(e, u, item);
        nm_elab_leave(e);
    }
    item->state = 2;
    return item->value;
}

nm_sym nm_unit_dim_name(nm_elab *e, nm_unit *u, nm_sym name)
{
    nm_item *i = nm_unit_own(u, name);
    if (!i || i->kind != NM_ITEM_dim)
        return name;
    nm_ev v = nm_item_value(e, i, u->frame, i->loc);
    return v.kind == NM_EV_dims && v.u.dims.n == 1 ? v.u.dims.dim[0].name : name;
}
