// The partial sums of a row on a processor: see lanes.h.
#include "codegen/lanes.h"

enum {
    MOST = 64, // four vectors of AVX-512: enough to hide what an addition takes
    LINE = 64, // bytes, where they begin
};

static int count_lanes(nm_gen *g, const nm_extent *elements)
{
    int64_t all;
    int n = 1;
    if (g->is_gpu)
        return n;
    if (!nm_extent_is_const(elements, &all))
        return MOST;
    while (n < MOST && 2 * n <= all)
        n *= 2;
    return n;
}

static nm_lanes make(nm_gen *g, const nm_reductions *r, int n)
{
    nm_lanes l = {.n = n, .r = r};
    for (int i = 0; i < r->n; i++) {
        LLVMTypeRef t = nm_reduction_type(g, r->op[i]);
        l.slot[i] = nm_fn_slot(&g->fn, n > 1 ? LLVMArrayType2(t, (uint64_t)n) : t);
        if (n > 1)
            LLVMSetAlignment(l.slot[i], LINE);
    }
    return l;
}

nm_lanes nm_lanes_make(nm_gen *g, const nm_reductions *r, const nm_extent *elements)
{
    return make(g, r, count_lanes(g, elements));
}

nm_lanes nm_lanes_single(nm_gen *g, const nm_reductions *r) { return make(g, r, 1); }

// All lanes as one value: a vector, where there are several.
static LLVMTypeRef all_type(nm_gen *g, const nm_lanes *l, int i)
{
    LLVMTypeRef t = nm_reduction_type(g, l->r->op[i]);
    return l->n > 1 ? LLVMVectorType(t, (unsigned)l->n) : t;
}

static LLVMValueRef at_line(const nm_lanes *l, LLVMValueRef access)
{
    if (l->n > 1)
        LLVMSetAlignment(access, LINE);
    return access;
}

void nm_lanes_start(nm_gen *g, const nm_lanes *l, int i)
{
    LLVMValueRef start[MOST], one = nm_reduction_start(g, l->r->op[i]);
    for (int k = 0; k < l->n; k++)
        start[k] = one;
    LLVMValueRef all = l->n > 1 ? LLVMConstVector(start, (unsigned)l->n) : one;
    at_line(l, LLVMBuildStore(g->fn.b, all, l->slot[i]));
}

void nm_lanes_join(nm_gen *g, const nm_lanes *l, int i, LLVMValueRef lane, LLVMValueRef x)
{
    LLVMTypeRef t = nm_reduction_type(g, l->r->op[i]);
    LLVMValueRef at = lane ? nm_fn_at(&g->fn, t, l->slot[i], lane) : l->slot[i];
    LLVMValueRef acc = LLVMBuildLoad2(g->fn.b, t, at, "");
    LLVMBuildStore(g->fn.b, nm_reduction_join(g, l->r->op[i], acc, x), at);
}

// n elements of the vector, from `first` on.
static LLVMValueRef part_of(nm_gen *g, LLVMValueRef all, int first, int n)
{
    LLVMValueRef at[MOST];
    for (int k = 0; k < n; k++)
        at[k] = LLVMConstInt(g->fn.i32, (unsigned)(first + k), false);
    LLVMValueRef none = LLVMGetPoison(LLVMTypeOf(all));
    return LLVMBuildShuffleVector(g->fn.b, all, none, LLVMConstVector(at, (unsigned)n), "");
}

LLVMValueRef nm_lanes_total(nm_gen *g, const nm_lanes *l, int i)
{
    LLVMValueRef x = at_line(l, LLVMBuildLoad2(g->fn.b, all_type(g, l, i), l->slot[i], ""));
    if (l->n == 1)
        return x;
    for (int n = l->n / 2; n; n /= 2)
        x = nm_reduction_join(g, l->r->op[i], part_of(g, x, 0, n), part_of(g, x, n, n));
    return LLVMBuildExtractElement(g->fn.b, x, LLVMConstInt(g->fn.i32, 0, false), "");
}
