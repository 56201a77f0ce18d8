// Gradient rules: one function a row of ops.def, each the op's vector-Jacobian product.
#ifndef NM_IR_GRADS_H
#define NM_IR_GRADS_H

#include "ir/ir.h"

typedef struct nm_grad {
    nm_func *f;     // new ops go to its end (or before `before`)
    nm_op *before;
    nm_value **adj; // by value id of the outermost function: the gradient so far, or NULL
    nm_value *(*of)(struct nm_grad *g, nm_value *x); // x as the backward code may read it (saved, or itself)
} nm_grad;

// The gradient of op's i-th result; NULL: nobody asked, it is zero.
nm_value *nm_grad_of(nm_grad *g, const nm_op *op, int i);
// Add dx to the gradient of x: what was broadcast is summed, the dtype becomes x's.
void nm_grad_into(nm_grad *g, const nm_op *op, nm_value *x, nm_value *dx);

// One rule an op, named after it; rows of ops.def choose which to use.
#define OP(id, ...) void nm_grad_##id(nm_grad *g, nm_op *op);
#include "ir/ops.def"
#undef OP

#endif
