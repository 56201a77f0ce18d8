// Building and changing functions. Every operand slot is a link in its value's list of uses, so
// that replacing a value and asking who reads it touch nothing else.
#include "ir/shape.h"
#include "ir/tables.h"

#include <string.h>

// --- use lists -----------------------------------------------------------------------------------

static void link_use(nm_use *u, nm_value *v)
{
    u->prev = NULL;
    u->next = v->uses;
    if (v->uses)
        v->uses->prev = u;
    v->uses = u;
}

static void unlink_use(nm_use *u)
{
    nm_value *v = u->op->in[u->index];
    if (u->prev)
        u->prev->next = u->next;
    else
        v->uses = u->next;
    if (u->next)
        u->next->prev = u->prev;
    u->prev = u->next = NULL;
}

void nm_set_operand(nm_op *op, int i, nm_value *with)
{
    unlink_use(&op->use[i]);
    op->in[i] = with;
    link_use(&op->use[i], with);
}

void nm_add_attr(nm_op *op, nm_attr attr)
{
    nm_attr *all = nm_new_n(op->func->module->arena, nm_attr, op->n_attrs + 1);
    if (op->n_attrs)
        memcpy(all, op->attr, (size_t)op->n_attrs * sizeof *all);
    all[op->n_attrs++] = attr;
    op->attr = all;
}

void nm_replace(nm_value *old, nm_value *with)
{
    nm_use *last = NULL;
    if (old == with)
        return;
    nm_each_use(u, old) {
        u->op->in[u->index] = with;
        last = u;
    }
    if (!last)
        return;
    last->next = with->uses;
    if (with->uses)
        with->uses->prev = last;
    with->uses = old->uses;
    old->uses = NULL;
}

bool nm_used_once(const nm_value *v) { return v->uses && !v->uses->next; }

int nm_n_uses(const nm_value *v)
{
    int n = 0;
    nm_each_use(u, v)
        n++;
    return n;
}

// --- the list of ops -----------------------------------------------------------------------------

static void insert_op(nm_func *f, nm_op *op, nm_op *before)
{
    op->func = f;
    op->next = before;
    op->prev = before ? before->prev : f->last;
    *(op->prev ? &op->prev->next : &f->first) = op;
    *(before ? &before->prev : &f->last) = op;
    f->ordered = false;
}

static void remove_op(nm_op *op)
{
    nm_func *f = op->func;
    *(op->prev ? &op->prev->next : &f->first) = op->next;
    *(op->next ? &op->next->prev : &f->last) = op->prev;
    op->prev = op->next = NULL;
}

void nm_erase(nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        if (op->out[i].uses)
            nm_bug("erasing a %s whose result %d is read", nm_info(op)->name, i);
    for (int i = 0; i < op->n_in; i++)
        unlink_use(&op->use[i]);
    remove_op(op);
}

void nm_move_before(nm_op *op, nm_op *before)
{
    if (op == before)
        return;
    if (op->func != before->func)
        nm_bug("moving a %s into another function", nm_info(op)->name);
    remove_op(op);
    insert_op(before->func, op, before);
}

static void put_in_order(nm_func *f)
{
    uint32_t n = 0;
    nm_each_op(op, f)
        op->order = n++;
    f->ordered = true;
}

bool nm_stands_before(const nm_op *x, const nm_op *y)
{
    if (x->func != y->func)
        return false;
    if (!x->func->ordered)
        put_in_order(x->func);
    return x->order < y->order;
}

bool nm_is_read_by_ret_alone(const nm_op *op)
{
    for (int i = 0; i < op->n_out; i++)
        nm_each_use(u, &op->out[i])
            if (u->op->code != NM_OP_ret)
                return false;
    return true;
}

// --- building ------------------------------------------------------------------------------------

static const char *plural(int n) { return n == 1 ? "" : "s"; }

static bool check_counts(nm_module *m, const nm_proto *p)
{
    const nm_op_info *info = &nm_op_table[p->code];
    int given = p->n_types ? p->n_types : p->type ? 1 : 0;
    int n_out = info->n_out ? info->n_out : 1;
    if (info->n_in != NM_VARIADIC && p->n_in != info->n_in)
        return nm_error(m->diag, p->loc, "%s takes %d operand%s, not %d [op-1]", info->name,
                        info->n_in, plural(info->n_in), p->n_in);
    if (given && info->n_out != NM_VARIADIC && p->code != NM_OP_ret && given != n_out)
        return nm_error(m->diag, p->loc, "%s has %d result%s, not %d [op-2]", info->name, n_out,
                        plural(n_out), given);
    if (info->traits & NM_GIVEN && info->n_out != NM_VARIADIC && !given)
        return nm_error(m->diag, p->loc, "%s: the type of its result is to be given [type-3]",
                        info->name);
    return (p->body != NULL) == ((info->traits & NM_BODY) != 0) ||
           nm_error(m->diag, p->loc, "%s %s [body-1]", info->name,
                    p->body ? "has no body" : "has a body that ends in ret");
}

static void set_results(nm_arena *arena, nm_op *op, const nm_proto *p)
{
    const nm_op_info *info = nm_info(op);
    if (op->code == NM_OP_ret)
        return;
    op->n_out = info->n_out == NM_VARIADIC ? (p->n_types ? p->n_types
                                              : p->type  ? 1
                                                         : 0)
                : info->n_out              ? info->n_out
                                           : 1;
    op->out = op->n_out ? nm_new_n(arena, nm_value, op->n_out) : NULL;
    for (int i = 0; i < op->n_out; i++)
        op->out[i].type = p->n_types ? p->types[i] : i ? NULL : p->type;
}

// The op with operands, attributes and given types, not yet in a function; NULL: reported.
static nm_op *make_op(nm_module *m, nm_func *f, const nm_proto *p)
{
    nm_attr attr[NM_MAX_OP_ATTRS];
    int n_attrs;
    if (!check_counts(m, p) ||
        !nm_attrs_normalise(m, p->loc, p->code, p->n_attrs, p->attr, &n_attrs, attr))
        return NULL;
    nm_op *op = nm_new(m->arena, nm_op);
    *op = (nm_op){.code = p->code,
                  .func = f,
                  .loc = p->loc,
                  .n_in = p->n_in,
                  .n_attrs = n_attrs,
                  .body = p->body};
    op->in = nm_new_n(m->arena, nm_value *, p->n_in);
    op->use = nm_new_n(m->arena, nm_use, p->n_in);
    for (int i = 0; i < p->n_in; i++) {
        if (!p->in[i])
            nm_bug("%s: operand %d is NULL", nm_info(op)->name, i);
        op->in[i] = p->in[i];
        op->use[i] = (nm_use){.op = op, .index = i};
    }
    op->attr = nm_new_n(m->arena, nm_attr, n_attrs);
    if (n_attrs)
        memcpy(op->attr, attr, (size_t)n_attrs * sizeof *attr);
    set_results(m->arena, op, p);
    return op;
}

nm_proto nm_proto_of(const nm_op *op)
{
    nm_proto p = {.code = op->code,
                  .loc = op->loc,
                  .n_in = op->n_in,
                  .in = op->in,
                  .n_attrs = op->n_attrs,
                  .attr = op->attr,
                  .name = op->n_out ? op->out[0].name : NULL};
    if (op->n_out == 1)
        p.type = op->out[0].type;
    if (op->n_out < 2)
        return p;
    const nm_type **types = nm_new_n(op->func->module->arena, const nm_type *, op->n_out);
    for (int i = 0; i < op->n_out; i++)
        types[i] = op->out[i].type;
    p.n_types = op->n_out;
    p.types = types;
    return p;
}

static void shift_ids(nm_func *f, uint32_t by)
{
    for (int i = 0; i < f->n_params; i++)
        f->param[i]->id += by;
    nm_each_op(op, f) {
        for (int i = 0; i < op->n_out; i++)
            op->out[i].id += by;
        if (op->body)
            shift_ids(op->body, by);
    }
}

// A body that was built by itself takes its numbers from the function that it now is in. One that
// was another op's of the same function has them already.
static void adopt(nm_func *outer, nm_op *op)
{
    nm_func *body = op->body;
    if (!body->parent) {
        shift_ids(body, outer->n_values);
        outer->n_values += body->n_values;
        body->n_values = 0;
    } else if (nm_func_outer(body) != outer)
        nm_bug("a body of @%s moves to another function", nm_func_outer(body)->name);
    body->parent = op;
}

nm_op *nm_build_op(nm_func *f, nm_op *before, const nm_proto *p)
{
    nm_module *m = f->module;
    nm_op *op = make_op(m, f, p);
    if (!op || !nm_shape_check(m, op))
        return NULL;
    nm_func *outer = nm_func_outer(f);
    if (op->body)
        adopt(outer, op);
    for (int i = 0; i < op->n_out; i++) {
        nm_value *v = &op->out[i];
        *v = (nm_value){.type = v->type,
                        .def = op,
                        .index = i,
                        .func = f,
                        .id = outer->n_values++,
                        .name = i ? NULL : p->name};
    }
    for (int i = 0; i < op->n_in; i++)
        link_use(&op->use[i], op->in[i]);
    insert_op(f, op, before);
    return op;
}

nm_value *nm_build(nm_func *f, nm_op *before, const nm_proto *p)
{
    nm_op *op = nm_build_op(f, before, p);
    return op ? &op->out[0] : NULL;
}

nm_value *nm_build1(nm_func *f, nm_op *before, nm_loc loc, nm_opcode code, nm_value *a)
{
    return nm_build(f, before, &(nm_proto){.code = code, .loc = loc, .n_in = 1, .in = &a});
}

nm_value *nm_build2(nm_func *f, nm_op *before, nm_loc loc, nm_opcode code, nm_value *a, nm_value *b)
{
    nm_value *in[] = {a, b};
    return nm_build(f, before, &(nm_proto){.code = code, .loc = loc, .n_in = 2, .in = in});
}

nm_value *nm_build_filled(nm_func *f, nm_op *before, nm_loc loc, const nm_type *type, double value)
{
    nm_attr attr = nm_mk_float(f->module, "value", value);
    return nm_build(
        f, before,
        &(nm_proto){.code = NM_OP_const, .loc = loc, .n_attrs = 1, .attr = &attr, .type = type});
}

nm_value *nm_build_const(nm_func *f, nm_op *before, nm_loc loc, nm_dtype dtype, double value)
{
    return nm_build_filled(f, before, loc, nm_type_scalar(f->module, dtype), value);
}

bool nm_is_zero(const nm_value *v)
{
    return v->def && v->def->code == NM_OP_const && nm_attr_float(v->def, "value", 1) == 0;
}
