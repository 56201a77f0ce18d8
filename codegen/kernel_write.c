// Kernels of the remaining writes: update (a part of a tensor replaced, in place where the plan
// says so) and overlap_add (as a gather: every result element sums the taps that fall on it).
#include "codegen/kernels.h"
#include "codegen/space.h"

static bool finish(nm_gen *g, nm_sweep *w, const nm_space *s)
{
    nm_sweep_end(g, w);
    nm_fn_finish(&g->fn, NULL);
    g->grain = 1024;
    g->range = nm_space_extent(g, s);
    return true;
}

static bool is_whole_body(nm_gen *g, const nm_op *op)
{
    if (op && g->group->n_out == 1 && nm_group_result(g, 0)->def == op)
        return true;
    return nm_gen_refuse(g, op ? op : g->group, "is not lowered together with other ops yet") !=
           NULL;
}

// --- update --------------------------------------------------------------------------------------

static LLVMValueRef begin_of(nm_gen *g, nm_op *op)
{
    nm_coords none = {0};
    LLVMValueRef begin = nm_gen_value(g, op->in[2], &none);
    return begin ? LLVMBuildIntCast2(g->fn.b, begin, g->fn.i64, true, "") : NULL;
}

static bool is_in_place(nm_gen *g, const nm_op *op)
{
    return !op->in[0]->def && g->param_arg[op->in[0]->index] == g->result_arg[0];
}

// What stands at `at` is written only where it is inside: no other thread's element is touched.
static void store_inside(nm_gen *g, nm_op *op, const nm_coords *c, LLVMValueRef at, LLVMValueRef x)
{
    nm_fn *f = &g->fn;
    const nm_type *whole = op->in[0]->type;
    nm_sym over = nm_attr_sym(op, "over");
    LLVMValueRef extent = nm_fn_product(f, 1, &whole->dim[nm_type_find(whole, over)]);
    LLVMValueRef inside = LLVMBuildICmp(f->b, LLVMIntULT, at, extent, "");
    LLVMBasicBlockRef next = nm_if_begin(f, inside);
    nm_coords p = *c;
    nm_coords_set(&p, over, at);
    nm_scope scope = nm_gen_open(g);
    nm_gen_store(g, 0, &p, x);
    nm_gen_close(g, scope);
    nm_if_end(f, next);
}

// Over the elements of the new part alone.
static bool write_part(nm_gen *g, nm_op *op)
{
    const nm_type *part = op->in[1]->type;
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef begin = begin_of(g, op);
    nm_space s = nm_space_make(g, part->rank, part->dim);
    nm_sweep w;
    nm_sweep_begin_range(g, &w, &s, g->from, g->to);
    LLVMValueRef x = begin ? nm_gen_value(g, op->in[1], &w.at) : NULL;
    if (!x)
        return false;
    LLVMValueRef at = nm_coords_get(&w.at, nm_attr_sym(op, "over"));
    store_inside(g, op, &w.at, nm_index_add(g, begin, at), x);
    return finish(g, &w, &s);
}

static bool write_copy(nm_gen *g, nm_op *op)
{
    nm_fn *f = &g->fn;
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *part = op->in[1]->type, *out = g->group->out[0].type;
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef begin = begin_of(g, op);
    nm_space s = nm_space_make(g, out->rank, out->dim);
    nm_sweep w;
    nm_sweep_begin_range(g, &w, &s, g->from, g->to);
    if (!begin)
        return false;
    LLVMValueRef at = LLVMBuildSub(f->b, nm_coords_get(&w.at, over), begin, "");
    LLVMValueRef extent = nm_fn_product(f, 1, &part->dim[nm_type_find(part, over)]);
    LLVMValueRef inside = LLVMBuildICmp(f->b, LLVMIntULT, at, extent, "");
    nm_coords p = w.at;
    nm_coords_set(&p, over, LLVMBuildSelect(f->b, inside, at, nm_index_const(g, 0), ""));
    LLVMValueRef fresh = nm_gen_value(g, op->in[1], &p), old = nm_gen_value(g, op->in[0], &w.at);
    if (!fresh || !old)
        return false;
    nm_gen_store(g, 0, &w.at, LLVMBuildSelect(f->b, inside, fresh, old, ""));
    return finish(g, &w, &s);
}

bool nm_kernel_update(nm_gen *g)
{
    nm_op *op = nm_group_op(g, NM_OP_update);
    if (!is_whole_body(g, op))
        return false;
    return is_in_place(g, op) ? write_part(g, op) : write_copy(g, op);
}

// --- overlap_add ---------------------------------------------------------------------------------

// The addend of tap p at index x of the result: t = (x + before - p * dilate) / stride, if whole
// and in range; else 0.
static LLVMValueRef tap_element(nm_gen *g, nm_op *op, const nm_coords *at, LLVMValueRef tap)
{
    LLVMBuilderRef b = g->fn.b;
    nm_sym over = nm_attr_sym(op, "over"), into = nm_attr_sym(op, "into");
    const nm_type *in = op->in[0]->type;
    LLVMValueRef stride = nm_index_const(g, nm_attr_int(op, "stride", 1));
    LLVMValueRef moved = LLVMBuildMul(b, tap, nm_index_const(g, nm_attr_int(op, "dilate", 1)), "");
    LLVMValueRef x = LLVMBuildAdd(b, nm_coords_get(at, into),
                                  nm_index_const(g, nm_attr_int(op, "before", 0)), "");
    x = LLVMBuildSub(b, x, moved, "");
    LLVMValueRef t = LLVMBuildSDiv(b, x, stride, "");
    LLVMValueRef whole = LLVMBuildICmp(b, LLVMIntEQ, LLVMBuildMul(b, t, stride, ""), x, "");
    LLVMValueRef extent = nm_fn_product(&g->fn, 1, &in->dim[nm_type_find(in, over)]);
    LLVMValueRef positive = LLVMBuildICmp(b, LLVMIntSGE, x, nm_index_const(g, 0), "");
    LLVMValueRef inside = LLVMBuildAnd(b, whole, LLVMBuildICmp(b, LLVMIntULT, t, extent, ""), "");
    inside = LLVMBuildAnd(b, inside, positive, "");
    nm_coords p = *at;
    nm_coords_set(&p, nm_attr_sym(op, "tap"), tap);
    nm_coords_set(&p, over, LLVMBuildSelect(b, inside, t, nm_index_const(g, 0), ""));
    LLVMValueRef y = nm_gen_value(g, op->in[0], &p);
    return y ? LLVMBuildSelect(b, inside, y, LLVMConstNull(LLVMTypeOf(y)), "") : NULL;
}

static bool sum_taps(nm_gen *g, nm_op *op, const nm_coords *at, LLVMValueRef slot)
{
    nm_fn *f = &g->fn;
    const nm_type *in = op->in[0]->type;
    nm_dim tap = in->dim[nm_type_find(in, nm_attr_sym(op, "tap"))];
    LLVMTypeRef type = nm_dtype_compute(f, in->dtype);
    LLVMBuildStore(f->b, LLVMConstNull(type), slot);
    nm_scope scope = nm_gen_open(g);
    nm_loop loop = nm_loop_begin(f, nm_fn_i64(f, 0), nm_fn_product(f, 1, &tap), "tap");
    LLVMValueRef x = tap_element(g, op, at, loop.i);
    if (x) {
        LLVMValueRef acc = LLVMBuildLoad2(f->b, type, slot, "");
        bool is_float = nm_is_float(in->dtype);
        LLVMBuildStore(f->b, LLVMBuildBinOp(f->b, is_float ? LLVMFAdd : LLVMAdd, acc, x, ""), slot);
    }
    nm_loop_end(f, &loop);
    nm_gen_close(g, scope);
    return x != NULL;
}

bool nm_kernel_overlap_add(nm_gen *g)
{
    nm_op *op = nm_group_op(g, NM_OP_overlap_add);
    if (!is_whole_body(g, op))
        return false;
    nm_fn *f = &g->fn;
    const nm_type *out = g->group->out[0].type;
    nm_gen_begin_kernel(g, "kernel");
    LLVMTypeRef type = nm_dtype_compute(f, out->dtype);
    LLVMValueRef slot = nm_fn_slot(f, type);
    nm_space s = nm_space_make(g, out->rank, out->dim);
    nm_sweep w;
    nm_sweep_begin_range(g, &w, &s, g->from, g->to);
    if (!sum_taps(g, op, &w.at, slot))
        return false;
    LLVMValueRef sum = nm_dtype_round(f, out->dtype, LLVMBuildLoad2(f->b, type, slot, ""));
    nm_gen_store(g, 0, &w.at, sum);
    return finish(g, &w, &s);
}
