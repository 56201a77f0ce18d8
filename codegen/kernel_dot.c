// Product kernels: the matrix product template with the group's maps as hooks.
//
// Each list of a dot's dims (ir/dot.h) is walked as one flat index. A hook's index is a base
// and an offset j into the innermost run of its list, so that division stays outside of the host
// template's loops; on a GPU each element is one of its own, and j is 0.
#include "codegen/kernel_dot.h"
#include "codegen/kernels.h"
#include "codegen/templates/gpu/gemm.h"
#include "ir/product.h"

#include <string.h>

// --- hooks ---------------------------------------------------------------------------------------

void nm_dot_spread(nm_gen *g, const nm_space *s, nm_coords *c, LLVMValueRef flat)
{
    nm_index_spread(g, c, s->n, s->dim, flat);
}

void nm_dot_spread_run(nm_gen *g, const nm_space *s, nm_coords *c, LLVMValueRef base,
                       LLVMValueRef j)
{
    LLVMValueRef run = nm_space_inner(g, s);
    if (!run) {
        nm_dot_spread(g, s, c, nm_index_add(g, base, j));
        return;
    }
    LLVMValueRef inner = nm_index_add(g, nm_index_rem(g, base, run), j);
    nm_index_spread(g, c, s->n - s->inner, s->dim + s->inner, inner);
    nm_index_spread(g, c, s->inner, s->dim, nm_index_div(g, base, run));
}

// float load(env, batch, row, k, j)
static LLVMValueRef write_load(nm_gen *g, nm_dot_kernel *d, const char *name, nm_value *v,
                               nm_dot_list row, bool rows_contiguous)
{
    nm_fn *f = &g->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->i64, f->i64, f->i64};
    LLVMValueRef fn = nm_gen_begin_hook(g, name, LLVMFunctionType(f->f32, param, 5, false));
    nm_coords c = {0};
    LLVMValueRef j = LLVMGetParam(fn, 4);
    nm_dot_spread(g, &d->list[NM_DOT_BATCH], &c, LLVMGetParam(fn, 1));
    if (rows_contiguous) {
        nm_dot_spread_run(g, &d->list[row], &c, LLVMGetParam(fn, 2), j);
        nm_dot_spread(g, &d->list[NM_DOT_K], &c, LLVMGetParam(fn, 3));
    } else {
        nm_dot_spread(g, &d->list[row], &c, LLVMGetParam(fn, 2));
        nm_dot_spread_run(g, &d->list[NM_DOT_K], &c, LLVMGetParam(fn, 3), j);
    }
    LLVMValueRef x = nm_gen_value(g, v, &c);
    if (!x)
        return NULL;
    nm_fn_finish(f, nm_dtype_cast(f, v->type->dtype, NM_f32, x));
    return fn;
}

// --- the kernel ----------------------------------------------------------------------------------

static LLVMValueRef size_of(nm_gen *g, const nm_dot_kernel *d, nm_dot_list l)
{
    return nm_fn_product(&g->fn, d->list[l].n, d->list[l].dim);
}

static LLVMValueRef along(nm_gen *g, bool row)
{
    return nm_fn_i64(&g->fn, row ? NMK_ALONG_ROW : NMK_ALONG_K);
}

// --- on the host ---------------------------------------------------------------------------------

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
static LLVMValueRef write_spec(nm_gen *g, const nm_dot_kernel *d, const nm_dot_places *p)
{
    nm_fn *f = &g->fn;
    const nm_space *k = &d->list[NM_DOT_K];
    bool near = d->dot.n_near > 0;
    LLVMValueRef together = nm_dot_together(g, d);
    LLVMValueRef word[] = {
        along(g, d->dot.a_along_row),
        along(g, d->dot.b_along_row),
        run_of(g, d->dot.a_along_row ? &d->list[NM_DOT_M] : k),
        run_of(g, d->dot.b_along_row ? &d->list[NM_DOT_N] : k),
        near ? together : run_of(g, &d->list[NM_DOT_N]),
        together,
        near ? nm_fn_product(f, d->points.n, d->points.dim) : nm_fn_i64(f, 0),
        nm_fn_i64(f, p->bytes[0]),
        nm_fn_i64(f, p->bytes[1]),
        nm_fn_i64(f, p->bytes[2]),
        nm_fn_i64(f, p->plain[0]),
        nm_fn_i64(f, p->plain[1]),
        nm_fn_i64(f, decodes(g)),
    };
    int n = sizeof word / sizeof *word;
    LLVMValueRef spec = nm_fn_slot(f, LLVMArrayType2(f->i64, (uint64_t)n));
    for (int i = 0; i < n; i++)
        LLVMBuildStore(f->b, word[i], nm_fn_at(f, f->i64, spec, nm_fn_i64(f, i)));
    return spec;
}

static void write_count(nm_gen *g, const nm_dot_kernel *d)
{
    nm_gen_begin_count(g);
    LLVMValueRef size[] = {size_of(g, d, NM_DOT_BATCH), size_of(g, d, NM_DOT_M),
                           size_of(g, d, NM_DOT_N), nm_dot_together(g, d)};
    nm_gen_end_count(g, nm_gen_call(g, "nmk_gemm_count", g->fn.i64, 4, size));
}

static bool write_host_kernel(nm_gen *g, const nm_dot_kernel *d, LLVMValueRef *hook)
{
    nm_dot_places place;
    if (!nm_dot_make_places(g, d, &place))
        return false;
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef arg[] = {write_spec(g, d, &place),
                          nm_gen_env(g),
                          size_of(g, d, NM_DOT_BATCH),
                          size_of(g, d, NM_DOT_M),
                          size_of(g, d, NM_DOT_N),
                          size_of(g, d, NM_DOT_K),
                          hook[0],
                          hook[1],
                          hook[2],
                          place.hook[0],
                          place.hook[1],
                          place.hook[2],
                          g->from,
                          g->to,
                          g->scratch};
    nm_gen_call(g, "nmk_gemm", g->fn.nothing, sizeof arg / sizeof *arg, arg);
    nm_fn_finish(&g->fn, NULL);
    write_count(g, d);
    g->scratch_bytes = NMK_GEMM_SCRATCH;
    g->chunk = decodes(g) ? NMK_GEMV_CHUNK : NMK_GEMM_CHUNK;
    return true;
}

// --- on a GPU ------------------------------------------------------------------------------------

// ceil(the list's elements / a tile)
static const nm_extent *tiles_of(nm_gen *g, const nm_space *s)
{
    nm_module *m = g->fn.m;
    const nm_extent *n =
        nm_extent_add(m, nm_space_extent(g, s), nm_extent_const(m, NMG_GEMM_TILE - 1));
    return nm_extent_div(m, n, nm_extent_const(m, NMG_GEMM_TILE));
}

static const nm_extent *all_tiles(nm_gen *g, const nm_dot_kernel *d)
{
    nm_module *m = g->fn.m;
    const nm_extent *tiles =
        nm_extent_mul(m, tiles_of(g, &d->list[NM_DOT_M]), tiles_of(g, &d->list[NM_DOT_N]));
    return nm_extent_mul(m, nm_space_extent(g, &d->list[NM_DOT_BATCH]), tiles);
}

// Are the operands' elements bf16 or fewer bits, which are exact in it, or widened from there?
static bool is_bf16(const nm_value *v)
{
    const nm_op *op = v->def;
    bool passes = op && op->n_in == 1 && (nm_is(op, NM_VIEW) || op->code == NM_OP_cast);
    return v->type->dtype == NM_bf16 || nm_is_fp8(v->type->dtype) || (passes && is_bf16(op->in[0]));
}

static bool write_gpu_kernel(nm_gen *g, const nm_dot_kernel *d, LLVMValueRef *hook)
{
    g->range = all_tiles(g, d);
    if (!g->range)
        return nm_gen_refuse(g, d->dot.op, "its tiles have no extent that can be written") != NULL;
    g->threads = NMG_GEMM_THREADS;
    g->per_block = 1;
    g->shared_bytes = NMG_GEMM_SHARED;
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef arg[] = {nm_gen_env(g),
                          along(g, d->dot.a_along_row),
                          along(g, d->dot.b_along_row),
                          size_of(g, d, NM_DOT_M),
                          size_of(g, d, NM_DOT_N),
                          size_of(g, d, NM_DOT_K),
                          hook[0],
                          hook[1],
                          hook[2],
                          g->from};
    bool bf16 = is_bf16(d->dot.a) && is_bf16(d->dot.b);
    nm_gen_call(g, bf16 ? "nmg_gemm_bf16" : "nmg_gemm", g->fn.nothing, 10, arg);
    nm_fn_finish(&g->fn, NULL);
    return true;
}

// --- the kind ------------------------------------------------------------------------------------

static bool has_floats(nm_gen *g, const nm_op *op)
{
    for (int i = 0; i < 2; i++) {
        nm_dtype t = op->in[i]->type->dtype;
        if (!nm_is_float(t) || t == NM_f64)
            return nm_gen_refuse(g, op, "products of this dtype are not lowered yet") != NULL;
    }
    return true;
}

static bool make_spaces(nm_gen *g, nm_dot_kernel *d)
{
    for (int i = 0; i < NM_DOT_LISTS; i++)
        d->list[i] = nm_space_make(g, d->dot.n[i], d->dot.dim[i]);
    if (d->dot.n_near) // the store does not walk it
        d->list[NM_DOT_N] = nm_space_to_read(d->dot.b, d->dot.n[NM_DOT_N], d->dot.dim[NM_DOT_N]);
    return nm_dot_make_points(g, d);
}

bool nm_kernel_dot(nm_gen *g)
{
    nm_op *op = nm_group_op(g, NM_OP_dot);
    if (!op)
        return nm_gen_refuse(g, g->group, "a dot kernel without a dot") != NULL;
    if (!has_floats(g, op))
        return false;
    nm_dot_kernel d = {.dot = nm_dot_of(g->group, op)};
    if (!make_spaces(g, &d))
        return false;
    LLVMValueRef hook[3] = {write_load(g, &d, "load_a", d.dot.a, NM_DOT_M, d.dot.a_along_row)};
    hook[1] = hook[0] ? write_load(g, &d, "load_b", d.dot.b, NM_DOT_N, d.dot.b_along_row) : NULL;
    hook[2] = hook[1] ? nm_dot_store(g, &d) : NULL;
    return hook[2] && (g->is_gpu ? write_gpu_kernel : write_host_kernel)(g, &d, hook);
}
