// One element of a value, by pull: see gen.h. This file dispatches, remembers, loads and stores.
#include "codegen/gen.h"

#include <stdio.h>
#include <string.h>

LLVMValueRef nm_gen_refuse(nm_gen *g, const nm_op *op, const char *why)
{
    if (!g->failed)
        nm_error(g->fn.m->diag, op->loc, "%s: %s", nm_info(op)->name, why);
    g->failed = true;
    return NULL;
}

// --- memory --------------------------------------------------------------------------------------

static LLVMMetadataRef alias_scope(nm_fn *f, int alias)
{
    char name[32];
    int len = snprintf(name, sizeof name, "alias.%d", alias);
    LLVMMetadataRef text = LLVMMDStringInContext2(f->ctx, "nemocc", 6);
    LLVMMetadataRef domain = LLVMMDNodeInContext2(f->ctx, &text, 1);
    LLVMMetadataRef node[] = {LLVMMDStringInContext2(f->ctx, name, (size_t)len), domain};
    return LLVMMDNodeInContext2(f->ctx, node, 2);
}

static void set_metadata(nm_fn *f, LLVMValueRef inst, const char *kind, LLVMMetadataRef *list,
                         size_t n)
{
    unsigned id = LLVMGetMDKindIDInContext(f->ctx, kind, (unsigned)strlen(kind));
    LLVMMetadataRef node = LLVMMDNodeInContext2(f->ctx, list, n);
    LLVMSetMetadata(inst, id, LLVMMetadataAsValue(f->ctx, node));
}

enum { SCRATCH = 1 << 20 }; // its alias class: no argument has so high a number

// Different buffers never overlap; arguments in one buffer may (a map in place).
static LLVMValueRef tell_aliases(nm_gen *g, LLVMValueRef inst, int own)
{
    LLVMMetadataRef mine = alias_scope(&g->fn, own), other[NM_MAX_ARGS + 1];
    size_t n = 0;
    if (own != SCRATCH)
        other[n++] = alias_scope(&g->fn, SCRATCH);
    for (int i = 0; i < g->n_args; i++)
        if (g->arg[i].alias != own)
            other[n++] = alias_scope(&g->fn, g->arg[i].alias);
    set_metadata(&g->fn, inst, "alias.scope", &mine, 1);
    if (n > 0)
        set_metadata(&g->fn, inst, "noalias", other, n);
    return inst;
}

LLVMValueRef nm_gen_in_scratch(nm_gen *g, LLVMValueRef inst)
{
    return tell_aliases(g, inst, SCRATCH);
}

static LLVMValueRef find_load(LLVMValueRef v)
{
    while (v && !LLVMIsALoadInst(v)) // behind the conversion to the computing type
        v = LLVMIsAInstruction(v) && LLVMGetNumOperands(v) > 0 ? LLVMGetOperand(v, 0) : NULL;
    return v;
}

// An element in memory: base + constant, so that LLVM sees neighbours; and of a run's first one,
// which is aligned as all of the run, how.
typedef struct nm_spot {
    LLVMValueRef base, at;
    bool aligned;
} nm_spot;

static nm_spot spot_of(nm_gen *g, int arg, nm_dtype t, LLVMValueRef at)
{
    int64_t ahead;
    LLVMValueRef p = nm_gen_pointer(g, arg);
    LLVMValueRef first = nm_index_without_constant(g, at, &ahead);
    bool aligned = g->is_gpu && nm_index_is_multiple(g, at, NM_GPU_RUN) &&
                   nm_gen_is_aligned(g, arg, NM_GPU_RUN);
    if (!ahead)
        return (nm_spot){p, at, aligned};
    p = nm_fn_at(&g->fn, nm_dtype_storage(&g->fn, t), p, first);
    return (nm_spot){p, nm_index_const(g, ahead), aligned};
}

// Does no result lie in the operand's buffer? Then GPUs may read it in any order with stores.
static bool is_constant(nm_gen *g, int arg)
{
    for (int i = 0; i < g->group->n_out; i++)
        if (g->result_arg[i] >= 0 && g->arg[g->result_arg[i]].alias == g->arg[arg].alias)
            return false;
    return g->is_gpu;
}

static void align(const nm_spot *spot, nm_dtype t, LLVMValueRef access)
{
    enum { MOST = 16 };
    unsigned run = NM_GPU_RUN * (unsigned)nm_dtype_table[t].bytes;
    if (spot->aligned)
        LLVMSetAlignment(access, run < MOST ? run : MOST);
}

static LLVMValueRef load_param(nm_gen *g, nm_value *v, const nm_coords *c)
{
    int arg = g->param_arg[v->index];
    if (arg < 0)
        return nm_gen_refuse(g, g->group, "an operand of the kernel is not stored");
    LLVMValueRef at = nm_index_of(g, c, v->type->rank, v->type->dim);
    nm_spot spot = spot_of(g, arg, v->type->dtype, at);
    LLVMValueRef x = nm_dtype_load(&g->fn, v->type->dtype, spot.base, spot.at);
    LLVMValueRef load = find_load(x);
    if (load) {
        tell_aliases(g, load, g->arg[arg].alias);
        align(&spot, v->type->dtype, load);
        if (is_constant(g, arg))
            set_metadata(&g->fn, load, "invariant.load", NULL, 0);
    }
    return x;
}

void nm_gen_store(nm_gen *g, int result, const nm_coords *c, LLVMValueRef element)
{
    const nm_type *t = g->group->out[result].type;
    int arg = g->result_arg[result];
    if (arg < 0) // nobody reads it
        return;
    LLVMValueRef at = nm_index_of(g, c, t->rank, t->dim);
    nm_spot spot = spot_of(g, arg, t->dtype, at);
    LLVMValueRef store = nm_dtype_store(&g->fn, t->dtype, spot.base, spot.at, element);
    tell_aliases(g, store, g->arg[arg].alias);
    align(&spot, t->dtype, store);
}

// --- values --------------------------------------------------------------------------------------

static LLVMValueRef find_memo(nm_gen *g, const nm_value *v, const nm_coords *own)
{
    for (int i = g->n_memo; i-- > 0;) {
        const nm_memo *row = &g->memo[i];
        if (row->value != v)
            continue;
        int same = 0;
        while (same < own->n && row->at[same] == own->c[same].at)
            same++;
        if (same == own->n)
            return row->result;
    }
    return NULL;
}

static nm_coords own_coords(const nm_value *v, const nm_coords *c)
{
    nm_coords own = {0};
    for (int i = 0; i < v->type->rank; i++)
        nm_coords_set(&own, v->type->dim[i].name, nm_coords_get(c, v->type->dim[i].name));
    return own;
}

static bool is_in_row(const nm_near *x, const nm_coords *c)
{
    bool same = true;
    for (int i = 0; i < x->at.n; i++)
        same &= nm_coords_get(c, x->at.c[i].dim) == x->at.c[i].at;
    return same;
}

static LLVMValueRef load_near(nm_gen *g, const nm_value *v, const nm_coords *c)
{
    const nm_near *x = &g->near;
    if (!is_in_row(x, c))
        return nm_gen_refuse(g, v->def,
                             "an epilogue reads it in another row, which is not lowered");
    LLVMValueRef at = nm_index_of(g, c, x->n, x->dim);
    LLVMValueRef sum = nm_gen_in_scratch(g, nm_fn_load(&g->fn, g->fn.f32, x->sums, at));
    return nm_dtype_cast(&g->fn, NM_f32, v->type->dtype, sum);
}

static LLVMValueRef write_value(nm_gen *g, nm_value *v, const nm_coords *c)
{
    if (!v->def)
        return load_param(g, v, c);
    if (v == g->near.product)
        return load_near(g, v, c);
    if (nm_is(v->def, NM_MAP))
        return nm_gen_map(g, v->def, c);
    if (nm_is(v->def, NM_VIEW))
        return nm_gen_view(g, v->def, c);
    if (nm_is(v->def, NM_FREE))
        return nm_gen_free(g, v->def, c);
    return nm_gen_refuse(g, v->def, "is read where this kind of kernel does not have it");
}

LLVMValueRef nm_gen_value(nm_gen *g, nm_value *v, const nm_coords *c)
{
    nm_coords own = own_coords(v, c);
    LLVMValueRef x = find_memo(g, v, &own);
    if (x)
        return x;
    x = write_value(g, v, &own);
    if (x)
        nm_gen_know(g, v, &own, x);
    return x;
}

LLVMValueRef nm_gen_offset(nm_gen *g, nm_value *v, const nm_coords *c, int *arg)
{
    nm_coords own = own_coords(v, c);
    nm_source_point p = {.value = v, .at = own};
    while (p.value->def) {
        nm_coords at = p.at;
        nm_op *op = p.value->def;
        if (op->code == NM_OP_stop) {
            p.value = op->in[0];
            continue;
        }
        if (!nm_is(op, NM_VIEW) || !nm_gen_view_point(g, op, &at, &p) || p.inside)
            return nm_gen_refuse(g, op, "an operand of this kind of kernel has to be stored");
    }
    *arg = g->param_arg[p.value->index];
    if (*arg < 0)
        return nm_gen_refuse(g, g->group, "an operand of the kernel is not stored");
    return nm_index_of(g, &p.at, p.value->type->rank, p.value->type->dim);
}
