#include "passes/retype.h"

static void retype(nm_module *m, const nm_type **slot, nm_type_map *map, void *user, bool *changed)
{
    const nm_type *t = map(m, *slot, user);
    *changed |= t != *slot;
    *slot = t;
}

void nm_retype_func(nm_func *f, nm_type_map *map, void *user, bool *changed)
{
    for (int i = 0; i < f->n_params; i++)
        retype(f->module, &f->param[i]->type, map, user, changed);
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            retype(f->module, &op->out[i].type, map, user, changed);
        if (op->body)
            nm_retype_func(op->body, map, user, changed);
    }
}

void nm_retype(nm_module *m, nm_type_map *map, void *user, bool *changed)
{
    for (int i = 0; i < m->n_params; i++)
        retype(m, &m->param[i].type, map, user, changed);
    nm_each_func(f, m)
        nm_retype_func(f, map, user, changed);
}
