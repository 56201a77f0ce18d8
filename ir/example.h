// Tiny functions from the op table, for tests and for docs/ops.md.
#ifndef NM_IR_EXAMPLE_H
#define NM_IR_EXAMPLE_H

#include "ir/ir.h"

// Declares the dims that examples are written with: i = 3, j = 4, k = 5, b, s, h, x, ...
void nm_example_dims(nm_module *m);
// A function @NAME in m, whose parameters are the operands of the row's .example and whose results
// are the op's; the op is its first. NULL: the row has no example, or it is wrong (reported).
nm_func *nm_op_example(nm_module *m, nm_opcode code);
nm_func *nm_example_parse(nm_module *m, nm_opcode code, const char *example); // another one

#endif
