// The `weights` blocks: names of files' tensors against the module's parameters (language.md 12).
//
// A map belongs to all presets of its file, so it may name parameters that the chosen one does not
// have (an untied head): those are passed over. A map that leaves a parameter without a tensor is
// for other presets if it also names such absent ones, and is left out; else that is a mistake
// (map-1). A name that stands nowhere in the program is a misspelling.
#include "frontend/weights_internal.h"

#include "frontend/paths.h"
#include "frontend/walk.h"

#include <string.h>

// --- what the program calls things ---------------------------------------------------------------

typedef struct word_search {
    const char *word;
    size_t len;
    bool found;
} word_search;

static void is_word(word_search *w, nm_sym sym)
{
    w->found |= sym && strlen(sym) == w->len && memcmp(sym, w->word, w->len) == 0;
}

static void search_expr(void *user, const nm_ast_expr *e)
{
    if (e->kind != NM_EXPR_call)
        return;
    is_word(user, e->u.call.label.sym);
    const nm_ast_expr *callee = e->u.call.callee;
    if (callee->kind == NM_EXPR_name)
        is_word(user, callee->u.name.part[callee->u.name.n - 1].sym);
}

static void search_stmt(void *user, const nm_ast_stmt *s)
{
    if (s->kind == NM_STMT_param || s->kind == NM_STMT_state)
        is_word(user, s->u.decl.name.sym);
}

// Does an instance, a parameter or a `use ... as` anywhere in the program have this name?
static bool is_known_step(const nm_ast_program *prog, const char *word, size_t len)
{
    word_search w = {.word = word, .len = len, .found = strspn(word, "0123456789") == len};
    nm_ast_visitor v = {.expr = search_expr, .stmt = search_stmt, .user = &w};
    for (int f = 0; f < prog->n_files && !w.found; f++) {
        const nm_ast_file *file = prog->file[f];
        for (int i = 0; i < file->n_uses; i++)
            is_word(&w, file->use[i].as.sym);
        for (int i = 0; i < file->n_defs && !w.found; i++)
            nm_ast_walk_def(&v, &file->def[i]);
        for (int i = 0; i < file->n_entries && !w.found; i++)
            nm_ast_walk_block(&v, &file->entry[i].body);
    }
    return w.found;
}

static bool all_steps_known(const nm_ast_program *prog, const char *path)
{
    for (const char *at = path; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
        if (!is_known_step(prog, at, strcspn(at, ".")))
            return false;
    return true;
}

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

// An adapter's parameters have their own maps: a step of the path is the adapter's name.
static bool is_adapters(const nm_weights_ctx *c, const char *path)
{
    for (int f = 0; f < c->prog->n_files; f++)
        for (int i = 0; i < c->prog->file[f]->n_adapts; i++) {
            const nm_ast_expr *callee = c->prog->file[f]->adapt[i].call->u.call.callee;
            nm_ast_step steps[] = {
                {.kind = NM_STEP_many},
                {.kind = NM_STEP_name, .word = callee->u.name.part[callee->u.name.n - 1]},
                {.kind = NM_STEP_many},
            };
            if (nm_path_match(&(nm_ast_path){.n = 3, .step = steps}, path))
                return true;
        }
    return false;
}

static bool in_scope(const nm_weights_ctx *c, const nm_param *p)
{
    if (p->state)
        return false;
    return c->weights->on.n ? nm_paths_match(&c->weights->on, p->path) : !is_adapters(c, p->path);
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
    if (all_steps_known(c->prog, path))
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
    else if (map->n_names != 2)
        c->ok = nm_error(c->m->diag, map->word.loc,
                         "mxfp4 takes two tensors, the blocks and the scales [map-4]");
}

static void add_tensor(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map)
{
    nm_weight_tensor t = {.prefix = s->prefix, .map = map, .n_params = map->n_parts};
    t.param = nm_new_n(c->m->arena, const nm_param *, (size_t)map->n_parts);
    check_codec(c, map);
    unsigned errors = c->m->diag->errors; // the parts share a layout: one complaint is enough
    for (int k = 0; k < map->n_parts && c->m->diag->errors == errors; k++)
        t.param[k] = resolve_part(c, s, map, k);
    nm_weight_tensor *more = nm_new_n(c->m->arena, nm_weight_tensor, (size_t)c->out->n + 1);
    if (c->out->n)
        memcpy(more, c->out->tensor, (size_t)c->out->n * sizeof *more);
    more[c->out->n++] = t;
    c->out->tensor = more;
}

static void enter_scope(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map)
{
    if (map->n_parts != 1 || map->part[0].n_views) {
        c->ok = nm_error(c->m->diag, map->loc, "a block of a map is of one instance [map-1]");
        return;
    }
    nm_scope inner = {.loc = map->loc, .use = s->use};
    inner.path = nm_sym_fmt(c->m, "%s%s.", s->path, map->part[0].path);
    inner.prefix = nm_sym_fmt(c->m, "%s%s", s->prefix, map->name[0].sym);
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
    inner.prefix = nm_sym_fmt(c->m, "%s%s", s->prefix, map->name[0].sym);
    walk_maps(c, &inner, w->n_maps, w->map);
}

// --- config --------------------------------------------------------------------------------------

static bool is_size_or_const(const nm_ast_program *prog, nm_sym name, size_t *n, const char **names,
                             size_t max)
{
    for (int f = 0; f < prog->n_files; f++) {
        const nm_ast_file *file = prog->file[f];
        for (int i = 0; i < file->n_dims + file->n_consts; i++) {
            nm_sym known = i < file->n_dims ? file->dim[i].word.sym
                                            : file->constant[i - file->n_dims].word.sym;
            if (known == name)
                return true;
            if (*n < max)
                names[(*n)++] = known;
        }
    }
    return false;
}

static void check_config_expr(void *user, const nm_ast_expr *e)
{
    enum { MAX = 256 };
    nm_weights_ctx *c = user;
    const char *names[MAX];
    size_t n = 0;
    if (e->kind != NM_EXPR_name)
        return;
    nm_sym name = e->u.name.part[e->u.name.n - 1].sym;
    if (is_size_or_const(c->prog, name, &n, names, MAX))
        return;
    const char *near = nm_nearest(name, names, n);
    c->ok = nm_error(c->m->diag, e->loc,
                     "'%s' is neither a dim nor a const of this program%s%s%s [map-3]", name,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void check_config(nm_weights_ctx *c, const nm_ast_map *map)
{
    nm_ast_visitor v = {.expr = check_config_expr, .user = c};
    for (int i = 0; i < map->settings.n; i++)
        nm_ast_walk_expr(&v, map->settings.item[i].value);
}

static void walk_maps(nm_weights_ctx *c, const nm_scope *s, int n, const nm_ast_map *map)
{
    for (int i = 0; i < n; i++)
        switch (map[i].kind) {
        case NM_MAP_config: check_config(c, &map[i]); break;
        case NM_MAP_use: take_in(c, s, &map[i]); break;
        case NM_MAP_scope: enter_scope(c, s, &map[i]); break;
        case NM_MAP_tensor: add_tensor(c, s, &map[i]); break;
        }
}

// --- completeness --------------------------------------------------------------------------------

// Where a tensor for the parameter would stand: the innermost block that has its path.
static nm_loc place_for(nm_weights_ctx *c, const char *path, nm_sym prefix, int n,
                        const nm_ast_map *map, nm_loc otherwise)
{
    for (int i = 0; i < n; i++) {
        if (map[i].kind != NM_MAP_scope)
            continue;
        nm_sym block = nm_sym_fmt(c->m, "%s%s.", prefix, map[i].part[0].path);
        if (strncmp(block, path, strlen(block)) == 0)
            return place_for(c, path, block, map[i].n_maps, map[i].map, map[i].loc);
    }
    return otherwise;
}

static void check_complete(nm_weights_ctx *c)
{
    const nm_ast_weights *w = c->weights;
    c->out->fits = true;
    for (int i = 0; i < c->m->n_params; i++) {
        const nm_param *p = &c->m->param[i];
        if (c->home[i] || !in_scope(c, p))
            continue;
        c->out->fits = false;
        if (!c->absent)
            c->ok = nm_error(c->m->diag, place_for(c, p->path, "", w->n_maps, w->map, w->loc),
                             "no file tensor for %s %s [map-1]", p->path,
                             nm_weights_param_str(c->m, p));
    }
}

// --- the maps of a program -----------------------------------------------------------------------

static bool resolve_map(nm_module *m, const nm_ast_program *prog, const nm_ast_weights *w,
                        nm_weight_map *out)
{
    *out = (nm_weight_map){.ast = w};
    nm_weights_ctx c = {.m = m, .prog = prog, .weights = w, .out = out, .ok = true};
    c.home = nm_new_n(m->arena, const nm_scope *, (size_t)m->n_params + 1);
    nm_scope outermost = {.path = "", .prefix = "", .loc = w->loc};
    walk_maps(&c, &outermost, w->n_maps, w->map);
    if (c.ok)
        check_complete(&c);
    return c.ok;
}

// Resolved already, or declared again by a file that takes this one in.
static bool is_done(const nm_weight_maps *out, const nm_ast_weights *w)
{
    for (int i = 0; i < out->n; i++) {
        const nm_ast_weights *done = out->map[i].ast;
        if (done == w || (done->name.sym == w->name.sym && done->file != w->file))
            return true;
    }
    return false;
}

// The file's maps, then those of files that it takes in.
static bool resolve_file(nm_module *m, const nm_ast_program *prog, const nm_ast_file *file,
                         nm_weight_maps *out)
{
    bool ok = true;
    for (int i = 0; i < file->n_weights; i++)
        if (!is_done(out, &file->weights[i]))
            ok &= resolve_map(m, prog, &file->weights[i], &out->map[out->n++]);
    for (int i = 0; i < file->n_uses; i++)
        if (!file->use[i].as.sym)
            ok &= resolve_file(m, prog, file->use[i].file, out);
    return ok;
}

bool nm_weights_resolve(nm_module *m, const nm_ast_program *prog, nm_weight_maps *out)
{
    int max = 0;
    for (int f = 0; f < prog->n_files; f++)
        max += prog->file[f]->n_weights;
    *out = (nm_weight_maps){.map = nm_new_n(m->arena, nm_weight_map, (size_t)max + 1)};
    return resolve_file(m, prog, prog->main, out);
}
