// Builders that passes share: casts, maxima and views, typed as they have to be. One that does not
// type is a mistake of ours.
#ifndef NM_PASSES_BUILD_H
#define NM_PASSES_BUILD_H

#include "ir/ir.h"

typedef struct nm_at { // where ops are built
    nm_func *f;
    nm_op *before; // NULL: at the end of f
    nm_loc loc;
} nm_at;

nm_at nm_at_op(nm_op *op);             // in front of it, for it
nm_at nm_at_behind(const nm_value *v); // where it is there, for it

nm_value *nm_at_build(nm_at at, nm_opcode code, int n_in, nm_value *const *in, const nm_type *type);
nm_value *nm_at_build1(nm_at at, nm_opcode code, nm_value *v, int n_attrs, const nm_attr *attr,
                       const nm_type *type);              // type: NULL where it follows
nm_value *nm_at_cast(nm_at at, nm_value *v, nm_dtype to); // v itself if it has the dtype
nm_value *nm_at_max(nm_at at, nm_value *v, nm_syms over);
nm_value *nm_at_merge(nm_at at, nm_value *v, nm_syms from, nm_sym into);
nm_value *nm_at_split(nm_at at, nm_value *v, nm_sym from, int n, const nm_dim *into);
// v with as many indices of the dim as `to` says: zeros behind its end, or only the first ones.
nm_value *nm_at_pad(nm_at at, nm_value *v, nm_dim to);
nm_value *nm_at_slice(nm_at at, nm_value *v, nm_dim to);

#endif
