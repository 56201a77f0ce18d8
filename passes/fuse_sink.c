// acc + part, where part is a stacked result of a repeat and acc a parameter: the add moves into
// the repeat, which then takes acc as one more stacked operand. A turn's part is added while it is
// computed (the product's epilogue), in place, and the stacked parts are never stored.
//
//   %g = repeat ... stacked [layers, d, ff]        %acc' = repeat ..., %acc { ... %s = add %acc.t,
//   %g.t } %acc' = add %acc, %g
#include "passes/fuse.h"

#include <string.h>

static nm_op *sinkable_add(nm_op *repeat, int result)
{
    nm_value *part = &repeat->out[result];
    nm_sym over = nm_attr_sym(repeat, "over");
    if (!nm_used_once(part) || part->uses->op->code != NM_OP_add)
        return NULL;
    nm_op *add = part->uses->op;
    nm_value *acc = add->in[1 - part->uses->index];
    bool same = nm_type_same_set(acc->type, part->type) && acc->type->dtype == part->type->dtype;
    bool outer = acc->type->rank > 0 && acc->type->dim[0].name == over;
    return !acc->def && same && outer ? add : NULL;
}

// A body parameter of this type at place `at`; those behind move up.
static nm_value *insert_param(nm_func *body, int at, const nm_type *type, nm_sym name)
{
    nm_value *v = nm_func_param(body, type, name, (nm_bind){0});
    for (int i = body->n_params - 1; i > at; i--) {
        body->param[i] = body->param[i - 1];
        body->param[i]->index = i;
    }
    body->param[at] = v;
    v->index = at;
    return v;
}

static int n_before_whole(const nm_op *repeat)
{
    return (int)(nm_attr_int(repeat, "carried", 0) + nm_attr_int(repeat, "stacked", 0));
}

// --- the repeat again, with more stacked operands -------------------------------------------

typedef struct sunk { // the adds of one repeat
    int n;
    nm_op **add;
    int *result; // of the repeat, that it reads
    nm_value **acc;
} sunk;

static nm_attr *with_stacked(const nm_op *repeat, int more, nm_arena *scratch)
{
    nm_attr *attr = nm_new_n(scratch, nm_attr, repeat->n_attrs);
    for (int i = 0; i < repeat->n_attrs; i++) {
        attr[i] = repeat->attr[i];
        if (strcmp(attr[i].name, "stacked") == 0)
            attr[i].u.i += more;
    }
    return attr;
}

static nm_op *widen(nm_op *repeat, const sunk *s, nm_arena *scratch)
{
    int at = n_before_whole(repeat);
    nm_value **in = nm_new_n(scratch, nm_value *, repeat->n_in + s->n);
    for (int i = 0; i < repeat->n_in; i++)
        in[i < at ? i : i + s->n] = repeat->in[i];
    for (int i = 0; i < s->n; i++)
        in[at + i] = s->acc[i];
    nm_proto proto = {.code = NM_OP_repeat,
                      .loc = repeat->loc,
                      .n_in = repeat->n_in + s->n,
                      .in = in,
                      .n_attrs = repeat->n_attrs,
                      .attr = with_stacked(repeat, s->n, scratch),
                      .body = repeat->body};
    nm_op *wider = nm_build_op(repeat->func, repeat, &proto);
    if (!wider)
        nm_bug("fuse: a repeat does not type with its accumulators");
    for (int i = 0; i < repeat->n_out; i++) {
        wider->out[i].name = repeat->out[i].name;
        nm_replace(&repeat->out[i], &wider->out[i]);
    }
    nm_erase(repeat);
    return wider;
}

// --- sinking --------------------------------------------------------------------------------

static void add_in_body(nm_op *repeat, nm_op *add, int result, int at)
{
    nm_func *body = repeat->body;
    int slot = repeat->out[result].uses->index;
    nm_value *acc = add->in[1 - slot];
    const nm_type *turn = nm_type_without(body->module, acc->type, nm_attr_sym(repeat, "over"));
    nm_value *in[2];
    in[slot] = body->last->in[result];
    in[1 - slot] = insert_param(body, at, turn, acc->name);
    nm_proto proto = {.code = NM_OP_add, .loc = add->loc, .n_in = 2, .in = in, .type = turn};
    nm_set_operand(body->last, result, nm_build(body, body->last, &proto));
}

static sunk find_sinkable(nm_op *repeat, nm_arena *scratch)
{
    sunk s = {0, nm_new_n(scratch, nm_op *, repeat->n_out), nm_new_n(scratch, int, repeat->n_out),
              nm_new_n(scratch, nm_value *, repeat->n_out)};
    for (int i = (int)nm_attr_int(repeat, "carried", 0); i < repeat->n_out; i++) {
        nm_op *add = sinkable_add(repeat, i);
        if (!add)
            continue;
        s.add[s.n] = add;
        s.result[s.n] = i;
        s.acc[s.n++] = add->in[1 - repeat->out[i].uses->index];
    }
    return s;
}

static nm_op *sink(nm_op *repeat, nm_arena *scratch)
{
    sunk s = find_sinkable(repeat, scratch);
    if (!s.n)
        return repeat;
    int at = n_before_whole(repeat);
    for (int i = 0; i < s.n; i++)
        add_in_body(repeat, s.add[i], s.result[i], at + i);
    nm_op *wider = widen(repeat, &s, scratch);
    for (int i = 0; i < s.n; i++) {
        nm_replace(&s.add[i]->out[0], &wider->out[s.result[i]]);
        nm_erase(s.add[i]);
    }
    return wider;
}

void nm_fuse_sink(nm_func *f, nm_arena *scratch)
{
    for (nm_op *op = f->first; op; op = op->next)
        if (op->code == NM_OP_repeat)
            op = sink(op, scratch);
}
