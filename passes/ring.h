// Ring attention: what of a function of a mode with `ring` goes round instead of being gathered.
#ifndef NM_PASSES_RING_H
#define NM_PASSES_RING_H

#include "ir/ir.h"

bool nm_ring_mode(const nm_func *f); // is f a function of such a mode?
// Has the module an attention that can be computed so, of a dim that its mesh splits over cp?
bool nm_ring_wanted(nm_module *m);
// The attention or attention_grad that is computed so, in which `collective` gathers an operand or
// scatters a result; NULL: it stays as it is. Of a function after shard.
const nm_op *nm_ring_around(const nm_op *collective);

#endif
