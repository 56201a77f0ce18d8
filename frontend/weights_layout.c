// Rule map-2: a layout and the {dims} of the file names have, together, the dims of the parameter,
// each once. What is checked is a set: order is the file's business, and a transpose is an order.
#include "frontend/weights_internal.h"

#include <string.h>

typedef struct seen { // one parameter's dims while its layout is read
    nm_weights_ctx *c;
    const nm_scope *scope;
    const nm_ast_map *map;
    const nm_param *p;
    int part;              // which of the map's parts
    bool has[NM_MAX_RANK]; // by dim: named already
    bool splits;           // a place says how the parts lie side by side
} seen;

// --- names ---------------------------------------------------------------------------------------

static nm_sym primed(nm_module *m, nm_sym name, nm_sym like)
{
    const char *primes = strchr(like, '\'');
    return primes ? nm_sym_fmt(m, "%s%s", name, primes) : name;
}

static nm_sym unprimed(nm_module *m, nm_sym name)
{
    return nm_intern(m->syms, name, strcspn(name, "'"));
}

// What `use ... (name = ours)` binds name to.
static nm_sym bound_name(nm_module *m, const nm_ast_use *use, nm_sym name)
{
    nm_sym base = unprimed(m, name);
    for (int i = 0; i < use->settings.n; i++) {
        const nm_ast_setting *s = &use->settings.item[i];
        if (s->word.sym == base && s->value && s->value->kind == NM_EXPR_name)
            return primed(m, s->value->u.name.sym, name);
    }
    return NULL;
}

nm_sym nm_weights_dim(const nm_weights_ctx *c, const nm_scope *s, const nm_param *p, nm_sym name)
{
    if (nm_has_dim(p->type, name))
        return name;
    const nm_ast_file *file = c->prog->main;
    for (int i = 0; i < file->n_uses; i++) {
        const nm_ast_use *use = &file->use[i];
        if (use->as.sym && use != s->use)
            continue;
        nm_sym bound = bound_name(c->m, use, name);
        if (bound && nm_has_dim(p->type, bound))
            return bound;
    }
    nm_sym own = s->use ? nm_sym_fmt(c->m, "%s.%s", s->use->as.sym, name) : NULL;
    return own && nm_has_dim(p->type, own) ? own : NULL;
}

const char *nm_weights_param_str(nm_module *m, const nm_param *p)
{
    const char *text = "[";
    for (int i = 0; i < p->type->rank; i++) {
        bool in_arrow = p->is_arrow && i > p->n_batch;
        bool codomain = p->is_arrow && i == p->n_batch + p->n_ins;
        const char *between = !i ? "" : codomain ? " -> " : in_arrow ? " " : ", ";
        text = nm_arena_fmt(m->arena, "%s%s%s", text, between, p->type->dim[i].name);
    }
    return nm_arena_fmt(m->arena, "%s]", text);
}

// --- reading a layout ----------------------------------------------------------------------------

static bool complain(seen *s, nm_loc at, const char *what, const char *which)
{
    const char *is = nm_weights_param_str(s->c->m, s->p);
    return nm_error(s->c->m->diag, at, "%s is %s; %s%s%s%s [map-2]", s->p->path, is, what,
                    which ? " '" : "", which ? which : "", which ? "'" : "");
}

static bool read_name(seen *s, nm_sym name, nm_loc at)
{
    nm_sym dim = nm_weights_dim(s->c, s->scope, s->p, name);
    if (!dim)
        return complain(s, at, "it has no dim", name);
    int i = nm_type_find(s->p->type, dim);
    if (s->has[i])
        return complain(s, at, "the file has it twice:", name);
    return s->has[i] = true;
}

static bool read_lay(seen *s, const nm_ast_lay *lay);

static bool read_term(seen *s, const nm_ast_term *t)
{
    if (t->group)
        return read_lay(s, t->group);
    if (t->name.n)
        return read_name(s, t->name.sym, t->loc);
    if (t->number == 1)
        return true;
    if (t->number != s->map->n_parts)
        return nm_error(s->c->m->diag, t->loc,
                        "a number in a layout is 1, a unit dim, or how many parts lie side by side "
                        "(%d here) [map-2]",
                        s->map->n_parts);
    return s->splits = true;
}

static bool read_lay(seen *s, const nm_ast_lay *lay)
{
    if (lay->n > 1 && lay->n != s->map->n_parts)
        return nm_error(s->c->m->diag, lay->loc,
                        "this place has %d parts, and %d are mapped [map-2]", lay->n,
                        s->map->n_parts);
    s->splits |= lay->n > 1;
    const nm_ast_terms *terms = &lay->part[lay->n > 1 ? s->part : 0];
    for (int i = 0; i < terms->n; i++)
        if (!read_term(s, &terms->term[i]))
            return false;
    return true;
}

// The {dims} of one file name.
static bool read_braces(seen *s, const char *text, nm_loc at)
{
    for (const char *open = strchr(text, '{'); open; open = strchr(open + 1, '{')) {
        size_t n = strcspn(open + 1, "}");
        if (!open[1 + n])
            return nm_error(s->c->m->diag, at, "'{' without '}' in \"%s\" [map-2]", text);
        if (!read_name(s, nm_intern(s->c->m->syms, open + 1, n), at))
            return false;
    }
    return true;
}

// A part may be one index of a dim, or a slice: w[experts = 0].
static bool read_views(seen *s)
{
    const nm_ast_part *part = &s->map->part[s->part];
    for (int i = 0; i < part->n_views; i++) {
        const nm_ast_view *v = &part->view[i];
        if (v->kind == NM_VIEW_pick && !read_name(s, v->dim.sym, v->loc))
            return false;
        if (v->kind != NM_VIEW_pick && v->kind != NM_VIEW_slice)
            return nm_error(
                s->c->m->diag, v->loc,
                "of a parameter, a map takes an index or a slice: [experts = 0] [map-2]");
    }
    return true;
}

static bool read_layout(seen *s)
{
    for (int i = 0; i < s->map->n_lays; i++)
        if (!read_lay(s, &s->map->lay[i]))
            return false;
    nm_loc at = s->map->layout_loc.len ? s->map->layout_loc : s->map->loc;
    if (s->map->n_parts > 1 && !s->splits)
        return nm_error(
            s->c->m->diag, at,
            "%d parts in one tensor: write %d, or '|', where they lie side by side [map-2]",
            s->map->n_parts, s->map->n_parts);
    for (int i = 0; i < s->p->type->rank && s->map->n_lays; i++)
        if (!s->has[i])
            return complain(s, at, "the layout lacks", s->p->type->dim[i].name);
    return true;
}

bool nm_weights_check_layout(nm_weights_ctx *c, const nm_scope *scope, const nm_ast_map *map, int k,
                             const nm_param *p)
{
    seen s = {.c = c, .scope = scope, .map = map, .p = p, .part = k};
    if (!read_views(&s) || !read_braces(&s, scope->prefix, scope->loc))
        return false;
    seen outer = s; // each name of a codec has the same {dims}
    for (int i = 0; i < map->names.n; i++) {
        s = outer;
        if (!read_braces(&s, map->names.word[i].sym, map->names.word[i].loc))
            return false;
    }
    return read_layout(&s);
}
