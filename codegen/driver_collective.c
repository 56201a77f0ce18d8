// A collective in a driver function: one call of the device, with the geometry computed from the
// local extents, and a row of the program's table.
//
// The device says where the result lies: in the operand's place, if there was nothing to do. A
// loose result (ir/plan.h) is read from there; any other is copied to where it has to be.
#include "codegen/drive.h"
#include "ir/launch.h"
#include "runtime/driver_abi.h"

#include <string.h>

// --- the row -------------------------------------------------------------------------------------

static int kind_of(const nm_op *op)
{
    switch (op->code) {
    case NM_OP_all_reduce: return NMDRV_ALL_REDUCE;
    case NM_OP_reduce_scatter: return NMDRV_REDUCE_SCATTER;
    case NM_OP_all_gather: return NMDRV_ALL_GATHER;
    case NM_OP_rotate: return NMDRV_ROTATE;
    default: return -1;
    }
}

int64_t nm_axis_bits(const char *axis)
{
    static const char *const name[NMDRV_N_AXES] = {"pp",  "dpr", "dps", "dpp", "ep",
                                                   "cpr", "cps", "tpk", "tpr"};
    for (int i = 0; i < NMDRV_N_AXES; i++)
        if (strcmp(axis, name[i]) == 0)
            return INT64_C(1) << i;
    return 0;
}

static bool axes_of(nm_module *m, const nm_op *op, int64_t *bits)
{
    nm_syms axes = nm_attr_dims(op, "axes");
    *bits = 0;
    for (int i = 0; i < axes.n; i++) {
        int64_t bit = nm_axis_bits(axes.sym[i]);
        if (!bit)
            return nm_error(m->diag, op->loc, "%s: a mesh has no axis '%s'", nm_info(op)->name,
                            axes.sym[i]);
        *bits |= bit;
    }
    return true;
}

// Of the two sides, the one that is cut by more ranks.
static const nm_type *smaller_side(const nm_op *op)
{
    return op->code == NM_OP_all_gather ? op->in[0]->type : op->out[0].type;
}

static const nm_type *larger_side(const nm_op *op)
{
    return op->code == NM_OP_all_gather ? op->out[0].type : op->in[0]->type;
}

// Do the ranks share a dim? Else all elements are alike.
static bool is_along_dim(const nm_op *op) { return nm_attr_sym(op, "over") != NULL; }

static const nm_extent *extent_over(const nm_op *op, const nm_type *t)
{
    return t->dim[nm_type_find(t, nm_attr_sym(op, "over"))].extent;
}

static nm_collective *add_row(nm_program *p)
{
    p->collective =
        nm_arena_grow(p->m->arena, p->collective, p->n_collectives, sizeof *p->collective);
    return &p->collective[p->n_collectives++];
}

static const char *name_of(nm_module *m, const nm_op *op)
{
    nm_sym name = op->out[0].name ? op->out[0].name : op->in[0]->name;
    return nm_arena_fmt(m->arena, "%s%s%s", nm_info(op)->name, name ? "." : "", name ? name : "");
}

static bool list_collective(nm_drive *w, const nm_op *op)
{
    nm_module *m = w->p->m;
    nm_collective c = {.name = name_of(m, op), .where = nm_where(m, op->loc), .kind = kind_of(op)};
    if (c.kind < 0)
        return nm_error(m->diag, op->loc, "no target lowers '%s' yet", nm_info(op)->name);
    if (!axes_of(m, op, &c.axes))
        return false;
    c.dtype = op->out[0].type->dtype;
    c.max = nm_attr_bool(op, "max");
    c.more = nm_attr_bool(op, "more");
    c.async = !c.more && nm_launch_wait(op);
    c.units = w->d->func->part.units;
    c.over = -1;
    if (is_along_dim(op)) {
        c.over = nm_extent_sym_index(m, extent_over(op, smaller_side(op)));
        nm_dim_decl *local = nm_extent_decl(m, extent_over(op, larger_side(op)));
        c.joins = !local || !local->of;
    }
    *add_row(w->p) = c;
    return true;
}

// --- the call ------------------------------------------------------------------------------------

static void set_geometry(nm_drive *w, int i, int n, const nm_dim *dim)
{
    LLVMValueRef at = nm_fn_at(&w->fn, w->fn.i64, w->geometry, nm_fn_i64(&w->fn, i));
    LLVMBuildStore(w->fn.b, nm_fn_product(&w->fn, n, dim), at);
}

// {elements}, or {outer, len, inner} of the smaller side around the dim.
static void write_geometry(nm_drive *w, const nm_op *op)
{
    if (!w->geometry)
        w->geometry = nm_fn_slot(&w->fn, LLVMArrayType2(w->fn.i64, 3));
    const nm_type *t = smaller_side(op);
    if (!is_along_dim(op)) {
        set_geometry(w, 0, t->rank, t->dim);
        return;
    }
    int at = nm_type_find(t, nm_attr_sym(op, "over"));
    set_geometry(w, 0, at, t->dim);
    set_geometry(w, 1, 1, &t->dim[at]);
    set_geometry(w, 2, t->rank - at - 1, &t->dim[at + 1]);
}

static LLVMValueRef call_device(nm_drive *w, LLVMValueRef out, LLVMValueRef in)
{
    nm_fn *f = &w->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->ptr, f->ptr, f->ptr};
    LLVMTypeRef type = LLVMFunctionType(f->ptr, param, 5, false);
    LLVMValueRef arg[] = {w->frame, nm_fn_i64(f, w->p->n_collectives - 1), w->geometry, out, in};
    return LLVMBuildCall2(f->b, type, nm_drive_callee(w, NM_CALL_COLLECTIVE), arg, 5, "given");
}

// if (given != out) copy(frame, out, given, bytes);
static void copy_if_elsewhere(nm_drive *w, const nm_type *t, LLVMValueRef out, LLVMValueRef given)
{
    nm_fn *f = &w->fn;
    LLVMBasicBlockRef elsewhere = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "elsewhere");
    LLVMBasicBlockRef there = LLVMAppendBasicBlockInContext(f->ctx, f->fn, "there");
    LLVMValueRef moved = LLVMBuildICmp(f->b, LLVMIntNE, given, out, "");
    LLVMBuildCondBr(f->b, moved, elsewhere, there);
    LLVMPositionBuilderAtEnd(f->b, elsewhere);
    nm_drive_copy(w, t, out, given);
    LLVMBuildBr(f->b, there);
    LLVMPositionBuilderAtEnd(f->b, there);
}

bool nm_drive_collective(nm_drive *w, nm_op *op)
{
    if (!list_collective(w, op))
        return false;
    const nm_plan *plan = w->d->func->plan;
    const nm_value *v = &op->out[0];
    const nm_place *to = &plan->place[v->id], *from = &plan->place[op->in[0]->id];
    w->row[v->id] = w->p->n_collectives - 1;
    write_geometry(w, op);
    LLVMValueRef in = nm_drive_address(w, from), out = nm_drive_address(w, to);
    LLVMValueRef given = call_device(w, out, in);
    if (to->loose)
        w->given[v->id] = given;
    else if (!nm_same_place(to, from))
        copy_if_elsewhere(w, v->type, out, given);
    w->position += !nm_attr_bool(op, "more");
    return true;
}

void nm_drive_wait(nm_drive *w, const nm_op *wait)
{
    nm_fn *f = &w->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64};
    LLVMTypeRef type = LLVMFunctionType(f->nothing, param, 2, false);
    const nm_op *last = nm_launch_last(wait->in[0]->def);
    LLVMValueRef arg[] = {w->frame, nm_fn_i64(f, w->row[last->out[0].id])};
    LLVMBuildCall2(f->b, type, nm_drive_callee(w, NM_CALL_WAIT), arg, 2, "");
    w->position++;
}
