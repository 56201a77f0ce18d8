// What a driver function hands to kernels: addresses of places, numbers, workspaces, and the table
// of the symbols that a kernel asks for. Kernels know symbols by their place in that table, so that
// kernels which differ only in what their dims are called (ff, or a rank's part of ff) are one.
#include "codegen/drive.h"

#include <string.h>

// --- places --------------------------------------------------------------------------------------

static LLVMValueRef turn_of(nm_drive *w, const nm_op *repeat)
{
    for (int i = 0; i < w->n_turns; i++)
        if (w->turn[i].repeat == repeat)
            return w->turn[i].turn;
    nm_bug("driver: a place moves with a repeat that it is not in");
}

LLVMValueRef nm_drive_address(nm_drive *w, const nm_place *place)
{
    nm_fn *f = &w->fn;
    const nm_plan *plan = w->d->func->plan;
    if (place->loose && w->given[place - plan->place])
        return w->given[place - plan->place];
    LLVMValueRef at = nm_fn_i64(f, 0);
    if (place->start)
        at = nm_fn_extent_value(f, place->start, NM_SYM_SIZE);
    for (int i = 0; i < place->n_turns; i++) {
        LLVMValueRef stride = nm_fn_extent_value(f, place->turn[i].stride, NM_SYM_SIZE);
        LLVMValueRef step = LLVMBuildMul(f->b, turn_of(w, place->turn[i].repeat), stride, "");
        at = LLVMBuildAdd(f->b, at, step, "");
    }
    int bytes = nm_dtype_table[plan->buffer[place->buffer].dtype].bytes;
    at = LLVMBuildMul(f->b, at, nm_fn_i64(f, bytes), "");
    LLVMValueRef base = nm_fn_load(f, f->ptr, w->buf, nm_fn_i64(f, place->buffer));
    return nm_fn_at(f, f->i8, base, at);
}

// --- tables of symbols ---------------------------------------------------------------------------

static bool same_syms(const nm_own_syms *a, const nm_own_syms *b)
{
    return a->n == b->n && memcmp(a->sym, b->sym, sizeof *a->sym * (size_t)a->n) == 0;
}

static LLVMTypeRef row_type(nm_fn *f) { return LLVMArrayType2(f->i64, NM_N_SYM_FIELDS); }

// The place of the first of them in the module's table, where all follow it there; else -1.
static int run_of(const nm_module *m, const nm_own_syms *syms)
{
    int first = syms->n ? nm_sym_index(m, syms->sym[0]) : 0;
    for (int i = 1; i < syms->n; i++)
        if (nm_sym_index(m, syms->sym[i]) != first + i)
            return -1;
    return first;
}

static LLVMValueRef gather(nm_drive *w, const nm_own_syms *syms)
{
    nm_fn *f = &w->fn;
    LLVMTypeRef row = row_type(f);
    LLVMValueRef table = LLVMBuildAlloca(f->b, LLVMArrayType2(row, (uint64_t)syms->n), "syms");
    for (int i = 0; i < syms->n; i++) {
        int from = nm_sym_index(w->p->m, syms->sym[i]);
        for (int k = 0; k < NM_N_SYM_FIELDS; k++) {
            LLVMValueRef v =
                nm_fn_load(f, f->i64, f->sym, nm_fn_i64(f, NM_N_SYM_FIELDS * from + k));
            LLVMValueRef at = nm_fn_at(f, f->i64, table, nm_fn_i64(f, NM_N_SYM_FIELDS * i + k));
            LLVMBuildStore(f->b, v, at);
        }
    }
    return table;
}

LLVMValueRef nm_drive_syms(nm_drive *w, const nm_own_syms *syms)
{
    nm_fn *f = &w->fn;
    for (nm_own_table *t = w->tables; t; t = t->next)
        if (same_syms(&t->syms, syms))
            return t->at;
    LLVMBasicBlockRef back = nm_fn_enter_entry(f);
    int first = run_of(w->p->m, syms);
    LLVMValueRef at =
        first >= 0 ? nm_fn_at(f, row_type(f), f->sym, nm_fn_i64(f, first)) : gather(w, syms);
    nm_fn_leave_entry(f, back);
    nm_own_table *t = nm_new(f->scratch, nm_own_table);
    *t = (nm_own_table){*syms, at, w->tables};
    w->tables = t;
    return at;
}

// --- one word ------------------------------------------------------------------------------------

static int add_workspace(nm_drive *w, const nm_arg *arg, const nm_op *group)
{
    nm_driver *d = w->d;
    nm_module *m = w->p->m;
    d->workspace = nm_arena_grow(m->arena, d->workspace, d->n_workspaces, sizeof *d->workspace);
    d->workspace[d->n_workspaces] =
        (nm_workspace){arg->workspace, w->position, "workspace", nm_where(m, group->loc)};
    return d->func->plan->n_buffers + d->n_workspaces++;
}

LLVMValueRef nm_drive_argument(nm_drive *w, const nm_arg *arg, const nm_op *group,
                               const nm_own_syms *syms)
{
    if (arg->place)
        return nm_drive_address(w, arg->place);
    if (arg->syms)
        return nm_drive_syms(w, syms);
    if (arg->number) {
        LLVMValueRef v = nm_fn_extent_value(&w->fn, arg->number, NM_SYM_SIZE);
        return LLVMBuildIntToPtr(w->fn.b, v, w->fn.ptr, "");
    }
    int buffer = add_workspace(w, arg, group);
    return nm_fn_load(&w->fn, w->fn.ptr, w->buf, nm_fn_i64(&w->fn, buffer));
}

void nm_drive_word(nm_drive *w, int i, LLVMValueRef value)
{
    LLVMBuildStore(w->fn.b, value, nm_fn_at(&w->fn, w->fn.ptr, w->block, nm_fn_i64(&w->fn, i)));
}
