// Column kernels: sums over outer dims, parallel over the kept ones. A block of columns has its
// accumulators in this thread's scratch; rows are read in order, each as one contiguous piece, so
// memory streams and every split of the columns gives the same bits.
#include "codegen/kernels.h"
#include "codegen/reduce.h"
#include "codegen/space.h"

enum { BLOCK = 256 }; // columns

typedef struct nm_column { // a block being written
    nm_reductions r;
    nm_space kept, over;
    LLVMValueRef first, n; // its first flat index within the inner run; how many columns
    nm_coords outer;       // of the kept dims in front of the inner run
} nm_column;

static LLVMValueRef acc_at(nm_gen *g, const nm_column *c, int i, LLVMValueRef j)
{
    LLVMValueRef start = nm_fn_i64(&g->fn, (int64_t)i * BLOCK * 8);
    LLVMValueRef p = nm_fn_at(&g->fn, g->fn.i8, g->scratch, start);
    return nm_fn_at(&g->fn, nm_reduction_type(g, c->r.op[i]), p, j);
}

static LLVMValueRef load_acc(nm_gen *g, const nm_column *c, int i, LLVMValueRef j)
{
    LLVMTypeRef t = nm_reduction_type(g, c->r.op[i]);
    return nm_gen_in_scratch(g, LLVMBuildLoad2(g->fn.b, t, acc_at(g, c, i, j), ""));
}

static void store_acc(nm_gen *g, const nm_column *c, int i, LLVMValueRef j, LLVMValueRef x)
{
    nm_gen_in_scratch(g, LLVMBuildStore(g->fn.b, x, acc_at(g, c, i, j)));
}

// The coordinates of column j of the block, on top of `at`.
static nm_coords column_at(nm_gen *g, const nm_column *c, const nm_coords *at, LLVMValueRef j)
{
    nm_coords p = *at;
    const nm_space *k = &c->kept;
    nm_index_spread(g, &p, k->n - k->inner, k->dim + k->inner, nm_index_add(g, c->first, j));
    return p;
}

static void start_block(nm_gen *g, const nm_column *c)
{
    nm_loop loop = nm_loop_begin(&g->fn, nm_fn_i64(&g->fn, 0), c->n, "j");
    for (int i = 0; i < c->r.n; i++)
        store_acc(g, c, i, loop.i, nm_reduction_start(g, c->r.op[i]));
    nm_loop_end(&g->fn, &loop);
}

static bool join_row(nm_gen *g, const nm_column *c, const nm_coords *at)
{
    nm_scope scope = nm_gen_open(g);
    nm_loop loop = nm_loop_begin(&g->fn, nm_fn_i64(&g->fn, 0), c->n, "j");
    nm_coords p = column_at(g, c, at, loop.i);
    bool ok = true;
    for (int i = 0; i < c->r.n && ok; i++) {
        LLVMValueRef x = nm_gen_value(g, c->r.op[i]->in[0], &p);
        ok = x != NULL;
        if (ok)
            store_acc(g, c, i, loop.i,
                      nm_reduction_join(g, c->r.op[i], load_acc(g, c, i, loop.i), x));
    }
    nm_loop_end(&g->fn, &loop);
    nm_gen_close(g, scope);
    return ok;
}

static bool write_results(nm_gen *g, const nm_column *c)
{
    nm_scope scope = nm_gen_open(g);
    nm_loop loop = nm_loop_begin(&g->fn, nm_fn_i64(&g->fn, 0), c->n, "j");
    nm_coords p = column_at(g, c, &c->outer, loop.i);
    for (int i = 0; i < c->r.n; i++) {
        nm_value *sum = &c->r.op[i]->out[0];
        nm_gen_know(g, sum, &p,
                    nm_dtype_round(&g->fn, sum->type->dtype, load_acc(g, c, i, loop.i)));
    }
    LLVMValueRef element[NM_MAX_ARGS];
    bool ok = true;
    for (int i = 0; i < g->group->n_out && ok; i++) {
        element[i] = nm_gen_value(g, nm_group_result(g, i), &p);
        ok = element[i] != NULL;
    }
    for (int i = 0; i < g->group->n_out && ok; i++)
        nm_gen_store(g, i, &p, element[i]);
    nm_loop_end(&g->fn, &loop);
    nm_gen_close(g, scope);
    return ok;
}

static bool write_block(nm_gen *g, nm_column *c)
{
    start_block(g, c);
    nm_sweep w;
    nm_sweep_begin(g, &w, &c->over, &c->outer);
    bool ok = join_row(g, c, &w.at);
    nm_sweep_end(g, &w);
    return ok && write_results(g, c);
}

// Blocks of [from, to): they end where the inner run does.
static bool write_columns(nm_gen *g, nm_column *c)
{
    nm_fn *f = &g->fn;
    const nm_space *k = &c->kept;
    nm_gen_begin_kernel(g, "kernel");
    LLVMValueRef length = nm_fn_product(f, k->n - k->inner, k->dim + k->inner);
    nm_loop loop = nm_loop_begin(f, g->from, g->to, "block");
    LLVMValueRef row = nm_index_div(g, loop.i, length);
    c->first = nm_index_rem(g, loop.i, length);
    LLVMValueRef left = nm_fn_min(f, LLVMBuildSub(f->b, length, c->first, ""),
                                  LLVMBuildSub(f->b, g->to, loop.i, ""));
    c->n = loop.step = nm_fn_min(f, left, nm_fn_i64(f, BLOCK));
    nm_index_spread(g, &c->outer, k->inner, k->dim, row);
    bool ok = write_block(g, c);
    nm_loop_end(f, &loop);
    nm_fn_finish(f, NULL);
    g->scratch_bytes = (int64_t)c->r.n * BLOCK * 8;
    g->grain = 64;
    g->range = nm_space_extent(g, k);
    return ok;
}

bool nm_kernel_column(nm_gen *g)
{
    nm_column c = {0};
    if (!nm_reductions_find(g, &c.r))
        return false;
    if (c.r.n_kept == 0 || c.r.levels > 1)
        return nm_kernel_row(g);
    c.kept = nm_space_make(g, c.r.n_kept, c.r.kept);
    c.over = nm_space_make(g, c.r.n_over, c.r.over);
    const nm_space *kept = &c.kept;
    for (int i = 0; i < g->group->n_out; i++)
        nm_space_prove(g, i, 1, &kept);
    return g->is_gpu ? nm_gpu_column(g, &c.r, &c.kept, &c.over) : write_columns(g, &c);
}
