// Units: a file with what it takes in, and the settings that are made for it. `use x` adds the
// items of x before one's own, so that one's own replace them; `use x as y` is a unit of its own,
// whose dims carry the prefix `y.` in types unless they are bound to ours. What the names mean is
// read in elab_items.c.
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

nm_item *nm_unit_own(nm_unit *u, nm_sym name)
{
    for (nm_item *i = u->item; i; i = i->next)
        if (i->name == name)
            return i;
    return NULL;
}

nm_item *nm_unit_find(nm_elab *e, nm_unit *u, nm_sym name)
{
    nm_item *i = nm_unit_own(u, name);
    return i || u == e->std ? i : nm_unit_own(e->std, name);
}

static void add_item(nm_elab *e, nm_unit *u, nm_item item)
{
    nm_item *old = nm_unit_own(u, item.name);
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

const char *nm_unit_presets(nm_elab *e, const nm_ast_file *file)
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
                      name, nm_unit_presets(e, u->file));
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
        if (item[i]->kind == kind && nm_unit_own(u, item[i]->name) == item[i])
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
    nm_mesh_read(e);
    return true; // what is wrong here does not make the rest unreadable
}
