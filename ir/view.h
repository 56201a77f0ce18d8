// Values that are views of what a group's operands store: each dim is one stride in elements, as an
// extent. Extents are interned, so that equal ones are one pointer.
#ifndef NM_IR_VIEW_H
#define NM_IR_VIEW_H

#include "ir/ir.h"

typedef struct nm_view { // of a group's operand
    int index;
    nm_dtype dtype; // that it is stored in
    int n;
    nm_dim dim[NM_MAX_RANK];
    const nm_extent *stride[NM_MAX_RANK], *offset;
} nm_view;

// Dense, as a stored value lies. False: its strides have no extent.
bool nm_view_dense(nm_module *m, const nm_type *t, nm_view *s);
// False: v is no such view of what is stored.
bool nm_view_follow(nm_module *m, const nm_value *v, nm_view *s);
// The one stride of a list of dims, outermost first, that are walked as one index. NULL: it has
// none. Of a list of one index, and of dims that it does not have: 0.
const nm_extent *nm_view_stride(nm_module *m, const nm_view *s, int n, const nm_dim *dim);

#endif
