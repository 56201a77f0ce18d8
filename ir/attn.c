// An attention with other extra operands.
#include "ir/attn.h"

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

static nm_op *build_again(nm_op *op, const nm_attn *a)
{
    nm_module *m = op->func->module;
    nm_proto p = nm_proto_of(op);
    nm_value **in = nm_new_n(m->arena, nm_value *, a->first_extra + NM_N_ATTN);
    nm_attr *attr = nm_new_n(m->arena, nm_attr, op->n_attrs + 1);
    nm_sym name[NM_N_ATTN];
    for (int i = 0; i < a->first_extra; i++)
        in[i] = op->in[i];
    int n = list_extra(m, a, in + a->first_extra, name);
    p.n_attrs = 0;
    for (int i = 0; i < op->n_attrs; i++)
        if (op->attr[i].name != nm_sym_get(m, "extra"))
            attr[p.n_attrs++] = op->attr[i];
    attr[p.n_attrs++] = nm_mk_dims(m, "extra", (nm_syms){n, name});
    p.n_in = a->first_extra + n;
    p.in = in;
    p.attr = attr;
    return nm_build_op(op->func, op, &p);
}

nm_op *nm_attn_rebuild(nm_op *op, const nm_attn *a)
{
    nm_op *again = build_again(op, a);
    if (!again)
        return NULL;
    for (int i = 0; i < op->n_out; i++) {
        again->out[i].name = op->out[i].name;
        nm_replace(&op->out[i], &again->out[i]);
    }
    nm_erase(op);
    return again;
}
