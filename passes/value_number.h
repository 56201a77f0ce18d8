// Value numbering: of two pure ops that compute the same, one goes.
#ifndef NM_PASSES_VALUE_NUMBER_H
#define NM_PASSES_VALUE_NUMBER_H

#include "ir/ir.h"

void nm_value_number(nm_func *f, bool *changed); // and in the bodies in it

#endif
