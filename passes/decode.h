// The slice to the last position, pushed back to where positions begin to matter.
#ifndef NM_PASSES_DECODE_H
#define NM_PASSES_DECODE_H

#include "ir/ir.h"

// v at the last index of `dim`, which has `length` indices, computed from as few others as
// possible: the slice moves before maps, products and views that do not mix positions.
nm_value *nm_decode_last(nm_value *v, nm_sym dim, const nm_extent *length);

#endif
