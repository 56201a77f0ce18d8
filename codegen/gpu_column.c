// Column kernels on a GPU: sums over outer dims. Lanes lie along the kept dims, so that a warp
// reads neighbours; a block's groups of lanes deal the rows among them, and their sums are added in
// shared memory, group after group. Where the columns alone are too few to fill a GPU, blocks take
// chunks of rows, whose sums go to a workspace, and a second kernel adds up those in the same way.
// Chunks have a fixed size, so the bits do not depend on the machine.
#include "codegen/kernels.h"
#include "codegen/reduce.h"
#include "codegen/space.h"
#include "codegen/team.h"

enum {
    WARP = 32,
    CHUNK = 128,             // rows
    FEW_ROWS = 4 * CHUNK,    // not worth a second kernel
    MANY_COLUMNS = 64 << 10, // enough for a GPU
};

typedef struct nm_columns {
    nm_reductions r;
    nm_space kept, over;
    int lanes, run, groups;  // of a block: a lane has `run` columns; groups of lanes
    int word;                // bytes of an accumulator in memory
    const nm_extent *blocks; // of columns
    const nm_extent *chunks; // of rows; NULL: all at once
    int workspace;           // the argument
    // In the kernel that is being written:
    LLVMValueRef block, chunk;
    LLVMValueRef column, active; // the thread's first, as a flat index; is there such a one?
    LLVMValueRef lane, group;
    nm_coords at; // of that column
    LLVMValueRef slot[NM_MAX_REDUCTIONS * NM_GPU_RUN];
} nm_columns;

// --- accumulators --------------------------------------------------------------------------------

static LLVMTypeRef type_of(nm_gen *g, const nm_columns *c, int i)
{
    return nm_reduction_type(g, c->r.op[i]);
}

static LLVMValueRef load_slot(nm_gen *g, const nm_columns *c, int i, int k)
{
    return LLVMBuildLoad2(g->fn.b, type_of(g, c, i), c->slot[i * c->run + k], "");
}

static void start_slot(nm_gen *g, const nm_columns *c, int i, int k)
{
    LLVMBuildStore(g->fn.b, nm_reduction_start(g, c->r.op[i]), c->slot[i * c->run + k]);
}

static void join_slot(nm_gen *g, const nm_columns *c, int i, int k, LLVMValueRef x)
{
    x = nm_reduction_join(g, c->r.op[i], load_slot(g, c, i, k), x);
    LLVMBuildStore(g->fn.b, x, c->slot[i * c->run + k]);
}

static void make_slots(nm_gen *g, nm_columns *c)
{
    for (int i = 0; i < c->r.n; i++)
        for (int k = 0; k < c->run; k++) {
            c->slot[i * c->run + k] = nm_fn_slot(&g->fn, type_of(g, c, i));
            start_slot(g, c, i, k);
        }
}

// --- which columns, which rows -------------------------------------------------------------------

static void choose_lanes(nm_gen *g, nm_columns *c)
{
    int64_t n;
    bool is_const = nm_extent_is_const(nm_space_extent(g, &c->kept), &n);
    c->run = nm_space_has_runs(&c->kept, NM_GPU_RUN) ? NM_GPU_RUN : 1;
    c->lanes = WARP;
    while (is_const && c->lanes > 1 && c->lanes / 2 * c->run >= n)
        c->lanes /= 2;
    c->groups = g->threads / c->lanes;
    c->word = 4;
    for (int i = 0; i < c->r.n; i++)
        if (type_of(g, c, i) == g->fn.f64 || type_of(g, c, i) == g->fn.i64)
            c->word = 8;
    g->per_block = 1;
    g->shared_bytes = (int64_t)g->threads * c->run * c->word;
}

// ceil(e / by); NULL: it cannot be written.
static const nm_extent *parts_of(nm_gen *g, const nm_extent *e, int64_t by)
{
    nm_module *m = g->fn.m;
    return nm_extent_div(m, nm_extent_add(m, e, nm_extent_const(m, by - 1)),
                         nm_extent_const(m, by));
}

static bool wants_chunks(nm_gen *g, const nm_columns *c)
{
    int64_t rows;
    if (nm_extent_is_const(nm_space_extent(g, &c->over), &rows) && rows <= FEW_ROWS)
        return false;
    return nm_extent_nominal(nm_space_extent(g, &c->kept)) < MANY_COLUMNS;
}

static bool choose_parts(nm_gen *g, nm_columns *c)
{
    nm_module *m = g->fn.m;
    const nm_extent *columns = nm_space_extent(g, &c->kept);
    c->blocks = parts_of(g, columns, c->lanes * c->run);
    c->chunks = NULL;
    if (wants_chunks(g, c)) {
        c->chunks = parts_of(g, nm_space_extent(g, &c->over), CHUNK);
        const nm_extent *words = nm_extent_const(m, (int64_t)c->r.n * c->word);
        const nm_extent *bytes = nm_extent_mul(m, nm_extent_mul(m, c->chunks, columns), words);
        if (!bytes)
            return nm_gen_refuse(g, g->group, "its sums have no extent that can be written");
        c->workspace = nm_gen_workspace(g, bytes);
    }
    return c->blocks ||
           nm_gen_refuse(g, g->group, "its columns have no extent that can be written");
}

// `split`: blocks of the range are those of columns, for each chunk.
static void begin(nm_gen *g, nm_columns *c, const char *name, bool split)
{
    nm_fn *f = &g->fn;
    nm_gen_begin_kernel(g, name);
    make_slots(g, c);
    LLVMValueRef blocks = nm_fn_extent_value(f, c->blocks, NM_SYM_SIZE);
    LLVMValueRef block = split ? nm_index_rem(g, g->from, blocks) : g->from;
    c->chunk = split ? nm_index_div(g, g->from, blocks) : NULL;
    c->lane = nm_index_rem(g, g->lane, nm_index_const(g, c->lanes));
    c->group = nm_index_div(g, g->lane, nm_index_const(g, c->lanes));
    LLVMValueRef first = nm_index_mul(g, block, nm_index_const(g, c->lanes * c->run));
    LLVMValueRef mine = nm_index_mul(g, c->lane, nm_index_const(g, c->run));
    LLVMValueRef column = nm_index_add(g, first, mine);
    LLVMValueRef end = nm_fn_product(f, c->kept.n, c->kept.dim);
    c->active = LLVMBuildICmp(f->b, LLVMIntSLT, column, end, "");
    c->column = LLVMBuildSelect(f->b, c->active, column, nm_index_const(g, 0), "");
    nm_index_know_multiple(g, c->column, c->run);
    c->at = (nm_coords){0};
    nm_index_spread(g, &c->at, c->kept.n, c->kept.dim, c->column);
}

// --- sums ----------------------------------------------------------------------------------------

static bool join_row(nm_gen *g, const nm_columns *c, const nm_coords *at)
{
    for (int k = 0; k < c->run; k++) {
        nm_coords p = nm_space_neighbour(g, &c->kept, at, k);
        for (int i = 0; i < c->r.n; i++) {
            LLVMValueRef x = nm_gen_value(g, c->r.op[i]->in[0], &p);
            if (!x)
                return false;
            join_slot(g, c, i, k, x);
        }
    }
    return true;
}

// The rows of the chunk, or all.
static bool join_rows(nm_gen *g, nm_columns *c)
{
    nm_fn *f = &g->fn;
    LLVMValueRef from = nm_index_const(g, 0), to = nm_fn_product(f, c->over.n, c->over.dim);
    if (c->chunk) {
        LLVMValueRef size = nm_index_const(g, CHUNK);
        from = nm_index_mul(g, c->chunk, size);
        to = nm_fn_min(f, to, LLVMBuildAdd(f->b, from, size, ""));
    }
    g->deal = (nm_deal){.lane = c->group, .n = c->groups, .run = 1, .ahead = 4};
    nm_sweep w;
    nm_sweep_begin_dealt(g, &w, &c->over, &c->at, from, to);
    bool ok = join_row(g, c, &w.at);
    nm_sweep_end(g, &w);
    return ok;
}

// part[chunk][i][column], c->word bytes each.
static LLVMValueRef part_at(nm_gen *g, const nm_columns *c, LLVMValueRef chunk, int i, int k)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef columns = nm_fn_product(&g->fn, c->kept.n, c->kept.dim);
    LLVMValueRef row = LLVMBuildMul(b, chunk, nm_index_const(g, c->r.n), "");
    row = LLVMBuildAdd(b, row, nm_index_const(g, i), "");
    LLVMValueRef at = LLVMBuildAdd(b, LLVMBuildMul(b, row, columns, ""), c->column, "");
    at = LLVMBuildAdd(b, at, nm_index_const(g, k), "");
    LLVMTypeRef word = c->word == 8 ? g->fn.i64 : g->fn.i32;
    return nm_fn_at(&g->fn, word, nm_gen_pointer(g, c->workspace), at);
}

static void join_parts(nm_gen *g, const nm_columns *c)
{
    nm_fn *f = &g->fn;
    LLVMValueRef chunks = nm_fn_extent_value(f, c->chunks, NM_SYM_SIZE);
    nm_loop loop = nm_loop_begin(f, c->group, chunks, "chunk");
    loop.step = nm_index_const(g, c->groups);
    for (int i = 0; i < c->r.n; i++)
        for (int k = 0; k < c->run; k++) {
            LLVMValueRef p = part_at(g, c, loop.i, i, k);
            join_slot(g, c, i, k, LLVMBuildLoad2(f->b, type_of(g, c, i), p, ""));
        }
    nm_loop_end(f, &loop);
}

// The place in shared memory of value k of a group.
static LLVMValueRef place_of(nm_gen *g, const nm_columns *c, LLVMValueRef group, int k)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef at = LLVMBuildMul(b, group, nm_index_const(g, c->lanes), "");
    at = LLVMBuildAdd(b, at, c->lane, "");
    at = LLVMBuildAdd(b, at, nm_index_const(g, (int64_t)k * g->threads), "");
    return LLVMBuildMul(b, at, nm_index_const(g, c->word), "");
}

static LLVMValueRef is_first_group(nm_gen *g, const nm_columns *c)
{
    return LLVMBuildICmp(g->fn.b, LLVMIntEQ, c->group, nm_index_const(g, 0), "");
}

static void add_groups(nm_gen *g, const nm_columns *c, int i)
{
    nm_fn *f = &g->fn;
    for (int k = 0; k < c->run; k++)
        start_slot(g, c, i, k);
    nm_loop loop = nm_loop_begin(f, nm_index_const(g, 0), nm_index_const(g, c->groups), "group");
    for (int k = 0; k < c->run; k++) {
        LLVMValueRef at = place_of(g, c, loop.i, k);
        join_slot(g, c, i, k, nm_shared_get(g, at, type_of(g, c, i)));
    }
    nm_loop_end(f, &loop);
}

// The first group's slots become the sums of all groups'.
static void join_groups(nm_gen *g, const nm_columns *c)
{
    for (int i = 0; i < c->r.n && c->groups > 1; i++) {
        for (int k = 0; k < c->run; k++)
            nm_shared_put(g, place_of(g, c, c->group, k), load_slot(g, c, i, k));
        nm_shared_wait(g);
        LLVMBasicBlockRef next = nm_if_begin(&g->fn, is_first_group(g, c));
        add_groups(g, c, i);
        nm_if_end(&g->fn, next);
        nm_shared_wait(g);
    }
}

// --- what becomes of them ------------------------------------------------------------------------

static void store_parts(nm_gen *g, const nm_columns *c)
{
    for (int i = 0; i < c->r.n; i++)
        for (int k = 0; k < c->run; k++)
            LLVMBuildStore(g->fn.b, load_slot(g, c, i, k), part_at(g, c, c->chunk, i, k));
}

static void know_sums(nm_gen *g, const nm_columns *c, const nm_coords *at, int k)
{
    for (int i = 0; i < c->r.n; i++) {
        nm_value *sum = &c->r.op[i]->out[0];
        LLVMValueRef x = load_slot(g, c, i, k);
        nm_gen_know(g, sum, at, nm_dtype_round(&g->fn, sum->type->dtype, x));
    }
}

static bool store_results(nm_gen *g, const nm_columns *c)
{
    LLVMValueRef element[NM_GPU_RUN][NM_MAX_ARGS];
    nm_coords at[NM_GPU_RUN];
    for (int k = 0; k < c->run; k++) {
        at[k] = nm_space_neighbour(g, &c->kept, &c->at, k);
        know_sums(g, c, &at[k], k);
        for (int i = 0; i < g->group->n_out; i++) {
            element[k][i] = nm_gen_value(g, nm_group_result(g, i), &at[k]);
            if (!element[k][i])
                return false;
        }
    }
    for (int i = 0; i < g->group->n_out; i++)
        for (int k = 0; k < c->run; k++)
            nm_gen_store(g, i, &at[k], element[k][i]);
    return true;
}

static bool finish(nm_gen *g, const nm_columns *c, bool to_workspace)
{
    join_groups(g, c);
    LLVMValueRef own = LLVMBuildAnd(g->fn.b, c->active, is_first_group(g, c), "");
    LLVMBasicBlockRef next = nm_if_begin(&g->fn, own);
    bool ok = true;
    if (to_workspace)
        store_parts(g, c);
    else
        ok = store_results(g, c);
    nm_if_end(&g->fn, next);
    nm_fn_finish(&g->fn, NULL);
    return ok;
}

// --- the kind ------------------------------------------------------------------------------------

static bool write_once(nm_gen *g, nm_columns *c)
{
    begin(g, c, "kernel", false);
    g->range = c->blocks;
    return join_rows(g, c) && finish(g, c, false);
}

static bool write_twice(nm_gen *g, nm_columns *c)
{
    begin(g, c, "kernel", true);
    g->range = nm_extent_mul(g->fn.m, c->blocks, c->chunks);
    g->range2 = c->blocks;
    if (!join_rows(g, c) || !finish(g, c, true))
        return false;
    begin(g, c, "kernel2", false);
    join_parts(g, c);
    return finish(g, c, false);
}

bool nm_gpu_column(nm_gen *g, const nm_reductions *r, const nm_space *kept, const nm_space *over)
{
    nm_columns c = {.r = *r, .kept = *kept, .over = *over};
    choose_lanes(g, &c);
    return choose_parts(g, &c) && (c.chunks ? write_twice : write_once)(g, &c);
}
