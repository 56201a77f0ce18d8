// Products of numbers of 8 bits: which ones, and in what their operands are rounded.
#ifndef NM_PASSES_FP8_H
#define NM_PASSES_FP8_H

#include "ir/ir.h"

// The operands of each product of a linear layer of f go through a qdq (docs/precision.md has the
// rule). After f is narrow: an activation is what has a run-time dim. Were there any?
bool nm_fp8_func(nm_func *f);
// Then, of recipe `delayed`: a step's scales come from what was largest in earlier steps.
void nm_fp8_delay_func(nm_func *f);

#endif
