// Kernels along a line: running sums, and the k largest. Parallel over the other dims' indices; on
// a GPU a warp does a line.
#include "codegen/kernels.h"
#include "codegen/space.h"
#include "codegen/templates/gpu/lines.h"

typedef struct nm_lines {
    nm_op *op;
    nm_dim along;
    nm_space others;
} nm_lines;

static nm_lines lines_of(nm_gen *g, nm_op *op)
{
    nm_lines l = {.op = op};
    nm_sym over = nm_attr_sym(op, "over");
    const nm_type *t = op->in[0]->type;
    nm_dim rest[NM_MAX_RANK];
    int n = 0;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].name == over)
            l.along = t->dim[i];
        else
            rest[n++] = t->dim[i];
    l.others = nm_space_make(g, n, rest);
    return l;
}

static nm_coords point(nm_gen *g, const nm_lines *l, nm_sym dim, LLVMValueRef line, LLVMValueRef i)
{
    nm_coords c = {0};
    nm_index_spread(g, &c, l->others.n, l->others.dim, line);
    nm_coords_set(&c, dim, i);
    return c;
}

// What an element is while it is summed or compared.
static nm_dtype between_of(const nm_op *op)
{
    return op->in[0]->type->dtype == NM_i32 ? NM_i32 : NM_f32;
}

static LLVMValueRef write_load(nm_gen *g, const nm_lines *l)
{
    nm_fn *f = &g->fn;
    nm_dtype between = between_of(l->op);
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64}, of = nm_dtype_compute(f, between);
    LLVMValueRef fn = nm_gen_begin_hook(g, "load", LLVMFunctionType(of, param, 3, false));
    nm_coords c = point(g, l, l->along.name, LLVMGetParam(fn, 1), LLVMGetParam(fn, 2));
    LLVMValueRef x = nm_gen_value(g, l->op->in[0], &c);
    if (!x)
        return NULL;
    nm_fn_finish(f, nm_dtype_cast(f, l->op->in[0]->type->dtype, between, x));
    return fn;
}

// The group's results at this point, whose elements of the op are known.
static bool store_results(nm_gen *g, const nm_coords *c)
{
    for (int i = 0; i < g->group->n_out; i++) {
        LLVMValueRef x = nm_gen_value(g, nm_group_result(g, i), c);
        if (!x)
            return false;
        nm_gen_store(g, i, c, x);
    }
    nm_fn_finish(&g->fn, NULL);
    return true;
}

static bool is_float(const nm_op *op)
{
    nm_dtype t = op->in[0]->type->dtype;
    return t == NM_f32 || t == NM_bf16;
}

static bool refuse_dtype(nm_gen *g, const nm_op *op)
{
    return nm_gen_refuse(g, op, "of this dtype is not lowered yet") != NULL;
}

static void begin_lines(nm_gen *g, const nm_lines *l)
{
    g->range = nm_space_extent(g, &l->others);
    g->threads = NMG_LINES_THREADS;
    g->per_block = NMG_LINES;
    nm_gen_begin_kernel(g, "kernel");
}

// --- cumsum --------------------------------------------------------------------------------------

static LLVMValueRef write_sum(nm_gen *g, const nm_lines *l)
{
    nm_fn *f = &g->fn;
    nm_dtype between = between_of(l->op);
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, nm_dtype_compute(f, between)};
    LLVMValueRef fn = nm_gen_begin_hook(g, "store", LLVMFunctionType(f->nothing, param, 4, false));
    nm_coords c = point(g, l, l->along.name, LLVMGetParam(fn, 1), LLVMGetParam(fn, 2));
    nm_value *out = &l->op->out[0];
    nm_gen_know(g, out, &c, nm_dtype_cast(f, between, out->type->dtype, LLVMGetParam(fn, 3)));
    return store_results(g, &c) ? fn : NULL;
}

static const char *sum_of(const nm_gen *g, const nm_op *op)
{
    if (between_of(op) == NM_i32)
        return g->is_gpu ? "nmg_cumsum_u32" : "nmk_cumsum_u32";
    return g->is_gpu ? "nmg_cumsum" : "nmk_cumsum";
}

bool nm_kernel_cumsum(nm_gen *g)
{
    nm_op *op = nm_group_op(g, NM_OP_cumsum);
    if (!is_float(op) && op->in[0]->type->dtype != NM_i32)
        return refuse_dtype(g, op);
    nm_lines l = lines_of(g, op);
    LLVMValueRef load = write_load(g, &l), store = load ? write_sum(g, &l) : NULL;
    if (!store)
        return false;
    begin_lines(g, &l);
    LLVMValueRef reverse = nm_fn_i64(&g->fn, nm_attr_bool(op, "reverse"));
    LLVMValueRef arg[] = {
        nm_gen_env(g), nm_fn_product(&g->fn, 1, &l.along), reverse, load, store, g->from, g->to};
    nm_gen_call(g, sum_of(g, op), g->fn.nothing, 7, arg);
    nm_fn_finish(&g->fn, NULL);
    return true;
}

// --- top_k ---------------------------------------------------------------------------------------

static LLVMValueRef write_pick(nm_gen *g, const nm_lines *l)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->f32, f->i32};
    LLVMValueRef fn = nm_gen_begin_hook(g, "pick", LLVMFunctionType(f->nothing, param, 5, false));
    nm_sym choice = nm_attr_sym(l->op, "choice");
    nm_coords c = point(g, l, choice, LLVMGetParam(fn, 1), LLVMGetParam(fn, 2));
    nm_value *value = &l->op->out[0], *at = &l->op->out[1];
    nm_gen_know(g, value, &c, nm_dtype_cast(f, NM_f32, value->type->dtype, LLVMGetParam(fn, 3)));
    nm_gen_know(g, at, &c, LLVMGetParam(fn, 4));
    return store_results(g, &c) ? fn : NULL;
}

bool nm_kernel_top_k(nm_gen *g)
{
    nm_op *op = nm_group_op(g, NM_OP_top_k);
    int64_t k = nm_attr_int(op, "k", 1);
    if (!is_float(op))
        return refuse_dtype(g, op);
    if (k > NMK_MAX_K)
        return nm_gen_refuse(g, op, "k above 256 is not lowered yet") != NULL;
    nm_lines l = lines_of(g, op);
    LLVMValueRef load = write_load(g, &l), pick = load ? write_pick(g, &l) : NULL;
    if (!pick)
        return false;
    begin_lines(g, &l);
    LLVMValueRef arg[] = {nm_gen_env(g),
                          nm_fn_product(&g->fn, 1, &l.along),
                          nm_fn_i64(&g->fn, k),
                          load,
                          pick,
                          g->from,
                          g->to};
    nm_gen_call(g, g->is_gpu ? "nmg_top_k" : "nmk_top_k", g->fn.nothing, 7, arg);
    nm_fn_finish(&g->fn, NULL);
    return true;
}
