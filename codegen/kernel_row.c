// Row kernels: for every index of the kept dims R, one pass over the reduced dims C for each level
// of reductions, then one that writes the results that have C.
//
// With R empty and sums alone as results (a loss, a norm), a single row would leave all threads but
// one idle: then chunks of fixed length are summed to a workspace, and a second kernel of range 1
// adds those in order. The chunks do not depend on the threads, so neither do the bits.
//
// On a GPU a row, or a chunk, is done by a team of threads (codegen/team.h).
#include "codegen/kernels.h"
#include "codegen/lanes.h"
#include "codegen/space.h"
#include "codegen/team.h"

static bool has_over(const nm_reductions *r, const nm_type *t)
{
    for (int i = 0; i < r->n_over; i++)
        if (nm_has_dim(t, r->over[i].name))
            return true;
    return false;
}

// --- one row -------------------------------------------------------------------------------------

static bool join_level(nm_gen *g, const nm_lanes *l, int level, const nm_sweep *w)
{
    const nm_reductions *r = l->r;
    for (int k = 0; k < w->copies; k++) {
        nm_coords at = nm_sweep_point(g, w, k);
        for (int i = 0; i < r->n; i++) {
            if (r->level[i] != level)
                continue;
            LLVMValueRef x = nm_gen_value(g, r->op[i]->in[0], &at);
            if (!x)
                return false;
            nm_lanes_join(g, l, i, w->lane, x);
        }
    }
    return true;
}

static void start_level(nm_gen *g, const nm_lanes *l, int level)
{
    for (int i = 0; i < l->r->n; i++)
        if (l->r->level[i] == level)
            nm_lanes_start(g, l, i);
    g->deal.lanes = l->n > 1 ? l->n : 0;
}

// The level's results, by all threads of the team, are known at `row`.
static void know_level(nm_gen *g, const nm_lanes *l, int level, nm_team *team, const nm_coords *row)
{
    const nm_reductions *r = l->r;
    nm_op *op[NM_MAX_REDUCTIONS];
    LLVMValueRef x[NM_MAX_REDUCTIONS];
    int n = 0;
    g->deal.lanes = 0;
    for (int i = 0; i < r->n; i++) {
        if (r->level[i] != level)
            continue;
        op[n] = r->op[i];
        x[n++] = nm_lanes_total(g, l, i);
    }
    nm_team_join(g, team, n, op, x);
    for (int i = 0; i < n; i++) {
        nm_value *result = &op[i]->out[0];
        nm_gen_know(g, result, row, nm_dtype_round(&g->fn, result->type->dtype, x[i]));
    }
}

static bool reduce_row(nm_gen *g, const nm_lanes *l, const nm_space *c, nm_team *team,
                       const nm_coords *row)
{
    for (int level = 1; level <= l->r->levels; level++) {
        start_level(g, l, level);
        nm_sweep w;
        nm_sweep_begin(g, &w, c, row);
        bool ok = join_level(g, l, level, &w);
        nm_sweep_end(g, &w);
        if (!ok)
            return false;
        know_level(g, l, level, team, row);
    }
    return true;
}

static bool is_of(nm_gen *g, const nm_reductions *r, int i, bool with_over)
{
    return has_over(r, g->group->out[i].type) == with_over;
}

static bool find_results(nm_gen *g, const nm_reductions *r, const nm_coords *at, bool with_over,
                         LLVMValueRef *element)
{
    for (int i = 0; i < g->group->n_out; i++) {
        if (!is_of(g, r, i, with_over))
            continue;
        element[i] = nm_gen_value(g, nm_group_result(g, i), at);
        if (!element[i])
            return false;
    }
    return true;
}

static void store_results(nm_gen *g, const nm_reductions *r, const nm_coords *at, bool with_over,
                          LLVMValueRef *element)
{
    for (int i = 0; i < g->group->n_out; i++)
        if (is_of(g, r, i, with_over))
            nm_gen_store(g, i, at, element[i]);
}

// Results without C: all threads know them, one stores them.
static bool write_first(nm_gen *g, const nm_reductions *r, const nm_team *team,
                        const nm_coords *row)
{
    LLVMValueRef element[NM_MAX_ARGS];
    if (!find_results(g, r, row, false, element))
        return false;
    LLVMBasicBlockRef next = nm_team_begin_first(g, team);
    nm_scope scope = nm_gen_open(g);
    store_results(g, r, row, false, element);
    nm_gen_close(g, scope);
    nm_team_end_part(g, next);
    return true;
}

static int count_with_over(const nm_gen *g, const nm_reductions *r)
{
    int n = 0;
    for (int i = 0; i < g->group->n_out; i++)
        n += has_over(r, g->group->out[i].type);
    return n;
}

// The elements of a run first, then the stores, which are one access then.
static bool write_run(nm_gen *g, const nm_reductions *r, const nm_sweep *w, int first)
{
    enum { MOST = 8 };
    LLVMValueRef element[MOST][NM_MAX_ARGS];
    nm_coords at[MOST];
    if (w->run > MOST)
        nm_bug("row kernel: runs of %d", w->run);
    for (int k = 0; k < w->run; k++) {
        at[k] = nm_sweep_point(g, w, first + k);
        if (!find_results(g, r, &at[k], true, element[k]))
            return false;
    }
    for (int i = 0; i < g->group->n_out; i++)
        for (int k = 0; k < w->run && is_of(g, r, i, true); k++)
            nm_gen_store(g, i, &at[k], element[k][i]);
    return true;
}

static bool write_over(nm_gen *g, const nm_reductions *r, const nm_space *c, const nm_team *team,
                       const nm_coords *row)
{
    LLVMBasicBlockRef next = nm_team_begin_active(g, team);
    nm_scope scope = nm_gen_open(g);
    nm_sweep w;
    nm_sweep_begin(g, &w, c, row);
    bool ok = true;
    for (int k = 0; k < w.copies && ok; k += w.run)
        ok = write_run(g, r, &w, k);
    nm_sweep_end(g, &w);
    nm_gen_close(g, scope);
    nm_team_end_part(g, next);
    return ok;
}

// Results without C first: they may read an element that a result with C is then written over.
static bool write_row(nm_gen *g, const nm_reductions *r, const nm_space *c, const nm_team *team,
                      const nm_coords *row)
{
    bool ok = write_first(g, r, team, row);
    if (!ok || !count_with_over(g, r))
        return ok;
    nm_team_wait(g, team);
    return write_over(g, r, c, team, row);
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
    nm_team team = nm_team_for_rows(g, nm_space_extent(g, over), count_with_over(g, r), r->n);
    nm_gen_begin_kernel(g, "kernel");
    nm_lanes lanes = nm_lanes_make(g, r, nm_space_extent(g, over));
    nm_team_begin(g, &team);
    nm_coords row = {0};
    nm_index_spread(g, &row, kept->n, kept->dim, team.row);
    bool ok = reduce_row(g, &lanes, over, &team, &row) && write_row(g, r, over, &team, &row);
    nm_team_end(g, &team);
    nm_fn_finish(&g->fn, NULL);
    g->grain = grain_of(over);
    g->range = nm_space_extent(g, kept);
    return ok;
}

// --- sums of everything: fixed chunks, then their combination ------------------------------------

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

static void store_parts(nm_gen *g, const nm_lanes *l, int workspace, nm_team *team)
{
    const nm_reductions *r = l->r;
    LLVMValueRef x[NM_MAX_REDUCTIONS];
    for (int i = 0; i < r->n; i++)
        x[i] = nm_lanes_total(g, l, i);
    nm_team_join(g, team, r->n, r->op, x);
    LLVMBasicBlockRef next = nm_team_begin_first(g, team);
    for (int i = 0; i < r->n; i++)
        LLVMBuildStore(g->fn.b, x[i], part_at(g, r, workspace, team->row, i));
    nm_team_end_part(g, next);
}

static bool write_chunks(nm_gen *g, const nm_reductions *r, const nm_space *over, int workspace)
{
    nm_fn *f = &g->fn;
    nm_team team = nm_team_whole(g, r->n);
    nm_gen_begin_kernel(g, "kernel");
    nm_lanes lanes = nm_lanes_make(g, r, nm_space_extent(g, over));
    LLVMValueRef total = nm_gen_number(g, nm_space_extent(g, over));
    nm_team_begin(g, &team);
    LLVMValueRef from = nm_index_mul(g, team.row, nm_fn_i64(f, CHUNK));
    LLVMValueRef to = nm_fn_min(f, total, LLVMBuildAdd(f->b, from, nm_fn_i64(f, CHUNK), ""));
    start_level(g, &lanes, 1);
    nm_sweep w;
    nm_sweep_begin_range(g, &w, over, from, to);
    bool ok = join_level(g, &lanes, 1, &w);
    nm_sweep_end(g, &w);
    store_parts(g, &lanes, workspace, &team);
    nm_team_end(g, &team);
    nm_fn_finish(f, NULL);
    g->range = chunks_of(g, nm_space_extent(g, over));
    return ok;
}

// All chunks' parts, in order: each thread's share.
static void add_chunks(nm_gen *g, const nm_lanes *l, const nm_space *over, int workspace)
{
    nm_fn *f = &g->fn;
    const nm_reductions *r = l->r;
    start_level(g, l, 1);
    LLVMValueRef end = nm_gen_number(g, chunks_of(g, nm_space_extent(g, over)));
    LLVMValueRef first = g->is_gpu ? g->lane : nm_fn_i64(f, 0);
    nm_loop loop = nm_loop_begin(f, first, end, "chunk");
    loop.step = nm_fn_i64(f, g->is_gpu ? g->threads : 1);
    for (int i = 0; i < r->n; i++) {
        LLVMTypeRef t = nm_reduction_type(g, r->op[i]);
        LLVMValueRef x = LLVMBuildLoad2(f->b, t, part_at(g, r, workspace, loop.i, i), "");
        nm_lanes_join(g, l, i, NULL, x);
    }
    nm_loop_end(f, &loop);
}

static bool write_combination(nm_gen *g, const nm_reductions *r, const nm_space *over,
                              int workspace)
{
    nm_team team = nm_team_whole(g, r->n);
    nm_coords row = {0};
    nm_gen_begin_kernel(g, "kernel2");
    nm_lanes single = nm_lanes_single(g, r);
    nm_team_begin(g, &team);
    add_chunks(g, &single, over, workspace);
    know_level(g, &single, 1, &team, &row);
    bool ok = write_first(g, r, &team, &row);
    nm_team_end(g, &team);
    nm_fn_finish(&g->fn, NULL);
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
    if (r.n_kept == 0 && r.levels == 1 && !count_with_over(g, &r))
        return write_whole(g, &r, &over);
    return write_rows(g, &r, &kept, &over);
}
