// The kernel of an extern op: it calls the user's C function, whose bitcode is linked in when the
// kernel is compiled (codegen/library.h). Independent dims that are outermost in every tensor that
// has them are the parallel range: a call for rows [from, to) gets pointers to its first row, and
// the first of those dims as to - from long, the others as 1. A GPU's block does one row.
#include "codegen/kernels.h"
#include "ir/extern.h"

#include <string.h>

enum { MAX_CALL = 3 * NM_MAX_ARGS };

typedef struct nm_calling { // the call being written
    nm_gen *g;
    nm_op *op;
    nm_syms dims;
    int n_cut;
    int n;
    LLVMValueRef arg[MAX_CALL];
    LLVMTypeRef type[MAX_CALL];
} nm_calling;

static void add(nm_calling *c, LLVMValueRef v)
{
    if (c->n == MAX_CALL)
        nm_bug("extern: more than %d arguments", MAX_CALL);
    c->arg[c->n] = v;
    c->type[c->n++] = LLVMTypeOf(v);
}

static bool is_first(const nm_calling *c, nm_sym dim)
{
    for (int i = 0; i < c->n_cut; i++)
        if (c->dims.sym[i] == dim)
            return true;
    return false;
}

// The first element that a call for rows from `from` on sees.
static void add_tensor(nm_calling *c, const nm_type *t, int arg)
{
    nm_gen *g = c->g;
    nm_fn *f = &g->fn;
    nm_dim row[NM_MAX_RANK];
    int n = 0;
    LLVMValueRef p = nm_gen_pointer(g, arg);
    for (int i = 0; i < t->rank; i++)
        if (!is_first(c, t->dim[i].name))
            row[n++] = t->dim[i];
    if (c->n_cut && nm_extern_is_cut(c->op, t))
        p = nm_fn_at(f, nm_dtype_storage(f, t->dtype), p,
                     nm_index_mul(g, g->from, nm_fn_product(f, n, row)));
    add(c, p);
}

static bool add_number(nm_calling *c, nm_value *v)
{
    nm_fn *f = &c->g->fn;
    nm_coords none = {0};
    LLVMValueRef x = nm_gen_value(c->g, v, &none);
    if (!x)
        return false;
    add(c, nm_dtype_cast(f, v->type->dtype, nm_is_float(v->type->dtype) ? NM_f64 : NM_i64, x));
    return true;
}

static bool add_operands(nm_calling *c)
{
    for (int i = 0; i < c->op->n_in; i++) {
        nm_value *v = c->op->in[i];
        if (nm_extern_is_number(c->op, i)) {
            if (!add_number(c, v))
                return false;
            continue;
        }
        if (v->def)
            nm_bug("extern: operand %d is not stored", i);
        add_tensor(c, v->type, c->g->param_arg[v->index]);
    }
    return true;
}

static void add_extents(nm_calling *c)
{
    nm_gen *g = c->g;
    for (int i = 0; i < c->dims.n; i++) {
        nm_dim d = {.extent = nm_extern_extent(c->op, c->dims.sym[i])};
        add(c, i >= c->n_cut ? nm_fn_product(&g->fn, 1, &d)
               : i           ? nm_fn_i64(&g->fn, 1)
                             : LLVMBuildSub(g->fn.b, g->to, g->from, ""));
    }
}

static bool write_call(nm_calling *c)
{
    nm_fn *f = &c->g->fn;
    nm_sym name = nm_attr_sym(c->op, "name");
    LLVMTypeRef type = LLVMFunctionType(f->nothing, c->type, (unsigned)c->n, false);
    if (LLVMGetNamedFunction(f->mod, name))
        return nm_error(f->m->diag, c->op->loc, "extern: no op can be called '%s'", name);
    LLVMValueRef fn = LLVMAddFunction(f->mod, name, type);
    LLVMBuildCall2(f->b, type, fn, c->arg, (unsigned)c->n, "");
    nm_fn_finish(f, NULL);
    return true;
}

static const nm_extent *rows(const nm_calling *c)
{
    nm_module *m = c->g->fn.m;
    const nm_extent *n = nm_extent_const(m, 1);
    for (int i = 0; i < c->n_cut; i++)
        n = nm_extent_mul(m, n, nm_extern_extent(c->op, c->dims.sym[i]));
    return n;
}

static bool find_library(nm_gen *g, const nm_op *op)
{
    nm_module *m = g->fn.m;
    const char *target = g->is_gpu ? "cuda" : "host", *name = nm_attr_sym(op, "name");
    g->library = nm_attr_sym(op, target);
    if (!g->library) {
        nm_error(m->diag, op->loc, "extern %s names no %s file: there is no kernel for %s", name,
                 target, g->is_gpu ? "GPUs" : "processors");
        if (g->is_gpu)
            nm_help(m->diag, op->loc, "--target host makes a binary without any");
        return false;
    }
    if (!nm_extern_has_source(m, g->library))
        return nm_error(m->diag, op->loc, "extern %s: there is no file %s", name, g->library);
    // Other functions of this name make other kernels.
    LLVMSetSourceFileName(g->fn.mod, g->library, strlen(g->library));
    return true;
}

bool nm_kernel_extern(nm_gen *g)
{
    enum { THREADS = 256 };
    nm_op *op = nm_group_op(g, NM_OP_extern);
    nm_calling c = {.g = g, .op = op, .dims = nm_attr_dims(op, "dims")};
    if (!find_library(g, op))
        return false;
    c.n_cut = nm_extern_n_cut(op);
    g->range = rows(&c);
    g->threads = THREADS;
    g->per_block = 1;
    g->shared_bytes = THREADS / 32 * 4; // of op_sum and op_max
    nm_gen_begin_kernel(g, "kernel");
    if (!add_operands(&c))
        return false;
    for (int i = 0; i < op->n_out; i++)
        add_tensor(&c, op->out[i].type, g->result_arg[i]);
    add_extents(&c);
    return write_call(&c);
}
