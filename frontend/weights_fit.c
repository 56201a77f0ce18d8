// Is a map all that the module needs (map-1)? A map that leaves a parameter without a tensor is for
// other presets if it also names parameters that this one does not have; else it is a mistake.
#include "frontend/weights_internal.h"

#include "frontend/paths.h"

#include <string.h>

// --- scope ---------------------------------------------------------------------------------------

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

bool nm_weights_in_scope(const nm_weights_ctx *c, const nm_param *p)
{
    if (p->state)
        return false;
    return c->weights->on.n ? nm_paths_match(&c->weights->on, p->path) : !is_adapters(c, p->path);
}

// --- a tensor for every parameter ----------------------------------------------------------------

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

static void lacks_tensor(nm_weights_ctx *c, const nm_param *p)
{
    const nm_ast_weights *w = c->weights;
    const char *what = nm_arena_fmt(c->m->arena, "no file tensor for %s %s", p->path,
                                    nm_weights_param_str(c->m, p));
    if (!c->absent)
        c->ok = nm_error(c->m->diag, place_for(c, p->path, "", w->n_maps, w->map, w->loc),
                         "%s [map-1]", what);
    else if (!c->out->misfit)
        c->out->misfit = nm_sym_get(c->m, what);
}

// --- and for all of it ---------------------------------------------------------------------------

static int64_t count(int n, const int64_t *extent)
{
    int64_t all = 1;
    for (int i = 0; i < n; i++)
        if (__builtin_mul_overflow(all, extent[i], &all))
            return INT64_MAX;
    return all;
}

static void check_parts(nm_weights_ctx *c, const nm_param *p)
{
    int64_t mapped = 0, all = 0;
    for (int i = 0; i < c->out->n_parts; i++) {
        const nm_part_of *part = &c->out->part[i];
        if (part->param != p->path)
            continue;
        all = count(part->n_dims, part->dim);
        if (__builtin_add_overflow(mapped, count(part->n_dims, part->extent), &mapped))
            mapped = INT64_MAX;
    }
    if (mapped != all)
        c->ok = nm_error(c->m->diag, c->home[p - c->m->param]->loc,
                         "the parts of %s in this map have %lld elements together, and it has %lld "
                         "[map-1]",
                         p->path, (long long)mapped, (long long)all);
}

// --- each tensor once ----------------------------------------------------------------------------

// Two entries name one tensor; the parts of one entry share a place.
static void check_tensors(nm_weights_ctx *c)
{
    for (int i = 0; i < c->out->n_parts; i++)
        for (int k = 0; k < i; k++) {
            const nm_part_of *a = &c->out->part[k], *b = &c->out->part[i];
            if (a->name == b->name && a->loc.off != b->loc.off) {
                c->ok = nm_error(c->m->diag, b->loc,
                                 "the tensor \"%s\" is mapped already (line %u) [map-1]", b->name,
                                 nm_loc_line_col(a->loc).line);
                return;
            }
        }
}

// --- all -----------------------------------------------------------------------------------------

static void sort_parts(nm_weights_ctx *c)
{
    nm_weights *w = c->out;
    nm_part_of *sorted = nm_new_n(c->m->arena, nm_part_of, (size_t)w->n_parts + 1);
    int n = 0;
    for (int p = 0; p < c->m->n_params; p++)
        for (int i = 0; i < w->n_parts; i++)
            if (w->part[i].param == c->m->param[p].path)
                sorted[n++] = w->part[i];
    w->part = sorted;
}

void nm_weights_check_fit(nm_weights_ctx *c)
{
    for (int i = 0; i < c->m->n_params; i++)
        if (!c->home[i] && nm_weights_in_scope(c, &c->m->param[i]))
            lacks_tensor(c, &c->m->param[i]);
    if (c->ok && !c->out->misfit) {
        check_tensors(c);
        for (int i = 0; i < c->m->n_params; i++)
            if (c->home[i])
                check_parts(c, &c->m->param[i]);
    }
    if (c->out->misfit)
        c->out->n_parts = 0;
    sort_parts(c);
}
