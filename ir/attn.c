// Attentions: which ops they are, and one with other extra operands.
#include "ir/attn.h"

bool nm_is_attention(const nm_op *op)
{
    return op->code == NM_OP_attention || op->code == NM_OP_attention_grad;
}

// in[] and names[] of the extra operands; how many.
static int list_extra(nm_module *m, const nm_attn *a, nm_value **in, nm_sym *name)
{
    int n = 0;
    for (int i = 0; i < NM_N_ATTN; i++)
        if (a->extra[i]) {
            in[n] = a->extra[i];
            name[n++] = nm_sym_get(m, nm_attn_extra_name[i]);
        }
    return n;
}

// like's order of dims, where the results have its dims: those of dk and dv may be a part's.
static const nm_type **result_types(nm_module *m, const nm_op *like, nm_value *const *in)
{
    const nm_type **type = nm_new_n(m->arena, const nm_type *, like->n_out);
    for (int i = 0; i < like->n_out; i++) {
        bool of_operand = like->code == NM_OP_attention_grad && i < 3;
        const nm_type *t = like->out[i].type;
        type[i] = of_operand && !nm_type_same_set(t, in[i]->type) ? NULL : t;
    }
    return type;
}

nm_op *nm_attn_build(nm_func *f, nm_op *before, const nm_op *like, nm_value *const *in,
                     const nm_attn *a)
{
    nm_module *m = f->module;
    nm_proto p = nm_proto_of(like);
    nm_value **all = nm_new_n(m->arena, nm_value *, a->first_extra + NM_N_ATTN);
    nm_attr *attr = nm_new_n(m->arena, nm_attr, like->n_attrs + 1);
    nm_sym name[NM_N_ATTN];
    for (int i = 0; i < a->first_extra; i++)
        all[i] = in[i];
    int n = list_extra(m, a, all + a->first_extra, name);
    p.n_attrs = 0;
    for (int i = 0; i < like->n_attrs; i++)
        if (like->attr[i].name != nm_sym_get(m, "extra"))
            attr[p.n_attrs++] = like->attr[i];
    attr[p.n_attrs++] = nm_mk_dims(m, "extra", (nm_syms){n, name});
    p.n_in = a->first_extra + n;
    p.in = all;
    p.types = result_types(m, like, in);
    p.attr = attr;
    return nm_build_op(f, before, &p);
}

nm_op *nm_attn_rebuild(nm_op *op, const nm_attn *a)
{
    nm_op *again = nm_attn_build(op->func, op, op, op->in, a);
    if (!again)
        return NULL;
    for (int i = 0; i < op->n_out; i++) {
        again->out[i].name = op->out[i].name;
        nm_replace(&op->out[i], &again->out[i]);
    }
    nm_erase(op);
    return again;
}
