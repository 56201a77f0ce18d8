// Copying ops into another function, and the inlining of calls.
#ifndef NM_PASSES_INLINE_H
#define NM_PASSES_INLINE_H

#include "ir/ir.h"

// A copy of op before `before` (NULL: at the end) of f, reading map[old id] for each operand, with
// its body; its results are entered into the map. Returns the copy.
nm_op *nm_copy_op(nm_func *f, nm_op *before, const nm_op *op, nm_value **map);

// Every call of f and of the bodies in it becomes the callee's ops.
void nm_inline_calls(nm_func *f, bool *changed);

#endif
