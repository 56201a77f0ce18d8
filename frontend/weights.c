// The `weights` blocks: names of files' tensors against the module's parameters (language.md 12).
//
// A map belongs to all presets of its file, so it may name parameters that the chosen one does not
// have (an untied head): those are passed over. A map that leaves a parameter without a tensor is
// for other presets if it also names such absent ones, and is left out; else that is a mistake
// (map-1). A name that stands nowhere in the program is a misspelling.
#include "frontend/weights_internal.h"

#include <string.h>

// --- parameters ----------------------------------------------------------------------------------

static nm_param *find_param(nm_weights_ctx *c, const nm_scope *s, nm_sym path)
{
    nm_param *p = nm_param_lookup(c->m, path);
    if (!p && s->use)
        p = nm_param_lookup(c->m, nm_sym_fmt(c->m, "%s.%s", s->use->as.sym, path));
    return p;
}

static nm_sym nearest_param(nm_weights_ctx *c, nm_sym path)
{
    const char **name = nm_new_n(c->m->arena, const char *, (size_t)c->m->n_params + 1);
    for (int i = 0; i < c->m->n_params; i++)
        name[i] = c->m->param[i].path;
    return nm_nearest(path, name, (size_t)c->m->n_params);
}

// --- entries of a map ----------------------------------------------------------------------------

static void walk_maps(nm_weights_ctx *c, const nm_scope *s, int n, const nm_ast_map *map);

static nm_sym full_path(nm_weights_ctx *c, const nm_scope *s, const nm_ast_part *part)
{
    return nm_sym_fmt(c->m, "%s%s", s->path, part->path);
}

static bool claim(nm_weights_ctx *c, const nm_scope *s, const nm_ast_part *part, const nm_param *p)
{
    ptrdiff_t i = p - c->m->param;
    if (c->home[i] && !part->n_views)
        return nm_error(c->m->diag, part->loc, "%s has a file tensor already (line %u) [map-1]",
                        p->path, nm_loc_line_col(c->home[i]->loc).line);
    nm_scope *home = nm_new(c->m->arena, nm_scope);
    *home = *s;
    home->loc = part->loc;
    c->home[i] = home;
    return true;
}

// The parameter of one part; NULL: the preset has none such, or it is reported.
static const nm_param *resolve_part(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map,
                                    int k)
{
    const nm_ast_part *part = &map->part[k];
    nm_sym path = full_path(c, s, part);
    const nm_param *p = find_param(c, s, path);
    if (p) {
        c->ok &= claim(c, s, part, p) && nm_weights_check_layout(c, s, map, k, p);
        return p;
    }
    c->absent++;
    if (nm_weights_are_known(c->prog, path))
        return NULL;
    nm_sym near = nearest_param(c, path);
    c->ok = nm_error(c->m->diag, part->loc, "no parameter is called %s%s%s%s [map-1]", path,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

static void check_codec(nm_weights_ctx *c, const nm_ast_map *map)
{
    if (!map->word.sym)
        return;
    if (strcmp(map->word.sym, "mxfp4") != 0)
        c->ok = nm_error(c->m->diag, map->word.loc,
                         "no codec is called '%s'; there is mxfp4(\"blocks\", \"scales\") [map-4]",
                         map->word.sym);
    else if (map->names.n != 2)
        c->ok = nm_error(c->m->diag, map->word.loc,
                         "mxfp4 takes two tensors, the blocks and the scales [map-4]");
}

// A tensor of which the preset has some parts and lacks others cannot be filled.
static bool is_whole(nm_weights_ctx *c, const nm_ast_map *map, const nm_param *const *param)
{
    const nm_param *has = NULL;
    int n = 0;
    for (int k = 0; k < map->n_parts; k++)
        if (param[k])
            has = param[k], n++;
    if (n && n < map->n_parts && !c->out->misfit)
        c->out->misfit = nm_sym_fmt(c->m, "%s is one of %d parts of \"%s\", and not all are there",
                                    has->path, map->n_parts, map->names.word[0].sym);
    return n == map->n_parts;
}

static void add_tensor(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map)
{
    const nm_param **param = nm_new_n(c->m->arena, const nm_param *, (size_t)map->n_parts);
    unsigned errors = c->m->diag->errors; // the parts share a layout: one complaint is enough
    check_codec(c, map);
    for (int k = 0; k < map->n_parts && c->m->diag->errors == errors; k++)
        param[k] = resolve_part(c, s, map, k);
    if (c->m->diag->errors == errors && is_whole(c, map, param))
        c->ok &= nm_weights_place(c, s, map, param);
}

static void enter_scope(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map)
{
    if (map->n_parts != 1 || map->part[0].n_views) {
        c->ok = nm_error(c->m->diag, map->loc, "a block of a map is of one instance [map-1]");
        return;
    }
    nm_scope inner = {.loc = map->loc, .use = s->use};
    inner.path = nm_sym_fmt(c->m, "%s%s.", s->path, map->part[0].path);
    inner.prefix = nm_sym_fmt(c->m, "%s%s", s->prefix, map->names.word[0].sym);
    walk_maps(c, &inner, map->n_maps, map->map);
}

static const nm_ast_use *find_use(const nm_ast_file *file, nm_sym as)
{
    for (int i = 0; i < file->n_uses; i++)
        if (file->use[i].as.sym == as)
            return &file->use[i];
    return NULL;
}

static const nm_ast_weights *find_weights(const nm_ast_file *file, nm_sym name)
{
    for (int i = 0; i < file->n_weights; i++)
        if (file->weights[i].name.sym == name)
            return &file->weights[i];
    return NULL;
}

// use lm.hf "prefix.": the entries of that map, with the prefix before each file name.
static void take_in(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map)
{
    const nm_ast_name *name = &map->used;
    const nm_ast_use *use = name->n == 2 ? find_use(c->weights->file, name->part[0].sym) : NULL;
    const nm_ast_weights *w = use ? find_weights(use->file, name->part[1].sym) : NULL;
    if (!w) {
        c->ok = nm_error(c->m->diag, name->loc,
                         "'%s' is not a map: %s is meant by `use FILE as %s`, and its map's name "
                         "follows the point [use-2]",
                         name->sym, name->part[0].sym, name->part[0].sym);
        return;
    }
    nm_scope inner = {.path = s->path, .loc = name->loc, .use = use};
    inner.prefix = nm_sym_fmt(c->m, "%s%s", s->prefix, map->names.word[0].sym);
    walk_maps(c, &inner, w->n_maps, w->map);
}

static void walk_maps(nm_weights_ctx *c, const nm_scope *s, int n, const nm_ast_map *map)
{
    for (int i = 0; i < n; i++)
        switch (map[i].kind) {
        case NM_MAP_config: break; // elab_config.c
        case NM_MAP_use: take_in(c, s, &map[i]); break;
        case NM_MAP_scope: enter_scope(c, s, &map[i]); break;
        case NM_MAP_tensor: add_tensor(c, s, &map[i]); break;
        }
}

// --- the maps of a program -----------------------------------------------------------------------

static bool resolve_map(nm_module *m, const nm_ast_program *prog, const nm_ast_weights *w,
                        nm_weights *out)
{
    nm_weights_ctx c = {.m = m, .prog = prog, .weights = w, .out = out, .ok = true};
    c.home = nm_new_n(m->arena, const nm_scope *, (size_t)m->n_params + 1);
    nm_scope outermost = {.path = "", .prefix = "", .loc = w->loc};
    walk_maps(&c, &outermost, w->n_maps, w->map);
    if (c.ok)
        nm_weights_check_fit(&c);
    return c.ok;
}

// Listed already, or declared again by a file that takes this one in.
static bool is_listed(const nm_ast_weights *const *list, const nm_ast_weights *w)
{
    for (; *list; list++)
        if (*list == w || ((*list)->name.sym == w->name.sym && (*list)->file != w->file))
            return true;
    return false;
}

static void list_file(const nm_ast_file *file, const nm_ast_weights **list, int *n)
{
    for (int i = 0; i < file->n_weights; i++)
        if (!is_listed(list, &file->weights[i]))
            list[(*n)++] = &file->weights[i];
    for (int i = 0; i < file->n_uses; i++)
        if (!file->use[i].as.sym)
            list_file(file->use[i].file, list, n);
}

const nm_ast_weights **nm_weights_list(nm_module *m, const nm_ast_program *prog)
{
    size_t most = 1;
    for (int f = 0; f < prog->n_files; f++)
        most += (size_t)prog->file[f]->n_weights;
    const nm_ast_weights **list = nm_new_n(m->arena, const nm_ast_weights *, most);
    int n = 0;
    list_file(prog->main, list, &n);
    return list;
}

static bool has_own_name(nm_module *m, int i)
{
    for (int k = 0; k < i; k++)
        if (m->weights[k].name == m->weights[i].name)
            return nm_error(m->diag, m->weights[i].loc,
                            "a map is called '%s' already (line %u) [map-1]", m->weights[i].name,
                            nm_loc_line_col(m->weights[k].loc).line);
    return true;
}

bool nm_weights_resolve(nm_module *m, const nm_ast_program *prog)
{
    bool ok = true;
    const nm_ast_weights **list = nm_weights_list(m, prog);
    for (int i = 0; i < m->n_weights; i++)
        ok &= has_own_name(m, i) && resolve_map(m, prog, list[i], &m->weights[i]);
    return ok;
}
