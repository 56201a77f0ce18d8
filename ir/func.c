// Functions: making, ending, removing, copying.
#include "ir/tables.h"

#include <string.h>

nm_func *nm_func_outer(nm_func *f)
{
    while (f->parent)
        f = f->parent->func;
    return f;
}

static int find(int n, const nm_bind *bind, nm_bind_kind kind, nm_sym name)
{
    for (int i = 0; i < n; i++)
        if (bind[i].kind == kind && bind[i].name == name)
            return i;
    return -1;
}

int nm_func_find_param(const nm_func *f, nm_bind_kind kind, nm_sym name)
{
    return find(f->n_params, f->param_bind, kind, name);
}

int nm_func_find_result(const nm_func *f, nm_bind_kind kind, nm_sym name)
{
    return find(f->n_results, f->result_bind, kind, name);
}

nm_func *nm_func_new(nm_module *m, nm_sym name, nm_loc loc)
{
    nm_func *f = nm_new(m->arena, nm_func);
    *f = (nm_func){.module = m, .name = name, .loc = loc};
    if (m->last_func)
        m->last_func->next = f;
    else
        m->first_func = f;
    m->last_func = f;
    return f;
}

// Its values are numbered by itself until it becomes an op's body: see adopt in ir/build.c.
nm_func *nm_body_new(nm_func *in, nm_loc loc)
{
    nm_func *f = nm_new(in->module->arena, nm_func);
    *f = (nm_func){.module = in->module, .loc = loc};
    return f;
}

nm_value *nm_func_param(nm_func *f, const nm_type *type, nm_sym name, nm_bind bind)
{
    nm_arena *arena = f->module->arena;
    nm_value *v = nm_new(arena, nm_value);
    *v = (nm_value){.type = type, .index = f->n_params, .func = f, .name = name};
    v->id = nm_func_outer(f)->n_values++;
    f->param = nm_arena_grow(arena, f->param, f->n_params, sizeof *f->param);
    f->param_bind = nm_arena_grow(arena, f->param_bind, f->n_params, sizeof *f->param_bind);
    f->param[f->n_params] = v;
    f->param_bind[f->n_params++] = bind;
    return v;
}

nm_op *nm_func_ret(nm_func *f, nm_loc loc, int n, nm_value *const *value, const nm_bind *bind)
{
    nm_op *op =
        nm_build_op(f, NULL, &(nm_proto){.code = NM_OP_ret, .loc = loc, .n_in = n, .in = value});
    f->n_results = n;
    f->result_bind = nm_new_n(f->module->arena, nm_bind, n);
    if (bind && n)
        memcpy(f->result_bind, bind, (size_t)n * sizeof *bind);
    return op;
}

void nm_func_remove(nm_func *f)
{
    nm_module *m = f->module;
    nm_func *prev = NULL;
    for (nm_func *g = m->first_func; g && g != f; g = g->next)
        prev = g;
    if (prev)
        prev->next = f->next;
    else
        m->first_func = f->next;
    if (m->last_func == f)
        m->last_func = prev;
    f->next = NULL;
}

void nm_func_move_before(nm_func *f, nm_func *before)
{
    nm_func_remove(f);
    nm_func **at = &f->module->first_func;
    while (*at != before)
        at = &(*at)->next;
    f->next = before;
    *at = f;
}

// --- copying -------------------------------------------------------------------------------------

static void copy_func(nm_func *from, nm_func *to, nm_value **map);

static void copy_op(const nm_op *op, nm_func *to, nm_value **map)
{
    nm_value **in = nm_new_n(to->module->arena, nm_value *, op->n_in);
    for (int i = 0; i < op->n_in; i++)
        in[i] = map[op->in[i]->id];
    nm_proto proto = nm_proto_of(op);
    proto.in = in;
    if (op->body) {
        proto.body = nm_body_new(to, op->body->loc);
        copy_func(op->body, proto.body, map);
    }
    nm_op *copy = nm_build_op(to, NULL, &proto);
    if (!copy)
        nm_bug("a copy of a valid %s is not valid", nm_info(op)->name);
    for (int i = 0; i < op->n_out; i++) {
        copy->out[i].name = op->out[i].name;
        map[op->out[i].id] = &copy->out[i];
    }
}

static void copy_func(nm_func *from, nm_func *to, nm_value **map)
{
    for (int i = 0; i < from->n_params; i++)
        map[from->param[i]->id] =
            nm_func_param(to, from->param[i]->type, from->param[i]->name, from->param_bind[i]);
    nm_each_op(op, from) {
        if (op != from->last || op->code != NM_OP_ret) {
            copy_op(op, to, map);
            continue;
        }
        nm_value **value = nm_new_n(to->module->arena, nm_value *, op->n_in);
        for (int i = 0; i < op->n_in; i++)
            value[i] = map[op->in[i]->id];
        nm_func_ret(to, op->loc, op->n_in, value, from->result_bind);
    }
}

nm_func *nm_func_clone(nm_func *f, nm_sym name, nm_value **map)
{
    nm_func *copy = nm_func_new(f->module, name, f->loc);
    copy->part = f->part;
    if (!map)
        map = nm_new_n(f->module->arena, nm_value *, f->n_values);
    copy_func(f, copy, map);
    return copy;
}
