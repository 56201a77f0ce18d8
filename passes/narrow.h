// `real` as a storage dtype below f32: what is stored is narrow, what is computed is f32.
#ifndef NM_PASSES_NARROW_H
#define NM_PASSES_NARROW_H

#include "ir/ir.h"

// Every `real` of f and its bodies becomes f32, or is rounded to `low` where it is stored. Was
// there any?
bool nm_narrow_func(nm_func *f, nm_dtype low);

#endif
