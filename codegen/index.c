// Index arithmetic on i64 values that remembers how they were made, so that what splits and merges
// of dims undo disappears: with f = a * e + b and b < e, f / e is a and f % e is b; and back.
//
// On a GPU a thread's elements are some neighbours from a multiple of 4 on. Constants that are
// added stay outermost, and a division of x + c by a multiple of 4 is one of x where x is such a
// multiple: the neighbours' addresses are one address and constants.
#include "codegen/gen.h"

#include <string.h>

LLVMValueRef nm_index_const(nm_gen *g, int64_t v) { return nm_fn_i64(&g->fn, v); }

static LLVMValueRef lookup(nm_gen *g, nm_index_kind kind, LLVMValueRef a, LLVMValueRef b,
                           LLVMValueRef c)
{
    for (int i = g->n_index; i-- > 0;) {
        const nm_index_memo *x = &g->index[i];
        if (x->kind == kind && x->a == a && x->b == b && x->c == c)
            return x->result;
    }
    return NULL;
}

// How `result` was made by `kind` (and divided by or scaled with b, unless b is NULL).
static const nm_index_memo *made_by(nm_gen *g, nm_index_kind kind, LLVMValueRef result,
                                    LLVMValueRef b)
{
    for (int i = g->n_index; i-- > 0;) {
        const nm_index_memo *x = &g->index[i];
        if (x->kind == kind && x->result == result && (!b || x->b == b))
            return x;
    }
    return NULL;
}

static LLVMValueRef remember(nm_gen *g, nm_index_memo row)
{
    if (g->n_index == g->cap_index) {
        int cap = g->cap_index ? 2 * g->cap_index : 64;
        nm_index_memo *grown = nm_new_n(g->fn.scratch, nm_index_memo, (size_t)cap);
        if (g->n_index)
            memcpy(grown, g->index, (size_t)g->n_index * sizeof *grown);
        g->index = grown;
        g->cap_index = cap;
    }
    g->index[g->n_index++] = row;
    return row.result;
}

static bool is(LLVMValueRef v, int64_t value)
{
    int64_t have;
    return nm_fn_is_const(v, &have) && have == value;
}

// --- neighbours on a GPU -------------------------------------------------------------------------

void nm_index_know_multiple(nm_gen *g, LLVMValueRef v, int64_t n)
{
    remember(g, (nm_index_memo){NM_INDEX_MULTIPLE, NULL, nm_index_const(g, n), NULL, v});
}

static bool makes_multiple(nm_gen *g, const nm_index_memo *x, int64_t n)
{
    int64_t known;
    switch (x->kind) {
    case NM_INDEX_MULTIPLE: return nm_fn_is_const(x->b, &known) && known % n == 0;
    case NM_INDEX_ADD:
    case NM_INDEX_REM: return nm_index_is_multiple(g, x->a, n) && nm_index_is_multiple(g, x->b, n);
    case NM_INDEX_MUL: return nm_index_is_multiple(g, x->a, n) || nm_index_is_multiple(g, x->b, n);
    default: return false;
    }
}

bool nm_index_is_multiple(nm_gen *g, LLVMValueRef v, int64_t n)
{
    int64_t known;
    if (nm_fn_is_const(v, &known))
        return known % n == 0;
    for (int i = g->n_index; i-- > 0;)
        if (g->index[i].result == v && makes_multiple(g, &g->index[i], n))
            return true;
    return false;
}

LLVMValueRef nm_index_without_constant(nm_gen *g, LLVMValueRef v, int64_t *c)
{
    *c = 0;
    const nm_index_memo *add = g->is_gpu ? made_by(g, NM_INDEX_ADD, v, NULL) : NULL;
    if (add && nm_fn_is_const(add->b, c))
        return add->a;
    *c = 0;
    return v;
}

// a = the result + *c with *c < a run: one quotient by b for both, remainders that differ by *c.
static LLVMValueRef begin_of_run(nm_gen *g, LLVMValueRef a, LLVMValueRef b, int64_t *c)
{
    int64_t all;
    LLVMValueRef first = nm_index_without_constant(g, a, &all);
    *c = all % NM_GPU_RUN;
    if (all <= 0 || *c == 0 || !nm_index_is_multiple(g, b, NM_GPU_RUN) ||
        !nm_index_is_multiple(g, first, NM_GPU_RUN)) {
        *c = 0;
        return a;
    }
    return nm_index_add(g, first, nm_index_const(g, all - *c));
}

// --- arithmetic ----------------------------------------------------------------------------------

LLVMValueRef nm_index_add(nm_gen *g, LLVMValueRef a, LLVMValueRef b)
{
    if (is(a, 0))
        return b;
    if (is(b, 0))
        return a;
    int64_t before, c;
    LLVMValueRef first = nm_index_without_constant(g, a, &before);
    if (before && nm_fn_is_const(b, &c))
        return nm_index_add(g, first, nm_index_const(g, before + c));
    LLVMValueRef r = lookup(g, NM_INDEX_ADD, a, b, NULL);
    return r ? r
             : remember(g, (nm_index_memo){NM_INDEX_ADD, a, b, NULL,
                                           LLVMBuildNSWAdd(g->fn.b, a, b, "")});
}

LLVMValueRef nm_index_mul(nm_gen *g, LLVMValueRef a, LLVMValueRef b)
{
    if (is(a, 1) || is(b, 0))
        return b;
    if (is(b, 1) || is(a, 0))
        return a;
    LLVMValueRef r = lookup(g, NM_INDEX_MUL, a, b, NULL);
    return r ? r
             : remember(g, (nm_index_memo){NM_INDEX_MUL, a, b, NULL,
                                           LLVMBuildNSWMul(g->fn.b, a, b, "")});
}

LLVMValueRef nm_index_div(nm_gen *g, LLVMValueRef a, LLVMValueRef b)
{
    const nm_index_memo *flat = made_by(g, NM_INDEX_FLAT, a, b);
    if (flat)
        return flat->a;
    if (is(b, 1))
        return a;
    int64_t ahead;
    a = begin_of_run(g, a, b, &ahead);
    LLVMValueRef r = lookup(g, NM_INDEX_DIV, a, b, NULL);
    return r ? r
             : remember(
                   g, (nm_index_memo){NM_INDEX_DIV, a, b, NULL, LLVMBuildUDiv(g->fn.b, a, b, "")});
}

LLVMValueRef nm_index_rem(nm_gen *g, LLVMValueRef a, LLVMValueRef b)
{
    const nm_index_memo *flat = made_by(g, NM_INDEX_FLAT, a, b);
    if (flat)
        return flat->c;
    if (is(b, 1))
        return nm_index_const(g, 0);
    int64_t ahead;
    LLVMValueRef first = begin_of_run(g, a, b, &ahead);
    if (ahead)
        return nm_index_add(g, nm_index_rem(g, first, b), nm_index_const(g, ahead));
    LLVMValueRef r = lookup(g, NM_INDEX_REM, a, b, NULL);
    return r ? r
             : remember(
                   g, (nm_index_memo){NM_INDEX_REM, a, b, NULL, LLVMBuildURem(g->fn.b, a, b, "")});
}

// The index of which major and minor are quotient and remainder; NULL: of none.
static LLVMValueRef undivided(nm_gen *g, LLVMValueRef major, LLVMValueRef extent,
                              LLVMValueRef minor)
{
    const nm_index_memo *div = made_by(g, NM_INDEX_DIV, major, extent);
    return div && lookup(g, NM_INDEX_REM, div->a, extent, NULL) == minor ? div->a : NULL;
}

// major * extent + minor, where minor < extent.
LLVMValueRef nm_index_flat(nm_gen *g, LLVMValueRef major, LLVMValueRef extent, LLVMValueRef minor)
{
    if (is(extent, 1))
        return major;
    LLVMValueRef r = undivided(g, major, extent, minor);
    if (!r)
        r = lookup(g, NM_INDEX_FLAT, major, extent, minor);
    if (r)
        return r;
    int64_t ahead;
    LLVMValueRef first = nm_index_without_constant(g, minor, &ahead);
    if (ahead)
        r = nm_index_add(g, nm_index_flat(g, major, extent, first), nm_index_const(g, ahead));
    else
        r = nm_index_add(g, nm_index_mul(g, major, extent), minor);
    return remember(g, (nm_index_memo){NM_INDEX_FLAT, major, extent, minor, r});
}

void nm_index_spread(nm_gen *g, nm_coords *c, int n, const nm_dim *dim, LLVMValueRef flat)
{
    for (int i = n; i-- > 1;) {
        LLVMValueRef extent = nm_fn_extent_value(&g->fn, dim[i].extent, NM_SYM_SIZE);
        nm_coords_set(c, dim[i].name, nm_index_rem(g, flat, extent));
        flat = nm_index_div(g, flat, extent);
    }
    if (n > 0)
        nm_coords_set(c, dim[0].name, flat);
}

// Indices that one was spread over are one again, wherever they stand: [row, heads, hd] with heads
// and hd from one loop has no division.
LLVMValueRef nm_index_join(nm_gen *g, int n, LLVMValueRef *extent, LLVMValueRef *at)
{
    int last = -1;
    int64_t ahead = 0;
    if (n > 0)
        at[n - 1] = nm_index_without_constant(g, at[n - 1], &ahead);
    for (int i = 0; i < n; i++) {
        LLVMValueRef both = last < 0 ? NULL : undivided(g, at[last], extent[i], at[i]);
        LLVMValueRef e = both ? nm_index_mul(g, extent[last], extent[i]) : extent[i];
        last += !both;
        at[last] = both ? both : at[i];
        extent[last] = e;
    }
    LLVMValueRef flat = n ? at[0] : nm_index_const(g, 0);
    for (int i = 1; i <= last; i++)
        flat = nm_index_flat(g, flat, extent[i], at[i]);
    return nm_index_add(g, flat, nm_index_const(g, ahead));
}

LLVMValueRef nm_index_of(nm_gen *g, const nm_coords *c, int n, const nm_dim *dim)
{
    LLVMValueRef extent[NM_MAX_RANK], at[NM_MAX_RANK];
    for (int i = 0; i < n; i++) {
        extent[i] = nm_fn_extent_value(&g->fn, dim[i].extent, NM_SYM_SIZE);
        at[i] = nm_coords_get(c, dim[i].name);
    }
    return nm_index_join(g, n, extent, at);
}
