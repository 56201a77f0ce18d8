// Where the elements of parameters lie in a file's tensor: a layout as strides.
//
// A layout is places, major first; a place is dims merged, parts side by side ('|' or a number), or
// both. Its extent is the product, over '|' the sum. Laid down from the last place to the first, a
// dim's stride is what lies behind it; a part's base is what lies in front of it.
#include "frontend/weights_internal.h"

#include <string.h>

typedef struct place { // one entry of a map
    nm_weights_ctx *c;
    const nm_scope *scope;
    const nm_ast_map *map;
    const nm_param *const *param; // by part
    nm_part_of *part;
} place;

// Sizes of a model that no machine could hold must not overflow here.
static int64_t times(int64_t a, int64_t b)
{
    int64_t n;
    return __builtin_mul_overflow(a, b, &n) ? INT64_MAX : n;
}

static int64_t plus(int64_t a, int64_t b)
{
    int64_t n;
    return __builtin_add_overflow(a, b, &n) ? INT64_MAX : n;
}

static int find_dim(const place *l, int k, nm_sym name)
{
    return nm_type_find(l->param[k]->type, nm_weights_dim(l->c, l->scope, l->param[k], name));
}

// --- the part of the parameter -------------------------------------------------------------------

static bool is_bound(const nm_ast_expr *x, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (!x)
        return true;
    if (x->kind != NM_EXPR_number || !x->u.number.is_int)
        return false;
    *out = x->u.number.i;
    return true;
}

// w[experts = 0], w[context = 0..512]
static bool read_view(place *l, int k, const nm_ast_view *v)
{
    nm_part_of *part = &l->part[k];
    bool pick = v->kind == NM_VIEW_pick;
    int j = find_dim(l, k, v->dim.sym);
    if (j < 0)
        return nm_error(l->c->m->diag, v->loc, "%s is %s; it has no dim '%s' [map-2]",
                        l->param[k]->path, nm_weights_param_str(l->c->m, l->param[k]), v->dim.sym);
    int64_t from, to;
    bool known = is_bound(pick ? v->index : v->lo, 0, &from) &&
                 is_bound(pick ? NULL : v->hi, pick ? plus(from, 1) : part->dim[j], &to);
    if (!known || from < 0 || from >= to || to > part->dim[j])
        return nm_error(l->c->m->diag, v->loc,
                        "of '%s' a map takes whole numbers from 0 to %lld [map-2]", v->dim.sym,
                        (long long)part->dim[j]);
    part->from[j] = from;
    part->extent[j] = to - from;
    return true;
}

static bool read_part(place *l, int k)
{
    const nm_param *p = l->param[k];
    nm_part_of *part = &l->part[k];
    *part = (nm_part_of){.loc = l->map->loc, .param = p->path, .n_dims = p->type->rank};
    for (int j = 0; j < p->type->rank; j++) {
        if (!nm_extent_is_const(p->type->dim[j].extent, &part->dim[j]))
            return nm_error(l->c->m->diag, l->map->part[k].loc,
                            "'%s' of %s is bound when the binary starts: files have no such "
                            "parameters [map-2]",
                            p->type->dim[j].name, p->path);
        part->extent[j] = part->dim[j];
    }
    for (int i = 0; i < l->map->part[k].n_views; i++)
        if (!read_view(l, k, &l->map->part[k].view[i]))
            return false;
    return true;
}

// --- names ---------------------------------------------------------------------------------------

// "layers.{layers}.w" as "layers.{0}.w".
static nm_sym name_of(place *l, int k, const char *text)
{
    nm_module *m = l->c->m;
    const char *all = nm_arena_fmt(m->arena, "%s%s", l->scope->prefix, text), *out = "";
    for (;;) {
        int n = (int)strcspn(all, "{");
        if (!all[n])
            return nm_sym_fmt(m, "%s%s", out, all);
        size_t len = strcspn(all + n + 1, "}");
        nm_sym dim = nm_intern(m->syms, all + n + 1, len);
        out = nm_arena_fmt(m->arena, "%s%.*s{%d}", out, n, all, find_dim(l, k, dim));
        all += (size_t)n + 1 + len + 1;
    }
}

static bool is_in(nm_sym name, int j)
{
    char brace[16];
    snprintf(brace, sizeof brace, "{%d}", j);
    return strstr(name, brace) != NULL;
}

// --- extents -------------------------------------------------------------------------------------

static int64_t lay_extent(const place *l, const nm_ast_lay *lay, int k);

static int64_t terms_extent(const place *l, const nm_ast_terms *terms, int k)
{
    int64_t all = 1;
    for (int i = 0; i < terms->n; i++) {
        const nm_ast_term *t = &terms->term[i];
        all = times(all, t->group    ? lay_extent(l, t->group, k)
                         : t->name.n ? l->part[k].extent[find_dim(l, k, t->name.sym)]
                                     : t->number);
    }
    return all;
}

// Of the first n parts of a place.
static int64_t sum_extents(const place *l, const nm_ast_lay *lay, int n)
{
    int64_t all = 0;
    for (int i = 0; i < n; i++)
        all = plus(all, terms_extent(l, &lay->part[i], i));
    return all;
}

static int64_t lay_extent(const place *l, const nm_ast_lay *lay, int k)
{
    return lay->n > 1 ? sum_extents(l, lay, lay->n) : terms_extent(l, &lay->part[0], k);
}

// --- strides -------------------------------------------------------------------------------------

// Part k of a place, behind which `stride` elements lie for each of its indices.
static void lay_down(place *l, const nm_ast_lay *lay, int k, int64_t stride)
{
    nm_part_of *part = &l->part[k];
    if (lay->n > 1)
        part->base = plus(part->base, times(stride, sum_extents(l, lay, k)));
    const nm_ast_terms *terms = &lay->part[lay->n > 1 ? k : 0];
    for (int i = terms->n - 1; i >= 0; i--) {
        const nm_ast_term *t = &terms->term[i];
        if (t->group)
            lay_down(l, t->group, k, stride);
        else if (t->name.n)
            part->stride[find_dim(l, k, t->name.sym)] = stride;
        else if (t->number > 1)
            part->base = plus(part->base, times(stride, k));
        stride =
            times(stride, terms_extent(l, &(nm_ast_terms){.n = 1, .term = &terms->term[i]}, k));
    }
}

static void lay_down_all(place *l, int k)
{
    nm_part_of *part = &l->part[k];
    int64_t stride = 1;
    part->rank = l->map->n_lays;
    for (int i = part->rank - 1; i >= 0; i--) {
        lay_down(l, &l->map->lay[i], k, stride);
        part->shape[i] = lay_extent(l, &l->map->lay[i], k);
        stride = times(stride, part->shape[i]);
    }
}

static bool is_picked(const place *l, int k, int j)
{
    const nm_ast_part *part = &l->map->part[k];
    for (int i = 0; i < part->n_views; i++)
        if (part->view[i].kind == NM_VIEW_pick && find_dim(l, k, part->view[i].dim.sym) == j)
            return true;
    return false;
}

// Without a layout: the dims that the name does not have, as the parameter has them.
static void lay_down_own(place *l, int k)
{
    nm_part_of *part = &l->part[k];
    int64_t stride = 1;
    int at = NM_MAX_RANK;
    for (int j = part->n_dims - 1; j >= 0; j--) {
        if (is_in(part->name, j) || is_picked(l, k, j))
            continue;
        part->stride[j] = stride;
        part->shape[--at] = part->extent[j];
        stride = times(stride, part->extent[j]);
    }
    part->rank = NM_MAX_RANK - at;
    memmove(part->shape, part->shape + at, (size_t)part->rank * sizeof *part->shape);
}

// --- all -----------------------------------------------------------------------------------------

static const char *shape_str(nm_module *m, const nm_part_of *part)
{
    const char *s = "";
    for (int i = 0; i < part->rank; i++)
        s = nm_arena_fmt(m->arena, "%s%s%lld", s, i ? ", " : "", (long long)part->shape[i]);
    return s;
}

static bool agrees(place *l, int k)
{
    const nm_part_of *a = &l->part[0], *b = &l->part[k];
    nm_module *m = l->c->m;
    if (a->rank == b->rank && !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape))
        return true;
    return nm_error(m->diag, l->map->part[k].loc,
                    "for %s the tensor \"%s\" is [%s], and for %s it is [%s] [map-3]", b->param,
                    l->map->names.word[0].sym, shape_str(m, b), a->param, shape_str(m, a));
}

bool nm_weights_place(nm_weights_ctx *c, const nm_scope *s, const nm_ast_map *map,
                      const nm_param *const *param)
{
    nm_weights *w = c->out;
    size_t n = (size_t)map->n_parts;
    nm_part_of *all = nm_new_n(c->m->arena, nm_part_of, (size_t)w->n_parts + n);
    if (w->n_parts)
        memcpy(all, w->part, (size_t)w->n_parts * sizeof *all);
    place l = {.c = c, .scope = s, .map = map, .param = param, .part = all + w->n_parts};
    for (int k = 0; k < map->n_parts; k++)
        if (!read_part(&l, k))
            return false;
    for (int k = 0; k < map->n_parts; k++) {
        nm_part_of *part = &l.part[k];
        part->name = name_of(&l, k, map->names.word[0].sym);
        part->codec = map->word.sym;
        part->scales = map->names.n > 1 ? name_of(&l, k, map->names.word[1].sym) : NULL;
        map->n_lays ? lay_down_all(&l, k) : lay_down_own(&l, k);
        if (!agrees(&l, k))
            return false;
    }
    w->part = all;
    w->n_parts += map->n_parts;
    return true;
}
