// Units: a file with what it takes in, and what the names of its top level mean. `use x` adds the
// items of x before one's own, so that one's own replace them; `use x as y` is a unit of its own,
// whose dims carry the prefix `y.` in types unless they are bound to ours.
//
// Sizes and constants are read when they are first needed; -D wins over
// a config.json, that over the preset, the preset over
// the settings of a `use`, those over the default (dim-2).
#include "frontend/elab_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- loading -------------------------------------------------------------------------------------

static const char *kind_name(nm_item_kind kind)
{
    static const char *const name[] = {"a dim", "a const", "a module or fn", "an extern", "a file"};
    return name[kind];
}

static nm_item *find_own(nm_unit *u, nm_sym name)
{
    for (nm_item *i = u->item; i; i = i->next)
        if (i->name == name)
            return i;
    return NULL;
}

static void add_item(nm_elab *e, nm_unit *u, nm_item item)
{
    nm_item *old = find_own(u, item.name);
    if (old && old->loc.src == item.loc.src)
        nm_elab_error(e, NULL, item.loc, "'%s' is %s (%s); this needs another name [name-1]",
                      item.name, kind_name(old->kind), nm_elab_place(e, old->loc, item.loc));
    if (nm_name_is_predeclared(item.name))
        nm_elab_error(e, NULL, item.loc, "'%s' is predeclared; this needs another name [name-1]",
                      item.name);
    nm_item *kept = nm_new(e->a, nm_item);
    *kept = item;
    kept->next = u->item;
    u->item = kept;
}

static void add_declarations(nm_elab *e, nm_unit *u, const nm_ast_file *file)
{
    for (int i = 0; i < file->n_dims; i++)
        add_item(e, u,
                 (nm_item){.kind = NM_ITEM_dim,
                           .name = file->dim[i].word.sym,
                           .loc = file->dim[i].word.loc,
                           .dim = &file->dim[i]});
    for (int i = 0; i < file->n_consts; i++)
        add_item(e, u,
                 (nm_item){.kind = NM_ITEM_const,
                           .name = file->constant[i].word.sym,
                           .loc = file->constant[i].word.loc,
                           .constant = &file->constant[i]});
    for (int i = 0; i < file->n_defs; i++)
        add_item(e, u,
                 (nm_item){.kind = NM_ITEM_def,
                           .name = file->def[i].name.sym,
                           .loc = file->def[i].name.loc,
                           .def = &file->def[i]});
    for (int i = 0; i < file->n_externs; i++)
        add_item(e, u,
                 (nm_item){.kind = NM_ITEM_extern,
                           .name = file->extern_[i].name.sym,
                           .loc = file->extern_[i].name.loc,
                           .ext = &file->extern_[i]});
}

static nm_unit *new_unit(nm_elab *e, const nm_ast_file *file, nm_sym as, nm_sym prefix)
{
    nm_unit *u = nm_new(e->a, nm_unit);
    *u = (nm_unit){.as = as, .prefix = prefix, .file = file, .next = e->unit};
    u->frame = nm_new(e->a, nm_frame);
    *u->frame = (nm_frame){.unit = u, .what = file->stem, .turns = ""};
    e->unit = u;
    return u;
}

static void add_setting(nm_elab *e, nm_setting **list, nm_setting s)
{
    nm_setting *kept = nm_new(e->a, nm_setting);
    *kept = s;
    kept->next = *list;
    *list = kept;
}

static void must_declare(nm_elab *e, nm_unit *u, const nm_ast_word *word)
{
    nm_sym names[256];
    int n = 0;
    for (nm_item *i = u->item; i; i = i->next) {
        if (i->kind != NM_ITEM_dim && i->kind != NM_ITEM_const)
            continue;
        if (i->name == word->sym)
            return;
        if (n < 256)
            names[n++] = i->name;
    }
    nm_sym near = nm_elab_nearest(e, word->sym, n, names);
    nm_elab_error(e, NULL, word->loc,
                  "'%s' is neither a dim nor a const of this program%s%s%s [preset-1]", word->sym,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void apply_settings(nm_elab *e, nm_unit *u, nm_setting **list, const nm_ast_settings *s,
                           nm_unit *read_in)
{
    for (int i = 0; i < s->n; i++) {
        must_declare(e, u, &s->item[i].word);
        add_setting(e, list,
                    (nm_setting){.name = s->item[i].word.sym,
                                 .loc = s->item[i].loc,
                                 .expr = s->item[i].value,
                                 .unit = read_in});
    }
}

static const nm_ast_preset *find_preset(const nm_ast_file *file, nm_sym name, int depth)
{
    for (int i = 0; i < file->n_presets; i++)
        if (file->preset[i].name.sym == name)
            return &file->preset[i];
    for (int i = 0; i < file->n_uses && depth < 32; i++) {
        const nm_ast_use *use = &file->use[i];
        const nm_ast_preset *p =
            use->as.sym || !use->file ? NULL : find_preset(use->file, name, depth + 1);
        if (p)
            return p;
    }
    return NULL;
}

static int list_presets(const nm_ast_file *file, nm_sym *out, int n, int depth)
{
    for (int i = 0; i < file->n_presets && n < 64; i++)
        out[n++] = file->preset[i].name.sym;
    for (int i = 0; i < file->n_uses && depth < 32; i++)
        if (!file->use[i].as.sym && file->use[i].file)
            n = list_presets(file->use[i].file, out, n, depth + 1);
    return n;
}

static const char *preset_list(nm_elab *e, const nm_ast_file *file)
{
    nm_sym names[64];
    int n = list_presets(file, names, 0, 0);
    const char *s = "";
    for (int i = 0; i < n; i++)
        s = nm_arena_fmt(e->a, "%s%s%s", s, i ? ", " : "", names[i]);
    return s;
}

static void apply_preset(nm_elab *e, nm_unit *u, nm_sym name, nm_loc loc)
{
    const nm_ast_preset *p = find_preset(u->file, name, 0);
    if (p) {
        u->preset = name;
        apply_settings(e, u, &u->preset_settings, &p->settings, u);
        return;
    }
    nm_sym names[64];
    int n = list_presets(u->file, names, 0, 0);
    nm_sym near = nm_elab_nearest(e, name, n, names);
    if (near)
        nm_elab_error(e, NULL, loc, "%s has no preset '%s'; did you mean '%s'? [preset-1]",
                      u->file->stem, name, near);
    else if (n)
        nm_elab_error(e, NULL, loc, "%s has no preset '%s'; it has (%s) [preset-1]", u->file->stem,
                      name, preset_list(e, u->file));
    else
        nm_elab_error(e, NULL, loc, "%s has no presets, and so no '%s' [preset-1]", u->file->stem,
                      name);
}

static void take_in(nm_elab *e, nm_unit *u, const nm_ast_file *file, int depth);

static void use_file(nm_elab *e, nm_unit *u, const nm_ast_use *use, int depth)
{
    if (!use->file || depth > 32)
        return;
    if (!use->as.sym) {
        take_in(e, u, use->file, depth + 1);
        apply_settings(e, u, &u->use_settings, &use->settings, u);
        if (use->preset.sym)
            apply_preset(e, u, use->preset.sym, use->preset.loc);
        return;
    }
    nm_unit *own =
        new_unit(e, use->file, use->as.sym, nm_sym_fmt(e->m, "%s%s.", u->prefix, use->as.sym));
    take_in(e, own, use->file, depth + 1);
    apply_settings(e, own, &own->use_settings, &use->settings, u);
    if (use->preset.sym)
        apply_preset(e, own, use->preset.sym, use->preset.loc);
    add_item(e, u,
             (nm_item){.kind = NM_ITEM_unit, .name = use->as.sym, .loc = use->as.loc, .unit = own});
}

static void take_in(nm_elab *e, nm_unit *u, const nm_ast_file *file, int depth)
{
    for (int i = 0; i < file->n_uses; i++)
        use_file(e, u, &file->use[i], depth);
    add_declarations(e, u, file);
}

// --- -D ------------------------------------------------------------------------------------------

static bool define_value(const char *text, nm_ev *out)
{
    char *end;
    double v = strtod(text, &end);
    if (end != text && !*end) {
        *out = nm_ev_num(v);
        return isfinite(v);
    }
    *out = nm_ev_bool(!strcmp(text, "true"));
    return !strcmp(text, "true") || !strcmp(text, "false");
}

static void apply_defines(nm_elab *e, nm_unit *u)
{
    for (int i = 0; i < e->opts->n_defines; i++) {
        const nm_define *d = &e->opts->define[i];
        nm_setting s = {.name = nm_sym_get(e->m, d->name)};
        nm_ast_word word = {.sym = s.name};
        if (!define_value(d->value, &s.value)) {
            nm_elab_error(e, NULL, (nm_loc){0}, "-D %s=%s: expected a number, true or false",
                          d->name, d->value);
            continue;
        }
        must_declare(e, u, &word);
        add_setting(e, &u->defines, s);
    }
}

// --- items ---------------------------------------------------------------------------------------

nm_item *nm_unit_find(nm_elab *e, nm_unit *u, nm_sym name)
{
    nm_item *i = find_own(u, name);
    return i || u == e->std ? i : find_own(e->std, name);
}

nm_sym nm_unit_dim_name(nm_elab *e, nm_unit *u, nm_sym name)
{
    nm_item *i = find_own(u, name);
    if (!i || i->kind != NM_ITEM_dim)
        return name;
    nm_ev v = nm_item_value(e, i, u->frame, i->loc);
    return v.kind == NM_EV_dims && v.u.dims.n == 1 ? v.u.dims.dim[0].name : name;
}

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

// `use nest (batch, d = width)`: the dim of ours that a dim of theirs is bound to.
static bool bound_dim(nm_elab *e, nm_unit *u, const nm_item *item, const nm_setting *s,
                      nm_edim *out)
{
    if (!s || s->unit == u || s->value.kind)
        return false;
    nm_sym ours = !s->expr                                                  ? item->name
                  : s->expr->kind == NM_EXPR_name && s->expr->u.name.n == 1 ? s->expr->u.name.sym
                                                                            : NULL;
    nm_item *i = ours ? find_own(s->unit, ours) : NULL;
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
    const char *presets = preset_list(e, u->file);
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

// --- the mesh ------------------------------------------------------------------------------------

static nm_mesh_row *mesh_row(nm_elab *e, const nm_ast_row *row)
{
    nm_module *m = e->m;
    for (int i = 0; i < m->n_mesh; i++)
        if (m->mesh[i].axis == row->label.sym)
            return &m->mesh[i];
    nm_mesh_row *grown = nm_new_n(e->a, nm_mesh_row, (size_t)m->n_mesh + 1);
    for (int i = 0; i < m->n_mesh; i++)
        grown[i] = m->mesh[i];
    grown[m->n_mesh] = (nm_mesh_row){.axis = row->label.sym, .loc = row->loc};
    m->mesh = grown;
    return &m->mesh[m->n_mesh++];
}

static void add_mesh_dim(nm_elab *e, nm_mesh_row *row, nm_sym dim)
{
    if (nm_syms_has(row->dims, dim))
        return;
    nm_sym *s = nm_new_n(e->a, nm_sym, (size_t)row->dims.n + 1);
    for (int i = 0; i < row->dims.n; i++)
        s[i] = row->dims.sym[i];
    s[row->dims.n] = dim;
    row->dims = (nm_syms){row->dims.n + 1, s};
}

static void unknown_mesh_dim(nm_elab *e, nm_unit *u, const nm_ast_name *name)
{
    nm_sym dims[256];
    int n = 0;
    for (nm_item *i = u->item; i && n < 256; i = i->next)
        if (i->kind == NM_ITEM_dim)
            dims[n++] = i->name;
    nm_sym near = nm_elab_nearest(e, name->sym, n, dims);
    nm_elab_error(e, NULL, name->loc, "no dim is called '%s'%s%s%s [mesh-1]", name->sym,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void add_mesh(nm_elab *e, nm_unit *u, const nm_ast_file *file, int depth)
{
    for (int k = 0; k < file->n_meshes; k++)
        for (int r = 0; r < file->mesh[k].n; r++) {
            const nm_ast_row *row = &file->mesh[k].row[r];
            nm_mesh_row *to = mesh_row(e, row);
            for (int i = 0; i < row->names.n; i++) {
                nm_item *item = find_own(u, row->names.name[i].sym);
                if (!item || item->kind != NM_ITEM_dim)
                    unknown_mesh_dim(e, u, &row->names.name[i]);
                else
                    add_mesh_dim(e, to, nm_unit_dim_name(e, u, item->name));
            }
        }
    for (int i = 0; i < file->n_uses && depth < 32; i++) {
        const nm_ast_use *use = &file->use[i];
        nm_item *as = use->as.sym ? find_own(u, use->as.sym) : NULL;
        if (use->file && (!use->as.sym || (as && as->unit)))
            add_mesh(e, as ? as->unit : u, use->file, depth + 1);
    }
}

// --- all of it -----------------------------------------------------------------------------------

static void read_all(nm_elab *e, nm_unit *u, nm_item_kind kind)
{
    int n = 0, at = 0;
    for (nm_item *i = u->item; i; i = i->next)
        n++;
    nm_item **item = nm_new_n(e->a, nm_item *, (size_t)n);
    for (nm_item *i = u->item; i; i = i->next)
        item[n - 1 - at++] = i; // in the order of the text
    for (int i = 0; i < n; i++)
        if (item[i]->kind == kind && find_own(u, item[i]->name) == item[i])
            nm_item_value(e, item[i], u->frame, item[i]->loc);
}

static void check_requires(nm_elab *e, nm_unit *u, const nm_ast_file *file, int depth)
{
    for (int i = 0; i < file->n_requires; i++) {
        const nm_ast_require *r = &file->require[i];
        nm_ev v = nm_elab_expr(e, u->frame, r->cond);
        if (v.kind == NM_EV_bool && !v.u.b)
            nm_elab_error(e, NULL, r->cond->loc, "%s does not hold%s%s",
                          nm_elab_source_text(e, r->cond->loc), r->text ? ": " : "",
                          r->text ? r->text : "");
    }
    for (int i = 0; i < file->n_uses && depth < 32; i++)
        if (file->use[i].file && !file->use[i].as.sym)
            check_requires(e, u, file->use[i].file, depth + 1);
}

bool nm_units_load(nm_elab *e)
{
    unsigned before = e->m->diag->errors;
    e->std = new_unit(e, e->prog->std, NULL, "");
    add_declarations(e, e->std, e->prog->std);
    e->main = new_unit(e, e->prog->main, NULL, "");
    take_in(e, e->main, e->prog->main, 0);
    if (e->opts->preset)
        apply_preset(e, e->main, nm_sym_get(e->m, e->opts->preset), (nm_loc){0});
    if (!nm_config_read(e))
        return false;
    apply_defines(e, e->main);
    for (int i = 0; i < e->prog->main->n_presets; i++) // preset-1, of those not chosen, too
        for (int k = 0; k < e->prog->main->preset[i].settings.n; k++)
            must_declare(e, e->main, &e->prog->main->preset[i].settings.item[k].word);
    if (!nm_declarations_check(e) || e->m->diag->errors != before)
        return false;
    for (nm_unit *u = e->unit; u; u = u->next) {
        read_all(e, u, NM_ITEM_dim);
        read_all(e, u, NM_ITEM_const);
    }
    if (e->m->diag->errors != before)
        return false;
    check_requires(e, e->main, e->main->file, 0);
    add_mesh(e, e->main, e->main->file, 0);
    return true; // what is wrong here does not make the rest unreadable
}
