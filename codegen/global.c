// Global indices. A local extent is a symbol (docs/mesh.md), or a multiple of one: the dim that is
// cut is the major part of what it was merged to, so its numbers count the others' product.
#include "codegen/global.h"

#include <string.h>

// The symbol of a rank's part in the extent, or NULL. All ranks' parts together are none.
static const nm_dim_decl *part_in(nm_module *m, const nm_extent *e)
{
    for (int i = 0; i < e->n_terms; i++)
        for (int k = 0; k < e->term[i].n_atoms; k++) {
            nm_sym sym = e->term[i].atom[k].sym;
            const nm_dim_decl *d = sym ? nm_dim_lookup(m, sym) : NULL;
            if (d && d->of)
                return nm_extent_is_stored(m, e) ? NULL : d;
        }
    return NULL;
}

bool nm_extent_is_part(nm_module *m, const nm_extent *e)
{
    return part_in(m, e) ||
           nm_extent_reads(e, nm_sym_get(m, "batch")); // the language fixes this name
}

bool nm_extent_is_padded(nm_module *m, const nm_extent *e)
{
    const nm_dim_decl *d = part_in(m, e);
    return d && d->pad;
}

const nm_extent *nm_extent_whole(nm_module *m, const nm_extent *e)
{
    const nm_dim_decl *d = part_in(m, e);
    if (!d)
        return e;
    const nm_extent *others = nm_extent_div(m, e, d->extent);
    return nm_extent_mul(m, others, nm_dim_lookup(m, d->of)->extent);
}

// Context parallelism deals two chunks of a run-time dim to a rank, so that causal attention is
// level.
static bool in_two_runs(nm_module *m, const nm_dim_decl *d)
{
    for (int i = 0; i < d->axes.n; i++)
        if (!strcmp(d->axes.axis[i], "cpr"))
            return nm_dim_lookup(m, d->of)->runtime;
    return false;
}

bool nm_gen_runs(nm_gen *g, const nm_dim *dim, LLVMValueRef *half, LLVMValueRef *jump)
{
    nm_fn *f = &g->fn;
    const nm_dim_decl *d = part_in(f->m, dim->extent);
    if (!d || !in_two_runs(f->m, d))
        return false;
    const nm_extent *inner = nm_extent_div(f->m, dim->extent, d->extent);
    LLVMValueRef n = nm_fn_extent_value(f, inner, NM_SYM_SIZE);
    *half = nm_index_mul(g, nm_fn_extent_value(f, d->extent, NM_SYM_HALF), n);
    *jump = nm_index_mul(g, nm_fn_extent_value(f, d->extent, NM_SYM_JUMP), n);
    return true;
}

LLVMValueRef nm_gen_global(nm_gen *g, const nm_dim *dim, LLVMValueRef i)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef half, jump;
    LLVMValueRef at = nm_index_add(g, i, nm_fn_extent_value(&g->fn, dim->extent, NM_SYM_OFFSET));
    if (!nm_gen_runs(g, dim, &half, &jump))
        return at;
    LLVMValueRef late = LLVMBuildICmp(b, LLVMIntSGE, i, half, "");
    return nm_index_add(g, at, LLVMBuildSelect(b, late, jump, nm_index_const(g, 0), ""));
}

LLVMValueRef nm_gen_local(nm_gen *g, const nm_dim *dim, LLVMValueRef global)
{
    LLVMBuilderRef b = g->fn.b;
    LLVMValueRef half, jump, offset = nm_fn_extent_value(&g->fn, dim->extent, NM_SYM_OFFSET);
    LLVMValueRef i = LLVMBuildSub(b, global, offset, "");
    if (!nm_gen_runs(g, dim, &half, &jump))
        return i;
    LLVMValueRef late = LLVMBuildICmp(b, LLVMIntSGE, i, half, "");
    LLVMValueRef back = LLVMBuildSub(b, i, jump, "");
    LLVMValueRef there = LLVMBuildICmp(b, LLVMIntSGE, back, half, "");
    back = LLVMBuildSelect(b, there, back, nm_index_const(g, -1), "");
    return LLVMBuildSelect(b, late, back, i, "");
}
