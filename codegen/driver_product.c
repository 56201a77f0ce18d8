// A product in a driver function: one call of the device's library, with the geometry computed from
// the local extents, and a row of the program's table.
#include "codegen/drive.h"
#include "codegen/product.h"

static int add_row(nm_drive *w, nm_op *group, const nm_product_call *call)
{
    nm_program *p = w->p;
    p->product = nm_arena_grow(p->m->arena, p->product, p->n_products, sizeof *p->product);
    p->product[p->n_products] = (nm_product){.name = nm_group_name(p, group, p->n_products),
                                             .where = nm_group_where(p, group),
                                             .a_dtype = group->in[call->a.index]->type->dtype,
                                             .b_dtype = group->in[call->b.index]->type->dtype,
                                             .c_dtype = group->out[0].type->dtype,
                                             .adds = call->sum >= 0,
                                             .bias = call->bias.index >= 0,
                                             .alpha = call->alpha};
    return p->n_products++;
}

static const nm_place *place_of(const nm_drive *w, const nm_value *v)
{
    return &w->d->func->plan->place[v->id];
}

static LLVMValueRef operand(nm_drive *w, const nm_op *group, nm_product_operand x)
{
    nm_fn *f = &w->fn;
    if (x.index < 0)
        return LLVMConstNull(f->ptr);
    const nm_value *v = group->in[x.index];
    LLVMValueRef offset = nm_fn_extent_value(f, x.offset, NM_SYM_SIZE);
    LLVMValueRef bytes =
        LLVMBuildMul(f->b, offset, nm_fn_i64(f, nm_dtype_table[v->type->dtype].bytes), "");
    return nm_fn_at(f, f->i8, nm_drive_address(w, place_of(w, v)), bytes);
}

static LLVMValueRef write_geometry(nm_drive *w, const nm_product_call *call)
{
    nm_fn *f = &w->fn;
    if (!w->product_geometry)
        w->product_geometry = nm_fn_slot(f, LLVMArrayType2(f->i64, NM_GEOMETRY_WORDS));
    for (int i = 0; i < NM_GEOMETRY_WORDS; i++) {
        LLVMValueRef at = nm_fn_at(f, f->i64, w->product_geometry, nm_fn_i64(f, i));
        LLVMBuildStore(f->b, nm_fn_extent_value(f, call->geometry[i], NM_SYM_SIZE), at);
    }
    return w->product_geometry;
}

// The sum is made in the result's place: what it is made with has to be there.
static void bring_sum(nm_drive *w, const nm_op *group, int sum, LLVMValueRef c)
{
    const nm_value *result = &group->out[0];
    const nm_place *from = sum < 0 ? NULL : place_of(w, group->in[sum]);
    if (from && !nm_same_place(from, place_of(w, result)))
        nm_drive_copy(w, result->type, c, nm_drive_address(w, from));
}

bool nm_drive_product(nm_drive *w, nm_op *group)
{
    nm_fn *f = &w->fn;
    nm_product_call call;
    bool stored = group->n_out == 1 && place_of(w, &group->out[0])->buffer >= 0;
    if (!stored || !nm_product_of(w->p->m, group, &call))
        return false;
    LLVMValueRef c = nm_drive_address(w, place_of(w, &group->out[0]));
    bring_sum(w, group, call.sum, c);
    LLVMTypeRef param[] = {f->ptr, f->i64, f->ptr, f->ptr, f->ptr, f->ptr, f->ptr};
    LLVMTypeRef type = LLVMFunctionType(f->nothing, param, 7, false);
    LLVMValueRef arg[] = {w->frame,
                          nm_fn_i64(f, add_row(w, group, &call)),
                          write_geometry(w, &call),
                          c,
                          operand(w, group, call.a),
                          operand(w, group, call.b),
                          operand(w, group, call.bias)};
    LLVMBuildCall2(f->b, type, nm_drive_callee(w, NM_CALL_PRODUCT), arg, 7, "");
    return true;
}
