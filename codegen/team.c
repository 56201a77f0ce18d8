// Teams of threads: see team.h.
#include "codegen/team.h"
#include "codegen/reduce.h"

enum {
    WARP = NM_GPU_WARP,
    SHARED = 8, // bytes of a value of a warp in shared memory
    AHEAD = 4,  // elements that a thread reads at once where it has more than it keeps
};

// --- which ---------------------------------------------------------------------------------------

static int warps(const nm_gen *g) { return g->threads / WARP; }

nm_team nm_team_whole(nm_gen *g, int joins)
{
    if (!g->is_gpu)
        return (nm_team){.size = 1};
    g->per_block = 1;
    g->shared_bytes = (int64_t)joins * warps(g) * SHARED;
    return (nm_team){.size = g->threads};
}

nm_team nm_team_for_rows(nm_gen *g, const nm_extent *elements, int wide, int joins)
{
    nm_row_shape row = {.wide = wide, .exact = g->fn.m->options.precision <= NM_PRECISION_f32};
    if (!nm_extent_is_const(elements, &row.length))
        row.length = 0;
    int size = nm_row_threads(row);
    if (g->is_gpu && size > WARP)
        g->threads = size;
    nm_team t = {.size = size};
    if (!g->is_gpu || size > WARP)
        t = nm_team_whole(g, joins);
    else
        g->per_block = g->threads / size;
    t.loops = !nm_row_is_kept(row);
    return t;
}

// --- a row ---------------------------------------------------------------------------------------

static void begin_small(nm_gen *g, nm_team *t)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef size = nm_index_const(g, t->size);
    LLVMValueRef row = nm_index_add(g, g->from, nm_index_div(g, g->lane, size));
    t->active = LLVMBuildICmp(b, LLVMIntSLT, row, g->to, "");
    t->row = LLVMBuildSelect(b, t->active, row, g->from, "");
    t->lane = nm_index_rem(g, g->lane, size);
    g->deal.lane = t->lane;
    g->deal.n = t->size;
}

void nm_team_begin(nm_gen *g, nm_team *t)
{
    t->scope = nm_gen_open(g);
    g->deal.run = NM_GPU_RUN;
    g->deal.most = t->loops ? 0 : NM_GPU_KEEPS;
    g->deal.ahead = AHEAD;
    if (!g->is_gpu) {
        t->loop = nm_loop_begin(&g->fn, g->from, g->to, "row");
        t->row = t->loop.i;
    } else if (t->size < g->threads) {
        begin_small(g, t);
    } else {
        t->row = g->from;
        t->lane = g->lane;
    }
}

void nm_team_end(nm_gen *g, nm_team *t)
{
    if (!g->is_gpu)
        nm_loop_end(&g->fn, &t->loop);
    nm_gen_close(g, t->scope);
}

// --- what its threads tell each other ------------------------------------------------------------

static LLVMValueRef to_word(nm_gen *g, LLVMValueRef x)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMTypeRef bits = t == g->fn.f64 || t == g->fn.i64 ? g->fn.i64 : g->fn.i32;
    if (t == g->fn.f32 || t == g->fn.f64)
        return LLVMBuildBitCast(g->fn.b, x, bits, "");
    return LLVMBuildZExt(g->fn.b, x, bits, "");
}

static LLVMValueRef from_word(nm_gen *g, LLVMValueRef word, LLVMTypeRef t)
{
    if (t == g->fn.f32 || t == g->fn.f64)
        return LLVMBuildBitCast(g->fn.b, word, t, "");
    return LLVMBuildTrunc(g->fn.b, word, t, "");
}

static bool is_long(nm_gen *g, LLVMValueRef word) { return LLVMTypeOf(word) == g->fn.i64; }

void nm_shared_put(nm_gen *g, LLVMValueRef at, LLVMValueRef x)
{
    LLVMValueRef arg[] = {at, to_word(g, x)};
    nm_gen_call(g, is_long(g, arg[1]) ? "nmg_put64" : "nmg_put32", g->fn.nothing, 2, arg);
}

LLVMValueRef nm_shared_get(nm_gen *g, LLVMValueRef at, LLVMTypeRef type)
{
    bool wide = type == g->fn.f64 || type == g->fn.i64;
    LLVMTypeRef bits = wide ? g->fn.i64 : g->fn.i32;
    return from_word(g, nm_gen_call(g, wide ? "nmg_get64" : "nmg_get32", bits, 1, &at), type);
}

void nm_shared_wait(nm_gen *g) { nm_gen_call(g, "nmg_wait_block", g->fn.nothing, 0, NULL); }

// Each thread with the one whose lane differs in one bit: x + y is y + x, so all have the same.
static LLVMValueRef join_lanes(nm_gen *g, const nm_op *op, LLVMValueRef x, int lanes)
{
    for (int mask = lanes / 2; mask; mask /= 2) {
        LLVMValueRef arg[] = {to_word(g, x), nm_fn_i64(&g->fn, mask)};
        const char *swap = is_long(g, arg[0]) ? "nmg_swap64" : "nmg_swap32";
        LLVMValueRef y = nm_gen_call(g, swap, LLVMTypeOf(arg[0]), 2, arg);
        x = nm_reduction_join(g, op, x, from_word(g, y, LLVMTypeOf(x)));
    }
    return x;
}

// Where in shared memory value i of this join has that of a warp.
static LLVMValueRef place_of(nm_gen *g, const nm_team *t, int i, LLVMValueRef warp)
{
    int64_t first = (int64_t)(t->n_shared + i * warps(g)) * SHARED;
    LLVMValueRef at = nm_index_mul(g, warp, nm_index_const(g, SHARED));
    return nm_index_add(g, at, nm_index_const(g, first));
}

static void put_warps(nm_gen *g, const nm_team *t, int n, LLVMValueRef *x)
{
    LLVMValueRef warp = nm_index_div(g, g->lane, nm_index_const(g, WARP));
    LLVMValueRef lane = nm_index_rem(g, g->lane, nm_index_const(g, WARP));
    LLVMValueRef zero = nm_index_const(g, 0);
    LLVMBasicBlockRef next = nm_if_begin(&g->fn, LLVMBuildICmp(g->fn.b, LLVMIntEQ, lane, zero, ""));
    nm_scope scope = nm_gen_open(g);
    for (int i = 0; i < n; i++)
        nm_shared_put(g, place_of(g, t, i, warp), x[i]);
    nm_gen_close(g, scope);
    nm_if_end(&g->fn, next);
}

static LLVMValueRef get_warp(nm_gen *g, const nm_team *t, int i, LLVMTypeRef type)
{
    LLVMValueRef warp = nm_index_rem(g, g->lane, nm_index_const(g, warps(g)));
    return nm_shared_get(g, place_of(g, t, i, warp), type);
}

void nm_team_wait(nm_gen *g, const nm_team *t)
{
    if (t->size > 1)
        nm_gen_call(g, t->size > WARP ? "nmg_wait_block" : "nmg_wait_warp", g->fn.nothing, 0, NULL);
}

void nm_team_join(nm_gen *g, nm_team *t, int n, nm_op *const *op, LLVMValueRef *x)
{
    for (int i = 0; i < n; i++)
        x[i] = join_lanes(g, op[i], x[i], t->size < WARP ? t->size : WARP);
    if (t->size <= WARP)
        return;
    put_warps(g, t, n, x);
    nm_team_wait(g, t);
    for (int i = 0; i < n; i++)
        x[i] = join_lanes(g, op[i], get_warp(g, t, i, LLVMTypeOf(x[i])), warps(g));
    t->n_shared += n * warps(g);
}

// --- who stores ----------------------------------------------------------------------------------

LLVMBasicBlockRef nm_team_begin_first(nm_gen *g, const nm_team *t)
{
    LLVMValueRef condition = t->active;
    if (t->size > 1) {
        LLVMValueRef zero = nm_index_const(g, 0);
        LLVMValueRef first = LLVMBuildICmp(g->fn.b, LLVMIntEQ, t->lane, zero, "");
        condition = condition ? LLVMBuildAnd(g->fn.b, condition, first, "") : first;
    }
    return condition ? nm_if_begin(&g->fn, condition) : NULL;
}

LLVMBasicBlockRef nm_team_begin_active(nm_gen *g, const nm_team *t)
{
    return t->active ? nm_if_begin(&g->fn, t->active) : NULL;
}

void nm_team_end_part(nm_gen *g, LLVMBasicBlockRef next)
{
    if (next)
        nm_if_end(&g->fn, next);
}
