#include "passes/parts.h"

#include "passes/simplify.h"
#include "passes/value_number.h"

nm_func *nm_part_copy(nm_func *f, nm_sym name, nm_value ***map)
{
    *map = nm_new_n(f->module->arena, nm_value *, f->n_values + 1);
    return nm_func_clone(f, name, *map);
}

void nm_part_clean(nm_func *f)
{
    for (bool again = true; again;) {
        again = false;
        nm_drop_dead(f, &again);
        nm_value_number(f, &again);
        nm_simplify_loops(f, &again);
    }
}

void nm_part_drop_params(nm_func *f)
{
    int n = 0;
    for (int i = 0; i < f->n_params; i++) {
        if (!f->param[i]->uses)
            continue;
        f->param[i]->index = n;
        f->param[n] = f->param[i];
        f->param_bind[n++] = f->param_bind[i];
    }
    f->n_params = n;
}

void nm_part_give(nm_gives *g, nm_value *v, nm_bind bind)
{
    nm_arena *arena = v->func->module->arena;
    g->value = nm_arena_grow(arena, g->value, g->n, sizeof *g->value);
    g->bind = nm_arena_grow(arena, g->bind, g->n, sizeof *g->bind);
    g->value[g->n] = v;
    g->bind[g->n++] = bind;
}

void nm_part_end(nm_func *f, const nm_gives *g)
{
    nm_loc loc = f->last->loc;
    nm_erase(f->last);
    nm_func_ret(f, loc, g->n, g->value, g->bind);
    nm_part_clean(f);
    nm_part_drop_params(f);
}
