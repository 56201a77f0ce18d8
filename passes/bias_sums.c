// bias_sums: on a GPU, a library's product sums the gradient of a bias, too.
//
// The gradient of a bias is a sum over all tokens of what the gradient of its weights is made of.
// cuBLASLt sums in the product, which reads it anyway; the sum alone would be a kernel that reads
// it once more. What the sum is added to stays a kernel of its own, of a few elements. Numbers in
// f32 are not summed so, as a library has its own order (nm_fuse_is_half).
//
// Why here: after layout, since it depends on strides whether a product is a library's, and which
// sums that can do (ir/product.c); before combine and bundle, which look at what is left.
#include "ir/product.h"
#include "passes/fuse.h"
#include "passes/inline.h"
#include "passes/pass.h"

#include <string.h>

typedef struct column { // sum(view of `of`) or acc + that, one result
    nm_op *group, *sum;
    nm_value *of, *acc; // operands of the group; acc NULL: none
} column;

static nm_value *operand_of(const nm_op *group, const nm_value *v)
{
    return v->def ? NULL : group->in[v->index];
}

static bool is_kind(const nm_op *op, const char *kind)
{
    return op->code == NM_OP_group && strcmp(nm_attr_sym(op, "kind"), kind) == 0;
}

// The sum that is v, or that is added to `acc` there.
static nm_op *find_sum(const nm_op *group, const nm_value *v, nm_value **acc)
{
    nm_op *op = v->def;
    *acc = NULL;
    for (int i = 0; i < 2 && op && op->code == NM_OP_add; i++) {
        nm_op *sum = op->in[i]->def;
        *acc = operand_of(group, op->in[1 - i]);
        if (sum && sum->code == NM_OP_sum && *acc && nm_used_once(&sum->out[0]))
            return sum;
    }
    return op && op->code == NM_OP_sum ? op : NULL;
}

// What the op, a view or a widening of one operand alone, is of; NULL: it is not that.
static nm_value *viewed(const column *c, const nm_value *v)
{
    while (v->def && v->def->n_in == 1 && (nm_is(v->def, NM_VIEW) || v->def->code == NM_OP_cast))
        v = v->def->in[0];
    return operand_of(c->group, v);
}

static bool read_column(nm_op *group, column *c)
{
    if (!is_kind(group, "column") || group->n_out != 1)
        return false;
    *c = (column){.group = group};
    c->sum = find_sum(group, group->body->last->in[0], &c->acc);
    c->of = c->sum ? viewed(c, c->sum->in[0]) : NULL;
    return c->of && nm_fuse_is_half(c->of->type->dtype) && group->n_in == 1 + (c->acc != NULL);
}

// --- the product with the sum ---------------------------------------------------------------

// What stands in the product's body for the column's operand.
static nm_value *inside(const nm_op *dot, const column *c, nm_value **map)
{
    for (int i = 0; i < dot->n_in; i++)
        if (dot->in[i] == c->of)
            return map[dot->body->param[i]->id];
    nm_bug("bias_sums: the product does not read what is summed");
}

static nm_value *copy_sum(const nm_op *dot, nm_func *body, const column *c, nm_value **map)
{
    const nm_func *old = c->group->body;
    for (int i = 0; i < old->n_params; i++)
        if (c->group->in[i] == c->of)
            map[old->param[i]->id] = inside(dot, c, map);
    for (const nm_op *op = old->first; op != c->sum->next; op = op->next)
        nm_copy_op(body, NULL, op, map);
    return map[c->sum->out[0].id];
}

// In front of `dot`: the same, with the sum as its second result.
static nm_op *build_product(nm_op *dot, const column *c, nm_arena *scratch)
{
    const nm_func *old = dot->body;
    nm_func *body = nm_body_new(dot->func, old->loc);
    nm_value **map = nm_new_n(scratch, nm_value *, (int)nm_func_outer(dot->func)->n_values);
    for (int i = 0; i < old->n_params; i++)
        map[old->param[i]->id] =
            nm_func_param(body, old->param[i]->type, old->param[i]->name, old->param_bind[i]);
    nm_each_op(op, old)
        if (op->code != NM_OP_ret)
            nm_copy_op(body, NULL, op, map);
    nm_value *result[] = {map[old->last->in[0]->id], copy_sum(dot, body, c, map)};
    nm_func_ret(body, old->loc, 2, result, NULL);
    nm_proto proto = nm_proto_of(dot);
    proto.body = body;
    proto.type = NULL;
    proto.n_types = 0;
    return nm_build_op(dot->func, dot, &proto);
}

// --- what is left of the column -------------------------------------------------------------

// acc + sum, behind the product.
static nm_value *build_rest(nm_op *before, const column *c, nm_value *sum)
{
    nm_func *f = before->func;
    if (!c->acc)
        return sum;
    nm_func *body = nm_body_new(f, c->group->loc);
    nm_value *in[] = {c->acc, sum};
    nm_value *a = nm_func_param(body, c->acc->type, c->acc->name, (nm_bind){0});
    nm_value *b = nm_func_param(body, sum->type, NULL, (nm_bind){0});
    nm_proto add = {.code = NM_OP_add,
                    .loc = c->group->loc,
                    .n_in = 2,
                    .in = (nm_value *[]){a, b},
                    .type = c->group->out[0].type};
    nm_value *out = nm_build(body, NULL, &add);
    nm_func_ret(body, c->group->loc, 1, &out, NULL);
    nm_attr kind = nm_mk_sym(f->module, "kind", nm_sym_get(f->module, "map"));
    return nm_build(f, before,
                    &(nm_proto){.code = NM_OP_group,
                                .loc = c->group->loc,
                                .n_in = 2,
                                .in = in,
                                .n_attrs = 1,
                                .attr = &kind,
                                .body = body});
}

static bool stands_before(const nm_op *a, const nm_op *b)
{
    for (const nm_op *op = a; op; op = op->next)
        if (op == b)
            return true;
    return false;
}

// Does somebody read the column's result in front of the product?
static bool is_read_before(const column *c, const nm_op *dot)
{
    nm_each_use(u, &c->group->out[0]) {
        const nm_op *op = u->op;
        if (op->func == dot->func && stands_before(op, dot))
            return true;
    }
    return false;
}

static void replace(nm_value *old, nm_value *with)
{
    with->name = old->name ? old->name : with->name;
    old->name = NULL;
    nm_replace(old, with);
}

// false: a library's product does not do that sum.
static bool join(nm_op *dot, const column *c, nm_arena *scratch)
{
    nm_module *m = dot->func->module;
    nm_product_call call;
    if (!is_kind(dot, "dot") || dot->n_out != 1 || dot->func != c->group->func ||
        is_read_before(c, dot) || !nm_product_of(m, dot, &call))
        return false;
    nm_op *both = build_product(dot, c, scratch);
    if (!both || !nm_product_of(m, both, &call)) {
        if (both)
            nm_erase(both);
        return false;
    }
    nm_op *behind = stands_before(dot, c->group) ? c->group : dot->next;
    replace(&c->group->out[0], build_rest(behind, c, &both->out[1]));
    replace(&dot->out[0], &both->out[0]);
    nm_erase(c->group);
    nm_erase(dot);
    return true;
}

// Among those that read it, too.
static bool find_product(const column *c, nm_arena *scratch)
{
    nm_each_use(u, c->of)
        if (u->op != c->group && join(u->op, c, scratch))
            return true;
    return false;
}

static bool join_list(nm_func *f, nm_arena *scratch)
{
    bool changed = false;
    column c;
    for (nm_op *op = f->first, *next; op; op = next) {
        next = op->next;
        if (op->code == NM_OP_repeat)
            changed = join_list(op->body, scratch) || changed;
        else if (read_column(op, &c))
            changed = find_product(&c, scratch) || changed;
    }
    return changed;
}

bool nm_pass_bias_sums(nm_module *m, bool *changed)
{
    nm_arena scratch = {0};
    if (nm_fuse_has_epilogues(m))
        nm_each_func(f, m)
            *changed = join_list(f, &scratch) || *changed;
    nm_arena_free(&scratch);
    return true;
}
