// Split heads: where the `heads` of queries and the `kv` of keys meet in an attention, query head h
// reads key head h // (heads / kv). `heads` becomes two dims, kv and heads.g, kv major, in every
// type of the module: then the two share kv by name, and grouped-query attention needs no rule of
// its own, here or in sharding. An op that treats `heads` as one dim (index, gather, rename) finds
// it merged before and split after. First of all passes, since every later one spells dims.
#include "ir/attn.h"
#include "passes/pass.h"
#include "passes/retype.h"

typedef struct pair {
    nm_dim heads, kv, group; // heads = kv * group
    nm_loc loc;
} pair;

static const nm_type *split_type(nm_module *m, const nm_type *t, void *user)
{
    const pair *p = user;
    int at = nm_type_find(t, p->heads.name);
    if (at < 0 || t->dim[at].extent != p->heads.extent || t->rank == NM_MAX_RANK)
        return t;
    nm_type s = *t;
    for (int i = s.rank++; i > at + 1; i--)
        s.dim[i] = s.dim[i - 1];
    s.dim[at].name = p->kv.name, s.dim[at].extent = p->kv.extent;
    s.dim[at + 1] = p->group;
    return nm_type_get(m, &s);
}

static const nm_type *merge_type(nm_module *m, const nm_type *t, const pair *p)
{
    int at = nm_type_find(t, p->group.name);
    if (at < 1 || t->dim[at - 1].name != p->kv.name)
        return t;
    nm_type s = *t;
    s.dim[at - 1] = p->heads;
    s.rank--;
    for (int i = at; i < s.rank; i++)
        s.dim[i] = s.dim[i + 1];
    return nm_type_get(m, &s);
}

// --- attributes --------------------------------------------------------------------------------

static bool lists(const nm_attr *a, nm_sym name)
{
    return a->kind == NM_ATTR_dims && nm_syms_has(a->u.syms, name);
}

static void split_list(nm_module *m, nm_attr *a, const pair *p)
{
    nm_sym *sym = nm_new_n(m->arena, nm_sym, a->u.syms.n + 1);
    int n = 0;
    for (int i = 0; i < a->u.syms.n; i++) {
        if (a->u.syms.sym[i] != p->heads.name) {
            sym[n++] = a->u.syms.sym[i];
            continue;
        }
        sym[n++] = p->kv.name;
        sym[n++] = p->group.name;
    }
    a->u.syms = (nm_syms){n, sym};
}

static nm_value *build_view(nm_op *before, nm_opcode code, nm_value *v, const pair *p,
                            const nm_type *type)
{
    nm_module *m = before->func->module;
    nm_sym parts[] = {p->kv.name, p->group.name};
    bool split = code == NM_OP_split;
    nm_attr one = nm_mk_sym(m, split ? "from" : "into", p->heads.name);
    nm_attr two = nm_mk_dims(m, split ? "into" : "from", (nm_syms){2, parts});
    return nm_build(before->func, before,
                    &(nm_proto){.code = code,
                                .loc = before->loc,
                                .n_in = 1,
                                .in = &v,
                                .type = type,
                                .n_attrs = 2,
                                .attr = (nm_attr[]){one, two}});
}

// An op that names heads as one dim: operands are merged for it, results are split behind it.
static void wrap(nm_op *op, const pair *p)
{
    nm_module *m = op->func->module;
    for (int i = 0; i < op->n_in; i++) {
        const nm_type *whole = merge_type(m, op->in[i]->type, p);
        if (whole != op->in[i]->type)
            nm_set_operand(op, i, build_view(op, NM_OP_merge, op->in[i], p, whole));
    }
    for (int i = 0; i < op->n_out; i++) {
        nm_value *v = &op->out[i];
        const nm_type *parts = v->type;
        v->type = merge_type(m, parts, p);
        if (v->type == parts)
            continue;
        nm_value *split = build_view(op->next, NM_OP_split, v, p, parts);
        nm_replace(v, split);
        nm_set_operand(split->def, 0, v);
    }
}

static bool split_ops(nm_func *f, const pair *p)
{
    nm_each_op_safe(op, f) {
        if (op->body && !split_ops(op->body, p))
            return false;
        for (int i = 0; i < op->n_attrs; i++)
            if (lists(&op->attr[i], p->heads.name))
                split_list(f->module, &op->attr[i], p);
        if (!nm_op_names(op, p->heads.name))
            continue;
        if (op->code == NM_OP_repeat)
            return nm_error(f->module->diag, op->loc,
                            "a repeat over '%s', which an attention splits", p->heads.name);
        wrap(op, p);
    }
    return true;
}

// --- the module --------------------------------------------------------------------------------

static bool find_pair(nm_func *f, pair *p)
{
    nm_module *m = f->module;
    nm_each_op(op, f) {
        if (op->body && find_pair(op->body, p))
            return true;
        if (!nm_is_attention(op))
            continue;
        nm_attn a = nm_attn_of(op);
        if (!a.heads || !a.kv)
            continue;
        const nm_type *q = op->in[0]->type, *k = op->in[1]->type;
        p->loc = op->loc;
        p->heads = q->dim[nm_type_find(q, a.heads)];
        p->kv = k->dim[nm_type_find(k, a.kv)];
        p->group = (nm_dim){.name = nm_sym_fmt(m, "%s.g", a.heads),
                            .extent = nm_extent_div(m, p->heads.extent, p->kv.extent)};
        return true;
    }
    return false;
}

static bool clashes(nm_func *f, const pair *p)
{
    nm_each_op(op, f) {
        if (op->body && clashes(op->body, p))
            return true;
        for (int i = 0; i < op->n_out; i++)
            if (nm_has_dim(op->out[i].type, p->heads.name) &&
                nm_has_dim(op->out[i].type, p->kv.name))
                return true;
    }
    return false;
}

// The arrow's sides are counts of dims: that which had heads has one more.
static void widen_arrows(nm_module *m, const pair *p)
{
    for (int i = 0; i < m->n_params; i++) {
        nm_param *row = &m->param[i];
        int at = nm_type_find(row->type, p->heads.name);
        if (at < 0)
            continue;
        if (at < row->n_batch)
            row->n_batch++;
        else if (at < row->n_batch + row->n_ins)
            row->n_ins++;
    }
}

static bool split_pair(nm_module *m, pair *p)
{
    nm_each_func(f, m)
        if (clashes(f, p))
            return nm_error(m->diag, p->loc,
                            "'%s' and '%s' meet in this attention, and stand in one type elsewhere",
                            p->heads.name, p->kv.name);
    nm_dim_declare(m,
                   (nm_dim_decl){.name = p->group.name, .loc = p->loc, .extent = p->group.extent});
    widen_arrows(m, p);
    bool changed = false;
    nm_retype(m, split_type, p, &changed);
    nm_each_func(f, m)
        if (!split_ops(f, p))
            return false;
    return true;
}

bool nm_pass_split_heads(nm_module *m, bool *changed)
{
    pair p;
    for (nm_func *f = m->first_func; f;) {
        if (!find_pair(f, &p)) {
            f = f->next;
            continue;
        }
        if (!split_pair(m, &p))
            return false;
        *changed = true;
    }
    return true;
}
