// One element of a free value: constants, extents, indices and random draws. Indices and draws are
// those of the whole tensor, whatever part of it a call sees (a micro-batch, a rank's).
#include "base/hash.h"
#include "codegen/global.h"

#include <string.h>

static LLVMValueRef gen_const(nm_gen *g, const nm_op *op)
{
    nm_dtype t = op->out[0].type->dtype;
    LLVMTypeRef type = nm_dtype_compute(&g->fn, t);
    double value = nm_attr_float(op, "value", 0);
    if (t == NM_bool)
        return LLVMConstInt(type, value != 0, false);
    if (!nm_is_float(t))
        return LLVMConstInt(type, (unsigned long long)(int64_t)value, true);
    return nm_dtype_round(&g->fn, t, LLVMConstReal(type, value));
}

static LLVMValueRef from_i64(nm_gen *g, LLVMValueRef v, nm_dtype to)
{
    return nm_dtype_cast(&g->fn, NM_i64, to, v);
}

static LLVMValueRef gen_size(nm_gen *g, const nm_op *op)
{
    const nm_attr *of = nm_attr_get(op, "of");
    LLVMValueRef v = of->kind == NM_ATTR_int
                         ? nm_index_const(g, of->u.i)
                         : nm_fn_extent_value(&g->fn, of->u.extent, NM_SYM_TOTAL);
    return from_i64(g, v, op->out[0].type->dtype);
}

static LLVMValueRef gen_offset(nm_gen *g, const nm_op *op)
{
    const nm_attr *of = nm_attr_get(op, "of");
    LLVMValueRef v = of->kind == NM_ATTR_int
                         ? nm_index_const(g, 0)
                         : nm_fn_extent_value(&g->fn, of->u.extent, NM_SYM_OFFSET);
    return from_i64(g, v, op->out[0].type->dtype);
}

static LLVMValueRef global_index(nm_gen *g, const nm_dim *dim, const nm_coords *c)
{
    return nm_gen_global(g, dim, nm_coords_get(c, dim->name));
}

static LLVMValueRef gen_index(nm_gen *g, const nm_op *op, const nm_coords *c)
{
    const nm_type *t = op->out[0].type;
    return from_i64(g, global_index(g, &t->dim[0], c), t->dtype);
}

// --- random draws: base/philox.h -----------------------------------------------------------------

static LLVMValueRef global_element(nm_gen *g, const nm_type *t, const nm_coords *c)
{
    LLVMValueRef total[NM_MAX_RANK], at[NM_MAX_RANK];
    for (int i = 0; i < t->rank; i++) {
        total[i] = nm_fn_extent_value(&g->fn, t->dim[i].extent, NM_SYM_TOTAL);
        at[i] = global_index(g, &t->dim[i], c);
    }
    return nm_index_join(g, t->rank, total, at);
}

// Operand i (step, turn) as an u32; 0 if absent.
static LLVMValueRef counter(nm_gen *g, nm_op *op, int i)
{
    if (i >= op->n_in)
        return LLVMConstInt(g->fn.i32, 0, false);
    nm_coords none = {0};
    LLVMValueRef v = nm_gen_value(g, op->in[i], &none);
    return v ? LLVMBuildIntCast2(g->fn.b, v, g->fn.i32, true, "") : NULL;
}

LLVMValueRef nm_gen_philox_key(nm_gen *g, nm_value *seed, nm_sym key)
{
    nm_coords none = {0};
    LLVMValueRef v = nm_gen_value(g, seed, &none);
    if (!v)
        return NULL;
    v = LLVMBuildIntCast2(g->fn.b, v, g->fn.i64, true, "");
    int64_t hash = (int64_t)nm_hash64(key, strlen(key));
    LLVMValueRef word = nm_gen_number(g, nm_extent_const(g->fn.m, hash));
    return LLVMBuildXor(g->fn.b, v, word, "");
}

static LLVMValueRef gen_random(nm_gen *g, nm_op *op, const nm_coords *c)
{
    const nm_type *t = op->out[0].type;
    LLVMValueRef a[] = {nm_gen_philox_key(g, op->in[0], nm_attr_get(op, "key")->u.sym),
                        counter(g, op, 1), counter(g, op, 2), global_element(g, t, c)};
    if (!a[0] || !a[1] || !a[2])
        return NULL;
    bool normal = strcmp(nm_attr_sym(op, "dist"), "normal") == 0;
    LLVMValueRef x = nm_gen_call(g, normal ? "nmk_normal" : "nmk_uniform", g->fn.f32, 4, a);
    return nm_dtype_cast(&g->fn, NM_f32, t->dtype, x);
}

LLVMValueRef nm_gen_free(nm_gen *g, nm_op *op, const nm_coords *c)
{
    switch (op->code) {
    case NM_OP_const: return gen_const(g, op);
    case NM_OP_size: return gen_size(g, op);
    case NM_OP_offset: return gen_offset(g, op);
    case NM_OP_index: return gen_index(g, op, c);
    case NM_OP_random: return gen_random(g, op, c);
    default: return nm_gen_refuse(g, op, "this free value is not lowered yet");
    }
}
