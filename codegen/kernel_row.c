// Row kernels: for every index of the kept dims R, one pass over the reduced dims C for each level
// of reductions, then one that writes the results that have C.
//
// With R empty and sums alone as results (a loss, a norm), a single row would leave all threads but
// one idle: then chunks of fixed length are summed to a workspace, and a second kernel of range 1
// adds those in order. The chunks do not depend on the threads, so neither do the bits.
#include "codegen/kernels.h"
#include "codegen/reduce.h"
#include "codegen/space.h"

static bool has_over(const nm_reductions *r, const nm_type *t)
{
    for (int i = 0; i < r->n_over; i++)
        if (nm_has_dim(t, r->over[i].name))
            return true;
    return false;
}

// --- one row
// ------------------------------------------------------------------------------------------------

static bool join_level(nm_gen *g, const nm_reductions *r, int level, const nm_coords *at,
                       LLVMValueRef *slot)
{
    for (int i = 0; i < r->n; i++) {
        if (r->level[i] != level)
            continue;
        LLVMValueRef x = nm_gen_value(g, r->op[i]->in[0], at);
        if (!x)
            return false;
        LLVMValueRef acc = LLVMBuildLoad2(g->fn.b, nm_reduction_type(g, r->op[i]), slot[i], "");
        LLVMBuildStore(g->fn.b, nm_reduction_join(g, r->op[i], acc, x), slot[i]);
    }
    return true;
}

static void start_level(nm_gen *g, const nm_reductions *r, int level, LLVMValueRef *slot)
{
    for (int i = 0; i < r->n; i++)
        if (r->level[i] == level)
            LLVMBuildStore(g->fn.b, nm_reduction_start(g, r->op[i]), slot[i]);
}

static void know_level(nm_gen *g, const nm_reductions *r, int level, const nm_coords *row,
                       LLVMValueRef *slot)
{
    for (int i = 0; i < r->n; i++) {
        if (r->level[i] != level)
            continue;
        LLVMValueRef x = LLVMBuildLoad2(g->fn.b, nm_reduction_type(g, r->op[i]), slot[i], "");
        x = nm_dtype_round(&g->fn, r->op[i]->out[0].type->dtype, x);
        nm_gen_know(g, &r->op[i]->out[0], row, x);
    }
}

static bool reduce_row(nm_gen *g, const nm_reductions *r, const nm_space *c, const nm_coords *row,
                       LLVMValueRef *slot)
{
    for (int level = 1; level <= r->levels; level++) {
        start_level(g, r, level, slot);
        nm_sweep w;
        nm_sweep_begin(g, &w, c, row);
        bool ok = join_level(g, r, level, &w.at, slot);
        nm_sweep_end(g, &w);
        if (!ok)
            return false;
        know_level(g, r, level, row, slot);
    }
    return true;
}

static bool write_results(nm_gen *g, const nm_reductions *r, const nm_coords *at, bool with_over)
{
    LLVMValueRef element[NM_MAX_ARGS];
    for (int i = 0; i < g->group->n_out; i++) {
        if (has_over(r, g->group->out[i].type) != with_over)
            continue;
        element[i] = nm_gen_value(g, nm_group_result(g, i), at);
        if (!element[i])
            return false;
    }
    for (int i = 0; i < g->group->n_out; i++)
        if (has_over(r, g->group->out[i].type) == with_over)
            nm_gen_store(g, i, at, element[i]);
    return true;
}

static bool any_with_over(nm_gen *g, const nm_reductions *r)
{
    for (int i = 0; i < g->group->n_out; i++)
        if (has_over(r, g->group->out[i].type))
            return true;
    return false;
}

// Results without C first: they may read an element that a result with C is then written over.
static bool write_row(nm_gen *g, const nm_reductions *r, const nm_space *c, const nm_coords *row)
{
    bool ok = write_results(g, r, row, false);
    if (!ok || !any_with_over(g, r))
        return ok;
    nm_sweep w;
    nm_sweep_begin(g, &w, c, row);
    ok = write_results(g, r, &w.at, true);
    nm_sweep_end(g, &w);
    return ok;
}

static void make_slots(nm_gen *g, const nm_reductions *r, LLVMValueRef *slot)
{
    for (int i = 0; i < r->n; i++)
        slot[i] = nm_fn_slot(&g->fn, nm_reduction_type(g, r->op[i]));
}

static int64_t grain_of(const nm_space *c)
{
    int64_t elements = 1, extent;
    for (int i = 0; i < c->n; i++)
        elements *= nm_extent_is_const(c->dim[i].extent, &extent) ? extent : 1;
    return elements >= 4096 ? 1 : 1 + 4096 / (elements ? elements : 1);
}

static bool write_rows(nm_gen *g, const nm_reductions *r, const nm_space *kept,
                       const nm_space *over)
{
    LLVMValueRef slot[NM_MAX_REDUCTIONS];
    nm_gen_begin_kernel(g, "kernel");
    make_slots(g, r, slot);
    nm_scope scope = nm_gen_open(g);
    nm_loop loop = nm_loop_begin(&g->fn, g->from, g->to, "row");
    nm_coords row = {0};
    nm_index_spread(g, &row, kept->n, kept->dim, loop.i);
    bool ok = reduce_row(g, r, over, &row, slot) && write_row(g, r, over, &row);
    nm_loop_end(&g->fn, &loop);
    nm_gen_close(g, scope);
    nm_fn_finish(&g->fn, NULL);
    g->grain = grain_of(over);
    g->range = nm_space_extent(g, kept);
    return ok;
}

// --- sums of everything: fixed chunks, then their combination
// --------------------------------------------

enum { CHUNK = 32768 }; // elements

static const nm_extent *chunks_of(nm_gen *g, const nm_extent *elements)
{
    nm_module *m = g->fn.m;
    const nm_extent *up = nm_extent_add(m, elements, nm_extent_const(m, CHUNK - 1));
    return nm_extent_div(m, up, nm_extent_const(m, CHUNK));
}

// part[k * n + i] is chunk k's part of reduction i, 8 bytes each.
static LLVMValueRef part_at(nm_gen *g, const nm_reductions *r, int workspace, LLVMValueRef chunk,
                            int i)
{
    LLVMValueRef at = LLVMBuildMul(g->fn.b, chunk, nm_fn_i64(&g->fn, r->n), "");
    at = LLVMBuildAdd(g->fn.b, at, nm_fn_i64(&g->fn, i), "");
    return nm_fn_at(&g->fn, g->fn.i64, nm_gen_pointer(g, workspace), at);
}

static bool write_chunks(nm_gen *g, const nm_reductions *r, const nm_space *over, int workspace)
{
    LLVMValueRef slot[NM_MAX_REDUCTIONS];
    nm_fn *f = &g->fn;
    nm_gen_begin_kernel(g, "kernel");
    make_slots(g, r, slot);
    LLVMValueRef total = nm_gen_number(g, nm_space_extent(g, over));
    nm_loop loop = nm_loop_begin(f, g->from, g->to, "chunk");
    LLVMValueRef from = LLVMBuildMul(f->b, loop.i, nm_fn_i64(f, CHUNK), "");
    LLVMValueRef to = nm_fn_min(f, total, LLVMBuildAdd(f->b, from, nm_fn_i64(f, CHUNK), ""));
    start_level(g, r, 1, slot);
    nm_sweep w;
    nm_sweep_begin_range(g, &w, over, from, to);
    bool ok = join_level(g, r, 1, &w.at, slot);
    nm_sweep_end(g, &w);
    for (int i = 0; i < r->n; i++) {
        LLVMValueRef x = LLVMBuildLoad2(f->b, nm_reduction_type(g, r->op[i]), slot[i], "");
        LLVMBuildStore(f->b, x, part_at(g, r, workspace, loop.i, i));
    }
    nm_loop_end(f, &loop);
    nm_fn_finish(f, NULL);
    g->range = chunks_of(g, nm_space_extent(g, over));
    return ok;
}

static bool write_combination(nm_gen *g, const nm_reductions *r, const nm_space *over,
                              int workspace)
{
    LLVMValueRef slot[NM_MAX_REDUCTIONS];
    nm_fn *f = &g->fn;
    nm_gen_begin_kernel(g, "kernel2");
    make_slots(g, r, slot);
    start_level(g, r, 1, slot);
    const nm_extent *chunks = chunks_of(g, nm_space_extent(g, over));
    LLVMValueRef end = nm_gen_number(g, chunks);
    nm_loop loop = nm_loop_begin(f, nm_fn_i64(f, 0), end, "chunk");
    for (int i = 0; i < r->n; i++) {
        LLVMTypeRef t = nm_reduction_type(g, r->op[i]);
        LLVMValueRef x = LLVMBuildLoad2(f->b, t, part_at(g, r, workspace, loop.i, i), "");
        LLVMValueRef acc = LLVMBuildLoad2(f->b, t, slot[i], "");
        LLVMBuildStore(f->b, nm_reduction_join(g, r->op[i], acc, x), slot[i]);
    }
    nm_loop_end(f, &loop);
    nm_coords row = {0};
    know_level(g, r, 1, &row, slot);
    bool ok = write_results(g, r, &row, false);
    nm_fn_finish(f, NULL);
    return ok;
}

static bool write_whole(nm_gen *g, const nm_reductions *r, const nm_space *over)
{
    nm_module *m = g->fn.m;
    const nm_extent *parts =
        nm_extent_mul(m, chunks_of(g, nm_space_extent(g, over)), nm_extent_const(m, 8 * r->n));
    int workspace = nm_gen_workspace(g, parts);
    return write_chunks(g, r, over, workspace) && write_combination(g, r, over, workspace);
}

bool nm_kernel_row(nm_gen *g)
{
    nm_reductions r;
    if (!nm_reductions_find(g, &r))
        return false;
    nm_space kept = nm_space_make(g, r.n_kept, r.kept), over = nm_space_make(g, r.n_over, r.over);
    const nm_space *both[] = {&kept, &over};
    for (int i = 0; i < g->group->n_out; i++)
        nm_space_prove(g, i, 1 + has_over(&r, g->group->out[i].type), both);
    if (r.n_kept == 0 && r.levels == 1 && !any_with_over(g, &r))
        return write_whole(g, &r, &over);
    return write_rows(g, &r, &kept, &over);
}
