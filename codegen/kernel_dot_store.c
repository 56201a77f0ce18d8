// The epilogue of a product kernel, as a hook: maps of the product's elements, and the stores.
//
// One that reads neighbours of its element (the near dims of ir/dot.h) is written for a group of
// columns of a row, which has all of them: the template has finished their sums, and calls it once
// for each of the group's points. Small dims of the results (the halves of a head) are no points:
// all their indices are written out.
#include "codegen/kernel_dot.h"
#include "codegen/kernels.h"
#include "codegen/templates/template.h"

enum { MOST_POINTS = 16, MOST_UNROLLED = 4 }; // of one call of the store; of one dim
_Static_assert(NM_DOT_NEAR <= NMK_GEMM_TOGETHER, "a product's near dims");

static const nm_dim *near_dims(const nm_dot_kernel *d)
{
    return d->dot.dim[NM_DOT_N] + d->dot.n[NM_DOT_N] - d->dot.n_near;
}

static bool is_near(const nm_dot_kernel *d, nm_sym dim)
{
    for (int i = 0; i < d->dot.n_near; i++)
        if (near_dims(d)[i].name == dim)
            return true;
    return false;
}

static LLVMValueRef size_of_near(nm_gen *g, const nm_dot_kernel *d)
{
    return nm_fn_product(&g->fn, d->dot.n_near, near_dims(d));
}

LLVMValueRef nm_dot_together(nm_gen *g, const nm_dot_kernel *d)
{
    return d->dot.n_near ? size_of_near(g, d) : nm_fn_i64(&g->fn, 0);
}

// --- the points ----------------------------------------------------------------------------------

static bool has_near_at_hand(nm_gen *g, const nm_dot_kernel *d)
{
    bool few = nm_dot_near_elems(d->dot.n_near, near_dims(d)) <= NM_DOT_NEAR;
    return (few && !g->is_gpu) ||
           nm_gen_refuse(g, d->dot.op,
                         "an epilogue that reads so many elements of it is not lowered");
}

// Small dims are written out, so that no element of a concat selects its part.
static void unroll_small(nm_space *s)
{
    int64_t extent;
    int n = 0;
    for (int i = 0; i < s->n; i++)
        if (nm_extent_is_const(s->dim[i].extent, &extent) && extent <= MOST_UNROLLED)
            s->unrolled[s->n_unrolled++] = s->dim[i];
        else
            s->dim[n++] = s->dim[i];
    s->n = n;
}

// Does one of the space's dims have the name of one that the product has besides the near ones?
static bool meets_other(const nm_dot_kernel *d, int n, const nm_dim *dim)
{
    for (int i = 0; i < n; i++)
        if (nm_has_dim(d->dot.op->out[0].type, dim[i].name) && !is_near(d, dim[i].name))
            return true;
    return false;
}

// The results' dims that are in none of the product's lists, but for the near ones.
static nm_space points_of(nm_gen *g, const nm_dot_kernel *d)
{
    const nm_type *out = g->group->out[0].type;
    nm_type t = {0};
    for (int i = 0; i < out->rank; i++)
        if (!nm_has_dim(d->dot.op->out[0].type, out->dim[i].name) || is_near(d, out->dim[i].name))
            t.dim[t.rank++] = out->dim[i];
    nm_space s = nm_space_of_map(g, &t);
    if (s.n_merged == 0)
        unroll_small(&s);
    bool fits = nm_space_copies(&s) <= MOST_POINTS && !meets_other(d, s.n, s.dim) &&
                !meets_other(d, s.n_unrolled, s.unrolled);
    return fits ? s : nm_space_make(g, t.rank, t.dim);
}

bool nm_dot_make_points(nm_gen *g, nm_dot_kernel *d)
{
    if (d->dot.n_near && !has_near_at_hand(g, d))
        return false;
    d->apart = nm_space_make(g, d->dot.n[NM_DOT_N] - d->dot.n_near, d->dot.dim[NM_DOT_N]);
    d->points = points_of(g, d);
    const nm_space *all[] = {&d->list[NM_DOT_BATCH], &d->list[NM_DOT_M], &d->apart, &d->points};
    for (int i = 0; i < g->group->n_out; i++)
        nm_space_prove(g, i, 4, all);
    return true;
}

// --- the hook ------------------------------------------------------------------------------------

// All elements first: a result may be written over an operand.
static bool write_results(nm_gen *g, int points, const nm_coords *at)
{
    LLVMValueRef element[MOST_POINTS * NM_MAX_ARGS];
    int n = g->group->n_out;
    for (int i = 0; i < points * n; i++) {
        element[i] = nm_gen_value(g, nm_group_result(g, i % n), &at[i / n]);
        if (!element[i])
            return false;
    }
    for (int i = 0; i < points * n; i++)
        nm_gen_store(g, i % n, &at[i / n], element[i]);
    return true;
}

// The point that is j columns from n, and its sum.
static int spread_own(nm_gen *g, const nm_dot_kernel *d, LLVMValueRef fn, nm_coords *at)
{
    nm_fn *f = &g->fn;
    nm_value *product = &d->dot.op->out[0];
    LLVMValueRef j = LLVMGetParam(fn, 4), sum = LLVMGetParam(fn, 5);
    nm_dot_spread_run(g, &d->list[NM_DOT_N], at, LLVMGetParam(fn, 3), j);
    if (!g->is_gpu)
        sum = nm_gen_in_scratch(g, nm_fn_load(f, f->f32, sum, j));
    nm_gen_know(g, product, at, nm_dtype_cast(f, NM_f32, product->type->dtype, sum));
    return 1;
}

// The points of the results that are at j of a group of columns, from n on.
static int spread_near(nm_gen *g, const nm_dot_kernel *d, LLVMValueRef fn, nm_coords *at)
{
    LLVMValueRef group = nm_index_div(g, LLVMGetParam(fn, 3), size_of_near(g, d));
    nm_dot_spread(g, &d->apart, at, group);
    g->near = (nm_near){&d->dot.op->out[0], LLVMGetParam(fn, 5), d->dot.n_near, near_dims(d), *at};
    nm_dot_spread(g, &d->points, at, LLVMGetParam(fn, 4));
    int copies = nm_space_copies(&d->points);
    for (int k = copies; k-- > 0;) {
        at[k] = at[0];
        nm_space_copy(g, &d->points, k, &at[k]);
    }
    return copies;
}

// void store(env, batch, m, n, j, sum): a float on a GPU; on the host where the sums from n on lie.
LLVMValueRef nm_dot_store(nm_gen *g, const nm_dot_kernel *d)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64, g->is_gpu ? f->f32 : f->ptr};
    LLVMValueRef fn = nm_gen_begin_hook(g, "store", LLVMFunctionType(f->nothing, param, 6, false));
    nm_coords at[MOST_POINTS] = {0};
    nm_dot_spread(g, &d->list[NM_DOT_BATCH], &at[0], LLVMGetParam(fn, 1));
    nm_dot_spread(g, &d->list[NM_DOT_M], &at[0], LLVMGetParam(fn, 2));
    int points = (d->dot.n_near ? spread_near : spread_own)(g, d, fn, at);
    if (!write_results(g, points, at))
        return NULL;
    nm_fn_finish(f, NULL);
    return fn;
}
