// A repeat opened for editing: its operands, body parameters and results as rows by class. Change
// the rows, drop or add some, and close it: the body's parameters are put in order, and a new
// repeat op takes the old one's place and readers.
#ifndef NM_IR_LOOP_H
#define NM_IR_LOOP_H

#include "ir/ir.h"

typedef struct nm_loop_row {
    nm_value *operand; // of the repeat; NULL in `result` rows
    nm_value *param;   // of the body; NULL in `result` rows
    nm_value *result;  // of the body; NULL in `stacked` and `whole` rows
    nm_value *out;     // of the old repeat; NULL: a new row. After nm_loop_close: of the new one
} nm_loop_row;

typedef struct nm_loop_rows {
    int n;
    nm_loop_row *row;
} nm_loop_rows;

typedef struct nm_loop {
    nm_op *op;
    nm_func *body;
    nm_loop_rows carried, stacked, whole, result; // `result`: what is stacked up
} nm_loop;

nm_loop nm_loop_open(nm_op *repeat); // rows in m->arena
// Append a row; a NULL param is made, of the operand's type as a turn sees it.
nm_loop_row *nm_loop_carry(nm_loop *l, nm_value *operand, nm_value *param, nm_value *result);
nm_loop_row *nm_loop_stack(nm_loop *l, nm_value *operand, nm_value *param);
nm_loop_row *nm_loop_whole(nm_loop *l, nm_value *operand, nm_value *param);
nm_loop_row *nm_loop_give(nm_loop *l, nm_value *result);
void nm_loop_drop(nm_loop_rows *rows, int i); // the row, keeping the order of the others
// All readers of a value of the body read another, the rows' results among them.
void nm_loop_replace(nm_loop *l, nm_value *old, nm_value *with);
// Dropped params and outs must have no readers. Returns the new op, in the old one's place.
nm_op *nm_loop_close(nm_loop *l);

#endif
