// Product kernels: the matrix product template with the group's maps as hooks.
//
// The dims of a dot fall into four lists: batch (both operands have them), m and n (one has), and k
// (summed). Each list is walked as one flat index. The operand that has the result's innermost dim
// is B, so that stores are contiguous. A hook's index is a base and an offset j into the innermost
// run of its list, so that division stays outside of the template's loops.
#include "codegen/kernels.h"
#include "codegen/space.h"
#include "codegen/templates/template.h"

#include <string.h>

typedef enum { LIST_BATCH, LIST_M, LIST_N, LIST_K, N_LISTS } nm_dot_list;

typedef struct nm_dot {
    nm_op *op;
    nm_value *a, *b; // of (batch, m, k) and (batch, n, k)
    nm_space list[N_LISTS];
    bool a_along_row, b_along_row;
} nm_dot;

// --- roles
// -------------------------------------------------------------------------------------------------------

static nm_sym innermost(const nm_value *v);

static nm_sym innermost_of_view(const nm_op *op)
{
    nm_sym inner = innermost(op->in[0]);
    if (op->code == NM_OP_rename && inner == nm_attr_sym(op, "from"))
        return nm_attr_sym(op, "to");
    if (op->code == NM_OP_split && inner == nm_attr_sym(op, "from")) {
        nm_syms into = nm_attr_dims(op, "into");
        return into.sym[into.n - 1];
    }
    if (op->code == NM_OP_merge && nm_syms_has(nm_attr_dims(op, "from"), inner))
        return nm_attr_sym(op, "into");
    return inner;
}

// The dim of v that is contiguous in memory where most of it is read from; NULL: a scalar.
static nm_sym innermost(const nm_value *v)
{
    const nm_type *t = v->type;
    if (!v->def)
        return t->rank ? t->dim[t->rank - 1].name : NULL;
    if (nm_is(v->def, NM_VIEW))
        return innermost_of_view(v->def);
    const nm_value *widest = NULL;
    for (int i = 0; i < v->def->n_in; i++)
        if (!widest || v->def->in[i]->type->rank > widest->type->rank)
            widest = v->def->in[i];
    return widest ? innermost(widest) : NULL;
}

static nm_dot_list list_of(const nm_dot *d, nm_sym dim)
{
    if (nm_syms_has(nm_attr_dims(d->op, "over"), dim))
        return LIST_K;
    bool in_a = nm_has_dim(d->a->type, dim), in_b = nm_has_dim(d->b->type, dim);
    return in_a && in_b ? LIST_BATCH : in_a ? LIST_M : LIST_N;
}

static bool has(const nm_space *s, nm_sym dim)
{
    for (int i = 0; i < s->n; i++)
        if (s->dim[i].name == dim)
            return true;
    return false;
}

static void list_dims(nm_dot *d, const nm_type *t, nm_space list[N_LISTS])
{
    for (int i = 0; i < t->rank; i++) {
        nm_space *s = &list[list_of(d, t->dim[i].name)];
        if (!has(s, t->dim[i].name))
            s->dim[s->n++] = t->dim[i];
    }
}

// m, n and batch in the result's order; k in that of the operand that is contiguous along it.
static void find_lists(nm_gen *g, nm_dot *d)
{
    nm_space list[N_LISTS] = {0};
    nm_sym along = innermost(d->b);
    bool by_b = along && list_of(d, along) == LIST_K;
    list_dims(d, g->group->out[0].type, list);
    list_dims(d, by_b ? d->b->type : d->a->type, list);
    list_dims(d, by_b ? d->a->type : d->b->type, list);
    for (int i = 0; i < N_LISTS; i++)
        d->list[i] = nm_space_make(g, list[i].n, list[i].dim);
}

static bool along_row(const nm_dot *d, const nm_value *v, nm_dot_list row)
{
    nm_sym inner = innermost(v);
    return inner && list_of(d, inner) == row;
}

static void find_roles(nm_gen *g, nm_dot *d)
{
    const nm_type *out = g->group->out[0].type;
    d->a = d->op->in[0];
    d->b = d->op->in[1];
    for (int i = out->rank; i-- > 0;) { // the innermost dim that only one operand has
        nm_dot_list l = list_of(d, out->dim[i].name);
        if (l == LIST_BATCH)
            continue;
        if (l == LIST_M) {
            d->a = d->op->in[1];
            d->b = d->op->in[0];
        }
        break;
    }
    find_lists(g, d);
    d->a_along_row = along_row(d, d->a, LIST_M);
    d->b_along_row = along_row(d, d->b, LIST_N);
}

// --- hooks
// ----------------------------------------------------------------------------------------------------------

static void spread(nm_gen *g, const nm_space *s, nm_coords *c, LLVMValueRef flat)
{
    nm_index_spread(g, c, s->n, s->dim, flat);
}

// The coordinates of index base + j, where j stays in base's inner run.
static void spread_run(nm_gen *g, const nm_space *s, nm_coords *c, LLVMValueRef base,
                       LLVMValueRef j)
{
    LLVMValueRef run = nm_space_inner(g, s);
    if (!run) {
        spread(g, s, c, nm_index_add(g, base, j));
        return;
    }
    LLVMValueRef inner = nm_index_add(g, nm_index_rem(g, base, run), j);
    nm_index_spread(g, c, s->n - s->inner, s->dim + s->inner, inner);
    nm_index_spread(g, c, s->inner, s->dim, nm_index_div(g, base, run));
}

// float load(env, batch, row, k, j)
static LLVMValueRef write_load(nm_gen *g, nm_dot *d, const char *name, nm_value *v, nm_dot_list row,
                               bool rows_contiguous)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64};
    LLVMValueRef fn = nm_gen_begin_hook(g, name, LLVMFunctionType(f->f32, param, 5, false));
    nm_coords c = {0};
    LLVMValueRef j = LLVMGetParam(fn, 4);
    spread(g, &d->list[LIST_BATCH], &c, LLVMGetParam(fn, 1));
    if (rows_contiguous) {
        spread_run(g, &d->list[row], &c, LLVMGetParam(fn, 2), j);
        spread(g, &d->list[LIST_K], &c, LLVMGetParam(fn, 3));
    } else {
        spread(g, &d->list[row], &c, LLVMGetParam(fn, 2));
        spread_run(g, &d->list[LIST_K], &c, LLVMGetParam(fn, 3), j);
    }
    LLVMValueRef x = nm_gen_value(g, v, &c);
    if (!x)
        return NULL;
    nm_fn_finish(f, nm_dtype_cast(f, v->type->dtype, NM_f32, x));
    return fn;
}

// void store(env, batch, m, n, j, acc)
static LLVMValueRef write_store(nm_gen *g, nm_dot *d)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64, f->f32};
    LLVMValueRef fn = nm_gen_begin_hook(g, "store", LLVMFunctionType(f->nothing, param, 6, false));
    nm_coords c = {0};
    spread(g, &d->list[LIST_BATCH], &c, LLVMGetParam(fn, 1));
    spread(g, &d->list[LIST_M], &c, LLVMGetParam(fn, 2));
    spread_run(g, &d->list[LIST_N], &c, LLVMGetParam(fn, 3), LLVMGetParam(fn, 4));
    nm_value *product = &d->op->out[0];
    nm_dtype t = product->type->dtype;
    nm_gen_know(g, product, &c, nm_dtype_cast(f, NM_f32, t, LLVMGetParam(fn, 5)));
    LLVMValueRef element[NM_MAX_ARGS];
    for (int i = 0; i < g->group->n_out; i++) {
        element[i] = nm_gen_value(g, nm_group_result(g, i), &c);
        if (!element[i])
            return NULL;
    }
    for (int i = 0; i < g->group->n_out; i++)
        nm_gen_store(g, i, &c, element[i]);
    nm_fn_finish(f, NULL);
    return fn;
}

// --- the kernel
// -----------------------------------------------------------------------------------------------------

static LLVMValueRef run_of(nm_gen *g, const nm_space *s)
{
    LLVMValueRef run = nm_space_inner(g, s);
    return run ? run : nm_fn_i64(&g->fn, 0);
}

// A step of decoding has few rows: worth a path of its own, and its code.
static bool decodes(const nm_gen *g)
{
    nm_sym name = nm_func_outer(g->group->func)->name;
    return name && strcmp(name, "decode") == 0;
}

// nmk_gemm_spec, on the stack: constants that fold, but for runs of run-time extent.
static LLVMValueRef write_spec(nm_gen *g, const nm_dot *d)
{
    nm_fn *f = &g->fn;
    const nm_space *k = &d->list[LIST_K];
    LLVMValueRef word[] = {
        nm_fn_i64(f, d->a_along_row ? NMK_ALONG_ROW : NMK_ALONG_K),
        nm_fn_i64(f, d->b_along_row ? NMK_ALONG_ROW : NMK_ALONG_K),
        run_of(g, d->a_along_row ? &d->list[LIST_M] : k),
        run_of(g, d->b_along_row ? &d->list[LIST_N] : k),
        run_of(g, &d->list[LIST_N]),
        nm_fn_i64(f, decodes(g)),
    };
    int n = sizeof word / sizeof *word;
    LLVMValueRef spec = nm_fn_slot(f, LLVMArrayType2(f->i64, (uint64_t)n));
    for (int i = 0; i < n; i++)
        LLVMBuildStore(f->b, word[i], nm_fn_at(f, f->i64, spec, nm_fn_i64(f, i)));
    return spec;
}

static LLVMValueRef size_of(nm_gen *g, const nm_dot *d, nm_dot_list l)
{
    return nm_fn_product(&g->fn, d->list[l].n, d->list[l].dim);
}

static void write_count(nm_gen *g, const nm_dot *d)
{
    nm_gen_begin_count(g);
    LLVMValueRef size[] = {size_of(g, d, LIST_BATCH), size_of(g, d, LIST_M), size_of(g, d, LIST_N)};
    nm_gen_end_count(g, nm_gen_call(g, "nmk_gemm_count", g->fn.i64, 3, size));
}

static void write_kernel(nm_gen *g, const nm_dot *d, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef arg[] = {write_spec(g, d),
                          nm_gen_env(g),
                          size_of(g, d, LIST_BATCH),
                          size_of(g, d, LIST_M),
                          size_of(g, d, LIST_N),
                          size_of(g, d, LIST_K),
                          a,
                          b,
                          c,
                          g->from,
                          g->to,
                          g->scratch};
    nm_gen_call(g, "nmk_gemm", g->fn.nothing, 12, arg);
    nm_fn_finish(&g->fn, NULL);
}

static bool has_floats(nm_gen *g, const nm_op *op)
{
    for (int i = 0; i < 2; i++) {
        nm_dtype t = op->in[i]->type->dtype;
        if (!nm_is_float(t) || t == NM_f64)
            return nm_gen_refuse(g, op, "products of this dtype are not lowered yet") != NULL;
    }
    return true;
}

bool nm_kernel_dot(nm_gen *g)
{
    nm_dot d = {.op = nm_group_op(g, NM_OP_dot)};
    if (!d.op)
        return nm_gen_refuse(g, g->group, "a dot kernel without a dot") != NULL;
    if (!has_floats(g, d.op))
        return false;
    find_roles(g, &d);
    const nm_space *rows[] = {&d.list[LIST_BATCH], &d.list[LIST_M], &d.list[LIST_N]};
    for (int i = 0; i < g->group->n_out; i++)
        nm_space_prove(g, i, 3, rows);
    LLVMValueRef a = write_load(g, &d, "load_a", d.a, LIST_M, d.a_along_row);
    LLVMValueRef b = a ? write_load(g, &d, "load_b", d.b, LIST_N, d.b_along_row) : NULL;
    LLVMValueRef c = b ? write_store(g, &d) : NULL;
    if (!c)
        return false;
    write_kernel(g, &d, a, b, c);
    write_count(g, &d);
    g->scratch_bytes = NMK_GEMM_SCRATCH;
    return true;
}
