// Writing one LLVM function: see fn.h.
#include "codegen/fn.h"

#include <llvm-c/DebugInfo.h> // temporary nodes
#include <string.h>

void nm_fn_init(nm_fn *f, nm_module *m, nm_arena *scratch, LLVMContextRef ctx, LLVMModuleRef mod)
{
    *f = (nm_fn){.m = m, .scratch = scratch, .ctx = ctx, .mod = mod};
    f->b = LLVMCreateBuilderInContext(ctx);
    f->i1 = LLVMInt1TypeInContext(ctx);
    f->i8 = LLVMInt8TypeInContext(ctx);
    f->i16 = LLVMInt16TypeInContext(ctx);
    f->i32 = LLVMInt32TypeInContext(ctx);
    f->i64 = LLVMInt64TypeInContext(ctx);
    f->f32 = LLVMFloatTypeInContext(ctx);
    f->f64 = LLVMDoubleTypeInContext(ctx);
    f->ptr = LLVMPointerTypeInContext(ctx, 0);
    f->nothing = LLVMVoidTypeInContext(ctx);
}

void nm_fn_serve(nm_fn *f, const nm_func *func)
{
    while (func->parent)
        func = func->parent->func;
    f->trains = nm_func_has_role(func, "train");
}

void nm_fn_release(nm_fn *f) { LLVMDisposeBuilder(f->b); }

LLVMValueRef nm_fn_start(nm_fn *f, const char *name, LLVMTypeRef type)
{
    f->fn = LLVMAddFunction(f->mod, name, type);
    f->n_extents = 0;
    LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "entry");
    LLVMBasicBlockRef start = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "start");
    LLVMPositionBuilderAtEnd(f->b, entry);
    f->entry_end = LLVMBuildBr(f->b, start);
    LLVMPositionBuilderAtEnd(f->b, start);
    return f->fn;
}

void nm_fn_finish(nm_fn *f, LLVMValueRef result)
{
    if (result)
        LLVMBuildRet(f->b, result);
    else
        LLVMBuildRetVoid(f->b);
}

int nm_sym_count(const nm_module *m)
{
    int n = 0;
    for (int i = 0; i < m->n_dims; i++)
        n += m->dim[i].runtime;
    return n;
}

int nm_sym_index(const nm_module *m, nm_sym name)
{
    int at = 0;
    for (int i = 0; i < m->n_dims; i++) {
        if (m->dim[i].runtime && m->dim[i].name == name)
            return at;
        at += m->dim[i].runtime;
    }
    nm_bug("codegen: '%s' is not a run-time dim", name);
}

LLVMValueRef nm_fn_i64(nm_fn *f, int64_t value)
{
    return LLVMConstInt(f->i64, (unsigned long long)value, true);
}

bool nm_fn_is_const(LLVMValueRef v, int64_t *value)
{
    if (!LLVMIsAConstantInt(v))
        return false;
    if (value)
        *value = LLVMConstIntGetSExtValue(v);
    return true;
}

LLVMValueRef nm_fn_at(nm_fn *f, LLVMTypeRef type, LLVMValueRef p, LLVMValueRef i)
{
    return LLVMBuildInBoundsGEP2(f->b, type, p, &i, 1, "");
}

LLVMValueRef nm_fn_load(nm_fn *f, LLVMTypeRef type, LLVMValueRef p, LLVMValueRef i)
{
    LLVMValueRef v = LLVMBuildLoad2(f->b, type, nm_fn_at(f, type, p, i), "");
    if (type == f->i64)
        LLVMSetAlignment(v, 8); // a module without a layout says 4
    return v;
}

LLVMValueRef nm_fn_min(nm_fn *f, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef less = LLVMBuildICmp(f->b, LLVMIntSLT, a, b, "");
    return LLVMBuildSelect(f->b, less, a, b, "");
}

LLVMBasicBlockRef nm_fn_enter_entry(nm_fn *f)
{
    LLVMBasicBlockRef back = LLVMGetInsertBlock(f->b);
    LLVMPositionBuilderBefore(f->b, f->entry_end);
    return back;
}

void nm_fn_leave_entry(nm_fn *f, LLVMBasicBlockRef back) { LLVMPositionBuilderAtEnd(f->b, back); }

LLVMValueRef nm_fn_slot(nm_fn *f, LLVMTypeRef type)
{
    LLVMBasicBlockRef back = nm_fn_enter_entry(f);
    LLVMValueRef slot = LLVMBuildAlloca(f->b, type, "");
    nm_fn_leave_entry(f, back);
    return slot;
}

// --- extents: sums of products of symbols and quotients ------------------------------------------

static int own_index(nm_own_syms *own, nm_sym name)
{
    for (int i = 0; i < own->n; i++)
        if (own->sym[i] == name)
            return i;
    if (own->n == NM_MAX_OWN_SYMS)
        nm_bug("codegen: a kernel of more than %d run-time dims", NM_MAX_OWN_SYMS);
    own->sym[own->n] = name;
    return own->n++;
}

// Nothing in a kernel says which symbols its own are, so that equal kernels are equal code.
// Sizes do not change under a function: without this no loop that stores could keep one in a
// register.
static void mark_invariant(nm_fn *f, LLVMValueRef load)
{
    unsigned kind = LLVMGetMDKindIDInContext(f->ctx, "invariant.load", 14);
    LLVMMetadataRef none = LLVMMDNodeInContext2(f->ctx, NULL, 0);
    LLVMSetMetadata(load, kind, LLVMMetadataAsValue(f->ctx, none));
}

static LLVMValueRef load_sym(nm_fn *f, nm_sym name, nm_sym_field field)
{
    int64_t fixed = f->trains && field == NM_SYM_SIZE ? nm_dim_lookup(f->m, name)->fixed : 0;
    if (fixed)
        return nm_fn_i64(f, fixed);
    int index = f->own ? own_index(f->own, name) : nm_sym_index(f->m, name);
    LLVMValueRef at = nm_fn_i64(f, NM_N_SYM_FIELDS * index + (int)field);
    LLVMValueRef v = nm_fn_load(f, f->i64, f->sym, at);
    mark_invariant(f, v);
    if (!f->own)
        LLVMSetValueName2(v, name, strlen(name));
    return v;
}

static LLVMValueRef extent_value(nm_fn *f, const nm_extent *e, nm_sym_field field);

static LLVMValueRef atom_value(nm_fn *f, const nm_atom *a, nm_sym_field field)
{
    if (a->sym)
        return load_sym(f, a->sym, field);
    LLVMValueRef num = extent_value(f, a->num, field);
    // A cut dim that is then divided: the cut is a multiple of the divisor.
    LLVMValueRef den = extent_value(f, a->den, field == NM_SYM_OFFSET ? NM_SYM_SIZE : field);
    // A driver also runs on a rank that has nothing, and launches nothing then; kernels do not.
    if (!f->own)
        den = LLVMBuildSelect(f->b, LLVMBuildICmp(f->b, LLVMIntEQ, den, nm_fn_i64(f, 0), ""),
                              nm_fn_i64(f, 1), den, "");
    return LLVMBuildSDiv(f->b, num, den, "");
}

static LLVMValueRef term_value(nm_fn *f, const nm_term *t, nm_sym_field field)
{
    LLVMValueRef v = nm_fn_i64(f, t->factor);
    for (int i = 0; i < t->n_atoms; i++)
        v = LLVMBuildMul(f->b, v, atom_value(f, &t->atom[i], field), "");
    return v;
}

// The offset of a product: one dim is cut, the others are whole, so offset_i * (the others' sizes),
// summed over i, has one addend that is not zero.
static LLVMValueRef term_offset(nm_fn *f, const nm_term *t)
{
    LLVMValueRef sum = nm_fn_i64(f, 0);
    for (int i = 0; i < t->n_atoms; i++) {
        LLVMValueRef v = nm_fn_i64(f, t->factor);
        for (int k = 0; k < t->n_atoms; k++) {
            nm_sym_field field = k == i ? NM_SYM_OFFSET : NM_SYM_SIZE;
            v = LLVMBuildMul(f->b, v, atom_value(f, &t->atom[k], field), "");
        }
        sum = LLVMBuildAdd(f->b, sum, v, "");
    }
    return sum;
}

static LLVMValueRef extent_value(nm_fn *f, const nm_extent *e, nm_sym_field field)
{
    LLVMValueRef sum = nm_fn_i64(f, 0);
    for (int i = 0; i < e->n_terms; i++) {
        const nm_term *t = &e->term[i];
        LLVMValueRef v = field == NM_SYM_OFFSET ? term_offset(f, t) : term_value(f, t, field);
        sum = LLVMBuildAdd(f->b, sum, v, "");
    }
    return sum;
}

static void remember_extent(nm_fn *f, nm_fn_extent row)
{
    if (f->n_extents == f->cap_extents) {
        int cap = f->cap_extents ? 2 * f->cap_extents : 16;
        nm_fn_extent *grown = nm_new_n(f->scratch, nm_fn_extent, (size_t)cap);
        if (f->n_extents)
            memcpy(grown, f->extent, (size_t)f->n_extents * sizeof *grown);
        f->extent = grown;
        f->cap_extents = cap;
    }
    f->extent[f->n_extents++] = row;
}

LLVMValueRef nm_fn_extent_value(nm_fn *f, const nm_extent *e, nm_sym_field field)
{
    int64_t value;
    if (nm_extent_is_const(e, &value))
        return nm_fn_i64(f, field == NM_SYM_OFFSET ? 0 : value);
    for (int i = 0; i < f->n_extents; i++)
        if (f->extent[i].extent == e && f->extent[i].field == field)
            return f->extent[i].value;
    LLVMBasicBlockRef back = nm_fn_enter_entry(f);
    LLVMValueRef v = extent_value(f, e, field);
    nm_fn_leave_entry(f, back);
    remember_extent(f, (nm_fn_extent){e, field, v});
    return v;
}

LLVMValueRef nm_fn_product(nm_fn *f, int n, const nm_dim *dim)
{
    const nm_extent *e = nm_extent_const(f->m, 1);
    for (int i = 0; i < n; i++)
        e = nm_extent_mul(f->m, e, dim[i].extent);
    return nm_fn_extent_value(f, e, NM_SYM_SIZE);
}

// --- loops ---------------------------------------------------------------------------------------

nm_loop nm_loop_begin(nm_fn *f, LLVMValueRef from, LLVMValueRef to, const char *name)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(f->b);
    nm_loop loop = {.step = nm_fn_i64(f, 1)};
    loop.head = LLVMAppendBasicBlockInContext(f->ctx, f->fn, name);
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "body");
    loop.exit = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "done");
    LLVMBuildBr(f->b, loop.head);
    LLVMPositionBuilderAtEnd(f->b, loop.head);
    loop.i = LLVMBuildPhi(f->b, f->i64, name);
    LLVMAddIncoming(loop.i, &from, &before, 1);
    LLVMValueRef more = LLVMBuildICmp(f->b, LLVMIntSLT, loop.i, to, "");
    LLVMBuildCondBr(f->b, more, body, loop.exit);
    LLVMPositionBuilderAtEnd(f->b, body);
    return loop;
}

static LLVMMetadataRef text(nm_fn *f, const char *t)
{
    return LLVMMDStringInContext2(f->ctx, t, strlen(t));
}

static LLVMMetadataRef number(nm_fn *f, int n)
{
    return LLVMValueAsMetadata(LLVMConstInt(f->i32, (unsigned)n, false));
}

// A loop's properties are a node whose first operand is the node itself.
static void tell(nm_fn *f, LLVMValueRef branch, const nm_loop *loop)
{
    const struct {
        const char *name;
        int count;
    } all[] = {{"llvm.loop.unroll.count", loop->unroll},
               {"llvm.loop.vectorize.width", loop->lanes},
               {"llvm.loop.interleave.count", loop->ahead}};
    LLVMMetadataRef list[5];
    unsigned n = 1;
    for (int i = 0; i < 3; i++) {
        LLVMMetadataRef pair[] = {text(f, all[i].name), number(f, all[i].count)};
        if (all[i].count > 1)
            list[n++] = LLVMMDNodeInContext2(f->ctx, pair, 2);
    }
    if (loop->lanes > 1) { // before it is a vector's loop, or behind
        LLVMMetadataRef never[] = {text(f, "llvm.loop.unroll.disable")};
        list[n++] = LLVMMDNodeInContext2(f->ctx, never, 1);
    }
    if (n == 1)
        return;
    list[0] = LLVMTemporaryMDNode(f->ctx, NULL, 0);
    LLVMMetadataRef node = LLVMMDNodeInContext2(f->ctx, list, n);
    LLVMMetadataReplaceAllUsesWith(list[0], node); // and is deleted
    LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(f->ctx, "llvm.loop", 9),
                    LLVMMetadataAsValue(f->ctx, node));
}

void nm_loop_end(nm_fn *f, nm_loop *loop)
{
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(f->b);
    LLVMValueRef next = LLVMBuildNSWAdd(f->b, loop->i, loop->step, "");
    LLVMAddIncoming(loop->i, &next, &latch, 1);
    LLVMValueRef branch = LLVMBuildBr(f->b, loop->head);
    tell(f, branch, loop);
    LLVMPositionBuilderAtEnd(f->b, loop->exit);
}

LLVMBasicBlockRef nm_if_begin(nm_fn *f, LLVMValueRef condition)
{
    LLVMBasicBlockRef then = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "then");
    LLVMBasicBlockRef next = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "next");
    LLVMBuildCondBr(f->b, condition, then, next);
    LLVMPositionBuilderAtEnd(f->b, then);
    return next;
}

void nm_if_end(nm_fn *f, LLVMBasicBlockRef next)
{
    LLVMBuildBr(f->b, next);
    LLVMPositionBuilderAtEnd(f->b, next);
}
