// Floating-point operations of one call of a function, for model FLOPs utilisation: products and
// attentions alone, as PaLM (Chowdhery et al. 2022, appendix B) and llm.c count them.
//
//   dot               2 * the product of all its dims
//   attention         2 products of 2 * pairs * hd; backward, 4 (the two that are computed again do
//                     not count). A causal mask does not halve it: their convention, so that the
//                     figure can be compared.
#include "codegen/program.h"

static const nm_extent *times(nm_fn *f, const nm_extent *e, const nm_type *t,
                              const nm_type *without)
{
    for (int i = 0; i < t->rank; i++)
        if (!without || !nm_has_dim(without, t->dim[i].name))
            e = nm_extent_mul(f->m, e, t->dim[i].extent);
    return e;
}

static const nm_extent *dot_flops(nm_fn *f, const nm_op *op)
{
    const nm_extent *e = times(f, nm_extent_const(f->m, 2), op->in[0]->type, NULL);
    return times(f, e, op->in[1]->type, op->in[0]->type);
}

static const nm_extent *attention_flops(nm_fn *f, const nm_op *op, int products)
{
    const nm_type *q = op->in[0]->type, *k = op->in[1]->type;
    const nm_extent *e = times(f, nm_extent_const(f->m, 2 * products), q, NULL);
    int over = nm_type_find(k, nm_attr_sym(op, "over"));
    return nm_extent_mul(f->m, e, k->dim[over].extent);
}

static LLVMValueRef body_flops(nm_fn *f, nm_func *body);

static LLVMValueRef repeat_flops(nm_fn *f, nm_op *op)
{
    const nm_extent *turns = nm_repeat_turns(f->m, op);
    return LLVMBuildMul(f->b, body_flops(f, op->body), nm_fn_extent_value(f, turns, NM_SYM_SIZE),
                        "");
}

static LLVMValueRef op_flops(nm_fn *f, nm_op *op)
{
    switch (op->code) {
    case NM_OP_dot: return nm_fn_extent_value(f, dot_flops(f, op), NM_SYM_SIZE);
    case NM_OP_attention: return nm_fn_extent_value(f, attention_flops(f, op, 2), NM_SYM_SIZE);
    case NM_OP_attention_grad: return nm_fn_extent_value(f, attention_flops(f, op, 4), NM_SYM_SIZE);
    case NM_OP_repeat: return repeat_flops(f, op);
    case NM_OP_group: return body_flops(f, op->body);
    default: return NULL;
    }
}

static LLVMValueRef body_flops(nm_fn *f, nm_func *body)
{
    LLVMValueRef sum = nm_fn_i64(f, 0);
    nm_each_op(op, body) {
        LLVMValueRef v = op_flops(f, op);
        sum = v ? LLVMBuildAdd(f->b, sum, v, "") : sum;
    }
    return sum;
}

LLVMValueRef nm_flops_of(nm_fn *f, nm_func *func) { return body_flops(f, func); }
