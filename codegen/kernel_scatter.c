// Scatter kernels: rows of the result gather the values whose index names them, in order, so no two
// threads write one element and the sum's order is fixed (template.h: nmk_scatter_add, and on a GPU
// nmg_scatter_add).
#include "codegen/global.h"
#include "codegen/kernels.h"
#include "codegen/space.h"
#include "codegen/templates/gpu/scatter.h"

typedef struct nm_scatter { // dst[o, over, x] = init + sum over i of value[o, i, x] at index[o, i]
    nm_op *op;
    nm_value *init; // what the result is added to; NULL: zeros
    nm_space o, i, x;
    nm_dim over;
    const nm_extent *o_stride, *row_stride, *x_stride; // of the result
} nm_scatter;

static nm_value *init_of(nm_gen *g, const nm_scatter *s)
{
    nm_op *root = nm_group_result(g, 0)->def;
    if (!root || root->code != NM_OP_add)
        return NULL;
    return root->in[0]->def == s->op ? root->in[1] : root->in[0];
}

static bool is_plain(nm_gen *g, const nm_scatter *s)
{
    nm_op *root = nm_group_result(g, 0)->def;
    bool added =
        root && root->code == NM_OP_add && (root->in[0]->def == s->op || root->in[1]->def == s->op);
    return g->group->n_out == 1 && (root == s->op || added);
}

typedef struct dim_list {
    int n, last; // the place in the result of the last of them
    nm_dim dim[NM_MAX_RANK];
} dim_list;

// false: it is apart from the others of its list, which then has no one stride.
static bool add_dim(dim_list *l, int place, nm_dim dim)
{
    bool next = l->n == 0 || l->last == place - 1;
    l->dim[l->n++] = dim;
    l->last = place;
    return next;
}

static const nm_extent *stride_of(nm_gen *g, const dim_list *l)
{
    const nm_type *t = g->group->out[0].type;
    const nm_extent *e = nm_extent_const(g->fn.m, 1);
    for (int k = l->last + 1; k < t->rank && l->n; k++)
        e = nm_extent_mul(g->fn.m, e, t->dim[k].extent);
    return e;
}

// The result's dims are o, over and x.
static bool find_dims(nm_gen *g, nm_scatter *s)
{
    const nm_type *out = g->group->out[0].type, *at = s->op->in[1]->type;
    nm_sym over = nm_attr_sym(s->op, "over");
    dim_list o = {0}, row = {0}, x = {0}, i = {0};
    for (int k = 0; k < out->rank; k++) {
        nm_sym name = out->dim[k].name;
        dim_list *l = name == over ? &row : nm_has_dim(at, name) ? &o : &x;
        if (!add_dim(l, k, out->dim[k]))
            return nm_gen_refuse(g, s->op, "the result's order of dims is not lowered yet") != NULL;
    }
    for (int k = 0; k < at->rank; k++)
        if (at->dim[k].name == over || !nm_has_dim(out, at->dim[k].name)) // over: places, not rows
            add_dim(&i, k, at->dim[k]);
    s->over = row.dim[0];
    s->o = nm_space_make(g, o.n, o.dim);
    s->i = nm_space_make(g, i.n, i.dim);
    s->x = nm_space_make(g, x.n, x.dim);
    s->o_stride = stride_of(g, &o);
    s->row_stride = stride_of(g, &row);
    s->x_stride = stride_of(g, &x);
    return true;
}

// --- hooks ---------------------------------------------------------------------------------------

static void spread(nm_gen *g, const nm_space *s, nm_coords *c, LLVMValueRef flat)
{
    nm_index_spread(g, c, s->n, s->dim, flat);
}

static LLVMValueRef write_index(nm_gen *g, nm_scatter *s)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64};
    LLVMValueRef fn = nm_gen_begin_hook(g, "index", LLVMFunctionType(f->i64, param, 3, false));
    nm_coords c = {0};
    spread(g, &s->o, &c, LLVMGetParam(fn, 1));
    spread(g, &s->i, &c, LLVMGetParam(fn, 2));
    LLVMValueRef at = nm_gen_value(g, s->op->in[1], &c);
    if (!at)
        return NULL;
    bool is_unsigned = s->op->in[1]->type->dtype == NM_u8;
    at = LLVMBuildIntCast2(f->b, at, f->i64, !is_unsigned, "");
    if (nm_extent_is_part(f->m, s->over.extent))
        at = nm_gen_local(g, &s->over, at);
    nm_fn_finish(f, at);
    return fn;
}

// float value(env, o, i, x, j) or init(env, o, row, x, j)
static LLVMValueRef write_element(nm_gen *g, const char *name, nm_scatter *s, nm_value *v,
                                  const nm_space *second)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64};
    LLVMValueRef fn = nm_gen_begin_hook(g, name, LLVMFunctionType(f->f32, param, 5, false));
    nm_coords c = {0};
    spread(g, &s->o, &c, LLVMGetParam(fn, 1));
    spread(g, second, &c, LLVMGetParam(fn, 2));
    spread(g, &s->x, &c, nm_index_add(g, LLVMGetParam(fn, 3), LLVMGetParam(fn, 4)));
    LLVMValueRef x = nm_gen_value(g, v, &c);
    if (!x)
        return NULL;
    nm_fn_finish(f, nm_dtype_cast(f, v->type->dtype, NM_f32, x));
    return fn;
}

// --- the kernel ----------------------------------------------------------------------------------

static LLVMValueRef product(nm_gen *g, const nm_space *s)
{
    return nm_fn_product(&g->fn, s->n, s->dim);
}

// nmk_scatter_args: eight words
static LLVMValueRef write_args(nm_gen *g, const nm_scatter *s)
{
    nm_fn *f = &g->fn;
    LLVMValueRef word[] = {product(g, &s->o),
                           nm_fn_product(f, 1, &s->over),
                           product(g, &s->i),
                           product(g, &s->x),
                           nm_gen_pointer(g, g->result_arg[0]),
                           nm_fn_extent_value(f, s->o_stride, NM_SYM_SIZE),
                           nm_fn_extent_value(f, s->row_stride, NM_SYM_SIZE),
                           nm_fn_extent_value(f, s->x_stride, NM_SYM_SIZE)};
    int n = sizeof word / sizeof *word;
    LLVMValueRef args = nm_fn_slot(f, LLVMArrayType2(f->i64, (uint64_t)n));
    for (int i = 0; i < n; i++)
        LLVMBuildStore(f->b, word[i], nm_fn_at(f, f->i64, args, nm_fn_i64(f, i)));
    return args;
}

// Every thread, or block, reads all indices: it gets many rows, where there are as many.
static void deal_rows(nm_gen *g)
{
    enum { THREADS = 64, BLOCKS = 512, ROWS_OF_A_THREAD = 256, ROWS_OF_A_BLOCK = 64 };
    int64_t n;
    bool known = nm_extent_is_const(g->range, &n);
    g->grain = known ? 1 + n / THREADS : ROWS_OF_A_THREAD;
    if (!g->is_gpu)
        return;
    g->threads = NMG_SCATTER_THREADS;
    g->shared_bytes = NMG_SCATTER_SHARED;
    g->per_block = known ? 1 + n / BLOCKS : ROWS_OF_A_BLOCK;
    if (g->per_block > NMG_SCATTER_ROWS)
        g->per_block = NMG_SCATTER_ROWS;
}

static void write_kernel(nm_gen *g, const nm_scatter *s, LLVMValueRef *hook)
{
    g->range = nm_extent_mul(g->fn.m, nm_space_extent(g, &s->o), s->over.extent);
    deal_rows(g);
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef arg[] = {write_args(g, s), nm_gen_env(g), hook[0], hook[1],
                          hook[2],          g->from,       g->to};
    nm_gen_call(g, g->is_gpu ? "nmg_scatter_add" : "nmk_scatter_add", g->fn.nothing, 7, arg);
    nm_fn_finish(&g->fn, NULL);
}

bool nm_kernel_scatter(nm_gen *g)
{
    nm_scatter s = {.op = nm_group_op(g, NM_OP_scatter_add)};
    if (!s.op || !is_plain(g, &s))
        return nm_gen_refuse(g, s.op ? s.op : g->group,
                             "this form of scatter is not lowered yet") != NULL;
    if (g->group->out[0].type->dtype != NM_f32 || g->result_arg[0] < 0)
        return nm_gen_refuse(g, s.op, "scatters of this dtype are not lowered yet") != NULL;
    if (!find_dims(g, &s))
        return false;
    s.init = init_of(g, &s);
    nm_space row = nm_space_make(g, 1, &s.over);
    LLVMValueRef hook[3] = {write_index(g, &s)};
    hook[1] = hook[0] ? write_element(g, "value", &s, s.op->in[0], &s.i) : NULL;
    hook[2] = LLVMConstNull(g->fn.ptr);
    if (hook[1] && s.init)
        hook[2] = write_element(g, "init", &s, s.init, &row);
    if (!hook[1] || !hook[2])
        return false;
    write_kernel(g, &s, hook);
    return true;
}
