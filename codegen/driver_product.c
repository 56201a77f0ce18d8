// A product in a driver function: a call of the device's library, or a loop of them, with the
// geometry computed from the local extents, and a row of the program's table.
#include "codegen/drive.h"
#include "ir/product.h"
#include "runtime/driver_abi.h"

static nmdrv_epilogue abi_epilogue(nm_epilogue e)
{
    static const nmdrv_epilogue abi[] = {
        [NM_EPILOGUE_none] = NMDRV_EPILOGUE_NONE,
        [NM_EPILOGUE_bias] = NMDRV_EPILOGUE_BIAS,
        [NM_EPILOGUE_gelu] = NMDRV_EPILOGUE_GELU,
        [NM_EPILOGUE_gelu_bias] = NMDRV_EPILOGUE_GELU_BIAS,
        [NM_EPILOGUE_gelu_aux] = NMDRV_EPILOGUE_GELU_AUX,
        [NM_EPILOGUE_gelu_aux_bias] = NMDRV_EPILOGUE_GELU_AUX_BIAS,
        [NM_EPILOGUE_dgelu] = NMDRV_EPILOGUE_DGELU,
        [NM_EPILOGUE_bgrad_a] = NMDRV_EPILOGUE_BGRAD_A,
        [NM_EPILOGUE_bgrad_b] = NMDRV_EPILOGUE_BGRAD_B,
    };
    return abi[e];
}

// Sums in fewer bits: in forward, where gradients are what is e5m2.
static bool is_fast(const nm_module *m, const nm_op *group, const nm_product_call *call)
{
    return group->in[call->a.index]->type->dtype == NM_e4m3 &&
           group->in[call->b.index]->type->dtype == NM_e4m3 && !m->options.fp8_e4m3;
}

static int add_row(nm_drive *w, nm_op *group, const nm_product_call *call)
{
    nm_program *p = w->p;
    p->product = nm_arena_grow(p->m->arena, p->product, p->n_products, sizeof *p->product);
    p->product[p->n_products] = (nm_product){.name = nm_group_name(p, group, p->n_products),
                                             .where = nm_group_where(p, group),
                                             .a_dtype = group->in[call->a.index]->type->dtype,
                                             .b_dtype = group->in[call->b.index]->type->dtype,
                                             .c_dtype = group->out[call->result].type->dtype,
                                             .adds = call->sum >= 0,
                                             .epilogue = abi_epilogue(call->epilogue),
                                             .alpha = call->alpha,
                                             .fast = is_fast(p->m, group, call)};
    return p->n_products++;
}

static const nm_place *place_of(const nm_drive *w, const nm_value *v)
{
    return &w->d->func->plan->place[v->id];
}

// p, so many elements of v's dtype further on.
static LLVMValueRef move(nm_fn *f, LLVMValueRef p, LLVMValueRef elements, const nm_value *v)
{
    LLVMValueRef size = nm_fn_i64(f, nm_dtype_table[v->type->dtype].bytes);
    return nm_fn_at(f, f->i8, p, LLVMBuildMul(f->b, elements, size, ""));
}

static LLVMValueRef operand(nm_drive *w, const nm_op *group, nm_product_operand x)
{
    nm_fn *f = &w->fn;
    if (x.index < 0)
        return LLVMConstNull(f->ptr);
    const nm_value *v = group->in[x.index];
    LLVMValueRef offset = nm_fn_extent_value(f, x.offset, NM_SYM_SIZE);
    return move(f, nm_drive_address(w, place_of(w, v)), offset, v);
}

// A result beside the product's; -1: an operand.
static LLVMValueRef result_or(nm_drive *w, const nm_op *group, int result, nm_product_operand x)
{
    return result < 0 ? operand(w, group, x)
                      : nm_drive_address(w, place_of(w, &group->out[result]));
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
static void bring_sum(nm_drive *w, const nm_value *result, const nm_op *group, int sum,
                      LLVMValueRef c)
{
    const nm_place *from = sum < 0 ? NULL : place_of(w, group->in[sum]);
    if (from && !nm_same_place(from, place_of(w, result)))
        nm_drive_copy(w, result->type, c, nm_drive_address(w, from));
}

typedef struct operands {
    LLVMValueRef row, geometry, c, a, b, bias, aux, a_scale, b_scale;
} operands;

static void write_call(nm_drive *w, const operands *x)
{
    nm_fn *f = &w->fn;
    LLVMTypeRef param[] = {f->ptr, f->i64, f->ptr, f->ptr, f->ptr,
                           f->ptr, f->ptr, f->ptr, f->ptr, f->ptr};
    LLVMTypeRef type = LLVMFunctionType(f->nothing, param, 10, false);
    LLVMValueRef arg[] = {w->frame, x->row,  x->geometry, x->c,       x->a,
                          x->b,     x->bias, x->aux,      x->a_scale, x->b_scale};
    LLVMBuildCall2(f->b, type, nm_drive_callee(w, NM_CALL_PRODUCT), arg, 10, "");
}

static void write_turns(nm_drive *w, nm_op *group, const nm_product_call *call, operands x)
{
    nm_fn *f = &w->fn;
    LLVMValueRef *pointer[] = {&x.a, &x.b, &x.c};
    const nm_value *value[] = {group->in[call->a.index], group->in[call->b.index],
                               &group->out[call->result]};
    nm_loop loop = nm_loop_begin(f, nm_fn_i64(f, 0),
                                 nm_fn_extent_value(f, call->turns, NM_SYM_SIZE), "product");
    for (int i = 0; i < 3; i++) {
        LLVMValueRef step = nm_fn_extent_value(f, call->step[i], NM_SYM_SIZE);
        *pointer[i] = move(f, *pointer[i], LLVMBuildMul(f->b, loop.i, step, ""), value[i]);
    }
    write_call(w, &x);
    nm_loop_end(f, &loop);
}

static bool are_stored(const nm_drive *w, const nm_op *group)
{
    for (int i = 0; i < group->n_out; i++)
        if (place_of(w, &group->out[i])->buffer < 0)
            return false;
    return true;
}

bool nm_drive_product(nm_drive *w, nm_op *group)
{
    nm_product_call call;
    int64_t turns = 0;
    if (!are_stored(w, group) || !nm_product_of(w->p->m, group, &call))
        return false;
    const nm_value *result = &group->out[call.result];
    LLVMValueRef c = nm_drive_address(w, place_of(w, result));
    bring_sum(w, result, group, call.sum, c);
    operands x = {.row = nm_fn_i64(&w->fn, add_row(w, group, &call)),
                  .geometry = write_geometry(w, &call),
                  .c = c,
                  .a = operand(w, group, call.a),
                  .b = operand(w, group, call.b),
                  .bias = result_or(w, group, call.sums, call.bias),
                  .aux = result_or(w, group, call.kept, call.slope),
                  .a_scale = operand(w, group, call.scale[0]),
                  .b_scale = operand(w, group, call.scale[1])};
    if (nm_extent_is_const(call.turns, &turns) && turns == 1)
        write_call(w, &x);
    else
        write_turns(w, group, &call, x);
    return true;
}
